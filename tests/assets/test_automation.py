"""What starts by the clock asks for what its job understands, and is off until a person turns it on."""

import dagster as dg
import pytest

from assets.automation import CANDIDATE_CONFIG, REFRESH, RUNS, SCHEDULES, TAGS
from assets.definitions import defs


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
def test_a_schedule_asks_for_what_its_job_understands(schedule: dg.ScheduleDefinition):
    [asked] = schedule.evaluate_tick(dg.build_schedule_context()).run_requests
    dg.validate_run_config(defs.resolve_job_def(schedule.job_name), asked.run_config)
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED


def test_the_monthly_one_compares_all_ids():
    (monthly,) = [schedule for schedule in SCHEDULES if schedule.name == "monthly_comparison"]
    [asked] = monthly.evaluate_tick(dg.build_schedule_context()).run_requests
    assert asked.run_config["ops"]["make_tombstones"]["config"] == {"compare": True}
    assert asked.tags[REFRESH] == "monthly"


def test_a_release_candidate_trains_nothing_and_keeps_splits():
    job = defs.resolve_job_def("release_candidate")
    dg.validate_run_config(job, CANDIDATE_CONFIG)
    made = {key.path[0] for key in job.asset_layer.executable_asset_keys}
    splits = {"provider_distances", "splits", "split_tags", "history", "dataset", "informativeness"}
    assert made == {*splits, "release"}


def test_the_command_runs_jobs_that_exist_and_every_run_is_taken_up_where_it_died():
    for jobs in RUNS.values():
        for name in jobs:
            assert defs.resolve_job_def(name).tags["dagster/retry_strategy"] == "FROM_ASSET_FAILURE"
    assert set(TAGS) == {"harvest", "dataset"}
