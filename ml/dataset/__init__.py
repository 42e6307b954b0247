"""The dataset as models and scores read it: images, tags, groups, providers and prediction files."""
