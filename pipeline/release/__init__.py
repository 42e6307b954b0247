"""The dataset as others read it."""
