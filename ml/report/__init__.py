"""The report: tables, charts, findings and the page that people read."""
