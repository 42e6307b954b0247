"""Stage harvest: Europeana's responses, removed when their source changes, then one row per record."""

import hashlib
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import polars as pl
import pyarrow.parquet as pq
from pydantic import Field

from assets.engine.asset_factory import failures, stage_asset
from assets.engine.asset_metadata import asset_spec, result_of
from assets.engine.builtin_checks import check_results, check_specs
from assets.engine.console import bar, patience, remark, say
from assets.engine.plan import AssetPlan, Metadata
from assets.engine.project import Project, current_project, size_of
from assets.engine.retention import OTHERS
from assets.engine.run_config import fields_of
from assets.engine.versions import code_version
from assets.freshness import MONTHLY, WEEKLY
from assets.partitions import collection_of, collections_partitions
from assets.sources import EUROPEANA, source
from pipeline.contents import content_hash
from pipeline.files import write_text
from pipeline.harvest.bulk import dumps_are_read, harvest_dumps
from pipeline.harvest.dumps import DumpPlace, place_of_dumps
from pipeline.harvest.europeana import EuropeanaClient
from pipeline.harvest.pages import harvest_collection, refresh_collection
from pipeline.harvest.records import write_records
from pipeline.harvest.refresh import withdrawn
from pipeline.harvest.store import other_collections
from pipeline.http import HttpClient
from pipeline.settings import Settings
from pipeline.tables import TOMBSTONES

SETTINGS = current_project().settings
PARTITIONS = collections_partitions(SETTINGS)
# A step whose server does not answer is tried again later; what it has fetched so far is kept.
NETWORK_RETRY = dg.RetryPolicy(
    max_retries=SETTINGS.http.step_retries,
    delay=SETTINGS.http.step_retry_delay_s,
    backoff=dg.Backoff.EXPONENTIAL,
    jitter=dg.Jitter.PLUS_MINUS,
)


class HarvestConfig(dg.Config):
    """Options of one harvest, for the Launchpad."""

    mode: Literal["complete", "refresh", "again"] = Field(
        "complete",
        description="complete: keep what is stored, continue what was interrupted. "
        "refresh: also what Europeana has updated since. again: everything from the start.",
    )


class TombstonesConfig(dg.Config):
    """Options of one search for withdrawn records, for the Launchpad."""

    compare: bool = Field(False, description="List all ids again, and note the records that Europeana has withdrawn.")


PAGES = """The search responses of one keyword collection, page by page as received, without the API key.

A harvest that was killed continues at its last page. Everything downstream can be rebuilt without the network.
"""


PAGES_SPEC = asset_spec(
    "pages",
    "harvest",
    PAGES,
    kinds={"europeana", "json"},
    code_version=code_version(["assets/harvest.py:pages"]),
    freshness_policy=WEEKLY,
    deps=[source(EUROPEANA)],
)


@dg.multi_asset(
    name="pages",
    specs=[PAGES_SPEC],
    partitions_def=PARTITIONS,
    check_specs=check_specs("pages"),
    backfill_policy=dg.BackfillPolicy.single_run(),
    config_schema=fields_of(HarvestConfig),
    pool="europeana",
    retry_policy=NETWORK_RETRY,
)
def pages(context: dg.AssetExecutionContext, project: dg.ResourceParam[Project]) -> dg.MaterializeResult:
    """Harvest the collections of the run, one after the other."""
    config = HarvestConfig(**context.op_execution_context.op_config)
    started = time.monotonic()
    unfinished = project.storage / "cache" / "unfinished_harvest"  # its pages are not those of their note
    stored = project.made("pages")
    with failures():
        if stored and stored.stamps and not unfinished.exists():  # older versions did not mark an unfinished harvest
            project.check("pages")
    folder = _pages_of_this_source(project)
    before = project.made("pages")
    unfinished.touch()
    with failures():
        harvest = _harvest_dumps if project.settings.harvest.dumps else _harvest_api
        summaries = harvest(project, context.partition_keys, folder, config.mode)
    metadata = {
        "bytes": size_of(folder),
        "records": sum(summary["received"] for summary in summaries.values()),
        "requests": sum(summary["requests"] for summary in summaries.values()),
        "collections": summaries,
        **({"bytes_before": before.metadata.get("bytes", 0)} if before else {}),
        **(others := told_of_others(folder, project.settings)),
    }
    made = project.remember("pages", source_version(project), metadata)
    unfinished.unlink()
    checks = check_results("pages", [folder / key for key in context.partition_keys], made)
    seconds, reused = time.monotonic() - started, before is not None and before.sha256 == made.sha256
    say("pages", made.metadata, seconds, reused)
    remark(*others.values())
    return result_of("pages", made, seconds, reused, checks=checks)


@stage_asset(AssetPlan("harvest", settings=("harvest", "http.max_body_bytes")), freshness_policy=WEEKLY)
def records(pages: Path, storage: Path, settings: Settings) -> Metadata:
    """A record that several keywords find is one row. Rights are normalised, concepts keep their roles."""
    file = storage / "records.parquet"
    left_out: set[str] = set()
    collections, largest = settings.harvest.collections, settings.http.max_body_bytes
    write_records(pages, file, settings.harvest, collections=collections, left_out=left_out, max_body_bytes=largest)
    told: dict[str, Any] = {"left_out_for_a_damaged_id": len(left_out), **told_of_others(pages, settings)}
    return {"records": {"rows": pq.read_metadata(file).num_rows, **told}}


