"""Dagster's resources: the project that every asset works on, and an IO manager that stores nothing."""

import os
from pathlib import Path

import dagster as dg

from assets.engine.project import Project, home, storage_name, storage_of
from pipeline.bucket import open_bucket
from pipeline.settings import load

STORAGE = "EUFCC_STORAGE"  # a folder in place of DAGSTER_HOME/storage, or s3://bucket/prefix


def current_project() -> Project:
    """The project of the environment: its settings (see `pipeline.settings.load`) and its storage."""
    settings, place = load(), os.environ.get(STORAGE, "")
    if "://" in place:
        return Project(settings, storage_of(settings, home()), open_bucket(place, storage_name(settings)))
    if place:
        return Project(settings, Path(place).expanduser().resolve() / storage_name(settings))
    return Project(settings, storage_of(settings, home()))


class NothingPassesThrough(dg.IOManager):
    """An IO manager that refuses values, so that nothing is pickled: assets write to the storage themselves."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Refuse a value; assets and checks return results, not data."""
        if obj is not None:
            raise dg.Failure(f"{context.name} returned a value: write it to the storage.", allow_retries=False)

    def load_input(self, context: dg.InputContext) -> object:
        """Refuse to load; nothing is stored here."""
        raise dg.Failure(f"{context.name} was asked for: read it from the storage.", allow_retries=False)


NO_IO = dg.IOManagerDefinition(
    lambda context: NothingPassesThrough(),
    description="Stores nothing: assets write to the storage themselves, and nothing is pickled.",
)
PROJECT = dg.ResourceDefinition(
    lambda context: current_project(),
    description="Settings and storage, from the environment and pipeline/settings.py only.",
)
