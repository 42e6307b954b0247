"""The one assembly: assets of every stage, their checks, jobs, schedules and the project resource."""

import dagster as dg

from assets import curation, evaluation, features, harvest, images, release, splits, training, vocabulary
from assets.automation import JOBS, weekly_refresh
from assets.checks import CHECKS
from assets.resources import ProjectResource

STAGES = (harvest, vocabulary, curation, images, features, splits, training, evaluation, release)

defs = dg.Definitions(
    assets=[*dg.load_assets_from_modules([m for m in STAGES if m is not training]), *training.TRAINING],
    asset_checks=CHECKS,
    jobs=JOBS,
    schedules=[weekly_refresh()],
    resources={"project": ProjectResource()},
    executor=dg.in_process_executor,
)
