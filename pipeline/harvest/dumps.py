"""Where the weekly dumps lie: a folder of zips on this machine, or a server's, by FTP or HTTP(S).

Europeana writes one zip a dataset on Sunday evenings, `XML/<dataset>.zip` with a file for each record, and serves them
at ftp://download.europeana.eu/dataset/ to anyone, without a key (dossier, section 5).
"""

import ftplib
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import tenacity

from pipeline.allow_list import shown
from pipeline.files import DISK_FULL
from pipeline.harvest.errors import HarvestError
from pipeline.http import mapped
from pipeline.settings import HttpSettings
from pipeline.single_requests import BLOCK, NoAnswer, download_on, note_beside, text_of

LINK = re.compile(r"""href=["'](?:\./)?([\w.-]+)\.zip["']""", re.IGNORECASE)
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Dataset:
    """One zip. `version` changes with its bytes; empty where the place does not tell before it is read."""

    name: str
    size: int | None = None  # bytes
    version: str = ""
    modified: str | None = None  # UTC, ISO 8601

    def __post_init__(self) -> None:
        """Raises HarvestError for a name that is none: folders are named after it, and a server may say anything."""
        if not self.name or self.name.startswith(".") or "/" in self.name:
            raise HarvestError(f"The dumps list a dataset {self.name!r}, which is no name of one: check harvest.dumps.")


class DumpPlace(Protocol):
    """Lists zips and brings them, one at a time."""

    address: str

    def datasets(self) -> list[Dataset]:
        """Every zip, by name. Raises HarvestError."""
        ...

    def opened(self, dataset: Dataset) -> AbstractContextManager[Path]:
        """The zip as a file on this machine; a copy that was fetched is removed again. Raises HarvestError."""
        ...


def place_of_dumps(
    address: str, http: HttpSettings, cache: Path, say: Callable[[str], None] | None = None
) -> DumpPlace:
    """The place behind `harvest.dumps`: a path, or an address with ftp, http or https. Raises HarvestError."""
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https"):
        return WebPlace(address, http, cache, say)
    if scheme == "ftp":
        return FtpPlace(address, http, cache, say)
    if "://" in address:
        raise HarvestError(
            f"harvest.dumps is {shown(address)!r}: it must be a folder, or begin with ftp://, http:// or https://."
        )
    return FolderPlace(Path(address).expanduser())


class FolderPlace:
    """A mirror on this machine, as `wget -m ftp://download.europeana.eu/dataset/XML` leaves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"folder {folder.name}"  # the path of a person's machine is nobody else's business

    def datasets(self) -> list[Dataset]:
        """Every zip of the folder."""
        if not self.folder.is_dir():
            raise HarvestError(
                f"There is no folder {self.folder}: set harvest.dumps to the folder with Europeana's zips."
            )
        found = []
        for file in sorted(self.folder.glob("*.zip")):
            stat = file.stat()
            day = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stat.st_mtime))
            found.append(Dataset(file.stem, stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}", day))
        return found

    @contextmanager
    def opened(self, dataset: Dataset) -> Iterator[Path]:
        """The file itself."""
        yield self.folder / f"{dataset.name}.zip"


class _Fetched(ABC):
    """A place whose zips are fetched into a cache, where a download that was cut off goes on, and then removed."""

    def __init__(self, address: str, http: HttpSettings, cache: Path, say: Callable[[str], None] | None) -> None:
        self.address = address.rstrip("/")
        self._http, self._cache, self._say = http, cache, say or (lambda _: None)
        if urlsplit(address).password or urlsplit(address).username:
            raise HarvestError(
                "harvest.dumps holds a user name: the dumps need none, and it would stand in every record."
            )

    @contextmanager
    def opened(self, dataset: Dataset) -> Iterator[Path]:
        """The fetched zip."""
        self._cache.mkdir(parents=True, exist_ok=True)
        file = self._cache / f"{dataset.name}.zip.part"
        self._again(f"{self.address}/{dataset.name}.zip", lambda: self._fetch(dataset, file))
        try:
            yield file
        finally:
            for left in (file, note_beside(file)):
                left.unlink(missing_ok=True)

    @abstractmethod
    def _fetch(self, dataset: Dataset, file: Path) -> None:
        """Write what the file does not have yet of the zip."""

    def _again(self, what: str, ask: Callable[[], Answer]) -> Answer:
        """What it gives, called up to `http.attempts` times, with longer and longer waits in between."""
        attempts = self._http.attempts

        def say(state: tenacity.RetryCallState) -> None:
            error = state.outcome and state.outcome.exception()
            wait = f"{state.upcoming_sleep:.0f} s"
            self._say(f"{what}: {error}; try {state.attempt_number + 1} of {attempts} in {wait}")

        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_exponential(self._http.backoff_first_s, self._http.backoff_cap_s),
            before_sleep=say,
        )
        try:
            return tries(ask)
        except tenacity.RetryError as failed:
            error = failed.last_attempt.exception()
            raise HarvestError(f"{what} was not had after {attempts} tries: {error}.", transient=True) from None


def _may_pass(error: BaseException) -> bool:
    """Whether it is of the network: a disk that is full does not get emptier by waiting."""
    of_network = isinstance(error, NoAnswer | ftplib.Error | EOFError | OSError)
    return of_network and getattr(error, "errno", None) not in DISK_FULL


class WebPlace(_Fetched):
    """A folder on a web server, whose page links to the zips."""

    def datasets(self) -> list[Dataset]:
        """The zips that the folder's page links to."""
        page = self._again(self.address, lambda: text_of(self._mapped("/"), self._http.read_timeout_s))
        names = sorted(set(LINK.findall(page)))
        if not names:
            raise HarvestError(f"{self.address}/ links to no zip: set harvest.dumps to the folder that lists them.")
        return [Dataset(name) for name in names]

    def _fetch(self, dataset: Dataset, file: Path) -> None:
        download_on(self._mapped(f"/{dataset.name}.zip"), file)

    def _mapped(self, path: str) -> str:
        return mapped(self.address + path, self._http.hosts)[0]


