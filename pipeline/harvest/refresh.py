"""Records that Europeana has withdrawn, found by comparing full lists of ids; for updates see `pages.py`."""

import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from pipeline.harvest.errors import HarvestError
from pipeline.harvest.europeana import EuropeanaClient
from pipeline.harvest.items import normalised_rights
from pipeline.harvest.pages import only_one, refresh_collection, walk_generation
from pipeline.harvest.store import collections_in, generations, read_head
from pipeline.settings import OPEN_RIGHTS, HarvestSettings
from pipeline.tables import TOMBSTONES

__all__ = ["refresh_collection", "withdrawn"]

FEW = 10  # so many may be missing at once whatever their share


def withdrawn(
    client: EuropeanaClient,
    records: pl.DataFrame,
    folder: Path,
    settings: HarvestSettings,
    *,
    collections: Sequence[str] | None = None,
    open_rights: tuple[str, ...] = OPEN_RIGHTS,
    previous: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Tombstones: earlier ones for good, and each record that Europeana no longer has, or no longer gives as open.

    The ids of these collections, by default of every one in the folder of raw pages, are listed anew (a hundred a
    request; a listing that was stopped goes on). A record in none of the lists is looked up by its id: one that is
    still there and open, though no keyword finds it any more, stays. Raises HarvestError when more than
    `max_withdrawn_share` is missing at once.
    """
    before = previous if previous is not None else TOMBSTONES.empty()
    listed, as_of = _listed(client, folder, settings, collections)
    known = set(records["record_id"].to_list()) - set(before["record_id"].to_list())
    missing = sorted(known - listed)
    if len(missing) > max(FEW, int(settings.max_withdrawn_share * len(known))):
        raise HarvestError(
            f"{len(missing)} of {len(known)} records are missing from Europeana's lists at once: that is rather a fault"
            " than a withdrawal, so nothing was changed; try again later, or raise `harvest.max_withdrawn_share`."
        )
    gone = [
        {"record_id": record_id, "withdrawn_at": as_of, "reason": reason}
        for record_id in missing
        if (reason := _reason(client, record_id, open_rights)) is not None
    ]
    return pl.concat([before, TOMBSTONES.frame(list(gone))]).sort("record_id")


def _listed(
    client: EuropeanaClient, folder: Path, settings: HarvestSettings, collections: Sequence[str] | None
) -> tuple[set[str], datetime]:
    """The ids that the collections contain now, and the latest moment of the listings."""
    ids: set[str] = set()
    moments = []
    for place, harvests in collections_in(folder).items():
        if collections is not None and harvests[0].collection not in collections:
            continue
        with only_one(place, harvests[0].collection):
            listings = [harvest for harvest in harvests if harvest.kind == "ids"]
            walk_generation(client, harvests[0].collection, place, settings, "ids", listings[0] if listings else None)
            listing = next(harvest for harvest in generations(place) if harvest.kind == "ids")
            most = client.http.settings.max_body_bytes
            ids.update(record_id for page in listing.pages() for record_id in read_head(page, most).ids)
            moments.append(datetime.fromisoformat(listing.as_of))
            shutil.rmtree(listing.folder)
    if not moments:
        raise HarvestError(f"There is no harvest in {folder} to compare with: harvest the collections first.")
    return ids, max(moments)


def _reason(client: EuropeanaClient, record_id: str, open_rights: Iterable[str]) -> str | None:
    """Why a record that no list holds counts as withdrawn; None when it does not."""
    record = client.record(record_id)
    if record is None:
        return "gone: Europeana has no such record any more"
    rights = normalised_rights(record.rights_uri or "")
    if not rights.startswith(tuple(open_rights)):
        return f"no longer open: its rights are {rights or 'not stated'}"
    return None
