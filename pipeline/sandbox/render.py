"""Renders the demo's museum: a folder of drawn objects, with records and concepts as faulty as real ones."""

import io
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, starmap
from pathlib import Path

from PIL import Image, ImageEnhance

from pipeline.sandbox import excerpt
from pipeline.sandbox.catalogue import COLLECTIONS, LANGUAGES, words
from pipeline.sandbox.drawing.photograph import photograph
from pipeline.sandbox.entities import all_entities
from pipeline.sandbox.folder import MuseumError
from pipeline.sandbox.items import item, record_id_of, thumbnail_source
from pipeline.sandbox.plan import Holding, holdings
from pipeline.sandbox.rendered import (
    each_drawn,
    in_step,
    jpeg,
    render_whole,
    write_dated,
    write_lines,
    write_objects,
    write_packed,
    write_table,
)

SEED = 340
IMAGES = 1500
LEAST_IMAGES = 40  # so that every provider has one
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
    write = partial(_write, seed=seed, images=images, progress=progress or iter)
    render_whole(Path(folder), {"seed": seed, "images": images}, write)


def _write(folder: Path, seed: int, images: int, progress: Progress) -> None:
    planned = holdings(seed, images)
    write_objects(folder / "records.jsonl", sorted((item(h, seed) for h in planned), key=lambda each: each["id"]))
    write_objects(folder / "entities.jsonl", all_entities())
    write_lines(folder / "collections.txt", [f"{name}\n" for name in COLLECTIONS])
    write_lines(folder / "README.md", [README.format(attribution=excerpt.ATTRIBUTION)])
    write_table(folder / "labels.csv", ("aat_id", "lang", "label", "source"), _translations())
    write_packed(folder / "aat_excerpt.nt.gz", excerpt.triples())
    (folder / "media").mkdir()
    _draw_all(folder / "media", planned, seed, progress)
    media = [(url, _file_of(h)) for h in planned if (url := thumbnail_source(h)) is not None and h.image != "missing"]
    write_table(folder / "media.csv", ("url", "file"), sorted(media))


def _draw_all(folder: Path, planned: Sequence[Holding], seed: int, progress: Progress) -> None:
    """Every image file: the originals, then the copies of them."""
    pictured = [h for h in planned if thumbnail_source(h) is not None and h.image != "missing"]
    originals = [holding for holding in pictured if holding.copy_of is None]
    copies = [(holding, planned[holding.copy_of]) for holding in pictured if holding.copy_of is not None]
    draw, copy = partial(_draw, folder, seed), partial(_copy, folder)
    in_step(progress(pictured), chain(each_drawn(draw, originals), starmap(copy, copies)))


def _draw(folder: Path, seed: int, holding: Holding) -> None:
    image = photograph(holding.thing, holding.provider.style, holding.view, seed)
    write_dated(folder / _file_of(holding), jpeg(image, holding.provider.style.quality))


def _copy(folder: Path, holding: Holding, original: Holding) -> None:
    write_dated(folder / _file_of(holding), _copied((folder / _file_of(original)).read_bytes(), holding))


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
        return jpeg(ImageEnhance.Brightness(image).enhance(COPY_LIGHT), COPY_QUALITY)


def _translations() -> list[tuple[str, str, str, str]]:
    """Our own labels for the AAT concepts, for the languages in which the excerpt has none."""
    source = "EUFCC rebuilt: the project's own translation"
    return sorted(
        (concept, language, by_language[language], source)
        for concept, by_language in words().items()
        for language in LANGUAGES
        if language != "en"
    )
