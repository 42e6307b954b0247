"""Dagster's definitions: the assets of every stage, their checks, jobs, schedules, sensors and resources."""

import dagster as dg

from assets import training
from assets.automation import JOBS, PAGES_SENSOR, SCHEDULES
from assets.checks import CHECKS
from assets.engine.executors import executor_of
from assets.resources import NO_IO, PROJECT
from assets.sensors import SENSORS
from assets.steps import STAGES

defs = dg.Definitions(
    assets=[*dg.load_assets_from_modules([m for m in STAGES if m is not training]), *training.TRAINING],
    asset_checks=CHECKS,
    jobs=JOBS,
    schedules=SCHEDULES,
    sensors=[*SENSORS, PAGES_SENSOR],
    resources={"project": PROJECT, "io_manager": NO_IO},
    executor=executor_of(),
)
