"""Dagster's definitions: the assets of every stage, their checks, jobs, schedules, sensors and resources."""

import dagster as dg

from assets import training
from assets.automation import JOBS, PAGES_SENSOR, SCHEDULES
from assets.checks import CHECKS
from assets.engine.executors import executor_of
from assets.harvest import PAGES_SPEC
from assets.resources import NO_IO, PROJECT
from assets.sensors import SENSORS
from assets.sources import sources_of
from assets.steps import STAGES

ASSETS = [*dg.load_assets_from_modules([m for m in STAGES if m is not training]), *training.TRAINING]
MADE = [asset for asset in ASSETS if isinstance(asset, dg.AssetsDefinition)]
KEYS = {key for asset in MADE for key in asset.keys}

defs = dg.Definitions(
    assets=[*ASSETS, *sources_of(MADE)],
    asset_checks=[check for check in CHECKS if {spec.asset_key for spec in check.check_specs} <= KEYS],
    jobs=JOBS,
    schedules=SCHEDULES if PAGES_SPEC.key in KEYS else [],  # they refresh a harvest
    sensors=[*SENSORS, PAGES_SENSOR],
    resources={"project": PROJECT, "io_manager": NO_IO},
    executor=executor_of(),
)


def job_of(name: str) -> dg.JobDefinition:
    """A job by its name, for processes that are given nothing else."""
    return defs.resolve_job_def(name)
