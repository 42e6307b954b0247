"""`python -m tests.ml.assistant.hostile_manifests`: the hostile server; its JSON is nearly a IIIF manifest."""

import asyncio
import json
import random

from tests.ml.assistant.test_iiif import SEED, mutated
from tests.pipeline import hostile

api_body = hostile.json_body


def manifest_body(rng: random.Random) -> bytes:
    """A damaged manifest; as often as not one of the bodies that the API client gets."""
    if rng.random() < 0.5:
        return api_body(rng)
    text = json.dumps(mutated(SEED, rng)).encode()
    many = rng.choice((b"{}", b"[]", b'""', b'{"items":[{"items":[{"body":"http://a.example/1.jpg"}]}]}', b"1e308"))
    return rng.choice(
        (
            lambda: text,
            lambda: text,
            lambda: hostile.mutated(rng, text),
            lambda: b'{"type":"Manifest","items":[' + (many + b",") * (4_900_000 // (len(many) + 1)) + b"{}]}",
            lambda: b'{"type":"Collection","items":[' + (many + b",") * (1_000_000 // (len(many) + 1)) + b"{}]}",
            lambda: b'{"type":"Manifest","label":"' + b"x" * 4_000_000 + b'","items":[{},{},{}]}',
        )
    )()


if __name__ == "__main__":
    hostile.json_body = manifest_body
    asyncio.run(hostile.main())
