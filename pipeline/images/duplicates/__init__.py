"""Near-duplicates: candidates by hash and vector, confirmed on the pixels."""
