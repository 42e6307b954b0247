"""Dagster's resource that gives every asset the same project: settings and storage."""

import os
from pathlib import Path

import dagster as dg

from assets.engine.project import Project, home, storage_name, storage_of
from pipeline.bucket import open_bucket
from pipeline.settings import load

STORAGE = "EUFCC_STORAGE"  # another folder than DAGSTER_HOME/storage, or s3://bucket/prefix


def current_project() -> Project:
    """The project that the environment asks for (see `pipeline.settings.load`), in the storage it asks for."""
    settings, place = load(), os.environ.get(STORAGE, "")
    if "://" in place:
        return Project(settings, storage_of(settings, home()), open_bucket(place, storage_name(settings)))
    if place:
        return Project(settings, Path(place).expanduser().resolve() / storage_name(settings))
    return Project(settings, storage_of(settings, home()))


class NothingPassesThrough(dg.IOManager):
    """Assets hand over by the storage. Dagster's own manager would pickle; this one refuses to hold anything."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Nothing may come: assets and checks return what happened, not data."""
        if obj is not None:
            raise dg.Failure(f"{context.name} returned a value: write it to the storage.", allow_retries=False)

    def load_input(self, context: dg.InputContext) -> object:
        """Nothing is here."""
        raise dg.Failure(f"{context.name} was asked for: read it from the storage.", allow_retries=False)


NO_IO = dg.IOManagerDefinition(
    lambda context: NothingPassesThrough(),
    description="Holds nothing: assets hand over by the storage, and nothing is pickled.",
)
PROJECT = dg.ResourceDefinition(
    lambda context: current_project(),
    description="Settings and storage. They come from the environment and from pipeline/settings.py alone.",
)
