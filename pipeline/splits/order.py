"""An order drawn from a seed that does not depend on the order of the rows."""

import hashlib

import numpy as np
import polars as pl


def seeded_order(seed: int, ids: pl.Series) -> np.ndarray:
    """A 64-bit number per id, from seed and id alone: sorting by it gives the same order for any row order."""
    salt = seed.to_bytes(8, "little", signed=True)
    digests = (hashlib.blake2b(name.encode(), digest_size=8, salt=salt).digest() for name in ids)
    return np.frombuffer(b"".join(digests), dtype="<u8")
