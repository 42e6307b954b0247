"""Renders the demo's museum: a folder of drawn objects, with records and concepts as faulty as real ones."""

import csv
import gzip
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain, starmap
from multiprocessing import get_context
from pathlib import Path

from PIL import Image, ImageEnhance

from pipeline.files import beside, sync
from pipeline.sandbox import excerpt
from pipeline.sandbox.catalogue import COLLECTIONS, LANGUAGES, words
from pipeline.sandbox.drawing.photograph import photograph
from pipeline.sandbox.entities import all_entities
from pipeline.sandbox.folder import MuseumError
from pipeline.sandbox.items import item, record_id_of, thumbnail_source
from pipeline.sandbox.plan import Holding, holdings

SEED = 340
IMAGES = 1500
LEAST_IMAGES = 40  # so that every provider has one
MARK = "rendered.json"  # written last; says what this folder was rendered from
MOST_PROCESSES = 4
WORTH_PROCESSES = 200  # fewer images are drawn before another process has started
FIXED_TIME = 1_767_225_600  # 2026-01-01, the files' date, so that Last-Modified is the same for everyone
COPY_QUALITY, COPY_CROP, COPY_SCALE, COPY_LIGHT = 62, 0.05, 0.72, 1.04

README = """# A rendered museum

Drawn by `python -m pipeline.sandbox render` for demonstrations and tests. Objects, records, institutions and their
holdings are invented ("Mobilier National" is named because the protocol excludes it; nothing here is theirs). Labels in
`labels.csv` are this project's own translations. Europeana concepts with numbers from 900001 are invented.

{attribution}
"""

Progress = Callable[[Sequence[Holding]], Iterable[Holding]]


def render_museum(folder: Path, *, seed: int = SEED, images: int = IMAGES, progress: Progress | None = None) -> None:
    """Draw the museum folder, whole or not at all; the same seed gives the same bytes. A finished folder is kept.

    `images`: how many image files there are (a few records more have none). `progress` wraps the records with an
    image while they are drawn. Raises MuseumError when the folder holds something that was not rendered here.
    """
    if images < LEAST_IMAGES:
        raise MuseumError(
            f"A museum of {images} images is too small for its providers; ask for {LEAST_IMAGES} or more."
        )
    folder, made_from = Path(folder), _made_from(seed, images)
    if folder.exists():
        if _mark_of(folder) == made_from:
            return
        if _mark_of(folder) is None and any(folder.iterdir()):
            raise MuseumError(f"{folder} holds files that were not rendered here; choose another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = beside(folder)
    unfinished.mkdir()
    try:
        _write(unfinished, seed, images, progress or iter)
        (unfinished / MARK).write_text(json.dumps(made_from) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _write(folder: Path, seed: int, images: int, progress: Progress) -> None:
    planned = holdings(seed, images)
    lines = [json.dumps(item(holding, seed), ensure_ascii=False) + "\n" for holding in planned]
    _text(folder / "records.jsonl", sorted(lines, key=lambda line: json.loads(line)["id"]))
    _text(folder / "entities.jsonl", [json.dumps(entity, ensure_ascii=False) + "\n" for entity in all_entities()])
    _text(folder / "collections.txt", [f"{name}\n" for name in COLLECTIONS])
    _text(folder / "README.md", [README.format(attribution=excerpt.ATTRIBUTION)])
    _table(folder / "labels.csv", ("aat_id", "lang", "label", "source"), _translations())
    with (folder / "aat_excerpt.nt.gz").open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write("".join(excerpt.triples()).encode())
    (folder / "media").mkdir()
    _draw_all(folder / "media", planned, seed, progress)
    media = [(url, _file_of(h)) for h in planned if (url := thumbnail_source(h)) is not None and h.image != "missing"]
    _table(folder / "media.csv", ("url", "file"), sorted(media))


def _draw_all(folder: Path, planned: Sequence[Holding], seed: int, progress: Progress) -> None:
    """Every image file: the originals, by several processes when they are many, then the copies of them."""
    pictured = [h for h in planned if thumbnail_source(h) is not None and h.image != "missing"]
    originals = [holding for holding in pictured if holding.copy_of is None]
    copies = [(holding, planned[holding.copy_of]) for holding in pictured if holding.copy_of is not None]
    draw, copy = partial(_draw, folder, seed), partial(_copy, folder)
    processes = min(MOST_PROCESSES, os.cpu_count() or 1)
    if processes == 1 or len(originals) < WORTH_PROCESSES:
        _in_step(progress(pictured), chain(map(draw, originals), starmap(copy, copies)))
        return
    # spawn and not fork: whoever calls this may have threads, whose locks a fork would keep for ever
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        drawn = pool.map(draw, originals, chunksize=16)
        _in_step(progress(pictured), chain(drawn, starmap(copy, copies)))
    finally:
        pool.shutdown(cancel_futures=True)


def _in_step(shown: Iterable[Holding], done: Iterable[None]) -> None:
    """Advance the progress by one step for each image that is done."""
    for _ in zip(shown, done, strict=True):
        pass


def _draw(folder: Path, seed: int, holding: Holding) -> None:
    image = photograph(holding.thing, holding.provider.style, holding.view, seed)
    _store(folder, holding, _jpeg(image, holding.provider.style.quality))


def _copy(folder: Path, holding: Holding, original: Holding) -> None:
    _store(folder, holding, _copied((folder / _file_of(original)).read_bytes(), holding))


def _store(folder: Path, holding: Holding, content: bytes) -> None:
    file = folder / _file_of(holding)
    file.write_bytes(content)
    os.utime(file, (FIXED_TIME, FIXED_TIME))


def _file_of(holding: Holding) -> str:
    return f"{record_id_of(holding).strip('/').replace('/', '_')}.jpg"


def _copied(content: bytes, holding: Holding) -> bytes:
    """The image once more: the same bytes, or as it comes back from another system."""
    if holding.copy == "exact":
        return content
    with Image.open(io.BytesIO(content)) as opened:
        image: Image.Image = opened
        if holding.copy == "crop":
            edge = round(min(image.size) * COPY_CROP)
            image = image.crop((edge, edge, image.width - edge, image.height - edge))
        elif holding.copy == "small":
            image = image.resize((round(image.width * COPY_SCALE), round(image.height * COPY_SCALE)))
        return _jpeg(ImageEnhance.Brightness(image).enhance(COPY_LIGHT), COPY_QUALITY)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    target = io.BytesIO()
    image.save(target, "JPEG", quality=quality)
    return target.getvalue()


def _translations() -> list[tuple[str, str, str, str]]:
    """Our own labels for the AAT concepts, for the languages in which the excerpt has none."""
    source = "EUFCC rebuilt: the project's own translation"
    return sorted(
        (concept, language, by_language[language], source)
        for concept, by_language in words().items()
        for language in LANGUAGES
        if language != "en"
    )


def _made_from(seed: int, images: int) -> dict[str, object]:
    """What decides the folder's bytes: the arguments and this program."""
    digest, room = hashlib.sha256(), Path(__file__).parent
    for file in sorted(path for path in room.rglob("*") if path.suffix in (".py", ".csv", ".toml")):
        digest.update(file.relative_to(room).as_posix().encode() + b"\0" + file.read_bytes())
    return {"seed": seed, "images": images, "program": digest.hexdigest()}


def _mark_of(folder: Path) -> dict[str, object] | None:
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) else None


def _text(file: Path, lines: Iterable[str]) -> None:
    file.write_text("".join(lines), encoding="utf-8")


def _table(file: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)
