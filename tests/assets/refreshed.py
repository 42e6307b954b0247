"""Run as a process: the harvest of a refresh and the jobs after it; prints what each asset worked on, as JSON.

`python refreshed.py MODE [JOB …]`: without jobs, the dataset.
"""

import json
import sys

import dagster as dg

from assets.automation import TAGS
from assets.definitions import defs
from assets.engine.console import QUIET

with dg.DagsterInstance.get() as instance:
    told = {}
    for job in ("harvest", *(sys.argv[2:] or ["dataset"])):
        config = {"ops": {"pages": {"config": {"mode": sys.argv[1]}}}} if job == "harvest" else {}
        result = defs.resolve_job_def(job).execute_in_process(
            instance=instance, run_config=config | QUIET, tags=TAGS.get(job, {}), raise_on_error=False
        )
        if not result.success:
            sys.exit(f"{job} failed")
        for event in result.get_asset_materialization_events():
            figures = {name: value.value for name, value in event.materialization.metadata.items()}
            told[event.asset_key.to_user_string()] = {
                name: figures.get(name) for name in ("rows", "recomputed", "reused", "records", "requests")
            }
print(json.dumps(told))
