"""Features, baselines, training and evaluation: everything that needs torch."""
