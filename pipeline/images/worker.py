"""The process that decodes third-party files; if one of them crashes it, nothing else is affected.

Protocol on the standard streams: first a line of JSON with the limits. Then, per picture, a line of JSON with `size`,
`path` and `may_be_placeholder` and, without a path, the bytes; the answer is a line of JSON, miniature and JPEG.
"""

import json
import resource
import sys
from pathlib import Path

from pipeline.images.verify import Limits, Rejected, verify


def main() -> None:
    """Answers until the input ends."""
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    given = json.loads(questions.readline())
    memory = given.pop("memory_mb") * 1024 * 1024
    # A decompression bomb ends as MemoryError here; a crash leaves no core file.
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limits = Limits(**given)
    for line in iter(questions.readline, b""):
        asked = json.loads(line)
        data = Path(asked["path"]).read_bytes() if asked["path"] else questions.read(asked["size"])
        head, pictures = _answer(data, limits, asked["may_be_placeholder"])
        answers.write(json.dumps(head | {"size": len(pictures)}).encode() + b"\n" + pictures)
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
