"""Dagster's resource that gives every asset the same project: settings and storage."""

import os
from pathlib import Path

import dagster as dg

from assets.project import ROOT, Project, storage_of
from pipeline.settings import load


def home() -> Path:
    """Dagster's home: where runs are recorded and, below it, where the tables lie."""
    return Path(os.environ.get("DAGSTER_HOME") or ROOT / "dagster_home")


def current_project() -> Project:
    """The project that the environment asks for (see `pipeline.settings.load`)."""
    settings = load()
    return Project(settings, storage_of(settings, home()))


class ProjectResource(dg.ConfigurableResource):
    """Settings come from the environment and from `pipeline/settings.py` alone; nothing is typed in here."""

    def create_resource(self, context: dg.InitResourceContext) -> Project:
        """The plain project, as the assets receive it."""
        return current_project()
