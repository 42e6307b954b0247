"""Europeana's records of the published rows, by the addresses of their pictures: EUFCC_PROFILE=official."""

from pathlib import Path

from assets.engine.asset_factory import stage_asset
from assets.engine.console import bar, remark
from assets.engine.plan import AssetPlan, Tables, TableWithMetadata
from assets.engine.project import Project
from assets.harvest import NETWORK_RETRY, europeana, source_version
from pipeline.markdown import markdown
from pipeline.published.dataset import read_folder
from pipeline.published.lookup import Lookup
from pipeline.published.relinks import addresses_of, counts_of, relinks_of
from pipeline.published.tables import with_views
from pipeline.tables import FETCHES


def _asked_of(project: Project) -> str:
    """Which server is asked: without a key none, and the stored answers count."""
    with europeana(project) as client:
        return source_version(project) if client.may_ask else "stored answers"


@stage_asset(
    AssetPlan("vocabulary", settings=("published",), outside=_asked_of),
    kinds={"europeana", "parquet"},
    pool="europeana",
    retry_policy=NETWORK_RETRY,
)
def relinks(fetches: Path, project: Project) -> Tables:
    """The record of each published row, by the address inside its thumbnail's URL, with its rights and concepts.

    Resumable: each answer is stored before the next request. Without EUROPEANA_API_KEY nothing is asked.
    """
    rows = addresses_of(with_views(read_folder(project.settings.published)[0]))
    addresses = rows["address"].drop_nulls().unique()
    file = project.storage / "cache" / "relinks" / "answers.jsonl"
    with europeana(project) as client:
        lookup = Lookup(client, file, project.settings.harvest)
        if client.may_ask:
            lookup.run(addresses, bar("records", "questions"))
        else:
            remark("EUROPEANA_API_KEY is not set: the records of the published rows are not looked up.")
    table = relinks_of(rows, lookup.answers(addresses), FETCHES.read(fetches, ["url", "reason"]))
    counts = counts_of(table)
    listed = ", ".join(f"{status} {n:,}" for status, n in counts.select("status", "rows").iter_rows())
    remark(f"Europeana's records of {rows.height:,} rows, with {lookup.requests:,} requests: {listed}.")
    about = {"by_status": markdown(counts), "requests": lookup.requests, "addresses": addresses.len()}
    about["other_provider"] = int((~table["same_provider"]).sum())
    return {"relinks": TableWithMetadata(table, about)}
