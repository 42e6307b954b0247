"""The private modules of Dagster that we import, why each, and that there is still no public way."""

from importlib import import_module

import dagster as dg
import pytest

from tests.rooms import imported_names, modules

# What is imported from a private module: where, and why. When Dagster makes a name public, the test below fails.
WHY = {
    "dagster._config.errors.PostProcessingError": (
        "assets.engine.run_config",
        "The only error by which a config type can refuse a value before the run is made.",
    ),
    "dagster._core.errors.DagsterUserCodeProcessError": (
        "assets.engine.run_config",
        "The only error whose own description the page shows, in place of a stack trace.",
    ),
    "dagster._utils.error.SerializableErrorInfo": (
        "assets.engine.run_config",
        "What the error above carries its description in.",
    ),
    "dagster._core.storage.event_log.sqlite.sqlite_event_log": (
        "assets.engine.instance",
        "It makes an SQLAlchemy engine for each event, and has no option to keep one.",
    ),
    "dagster._core.storage.runs.sqlite.sqlite_run_storage": (
        "assets.engine.instance",
        "As above, for each question about runs.",
    ),
    "dagster._core.execution.plan.execute_step._build_data_version_tags": (
        "assets.engine.reports",
        "An AssetMaterialization of an asset that the run did not select has no public way to name its data version.",
    ),
    "dagster._core.execution.plan.execute_step._get_input_provenance_data": (
        "assets.engine.reports",
        "The data versions of the inputs, which the tags above hold beside it.",
    ),
}


def private(name: str) -> bool:
    return name.startswith("dagster") and any(part.startswith("_") for part in name.split("."))


def test_these_private_names_are_imported_and_no_others():
    found = {name: module for module, file in modules().items() for name in imported_names(file) if private(name)}
    assert found == {name: where for name, (where, _) in WHY.items()}


@pytest.mark.parametrize("name", WHY)
def test_there_is_such_a_name_and_no_public_one(name: str):
    module, _, last = name.rpartition(".")
    assert hasattr(import_module(module), last), f"{name} has moved: {WHY[name][1]}"
    assert not hasattr(dg, last.lstrip("_")), f"dagster.{last} is public now: import it from there"


def test_a_materialization_still_takes_no_data_version():
    """As soon as it does, `assets.engine.reports` needs no private function."""
    with pytest.raises(TypeError, match="data_version"):
        dg.AssetMaterialization("a", data_version=dg.DataVersion("1"))  # type: ignore[call-arg]
