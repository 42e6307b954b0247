"""The leak audit: what two splits of a dataset share, for datasets of ours and for the original CSV files."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import polars as pl

from pipeline import DATASET_SPLITS, SPLITS
from pipeline.foreign_parquet import TableError, checked_batches
from pipeline.limits import LIMITS, LimitSettings
from pipeline.published.format import SPLIT_FILES
from pipeline.settings import ImageSettings
from pipeline.text_files import read_rows

PUBLISHED_URL, PUBLISHED_RECORD = "#portraitMedia.original", "idInSource"
EXAMPLES = 3


class AuditError(ValueError):
    """The folder holds no splits; the message says what was looked for."""


@dataclass(frozen=True)
class Audit:
    """`images`: the number of images per split; `comparisons`: one row per kind of key and pair of splits.

    `comparisons` has kind, one, other, keys (shared), images_of_one, images_of_other (with such a key), examples.
    """

    folder: Path
    images: dict[str, int]
    comparisons: pl.DataFrame

    @property
    def leaks(self) -> pl.DataFrame:
        """The comparisons with shared keys."""
        return self.comparisons.filter(pl.col("keys") > 0)

    @property
    def sentences(self) -> list[str]:
        """The result in words: a sentence per kind and pair that leaks, or one sentence if nothing does."""
        if self.leaks.is_empty():
            kinds = ", ".join(self.comparisons["kind"].unique(maintain_order=True))
            return [f"{sum(self.images.values())} images in {len(self.images)} splits: none shares its {kinds}."]
        return [
            f"{row['keys']} × the same {row['kind']} in {row['one']} ({row['images_of_one']} images) "
            f"and {row['other']} ({row['images_of_other']}), for example {row['examples'][0]}."
            for row in self.leaks.to_dicts()
        ]


def audit_folder(folder: Path, limits: LimitSettings = LIMITS) -> Audit:
    """Audits a dataset folder or release of ours, or a folder with the published CSV files.

    Ours are compared by record, group, hash of the source bytes and hash of the stored bytes; the CSV files by record,
    URL, and the image behind a thumbnail's URL. Raises AuditError unless there are at least two splits, and for
    more images or longer texts than the limits allow.
    """
    parts = {
        split: sorted((folder / split).glob("*.parquet"))  # of a dataset
        or sorted((folder / "data").glob(f"{split}-*.parquet"))  # of a release
        for split in SPLITS
    }
    tables = [folder / name for name in SPLIT_FILES.values() if (folder / name).is_file()]
    if sum(bool(files) for files in parts.values()) > 1:
        rows = pl.concat([_own_rows(split, files, limits) for split, files in parts.items() if files])
    elif len(tables) > 1:
        rows = pl.concat([_published_rows(file) for file in tables])
    else:
        looked_for = f"{', '.join(DATASET_SPLITS)} with Parquet files, or {', '.join(SPLIT_FILES.values())}"
        raise AuditError(f"{folder} does not hold two splits to compare; looked for {looked_for}.")
    counts = dict(rows.group_by("split", maintain_order=True).len().iter_rows())
    return Audit(folder, counts, shared_keys(rows))


def shared_keys(rows: pl.DataFrame) -> pl.DataFrame:
    """What every two splits share, for every column but `split`: each is a kind of key. Null keys are not compared."""
    names = rows["split"].unique(maintain_order=True).to_list()
    comparisons = []
    for kind in [column for column in rows.columns if column != "split"]:
        counts = {
            name: rows.filter((pl.col("split") == name) & pl.col(kind).is_not_null()).group_by(kind).len()
            for name in names
        }
        for one, other in combinations(names, 2):
            both = counts[one].join(counts[other], on=kind, suffix="_other").sort(kind)
            comparisons.append(
                {
                    "kind": kind.replace("_", " "),
                    "one": one,
                    "other": other,
                    "keys": both.height,
                    "images_of_one": int(both["len"].sum()),
                    "images_of_other": int(both["len_other"].sum()),
                    "examples": both[kind].head(EXAMPLES).to_list(),
                }
            )
    return pl.DataFrame(comparisons, schema_overrides={"examples": pl.List(pl.String)})


def _own_rows(split: str, files: Iterable[Path], limits: LimitSettings) -> pl.DataFrame:
    """The keys of the images in one split of a dataset of ours; the stored bytes are hashed batch by batch."""
    columns = {"record_id": "record", "group_id": "group", "image_id": "source_bytes"}
    rows: dict[str, list[str]] = {name: [] for name in (*columns.values(), "stored_bytes")}
    sizes = {"longest_text": limits.text_bytes, "bytes_per_row": ImageSettings().max_bytes}
    for file in files:
        left = limits.release_images - len(rows["record"])
        try:
            for batch in checked_batches(file, [*columns, "image"], most_rows=left, **sizes):
                for column, name in columns.items():
                    rows[name] += batch[column].to_pylist()
                stored = batch["image"].field("bytes")
                rows["stored_bytes"] += [hashlib.sha256(data.as_py() or b"").hexdigest() for data in stored]
        except TableError as error:
            raise AuditError(f"{file} cannot be audited: {error}.") from error
    return pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String)).select(pl.lit(split).alias("split"), pl.all())


def _published_rows(file: Path) -> pl.DataFrame:
    """The keys of the rows of one published CSV file."""
    rows_of_file = read_rows(file, (PUBLISHED_RECORD, PUBLISHED_URL), AuditError)
    pairs = [(line.fields[PUBLISHED_RECORD].strip(), line.fields[PUBLISHED_URL].strip()) for line in rows_of_file]
    schema = {"split": pl.String, "record": pl.String, "url": pl.String, "underlying_image": pl.String}
    rows = [(file.name, record or None, url or None, underlying_image(url)) for record, url in pairs]
    return pl.DataFrame(rows, schema=schema, orient="row")


def underlying_image(url: str) -> str | None:
    """Which image a URL shows: the URL without scheme and fragment, or the `uri` behind a Europeana thumbnail."""
    parts = urlsplit(url.strip())
    inner = parse_qs(parts.query).get("uri")
    if inner and "thumbnail" in parts.path:
        parts = urlsplit(inner[0])
    if not parts.netloc:
        return None
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.netloc.lower()}{parts.path}{query}"