class FtpPlace(_Fetched):
    """A folder on an FTP server, read without a password."""

    def datasets(self) -> list[Dataset]:
        """The zips of the folder, with size and time of change where the server tells them (RFC 3659)."""
        return sorted(self._again(self.address, self._listed), key=lambda dataset: dataset.name)

    def _listed(self) -> list[Dataset]:
        with self._session() as ftp:
            try:
                facts = [(name, known) for name, known in ftp.mlsd(facts=["size", "modify"]) if name.endswith(".zip")]
            except ftplib.error_perm:  # an older server lists names alone
                return [Dataset(name.rpartition("/")[2][:-4]) for name in ftp.nlst() if name.endswith(".zip")]
        return [_dataset_of(name[:-4], known.get("size"), known.get("modify", "")) for name, known in facts]

    def _fetch(self, dataset: Dataset, file: Path) -> None:
        note = note_beside(file)
        begun = note.read_text(encoding="utf-8") if note.exists() else ""
        with file.open("ab") as out, self._session() as ftp:
            if out.tell() and (not begun or begun != dataset.version):
                out.truncate(0)  # of another week, or not known to be of this one
            note.write_text(dataset.version, encoding="utf-8")
            size = None
            with suppress(ftplib.error_perm):  # not told by an older server
                size = ftp.size(f"{dataset.name}.zip")
            if size is not None and out.tell() > size:  # of another week
                out.truncate(0)
            if out.tell() != size:
                ftp.retrbinary(f"RETR {dataset.name}.zip", out.write, BLOCK, rest=out.tell() or None)

    @contextmanager
    def _session(self) -> Iterator[ftplib.FTP]:
        url = urlsplit(self.address)
        with ftplib.FTP(timeout=self._http.read_timeout_s) as ftp:  # noqa: S321
            ftp.connect(url.hostname or "", url.port or ftplib.FTP_PORT)
            ftp.login()
            ftp.voidcmd("TYPE I")
            ftp.cwd(url.path or "/")
            yield ftp


def _dataset_of(name: str, size: str | None, modify: str) -> Dataset:
    """A dataset as MLSD tells it: `size=1234;modify=20261129200000;`."""
    day = f"{modify[:4]}-{modify[4:6]}-{modify[6:8]}T{modify[8:10]}:{modify[10:12]}:{modify[12:14]}Z"
    known = size is not None and size.isdecimal()
    version = f"{size}-{modify}" if known and modify else ""
    return Dataset(name, int(size) if known and size else None, version, day if len(modify) >= 14 else None)
