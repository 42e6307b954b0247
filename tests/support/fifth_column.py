"""`python -m tests.support.fifth_column STORAGE OUT OLDER`: the published files with a fifth column, as JSON.

They are written from a run's storage, read and scored; OLDER are published files without the column.
tests/test_fifth_facet.py runs it in a copy of the tree whose fifth facet has a published name.
"""

import json
import sys
from pathlib import Path

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.exports.published_csv import as_csv
from ml.assistant.vocabulary import Vocabulary, read_tag_list
from ml.dataset.open import load_dataset
from pipeline.published.format import as_published, read_official_splits, tag_map, write_published
from pipeline.published.tables import as_tables
from pipeline.tables import TABLES


def main() -> None:
    """Write the files twice into OUT, and print what was read of them."""
    storage, out, older = map(Path, sys.argv[1:])
    splits, records, record_tags, tags = (
        TABLES[name].read(storage / f"{name}.parquet") for name in ("splits", "records", "record_tags", "tags")
    )
    written = as_published(splits, records, record_tags, tags, language="en")
    write_published(written, out / "first")
    read, keys = read_official_splits(out / "first"), ["split", "row", "facet", "position"]
    write_published(read, out / "second")
    back = as_tables(read)
    order, terms = read_tag_list(storage / "dataset" / "tag_list.json")
    vocabulary = Vocabulary(terms, list(order))
    tag = ExportedTag(vocabulary.terms["300900042"], "human", "anna")
    image = ExportedImage("0" * 64, "", "/1/0001", None, None, (tag,))
    print(
        json.dumps(
            {
                "same": read.stated.sort(keys).equals(written.stated.sort(keys))
                and read.rows.sort(keys[:2]).equals(written.rows),
                "paths": sorted(row["path"] for row in tag_map(tags, "en") if row["facet"] == "techniques"),
                "tags": back.tags.filter(facet="techniques").height,
                "pairs": [
                    each.filter(facet="techniques", stated=True).height for each in (record_tags, back.record_tags)
                ],
                "scored": [len(load_dataset(out / "first").facets["techniques"]), len(order["techniques"])],
                "csv": as_csv([image], vocabulary, "en"),
                "older": load_dataset(older).tag_list_hash,
            }
        )
    )


if __name__ == "__main__":
    main()
