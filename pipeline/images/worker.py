"""The process that decodes third-party files; if one of them crashes it, nothing else is affected.

Protocol on the standard streams: first a line of JSON with the limits. Then, per picture, a frame with `length`,
`may_be_placeholder` and the bytes (or a path, if the length is -1), answered by a frame of JSON, miniature and JPEG.
"""

import json
import resource
import struct
import sys
from pathlib import Path

from pipeline.images.verify import Limits, Rejected, verify

QUESTION = struct.Struct("<q?")
ANSWER = struct.Struct("<II")


def main() -> None:
    """Answers until the input ends."""
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    given = json.loads(questions.readline())
    memory = given.pop("memory_mb") * 1024 * 1024
    # A decompression bomb ends as MemoryError here; a crash leaves no core file.
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limits = Limits(**given)
    while frame := questions.read(QUESTION.size):
        length, may_be_placeholder = QUESTION.unpack(frame)
        if length >= 0:
            data = questions.read(length)
        else:
            (size,) = struct.unpack("<I", questions.read(4))
            data = Path(questions.read(size).decode()).read_bytes()
        head, pictures = _answer(data, limits, may_be_placeholder)
        text = json.dumps(head).encode()
        answers.write(ANSWER.pack(len(text), len(pictures)) + text + pictures)
        answers.flush()


def _answer(data: bytes, limits: Limits, may_be_placeholder: bool) -> tuple[dict[str, object], bytes]:
    try:
        picture = verify(data, limits, may_be_placeholder=may_be_placeholder)
    except Rejected as rejected:
        return {"reason": rejected.reason}, b""
    except MemoryError:
        return {"reason": "too_much_memory"}, b""
    names = ("width", "height", "perceptual_hash")
    return {"reason": None} | {name: getattr(picture, name) for name in names}, picture.miniature + picture.jpeg


if __name__ == "__main__":
    main()
