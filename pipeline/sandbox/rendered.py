"""A folder that is drawn whole or not at all, the files in it, and the processes that draw."""

import csv
import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from pipeline.files import whole_folder
from pipeline.sandbox.folder import MuseumError

MARK = "rendered.json"  # says what this folder was rendered from
MOST_PROCESSES = 4
WORTH_PROCESSES = 200  # fewer images are drawn before another process has started
FIXED_TIME = 1_767_225_600  # 2026-01-01, the files' date, so that Last-Modified is the same for everyone
Thing = TypeVar("Thing")


def render_whole(folder: Path, made_from: Mapping[str, object], write: Callable[[Path], None]) -> None:
    """Let `write` fill a new folder that takes the place of this one; a folder made from the same is kept.

    This program is a part of what it is made from. Raises MuseumError when the folder holds something that was not
    rendered here.
    """
    wanted = {**made_from, "program": _program()}
    if folder.exists():
        if _mark_of(folder) == wanted:
            return
        if _mark_of(folder) is None and any(folder.iterdir()):
            raise MuseumError(f"{folder} holds files that were not rendered here; choose another folder.")
    with whole_folder(folder) as unfinished:
        write(unfinished)
        (unfinished / MARK).write_text(json.dumps(wanted) + "\n", encoding="utf-8")


def each_drawn(
    draw: Callable[[Thing], None], things: Sequence[Thing], *, worth: int = WORTH_PROCESSES, chunk: int = 16
) -> Iterator[None]:
    """Draw each of the things, by several processes when they are at least `worth`, `chunk` of them at a time."""
    processes = min(MOST_PROCESSES, os.cpu_count() or 1)
    if processes == 1 or len(things) < worth:
        yield from map(draw, things)
        return
    # spawn and not fork: whoever calls this may have threads, whose locks a fork would keep for ever
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        yield from pool.map(draw, things, chunksize=chunk)
    finally:
        pool.shutdown(cancel_futures=True)


def in_step(shown: Iterable[object], done: Iterable[None]) -> None:
    """Advance the progress by one step for each image that is done."""
    for _ in zip(shown, done, strict=True):
        pass


def jpeg(image: Image.Image, quality: int) -> bytes:
    """The image as JPEG."""
    target = io.BytesIO()
    image.save(target, "JPEG", quality=quality)
    return target.getvalue()


def write_dated(file: Path, content: bytes) -> None:
    """Write a file with the fixed date."""
    file.write_bytes(content)
    os.utime(file, (FIXED_TIME, FIXED_TIME))


def write_lines(file: Path, lines: Iterable[str]) -> None:
    """Write lines that end themselves."""
    file.write_text("".join(lines), encoding="utf-8")


def write_objects(file: Path, objects: Iterable[Mapping[str, Any]]) -> None:
    """Write a line of JSON for each object."""
    write_lines(file, [json.dumps(each, ensure_ascii=False) + "\n" for each in objects])


def write_table(file: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file."""
    with file.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)


def write_packed(file: Path, lines: Iterable[str]) -> None:
    """Write lines, compressed to the same bytes each time."""
    with file.open("wb") as target, gzip.GzipFile("", "wb", fileobj=target, mtime=0) as packed:
        packed.write("".join(lines).encode())


def _program() -> str:
    """A hash of the code that draws."""
    digest, room = hashlib.sha256(), Path(__file__).parent
    for file in sorted(path for path in room.rglob("*") if path.suffix in (".py", ".csv", ".toml")):
        digest.update(file.relative_to(room).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _mark_of(folder: Path) -> dict[str, object] | None:
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) else None
