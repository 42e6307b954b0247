"""One small file per head, with its loss."""
