"""Partitions: keyword collections of the harvest, and slices of the images."""

import os
import re

import dagster as dg

from pipeline.settings import Settings

SLICES_PER_RUN = "EUFCC_SLICES_PER_RUN"  # slices in one run of a backfill; by default all of them


class PartitionsError(ValueError):
    """The partitions cannot be made; the message says what to change."""


def collection_key(collection: str) -> str:
    """The partition key of a keyword collection: lower-case letters, digits and underscores only.

    Dagster has trouble with slashes, dots and commas in keys.
    """
    return re.sub(r"[^a-z0-9]+", "_", collection.lower()).strip("_") or "everything"


def collections_partitions(settings: Settings) -> dg.StaticPartitionsDefinition:
    """One partition per keyword collection, in the order of the settings."""
    return dg.StaticPartitionsDefinition([collection_key(name) for name in settings.harvest.collections])


def collection_of(key: str, settings: Settings) -> str:
    """The keyword collection behind a partition key."""
    return {collection_key(name): name for name in settings.harvest.collections}[key]


def slices_backfill() -> dg.BackfillPolicy:
    """One run for all slices of a backfill, or as many slices per run as EUFCC_SLICES_PER_RUN says."""
    asked = os.environ.get(SLICES_PER_RUN)
    if not asked:
        return dg.BackfillPolicy.single_run()
    if not asked.isdigit() or int(asked) == 0:
        raise PartitionsError(f"{SLICES_PER_RUN} is {asked!r}; it must be a whole number from 1.")
    return dg.BackfillPolicy.multi_run(max_partitions_per_run=int(asked))


def every_partition(partitions: dg.PartitionsDefinition) -> dict[str, str]:
    """The tags of a run that covers all partitions."""
    keys = partitions.get_partition_keys()
    return {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
