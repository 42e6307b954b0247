"""The report of a run: tables as Parquet, Markdown and LaTeX, and one page that needs nothing else."""

from ml.evaluation.tables import console_table

__all__ = ["console_table"]
