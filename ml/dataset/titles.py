"""The titles of records, for rows that read them; the dataset folder itself holds none."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ml.dataset.split import DataError

PREFERRED = ("en", "def")  # languages; the text encoder knows English best


def titles_of(dataset: Path, record_ids: Sequence[str]) -> list[str]:
    """The title of each record from `records.parquet` beside the dataset folder, in English where there is one.

    Empty for a record without a title. Raises DataError when the file is missing or cannot be read.
    """
    file = dataset.absolute().parent / "records.parquet"
    try:
        table = pq.read_table(file, columns=["record_id", "titles"])
    except FileNotFoundError as error:
        raise DataError(f"Titles are read from {file}, which is not there: copy it from the run's storage.") from error
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise DataError(f"The titles in {file} cannot be read ({error}): make the records again.") from error
    found = dict(zip(table["record_id"].to_pylist(), map(_title, table["titles"].to_pylist()), strict=True))
    return [found.get(record_id, "") for record_id in record_ids]


def _title(titles: Sequence[dict[str, str]] | None) -> str:
    by_language = {each["language"]: each["text"] for each in reversed(titles or [])}
    preferred = [by_language[language] for language in PREFERRED if language in by_language]
    return next(iter([*preferred, *reversed(list(by_language.values()))]), "")
