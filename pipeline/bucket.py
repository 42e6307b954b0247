"""The storage in an S3-compatible bucket, shared by machines: tables and notes are uploaded and downloaded.

What lies there: every table and folder under its usual name, and beside them `.made/<name>.json`, the note that says
how it was made and lists its files with their sha256. The note is deleted before the first file is replaced and
written after the last, so a kill in between leaves no note: the files are not read, and their step runs again.
"""

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.fs

from pipeline.allow_list import check_allowed
from pipeline.files import sha256_of, whole_file

AT_ONCE = 8  # concurrent transfers
BLOCK = 8 << 20
ENDPOINT = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


class BucketError(RuntimeError):
    """The bucket cannot be used, or holds something else than its note says; the message names what to do."""

    transient = False


@dataclass(frozen=True)
class Bucket:
    """A place in a bucket: `root` is the bucket's name, and the prefix under it."""

    files: pyarrow.fs.FileSystem
    root: str

    def note(self, name: str) -> dict[str, Any] | None:
        """How the table of that name was made, or None when it is not there completely."""
        try:
            with self.files.open_input_stream(self._note(name)) as source:
                return json.loads(source.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._trouble(error) from error

    def upload(self, name: str, place: Path, key: str, note: Mapping[str, Any]) -> None:
        """Make `key` in the bucket what `place`, a file or a folder, is here; unchanged files are not sent again."""
        before = (self.note(name) or {}).get("files", {})
        here = _files(place, key)
        digests = {key_of: sha256_of(file) for key_of, file in here.items()}
        try:
            if before:
                self.files.delete_file(self._note(name))
            changed = [key_of for key_of, digest in digests.items() if before.get(key_of) != digest]
            self._side_by_side([partial(self._put, here[key_of], key_of) for key_of in changed])
            objects = self._objects(key) if place.is_dir() else set()
            left_over = objects - {f"{self.root}/{key_of}" for key_of in here}
            self._side_by_side([partial(self.files.delete_file, old) for old in sorted(left_over)])
            self._write(self._note(name), json.dumps({**note, "files": digests}, sort_keys=True, indent=1).encode())
        except OSError as error:
            raise self._trouble(error) from error

    def amend(self, name: str, changes: Mapping[str, Any]) -> None:
        """Change values of a table's note; its files stay as they are."""
        note = self.note(name)
        if note is None:
            return
        try:
            self._write(self._note(name), json.dumps({**note, **changes}, sort_keys=True, indent=1).encode())
        except OSError as error:
            raise self._trouble(error) from error

    def download(self, note: Mapping[str, Any], place: Path, key: str) -> None:
        """Make `place` what the note says of `key`: changed files are fetched, others removed.

        Raises BucketError when a file is not the one that the note lists.
        """
        wanted, here = note["files"], _files(place, key)
        goes_to = {name: place if name == key else place / name.removeprefix(f"{key}/") for name in wanted}
        for name in wanted:
            if (name != key and not name.startswith(f"{key}/")) or ".." in name.split("/"):
                raise BucketError(f"The note of {key} in {self.root} lists {name}, which is no part of it.")
        missing = [name for name, digest in wanted.items() if name not in here or sha256_of(here[name]) != digest]
        try:
            self._side_by_side([partial(self._get, name, wanted[name], goes_to[name]) for name in missing])
        except OSError as error:
            raise self._trouble(error) from error
        for name in here.keys() - wanted.keys():
            here[name].unlink()

    def _put(self, file: Path, key: str) -> None:
        with file.open("rb") as source, self.files.open_output_stream(f"{self.root}/{key}") as target:
            while block := source.read(BLOCK):
                target.write(block)

    def _get(self, key: str, digest: str, file: Path) -> None:
        with whole_file(file) as temporary:
            with self.files.open_input_stream(f"{self.root}/{key}") as source, temporary.open("wb") as target:
                while block := source.read(BLOCK):
                    target.write(block)
            if sha256_of(temporary) != digest:
                raise BucketError(
                    f"{self.root}/{key} is not the file that its note lists: it was changed by hand, or is being "
                    "written by another run. Delete its note in .made, and run the step that makes it again."
                )

    def _objects(self, key: str) -> set[str]:
        below = pyarrow.fs.FileSelector(f"{self.root}/{key}", recursive=True, allow_not_found=True)
        return {entry.path.lstrip("/") for entry in self.files.get_file_info(below) if entry.is_file}

    def _write(self, key: str, content: bytes) -> None:
        with self.files.open_output_stream(key) as target:
            target.write(content)

    def _side_by_side(self, calls: list[partial[None]]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(call) for call in calls]:
                done.result()

    def _note(self, name: str) -> str:
        return f"{self.root}/.made/{name}.json"

    def _trouble(self, error: OSError) -> BucketError:
        return BucketError(f"The bucket {self.root} cannot be used: {error}")


def open_bucket(address: str, name: str, environ: Mapping[str, str] = os.environ) -> Bucket:
    """The storage `name` below an address like s3://bucket/prefix; raises BucketError, NotAllowed.

    The endpoint comes from AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL and must be on the allow-list; without one it is
    Amazon's own. Keys and region come from AWS's usual variables or files, and are never part of the address.
    """
    url = urlsplit(address)
    if url.scheme != "s3" or not url.netloc or url.query or url.fragment or "@" in url.netloc:
        raise BucketError(f"{address} is not a place in a bucket: write s3://bucket or s3://bucket/prefix.")
    endpoint = next((environ[variable] for variable in ENDPOINT if environ.get(variable)), None)
    options: dict[str, Any] = {"region": environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")}
    if endpoint is not None:
        reached = urlsplit(check_allowed(endpoint, environ))
        options |= {"endpoint_override": reached.netloc, "scheme": reached.scheme}
        options["region"] = options["region"] or "us-east-1"  # else pyarrow would ask Amazon for the bucket's region
    root = "/".join(part for part in (url.netloc, url.path.strip("/"), name) if part)
    return Bucket(pyarrow.fs.S3FileSystem(**options, allow_delayed_open=True), root)


def _files(place: Path, key: str) -> dict[str, Path]:
    """Every file of a table or folder, by the key it has in the bucket."""
    if place.is_file():
        return {key: place}
    return {f"{key}/{f.relative_to(place).as_posix()}": f for f in sorted(place.rglob("*")) if f.is_file()}
