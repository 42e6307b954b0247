"""Partitions: the keyword collections of the source, never records or images."""

import re

import dagster as dg

from pipeline.settings import Settings


def collection_key(collection: str) -> str:
    """The partition key of a keyword collection: letters, digits and underscores alone.

    Dagster's pages and its storage stumble over slashes, dots and commas in keys.
    """
    return re.sub(r"[^a-z0-9]+", "_", collection.lower()).strip("_") or "everything"


def collections_partitions(settings: Settings) -> dg.StaticPartitionsDefinition:
    """One partition per keyword collection, in the settings' order."""
    return dg.StaticPartitionsDefinition([collection_key(name) for name in settings.harvest.collections])


def collection_of(key: str, settings: Settings) -> str:
    """The keyword collection behind a partition key."""
    return {collection_key(name): name for name in settings.harvest.collections}[key]
