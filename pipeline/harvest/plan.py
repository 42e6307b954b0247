"""The cost of a harvest, before anything is fetched: records, requests, hours and gigabytes per collection."""

import math

import polars as pl

from pipeline.harvest.dumps import DumpPlace
from pipeline.harvest.europeana import EuropeanaClient
from pipeline.rate_limit import RatePolicy
from pipeline.settings import HarvestSettings
from pipeline.waits import clock_time

TOTAL = "(all)"
KEYS = {"personal": "A personal key", "project": "A project key"}


def dry_run(client: EuropeanaClient, settings: HarvestSettings) -> pl.DataFrame:
    """One row per collection and one for all, by one count each (`rows=0`) and, with a provider cap, one facet.

    Columns: collection, found (records the search finds), records (after the caps), requests, requests_per_hour (what
    the server says the key may make, else the settings' figure), hours (the longer of the time the chunks take and the
    time the key's hourly budget takes), gigabytes_pages (raw pages) and gigabytes_images (one thumbnail each). A record
    that several collections find is counted in each. Raises the errors of `pipeline.http`.
    """
    counts = {name: _counts(client, name, settings) for name in settings.collections}
    hourly = client.allowed.per_hour if client.allowed else settings.requests_per_hour
    rows = [_cost(name, *counts[name], hourly, settings) for name in settings.collections]
    whole = {name: sum(row[name] for row in rows) for name in rows[0] if name != "collection"} if rows else {}
    if rows:
        whole["hours"] = max(whole["hours"], whole["requests"] / hourly)
        rows.append({"collection": TOTAL, **whole, "requests_per_hour": int(hourly)})
    return pl.DataFrame(
        rows,
        schema={
            "collection": pl.String,
            **dict.fromkeys(("found", "records", "requests", "requests_per_hour"), pl.Int64),
            **dict.fromkeys(("hours", "gigabytes_pages", "gigabytes_images"), pl.Float64),
        },
    )


def dumps_to_read(place: DumpPlace) -> pl.DataFrame:
    """What a harvest from dumps would read: zips, their gigabytes, and the latest day of one, where the place tells.

    Raises HarvestError.
    """
    found = place.datasets()
    sizes = [dataset.size for dataset in found]
    known = [size for size in sizes if size is not None]
    days = [dataset.modified for dataset in found if dataset.modified]
    row = {
        "zips": len(found),
        "gigabytes": sum(known) / 1e9 if len(known) == len(sizes) else None,
        "newest": max(days, default=None),
    }
    return pl.DataFrame([row], schema={"zips": pl.Int64, "gigabytes": pl.Float64, "newest": pl.String})


def told_limit(allowed: RatePolicy | None, now: float) -> str:
    """The limit that a server stated, as a sentence."""
    if allowed is None:
        return "The server states no limit."
    window = "an hour" if allowed.window_s == 3600 else f"in {allowed.window_s:,.0f} s"
    sentence = f"{KEYS.get(allowed.name, 'This key')} may make {allowed.requests:,} requests {window}"
    if allowed.remaining is None or allowed.reset_s is None:
        return f"{sentence}."
    return f"{sentence}; {allowed.remaining:,} are left until {clock_time(now + allowed.reset_s)}."


def _counts(client: EuropeanaClient, collection: str, settings: HarvestSettings) -> tuple[int, int]:
    """Records found, and records within the caps."""
    found = client.count(collection)
    kept = found
    most = settings.max_records_per_provider
    if most is not None:
        kept -= sum(max(0, count - most) for count in client.providers(collection).values())
    if settings.max_records_per_collection is not None:
        kept = min(kept, settings.max_records_per_collection)
    return found, kept


def _cost(collection: str, found: int, records: int, hourly: float, settings: HarvestSettings) -> dict:
    pages = math.ceil(records / settings.rows) if records else 1
    largest = max(settings.split_above, records // settings.chains)
    chunks = 1 if settings.max_records_per_collection else max(1, math.ceil(records / largest))
    cutting = 0 if chunks == 1 else 2 + 4 * chunks  # ends of the time, then two counts for each cut of a binary tree
    requests = 1 + cutting + pages
    walking = math.ceil(pages / min(chunks, settings.chains)) * settings.seconds_per_page / 3600
    return {
        "collection": collection,
        "found": found,
        "records": records,
        "requests": requests,
        "requests_per_hour": int(hourly),
        "hours": max(walking, requests / hourly if requests > hourly else 0.0),
        "gigabytes_pages": records * settings.page_bytes_per_record / 1e9,
        "gigabytes_images": records * settings.image_bytes_per_record / 1e9,
    }
