"""Getty's archive of the AAT: fetched as a whole, with a note beside it that says when, and its checksum."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.encodings import DAMAGED_ZIP
from pipeline.files import sha256_of, whole_file, write_json
from pipeline.single_requests import NoAnswer, download
from pipeline.vocabulary.cache import current_day

ADDRESS = "http://aatdownloads.getty.edu/VocabData/explicit.zip"  # dossier, section 1: 134 MB, renewed in August 2026
CACHE = Path("~/.cache/eufcc/aat")
NEEDED = ("subjects", "terms", "hierarchicalrels")  # parts of the names of members without which there is no AAT


class ArchiveError(RuntimeError):
    """The archive cannot be had or is not what it should be; the message says what to do."""


@dataclass(frozen=True)
class Fetched:
    """The note beside an archive."""

    address: str
    fetched_on: str  # ISO 8601
    sha256: str
    size: int  # bytes


def fetch_archive(
    folder: Path = CACHE,
    address: str = ADDRESS,
    sha256: str | None = None,
    *,
    today: Callable[[], date] = current_day,
) -> tuple[Path, Fetched]:
    """Fetch the archive, whole or not at all. Getty publishes no checksum: `sha256` is one that you trust.

    Raises ArchiveError.
    """
    parts = urlsplit(address)
    told = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # a mirror's password is not kept
    file = folder.expanduser() / address.rpartition("/")[2]
    try:
        with whole_file(file) as temporary:
            with temporary.open("wb") as out:
                download(address, out)
            _check_members(temporary, told)
            found = sha256_of(temporary)
            if sha256 is not None and found != sha256.lower():
                raise ArchiveError(f"{told} has the checksum {found}, not {sha256}: nothing was stored.")
            note = Fetched(told, today().isoformat(), found, temporary.stat().st_size)
    except NoAnswer as error:
        todo = "Try again later, or fetch it with another program and name it in vocabulary.dumps."
        raise ArchiveError(f"{told} was not had ({error.kind}). {todo}") from None
    write_json(asdict(note), note_of(file))
    return file, note


def note_of(file: Path) -> Path:
    """Where the note on an archive lies."""
    return file.with_name(f"{file.name}.json")


def read_note(file: Path) -> Fetched | None:
    """The note on an archive; None for one that was fetched by other means."""
    note = note_of(file)
    return Fetched(**json.loads(note.read_text(encoding="utf-8"))) if note.exists() else None


def age_in_days(file: Path, today: date) -> int:
    """The age of a dump: since its newest member was written, or for a plain file since it was changed."""
    day = datetime.fromtimestamp(file.stat().st_mtime, UTC).date()
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            day = max((date(*member.date_time[:3]) for member in archive.infolist()), default=day)
    return (today - day).days


def _check_members(file: Path, address: str) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.lower() for name in archive.namelist()]
    except DAMAGED_ZIP:
        raise ArchiveError(f"{address} gives no zip, but perhaps a page about an outage: try again later.") from None
    if missing := [part for part in NEEDED if not any(part in name for name in names)]:
        raise ArchiveError(f"{address} holds no {', '.join(missing)}: it is not the archive of the AAT that it was.")
