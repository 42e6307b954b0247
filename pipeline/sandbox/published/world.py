"""Draws the museum folder behind published files: a picture per address, records, concepts, and what is amiss."""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from pipeline.files import sha256_of
from pipeline.published.dataset import read_folder
from pipeline.published.format import SPLIT_FILES, Published, published_tags
from pipeline.published.relinks import addresses_of
from pipeline.published.tables import with_views
from pipeline.sandbox import excerpt
from pipeline.sandbox.drawing.photograph import photograph
from pipeline.sandbox.folder import MuseumError
from pipeline.sandbox.published.concepts import Concepts, concepts_of
from pipeline.sandbox.published.look import Labels, style_of, thing_of
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
MOST_ROWS = 20_000  # at 50 ms a picture a quarter of an hour; the whole dataset would take five hours
# What is amiss, of a thousand addresses, up to here; the others are as they were published.
FAULTS = {"gone": 50, "moved": 70, "twice": 100, "view": 130, "scheme": 160, "renamed": 190, "closed": 270, "lost": 280}
RIGHTS = (
    "http://creativecommons.org/publicdomain/mark/1.0/",
    "http://creativecommons.org/licenses/by-sa/4.0/",
    "http://creativecommons.org/publicdomain/zero/1.0/",
)
CLOSED = ("http://rightsstatements.org/vocab/InC/1.0/", "http://creativecommons.org/licenses/by-nc/4.0/")
STAMPS = {"timestamp_created": "2024-01-08T09:00:00.000Z", "timestamp_update": "2026-01-05T06:00:00.000Z"}
README = """# The museums behind published files

Drawn for {rows:,} rows by `eufcc demo --published`. The pictures are drawn from the rows' tags. Records, rights and
labels in other languages are invented, and so are the AAT ids from 399000001 and Europeana's concepts from 990001.
`planted.csv` says what is amiss with which address.

| what is amiss | addresses |
|---|---|
{faults}

{attribution}
"""
Progress = Callable[[Sequence["Holding"]], Iterable["Holding"]]


@dataclass(frozen=True)
class Holding:
    """What is behind one address: `number` is the first row that has it."""

    number: int
    address: str
    keeper: str
    stated: tuple[tuple[str, tuple[str, ...]], ...]  # facet and path of each stated tag
    fault: str | None

    @property
    def labels(self) -> Labels:
        """The last levels of its tags by facet."""
        labels: dict[str, list[str]] = {}
        for facet, path in self.stated:
            labels.setdefault(facet, []).append(path[-1])
        return labels

    @property
    def file(self) -> str:
        """The name of its picture."""
        return f"{self.number:06d}.jpg"

    @property
    def picture(self) -> str | None:
        """Where its picture is; None where it is gone."""
        if self.fault == "gone":
            return None
        return beside(self.address, "moved") if self.fault == "moved" else self.address


def render_published(published: Path, folder: Path, progress: Progress | None = None) -> None:
    """Draw the museum folder for the rows of the published files, whole or not at all; a finished one is kept.

    The same files give the same bytes. Raises MuseumError for more rows than can be drawn, PublishedError for files in
    another format.
    """
    rows, _ = read_folder(published)
    if rows.rows.height > MOST_ROWS:
        many = f"{published} has {rows.rows.height:,} rows, and pictures are drawn for at most {MOST_ROWS:,}"
        raise MuseumError(f"{many}: take a part of the rows.")
    files = {name: sha256_of(published / name) for name in SPLIT_FILES.values() if (published / name).is_file()}
    render_whole(folder, {"published": files}, partial(_write, published=rows, progress=progress or iter))


def holdings_of(published: Published) -> tuple[list[Holding], Concepts]:
    """What is behind the addresses of the rows, in the order of the rows, and the concepts of their tags."""
    tags = published_tags(published)
    stated: dict[tuple[str, int], list[tuple[str, tuple[str, ...]]]] = {}
    for split, row, facet, path in tags.filter("stated").select("split", "row", "facet", "path").iter_rows():
        stated.setdefault((split, row), []).append((facet, tuple(path)))
    known = addresses_of(with_views(published)).filter(pl.col("address").is_not_null())
    first = known.with_row_index("number").unique("address", keep="first", maintain_order=True)
    columns = ("number", "address", "data_provider", "split", "row")
    found = [
        Holding(number, address, keeper, tuple(stated.get((split, row), ())), fault_of(address))
        for number, address, keeper, split, row in first.select(columns).iter_rows()
    ]
    return found, concepts_of(tags)


