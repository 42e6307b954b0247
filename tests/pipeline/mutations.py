"""Inputs that went wrong on their way: bytes, texts and JSON, each changed in a few places, the same for a seed."""

import json
import random
from typing import Any

LETTERS = "\0\ufeff\u200b\ud83d\udc00\ufffd\r\n\t \"'<>&;:/?#%,[]{}3٣é🂡"
SCALARS = (None, True, 0, -1, 2**70, 1.5, "", "\ud800", "x" * 300, [], {}, [None], {"en": None}, {"\udfff": ["y"]})


def mutated_text(text: str, rng: random.Random) -> str:
    """The text with up to four letters put in, taken out, doubled or exchanged."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(text))
        put = rng.choice(("", rng.choice(LETTERS), text[at : at + rng.randint(1, 12)] * 2))
        text = text[:at] + put + text[at + rng.randint(0, 3) :]
    return text


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """The bytes changed as a text, cut, with foreign bytes in it, or in another encoding."""
    text = content.decode()
    kind = rng.randrange(6)
    if kind == 0:
        return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig")), "replace")
    if kind == 1:
        return content[: rng.randint(0, len(content))]
    if kind == 2:
        at = rng.randint(0, len(content))
        return content[:at] + rng.randbytes(rng.randint(1, 4)) + content[at:]
    if kind == 3:
        return text.replace("\n", rng.choice(("\r", "\r\n", "\n\n", "\n,\n"))).encode()
    return mutated_text(text, rng).encode("utf-8", "surrogatepass")


def mutated_json(value: Any, rng: random.Random) -> Any:
    """The value with one of its parts exchanged, taken out or wrapped."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        if rng.random() < 0.15:
            return {key: each for key, each in value.items() if key != name}
        return {**value, name: mutated_json(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return [*value[:at], mutated_json(value[at], rng), *value[at + 1 :]]
    if isinstance(value, str) and rng.random() < 0.4:
        return mutated_text(value, rng)
    return rng.choice((*SCALARS, [value], {"def": value}))


def mutated_line(value: dict[str, Any], rng: random.Random) -> bytes:
    """A line of JSON, its object changed, and in one of four also its text."""
    line = json.dumps(mutated_json(value, rng)).encode()
    return mutated_bytes(line, rng) if rng.random() < 0.25 else line
