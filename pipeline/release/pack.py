"""A release: the dataset folder as others can load, cite and check it, ready for the Hugging Face hub."""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from pipeline import DATASET_SPLITS
from pipeline.files import sha256_of, whole_folder, write_json, write_text
from pipeline.published import format as published
from pipeline.release import suite_files
from pipeline.release.card import Facts, card, gather_facts
from pipeline.release.croissant import croissant
from pipeline.release.linked import provenance, vocabulary
from pipeline.release.released_rows import release_schema, write_data
from pipeline.release.suite_files import write_suites
from pipeline.settings import Settings
from pipeline.tables import INFORMATIVENESS, SPLIT_TABLE


class ReleaseError(ValueError):
    """A release that must not be made: the message names the record and the reason."""


@dataclass(frozen=True)
class ReleaseTables:
    """What a release is made from, besides the dataset folder."""

    records: pl.DataFrame
    record_tags: pl.DataFrame
    tags: pl.DataFrame
    split_tags: pl.DataFrame
    tombstones: pl.DataFrame
    informativeness: pl.DataFrame | None = None  # what each test can tell, for `eufcc evaluate`
    written: pl.DataFrame | None = None  # PUBLISHED_ROWS: how the published files write the rows


def write_release(dataset: Path, tables: ReleaseTables, folder: Path, settings: Settings) -> Facts:
    """Write the release folder atomically; returns the facts that its card states.

    Same dataset, tables and settings, same bytes. Raises ReleaseError for a record whose rights are not in the
    allow-list, that Europeana has withdrawn, or that the tables do not know.
    """
    splits = SPLIT_TABLE.read(dataset / "splits.parquet")
    records = released_records(splits, tables.records)
    check_rights(records, settings)
    check_withdrawn(records, tables.tombstones)
    tag_list = json.loads((dataset / "tag_list.json").read_text(encoding="utf-8"))
    with whole_folder(folder) as new:
        write_data(dataset, records, tables.tags, tag_list, new / "data", settings)
        write_json(tag_list, new / "tag_list.json", sort_keys=True)
        SPLIT_TABLE.write(splits, new / "splits.parquet")
        if tables.informativeness is not None:
            INFORMATIVENESS.write(tables.informativeness, new / "informativeness.parquet")
        suites = write_suites(
            splits, tables.records, tables.record_tags, tables.tags, settings.suites, new / suite_files.FOLDER
        )
        write_attribution(records, new / "attribution.csv")
        in_published_format = published.as_published(
            splits, records, tables.record_tags, tables.tags, written=tables.written
        )
        published.write_published(in_published_format, new / "published_format")
        published.write_tag_map(tables.tags, new / "published_format")
        facts = gather_facts(splits, records, tables.record_tags, tables.tags, tables.split_tags, tag_list, settings)
        write_text(vocabulary(tables.tags), new / "vocabulary.ttl")
        write_text(provenance(records, facts, settings), new / "provenance.ttl")
        left_out = dict(splits.filter(split="left_out").group_by("reason").len().sort("reason").iter_rows())
        write_text(card(facts, settings, suites, left_out), new / "README.md")
        files = data_files(new)
        described = croissant(files, facts, settings, release_schema(settings))
        write_json(described, new / "croissant.json", sort_keys=True)
        write_json(asdict(facts), new / "release.json", sort_keys=True)
        write_checksums(new)
    return facts


def released_records(splits: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """The records with an image in one of the four splits. Raises ReleaseError for one without a row."""
    wanted = splits.filter(pl.col("split").is_in(DATASET_SPLITS)).select("record_id").unique().sort("record_id")
    unknown = wanted.join(records, on="record_id", how="anti")
    if not unknown.is_empty():
        raise ReleaseError(f"{unknown['record_id'][0]} is in the splits but not in records; make the splits again.")
    return records.join(wanted, on="record_id", how="semi").sort("record_id")


def check_rights(records: pl.DataFrame, settings: Settings) -> None:
    """Raises ReleaseError when a released record's rights URI is not in the allow-list."""
    allowed = (*settings.curation.open_rights, *settings.curation.more_open_rights)
    open_ = pl.any_horizontal(pl.col("rights_uri").fill_null("").str.starts_with(uri) for uri in allowed)
    closed = records.filter(~open_)
    if not closed.is_empty():
        record_id, rights = closed.select("record_id", "rights_uri").row(0)
        raise ReleaseError(
            f"{closed.height} records have rights outside the allow-list, for example {record_id} with {rights}; "
            "curate again before releasing."
        )


def check_withdrawn(records: pl.DataFrame, tombstones: pl.DataFrame) -> None:
    """Raises ReleaseError when a released record has been withdrawn."""
    gone = records.join(tombstones, on="record_id", how="semi")
    if not gone.is_empty():
        raise ReleaseError(f"{gone['record_id'][0]} was withdrawn from Europeana ({gone.height} such); curate again.")


def write_attribution(records: pl.DataFrame, file: Path) -> None:
    """The attribution that must be shown beside each image, one line per record."""
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["record_id", "attribution", "rights_uri", "data_provider", "landing_page"])
        writer.writerows(
            records.select("record_id", "attribution", "rights_uri", "data_provider", "landing_page").iter_rows()
        )


def data_files(folder: Path) -> list[tuple[str, int, str]]:
    """Relative path, bytes and sha256 of every data file of a release."""
    return [
        (file.relative_to(folder).as_posix(), file.stat().st_size, sha256_of(file))
        for file in sorted((folder / "data").glob("*.parquet"))
    ]


def write_checksums(folder: Path) -> None:
    """SHA256SUMS over every other file, as `sha256sum --check` reads it."""
    lines = [f"{digest}  {name}\n" for name, digest in checksums(folder)]
    write_text("".join(lines), folder / "SHA256SUMS")


def checksums(folder: Path) -> Iterator[tuple[str, str]]:
    """Relative path and sha256 of every file but SHA256SUMS, in path order."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name != "SHA256SUMS":
            yield file.relative_to(folder).as_posix(), sha256_of(file)


def verify_checksums(folder: Path) -> list[str]:
    """A sentence for every file of a release that is missing, extra or changed; empty when it is as published."""
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    stated = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    actual = dict(checksums(folder))
    problems = [f"{name} is missing." for name in sorted(set(stated) - set(actual))]
    problems += [f"{name} is not part of the release." for name in sorted(set(actual) - set(stated))]
    problems += [f"{name} has changed." for name in sorted(stated) if name in actual and stated[name] != actual[name]]
    return problems
