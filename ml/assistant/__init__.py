"""The annotation assistant: a web page for cataloguers, with a model's suggestions in one tree per facet."""
