"""Finished models: load, export, and the champion in use."""
