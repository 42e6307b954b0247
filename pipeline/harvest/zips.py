"""The records in a zip of the weekly dumps, read one at a time, within limits, whatever is damaged."""

import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pipeline.encodings import DAMAGED_ZIP, PACKED_AS
from pipeline.harvest.dumps import Dataset
from pipeline.harvest.edm import TRIPLES, XML, EdmError
from pipeline.harvest.errors import HarvestError
from pipeline.settings import HttpSettings

LARGEST_RECORD = HttpSettings().max_body_bytes


def records_in(file: Path, dataset: Dataset) -> Iterator[tuple[str, bytes | EdmError]]:
    """The files of a zip that are records by their names; in place of a damaged one's bytes, what is wrong with it.

    Raises HarvestError for a zip that cannot be read, or holds other files alone.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = [one for one in archive.infolist() if PurePosixPath(one.filename).suffix in (*XML, *TRIPLES)]
            if not members and archive.namelist():
                raise HarvestError(f"{dataset.name}.zip holds no file in RDF/XML, N-Triples or Turtle.")
            for member in members:
                yield member.filename, _content(archive, member)
    except (*DAMAGED_ZIP, OSError) as error:
        raise HarvestError(f"{dataset.name}.zip is damaged ({error}): fetch it again.", transient=True) from None


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | EdmError:
    if member.file_size > LARGEST_RECORD:
        return EdmError(f"it has {member.file_size} bytes, which is not read")
    if member.compress_type not in PACKED_AS:
        return EdmError("it is compressed in another way than the files of a dump")
    try:
        with archive.open(member) as stream:
            return stream.read(LARGEST_RECORD)  # with a limit: a bomb states a smaller size than it has
    except DAMAGED_ZIP as error:
        return EdmError(f"it cannot be read ({error})")
