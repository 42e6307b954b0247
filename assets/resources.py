"""Dagster's resources: the project that every asset works on, and an IO manager that stores nothing."""

import dagster as dg

from assets.engine.project import current_project


class NothingPassesThrough(dg.IOManager):
    """An IO manager that refuses values, so that nothing is pickled: assets write to the storage themselves."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Refuse a value; assets and checks return results, not data."""
        if obj is not None:
            raise dg.Failure(f"{context.name} returned a value: write it to the storage.", allow_retries=False)

    def load_input(self, context: dg.InputContext) -> object:
        """Refuse to load; nothing is stored here."""
        raise dg.Failure(f"{context.name} was asked for: read it from the storage.", allow_retries=False)


NO_IO = dg.IOManagerDefinition.hardcoded_io_manager(
    NothingPassesThrough(),
    description="Stores nothing: assets write to the storage themselves, and nothing is pickled.",
)
PROJECT = dg.ResourceDefinition(
    lambda context: current_project(),
    description="Settings and storage, from the environment and pipeline/settings.py only.",
)
