"""Raw pages on disk, each with the cursor that requested it and without the key, so that a walk can resume."""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.encodings import gunzipped
from pipeline.files import sync, write_text
from pipeline.harvest.chunks import Chunk
from pipeline.harvest.europeana import FIRST_CURSOR, Page, Window
from pipeline.settings import HttpSettings
from pipeline.texts import loads

MANIFEST = "manifest.json"
_IN_MANIFEST = {"chunks": "parts"}
COMPRESSION = 6
MAX_BODY_BYTES = HttpSettings().max_body_bytes  # where a project's settings are not at hand


@dataclass(frozen=True)
class Head:
    """The first line of a page file; the second line is the response's body."""

    request: str
    cursor: str
    next_cursor: str | None  # None: the walk ends here
    answered_at: str  # of this machine; nothing in a table comes from it
    total: int
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Generation:
    """One harvest of a collection: the first is whole, later ones hold what was updated since."""

    folder: Path
    collection: str
    kind: str  # whole, refresh or ids
    as_of: str  # the moment it declares for its records
    request: str  # the search, without paging and window
    caps: tuple[int | None, int | None]  # records of a collection, of a provider
    updated_from: str | None
    total: int
    chunks: tuple[Chunk, ...]
    # Once every chunk was walked to its end:
    received: int | None = None  # distinct records
    expected: int | None = None  # records announced at the end
    repeated: int | None = None  # items that came more than once

    @property
    def complete(self) -> bool:
        """Every chunk was walked to its end."""
        return self.received is not None

    def finish(self, received: int, expected: int, repeated: int) -> "Generation":
        """Mark it as complete, after its pages are synced to disk."""
        for chunk in self.chunks:
            for page in page_files(self.folder / chunk.name):
                sync(page)  # fsync of a path, file or folder
            sync(self.folder / chunk.name)
        done = replace(self, received=received, expected=expected, repeated=repeated)
        done.write()
        return done

    def write(self) -> None:
        """Write the manifest into its folder."""
        content = {_IN_MANIFEST.get(name, name): value for name, value in asdict(self).items() if name != "folder"}
        write_text(json.dumps(content, ensure_ascii=False, indent=1), self.folder / MANIFEST)

    def pages(self) -> Iterator[Path]:
        """Its page files, chunk by chunk, in the order they were requested."""
        for chunk in self.chunks:
            yield from page_files(self.folder / chunk.name)


def read_generation(folder: Path) -> Generation | None:
    """What the folder's manifest says; None where there is none."""
    file = folder / MANIFEST
    if not file.exists():
        return None
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    chunks = tuple(_chunk(chunk) for chunk in content.pop("parts"))
    caps = tuple(content.pop("caps"))
    return Generation(folder=folder, chunks=chunks, caps=caps, **content)


def generations(folder: Path) -> list[Generation]:
    """Every harvest of one collection, oldest first."""
    read = [read_generation(place) for place in sorted(folder.iterdir()) if place.is_dir()] if folder.is_dir() else []
    return [generation for generation in read if generation is not None]


def collections_in(folder: Path) -> dict[Path, list[Generation]]:
    """The harvests of every collection below the folder of raw pages, by the collection's folder, in name order."""
    places = sorted(place for place in folder.iterdir() if place.is_dir()) if folder.is_dir() else []
    return {place: found for place in places if (found := generations(place))}


def other_collections(folder: Path, collections: Sequence[str]) -> dict[Path, str]:
    """The harvested collections that are none of these: the folder of each, and its name."""
    found = {place: harvests[0].collection for place, harvests in collections_in(folder).items()}
    return {place: name for place, name in found.items() if name not in collections}


def _chunk(content: dict[str, Any]) -> Chunk:
    window = content.pop("window")
    window["without_providers"] = tuple(window["without_providers"])
    return Chunk(window=Window(**window), **content)


def page_files(folder: Path) -> list[Path]:
    """The pages of one chunk, in the order they were requested."""
    return sorted(folder.glob("page-*.json.gz"))


def write_page(folder: Path, number: int, page: Page, cursor: str, next_cursor: str | None, answered_at: str) -> None:
    """Write one page atomically; the same response gives the same bytes, except for the time.

    Not synced, because that takes as long as the request. A kill loses nothing, and pages that a power cut damages are
    requested again (`unbroken`): a harvest is complete only after all its pages are synced.
    """
    head = Head(page.request, cursor, next_cursor, answered_at, page.total, tuple(page.ids))
    line = json.dumps(vars(head), ensure_ascii=False, separators=(",", ":"))
    folder.mkdir(parents=True, exist_ok=True)
    name = f"page-{number:06d}.json.gz"
    temporary = folder / f".{name}.part"
    temporary.write_bytes(gzip.compress(f"{line}\n{page.body}".encode(), compresslevel=COMPRESSION, mtime=0))
    temporary.replace(folder / name)


def read_head(file: Path, max_body_bytes: int = MAX_BODY_BYTES) -> Head:
    """The first line of a page. Raises ValueError when the file is damaged, or too long for such a body."""
    with gunzipped(file, _longest(max_body_bytes)) as source:
        content = json.loads(source.readline())
    return Head(**{**content, "ids": tuple(content["ids"])})


def read_items(file: Path, max_body_bytes: int = MAX_BODY_BYTES) -> list[dict[str, Any]]:
    """The items of a page. Raises ValueError when the file is damaged, or too long for such a body."""
    return read_body(file, max_body_bytes).get("items") or []


def read_body(file: Path, max_body_bytes: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """The response that a page holds. Raises ValueError when the file is damaged, or too long for such a body."""
    with gunzipped(file, _longest(max_body_bytes)) as source:
        source.readline()
        body: dict[str, Any] = loads(source.read())
    return body


def _longest(max_body_bytes: int) -> int:
    """The bytes of the longest page: its first line repeats no more than the ids of the body."""
    return 2 * max_body_bytes


def unbroken(files: Sequence[Path], max_body_bytes: int = MAX_BODY_BYTES) -> list[Head]:
    """The heads of the leading pages that are undamaged and whose cursors follow each other."""
    heads: list[Head] = []
    cursor: str | None = FIRST_CURSOR
    for file in files:
        try:
            read_items(file, max_body_bytes)  # to its end, where gzip's checksum is
            head = read_head(file, max_body_bytes)
        except (OSError, ValueError, TypeError, KeyError):
            break
        if head.cursor != cursor:
            break
        heads.append(head)
        cursor = head.next_cursor
    return heads


def remove_pages(files: Sequence[Path]) -> None:
    """Remove pages, the last first, so that a kill leaves an unbroken walk."""
    for file in sorted(files, reverse=True):
        file.unlink(missing_ok=True)
