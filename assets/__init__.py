"""The Dagster project: one thin module per stage."""
