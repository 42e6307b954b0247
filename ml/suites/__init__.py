"""Suites: heads on stored features, trained and measured on many splits of one dataset."""
