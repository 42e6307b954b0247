"""The process that decodes what third parties sent: it may die of it, and nothing else does.

Speaks over its standard streams: a line of JSON with the limits first; then, per picture, a frame of
`length, may_be_placeholder` and the bytes (or, with length -1, a path), answered by a frame of JSON and then the
miniature and the JPEG.
"""

import json
import resource
import struct
import sys
from pathlib import Path
from typing import BinaryIO

from pipeline.images.verify import Limits, Rejected, verify

QUESTION = struct.Struct("<q?")
ANSWER = struct.Struct("<II")


def main() -> None:
    """Answer until the questions end."""
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    given = json.loads(questions.readline())
    _limit_resources(given.pop("memory_mb"))
    limits = Limits(**given)
    while frame := questions.read(QUESTION.size):
        length, may_be_placeholder = QUESTION.unpack(frame)
        head, jpeg = _answer(_read(questions, length), limits, may_be_placeholder)
        text = json.dumps(head).encode()
        answers.write(ANSWER.pack(len(text), len(jpeg)) + text + jpeg)
        answers.flush()


def _limit_resources(memory_mb: int) -> None:
    """A cap on the address space, so that a bomb ends as MemoryError here; no core file when it ends worse."""
    size = memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(questions: BinaryIO, length: int) -> bytes:
    if length >= 0:
        return questions.read(length)
    (size,) = struct.unpack("<I", questions.read(4))
    return Path(questions.read(size).decode()).read_bytes()


def _answer(data: bytes, limits: Limits, may_be_placeholder: bool) -> tuple[dict[str, object], bytes]:
    try:
        picture = verify(data, limits, may_be_placeholder=may_be_placeholder)
    except Rejected as rejected:
        return {"reason": rejected.reason}, b""
    except MemoryError:
        return {"reason": "too_much_memory"}, b""
    return {
        "reason": None,
        "width": picture.width,
        "height": picture.height,
        "perceptual_hash": picture.perceptual_hash,
    }, picture.miniature + picture.jpeg


if __name__ == "__main__":
    main()
