"""The cost of a harvest, before anything is fetched: records, requests, hours and gigabytes per collection."""

import math

import polars as pl

from pipeline.harvest.europeana import EuropeanaClient
from pipeline.settings import HarvestSettings

TOTAL = "(all)"


def dry_run(client: EuropeanaClient, settings: HarvestSettings) -> pl.DataFrame:
    """One row per collection and one for all, by one count each (`rows=0`) and, with a provider cap, one facet.

    Columns: collection, found (records the search finds), records (after the caps), requests, hours (the longer of
    the time the chunks take and the time the key's hourly budget takes), gigabytes_pages (raw pages) and
    gigabytes_images (one thumbnail each). A record that several collections find is counted in each. Raises the errors
    of `pipeline.http`.
    """
    rows = [_cost(name, *_counts(client, name, settings), settings) for name in settings.collections]
    whole = {name: sum(row[name] for row in rows) for name in rows[0] if name != "collection"} if rows else {}
    if rows:
        whole["hours"] = max(whole["hours"], whole["requests"] / settings.requests_per_hour)
        rows.append({"collection": TOTAL, **whole})
    return pl.DataFrame(
        rows,
        schema={
            "collection": pl.String,
            **dict.fromkeys(("found", "records", "requests"), pl.Int64),
            **dict.fromkeys(("hours", "gigabytes_pages", "gigabytes_images"), pl.Float64),
        },
    )


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


def _cost(collection: str, found: int, records: int, settings: HarvestSettings) -> dict:
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
        "hours": max(walking, requests / settings.requests_per_hour if requests > settings.requests_per_hour else 0.0),
        "gigabytes_pages": records * settings.page_bytes_per_record / 1e9,
        "gigabytes_images": records * settings.image_bytes_per_record / 1e9,
    }
