"""Dagster and only Dagster: one module per stage, thin."""
