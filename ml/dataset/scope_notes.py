"""The scope notes of tags, for rows that read them; the dataset folder itself holds none."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ml.dataset.split import DataError


def scope_notes(dataset: Path) -> dict[str, str]:
    """The English scope note by concept id, from `concepts.parquet` beside the dataset folder; {} without the file.

    Raises DataError when the file cannot be read.
    """
    file = dataset.absolute().parent / "concepts.parquet"
    if not file.exists():
        return {}
    try:
        table = pq.read_table(file, columns=["concept_id", "scope_note"])
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise DataError(f"The scope notes in {file} cannot be read ({error}): make the concepts again.") from error
    noted = zip(table["concept_id"].to_pylist(), table["scope_note"].to_pylist(), strict=True)
    english = ((concept, note["text"]) for concept, notes in noted for note in notes or () if note["language"] == "en")
    return {concept: text for concept, text in english if text}
