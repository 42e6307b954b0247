"""Dagster's resource that gives every asset the same project: settings and storage."""

import dagster as dg

from assets.project import Project, home, storage_of
from pipeline.settings import load


def current_project() -> Project:
    """The project that the environment asks for (see `pipeline.settings.load`)."""
    settings = load()
    return Project(settings, storage_of(settings, home()))


class ProjectResource(dg.ConfigurableResource):
    """Settings come from the environment and from `pipeline/settings.py` alone; nothing is typed in here."""

    def create_resource(self, context: dg.InitResourceContext) -> Project:
        """The plain project, as the assets receive it."""
        return current_project()