def fault_of(address: str) -> str | None:
    """What is amiss with an address, of FAULTS; the same in every folder that has it."""
    drawn = int.from_bytes(hashlib.sha256(address.encode()).digest()[:4]) % 1_000
    return next((fault for fault, up_to in FAULTS.items() if drawn < up_to), None)


def items_of(holding: Holding, concepts: Concepts) -> Iterator[dict[str, Any]]:
    """The records of an address as the Search API gives them: none, one or two."""
    if holding.fault in ("gone", "lost"):
        return
    address = holding.address
    shown = {
        "moved": {"edmIsShownBy": [beside(address, "moved")], "edmObject": [address]},
        "view": {"edmIsShownBy": [beside(address, "front")], "hasView": [beside(address, "back"), address]},
        "scheme": {"edmIsShownBy": [_other_scheme(address)]},
    }.get(holding.fault or "", {"edmIsShownBy": [address]})
    keeper = f"{holding.keeper}, under a new name" if holding.fault == "renamed" else holding.keeper
    several = CLOSED if holding.fault == "closed" else RIGHTS
    title = ", ".join(label for labels in holding.labels.values() for label in labels) or "Sense títol"
    item = {
        "id": f"/94001/r{holding.number:06d}",
        "type": "IMAGE",
        "title": [title],
        "dcTitleLangAware": {"ca": [title]},
        "dataProvider": [keeper],
        "provider": ["EUFCC's local museum"],
        "country": ["Spain"],
        "language": ["ca"],
        "rights": [several[holding.number % len(several)]],
        "edmDatasetName": ["94001_Published"],
        "edmIsShownAt": [f"https://published.example/object/{holding.number:06d}"],
        "edmPreview": [_thumbnail(shown["edmIsShownBy"][0])],
        "edmConcept": list(dict.fromkeys(_links(holding, concepts))),
        **shown,
        **STAMPS,
    }
    yield {name: value for name, value in item.items() if value != []}
    if holding.fault == "twice":
        yield {**item, "id": f"/94002/r{holding.number:06d}", "rights": [CLOSED[holding.number % len(CLOSED)]]}


def _links(holding: Holding, concepts: Concepts) -> Iterator[str]:
    """The concepts of the tags; a tenth of the records name the one above too, and a thirtieth names none."""
    drawn = zlib.crc32(holding.address.encode())
    for facet, path in holding.stated if drawn % 30 else ():
        yield concepts.uri(facet, path)
        if drawn % 10 == 1 and len(path) > 1:
            yield concepts.uri(facet, path[:-1])


def _write(folder: Path, published: Published, progress: Progress) -> None:
    found, concepts = holdings_of(published)
    pictured = [holding for holding in found if holding.picture is not None]
    items = sorted((item for each in found for item in items_of(each, concepts)), key=lambda item: str(item["id"]))
    write_objects(folder / "records.jsonl", items)
    write_objects(folder / "entities.jsonl", concepts.as_entities())
    write_packed(folder / "aat_excerpt.nt.gz", concepts.triples())
    write_table(folder / "media.csv", ("url", "file"), sorted((str(each.picture), each.file) for each in pictured))
    moved = [(each.address, str(each.picture)) for each in pictured if each.picture != each.address]
    write_table(folder / "moved.csv", ("url", "to"), sorted(moved))
    planted = sorted((each.address, each.fault) for each in found if each.fault is not None)
    write_table(folder / "planted.csv", ("address", "fault"), planted)
    write_lines(folder / "README.md", [_readme(found)])
    (folder / "media").mkdir()
    in_step(progress(pictured), each_drawn(partial(_draw, folder / "media"), pictured))


def _draw(folder: Path, holding: Holding) -> None:
    style = style_of(holding.keeper)
    image = photograph(thing_of(holding.labels, zlib.crc32(holding.address.encode())), style, 0, SEED)
    write_dated(folder / holding.file, jpeg(image, style.quality))


def _readme(found: Sequence[Holding]) -> str:
    counts: Mapping[str, int] = {fault: sum(each.fault == fault for each in found) for fault in FAULTS}
    faults = "\n".join(f"| {fault} | {n:,} |" for fault, n in counts.items())
    return README.format(rows=len(found), faults=faults, attribution=excerpt.ATTRIBUTION)


def beside(address: str, name: str) -> str:
    """Another address of the same museum."""
    return f"{address}{'&' if '?' in address else '?'}{name}=1"


def _thumbnail(address: str) -> str:
    return f"https://api.europeana.eu/thumbnail/v2/url.json?uri={quote(address, safe='')}&type=IMAGE"


def _other_scheme(address: str) -> str:
    scheme, _, rest = address.partition("://")
    return f"{'http' if scheme == 'https' else 'https'}://{rest}"