@stage_asset(
    AssetPlan("harvest", settings=("harvest",), again=lambda config, before: config.compare),
    kinds={"europeana", "parquet"},
    pool="europeana",
    retry_policy=NETWORK_RETRY,
    freshness_policy=MONTHLY,
    deps=[source(EUROPEANA)],
)
def tombstones(pages: Path, records: pl.DataFrame, project: Project, config: TombstonesConfig) -> pl.DataFrame:
    """Found by comparing full lists of ids, once a month or on request. A tombstone is never removed."""
    file = project.path("tombstones")
    before = TOMBSTONES.read(file) if file.exists() else TOMBSTONES.empty()
    if not config.compare:
        return before
    if project.settings.harvest.dumps:  # what they no longer hold is no longer in records: nothing is left to compare
        remark("Records come from the dumps, which are read whole: withdrawn ones are not in them.")
        return before
    rights = (*project.settings.curation.open_rights, *project.settings.curation.more_open_rights)
    with europeana(project) as client:
        harvest = project.settings.harvest
        given: dict[str, Any] = {"collections": harvest.collections, "open_rights": rights, "previous": before}
        return withdrawn(client, records, pages, harvest, **given)


def _harvest_api(project: Project, keys: Sequence[str], folder: Path, mode: str) -> dict[str, Any]:
    """Harvest the collections; with the mode `again`, replace old pages once the new ones are complete."""
    settings, summaries = project.settings, {}
    walk = refresh_collection if mode == "refresh" else harvest_collection
    with europeana(project) as client:
        for key in keys:
            place = _place_again(project, key) if mode == "again" else folder / key
            collection = collection_of(key, settings)
            with bar(collection, "records") as progress:
                summaries[key] = walk(client, collection, place, settings.harvest, progress).metadata()
            if mode == "again":
                _replace(folder / key, place)
    return summaries


def _harvest_dumps(project: Project, keys: Sequence[str], folder: Path, mode: str) -> dict[str, Any]:
    """Harvest the collections out of the dumps, together; a refresh reads zips that have changed, and then all."""
    settings, place = project.settings, dumps(project)
    if mode == "refresh":
        there = place.datasets()
        mode = "complete" if all(dumps_are_read(there, folder / key) for key in keys) else "again"
    places = {key: _place_again(project, key) if mode == "again" else folder / key for key in keys}
    folders = {collection_of(key, settings): where for key, where in places.items()}
    rights = (*settings.curation.open_rights, *settings.curation.more_open_rights)
    with bar("dumps", "zips") as progress:
        done = harvest_dumps(place, folders, settings.harvest, open_rights=rights, say=remark, progress=progress)
    for key in keys if mode == "again" else ():
        _replace(folder / key, places[key])
    read = {"zips_read": done.zips, "records_read": done.seen, "damaged": done.damaged}
    return {key: done.summaries[collection_of(key, settings)].metadata() | read for key in keys}


def _place_again(project: Project, key: str) -> Path:
    """Where a collection is harvested again while its old pages are still in use."""
    return project.storage / "cache" / "pages_again" / key


def _replace(old: Path, new: Path) -> None:
    shutil.rmtree(old, ignore_errors=True)
    new.rename(old)


def told_of_others(pages: Path, settings: Settings) -> dict[str, str]:
    """Metadata that names the stored collections that are not in the settings; empty without such."""
    others = sorted(other_collections(pages, settings.harvest.collections).values())
    if not others:
        return {}
    told = f"Pages of collections that are not in the settings are kept and not read: {', '.join(others)}."
    return {OTHERS: f"{told} `eufcc tidy` deletes them."}


def europeana(project: Project) -> EuropeanaClient:
    """Europeana's client, with the key from the environment variable EUROPEANA_API_KEY."""
    budgets = project.storage / "cache" / "budgets"
    http = HttpClient(project.settings.http, budgets=budgets, patience=patience())
    return EuropeanaClient(http, project.settings.harvest, os.environ.get("EUROPEANA_API_KEY"))


def dumps(project: Project) -> DumpPlace:
    """The place of the weekly dumps that the settings name."""
    settings = project.settings
    return place_of_dumps(settings.harvest.dumps, settings.http, project.storage / "cache" / "dumps", remark)


def _pages_of_this_source(project: Project) -> Path:
    """The folder of raw pages, emptied when the museum folder behind them has changed.

    The ledgers of fetched images are removed with them: another museum has other images at the same URLs.
    """
    folder, note = project.here("pages", whole=False), project.storage / "cache" / "harvested_source"
    source, made = source_version(project), project.made("pages")
    known = note.read_text(encoding="utf-8") if note.exists() else made.fingerprint if made else None
    if folder.exists() and known != source:
        shutil.rmtree(folder)
        shutil.rmtree(project.storage / "cache" / "images", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(source, note)
    return folder


def source_version(project: Project) -> str:
    """A version of the source: in the demo a hash of the museum folder with its images, else `europeana`."""
    museum = project.settings.museum
    if museum is None:
        return "europeana"
    digest = hashlib.sha256()
    moved = ["moved.csv"] if (museum / "moved.csv").exists() else []
    for name in ("records.jsonl", "entities.jsonl", "media.csv", "open_rights.txt", "collections.txt", *moved):
        file = museum / name
        digest.update(f"{name} {content_hash(file) if file.exists() else 'none'}\n".encode())
    digest.update(f"media {content_hash(museum / 'media')}\n".encode())
    for file in sorted([*museum.glob("*.nt.gz"), *museum.glob("*.nt")]):
        digest.update(f"{file.name} {content_hash(file)}\n".encode())
    return digest.hexdigest()
