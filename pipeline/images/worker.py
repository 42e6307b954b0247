"""The process that decodes third-party files; if one of them crashes it, nothing else is affected.

Protocol on the standard streams: first a line of JSON with the limits. Then, per picture, a line of JSON with `size`,
`path`, what to `make` of it and the `options` of that and, without a path, the bytes. The answer is a line of JSON and
bytes: miniature and JPEG of a picture, the archive of a pyramid, or the JPEG of a tile.
"""

import json
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.images.pyramid import Pyramid, checked_tile, cut
from pipeline.images.verify import LONGEST_JPEG_SIDE, Limits, Rejected, verify

Made = tuple[dict[str, object], bytes]


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
        head, made = _answer(MAKE[asked["make"]], data, limits, asked["options"])
        answers.write(json.dumps(head | {"size": len(made)}).encode() + b"\n" + made)
        answers.flush()


def _answer(make: Callable[..., Made], data: bytes, limits: Limits, options: dict[str, Any]) -> Made:
    try:
        head, made = make(data, limits, **options)
    except Rejected as rejected:
        return {"reason": rejected.reason}, b""
    except MemoryError:
        return {"reason": "too_much_memory"}, b""
    return {"reason": None} | head, made


def _picture(data: bytes, limits: Limits, **options: Any) -> Made:
    picture = verify(data, limits, **options)
    names = ("width", "height", "perceptual_hash")
    return {name: getattr(picture, name) for name in names}, picture.miniature + picture.jpeg


def _pyramid(data: bytes, limits: Limits, **options: Any) -> Made:
    return _tiled(cut(data, _at_full_size(limits), **options))


def _tile(data: bytes, limits: Limits, **options: Any) -> Made:
    return _tiled(checked_tile(data, _at_full_size(limits), **options))


def _tiled(pyramid: Pyramid) -> Made:
    return {"width": pyramid.width, "height": pyramid.height}, pyramid.archive


def _at_full_size(limits: Limits) -> Limits:
    return replace(limits, short_side=LONGEST_JPEG_SIDE, min_short_side=1)


MAKE: dict[str, Callable[..., Made]] = {"picture": _picture, "pyramid": _pyramid, "tile": _tile}


if __name__ == "__main__":
    main()
