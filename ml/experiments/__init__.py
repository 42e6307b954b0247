"""Rows of the benchmark: how each is built, trained and turned into predictions."""
