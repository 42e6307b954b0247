"""The annotation assistant."""
