"""Scores predictions: metrics, intervals and comparisons."""
