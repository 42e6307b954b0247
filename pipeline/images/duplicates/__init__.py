"""Near-duplicates: candidates by hash and embedding, verified on the pixels."""
