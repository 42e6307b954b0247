"""Alembic's folder: how a database of the assistant comes to its present tables."""
