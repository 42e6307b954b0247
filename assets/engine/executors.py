"""Where steps run: in the run's process, in processes of their own, or on a Ray cluster."""

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg

from pipeline.settings import Settings

EXECUTOR = "EUFCC_EXECUTOR"  # in_process (the default), processes or ray
RAY_JOBS = "EUFCC_RAY_JOBS"  # address of the Ray cluster's job server

# Variables passed on to steps on Ray. Not keys and passwords, because Ray's dashboard shows a job's environment: set
# them on the machines.
SECRET = ("EUFCC_POSTGRES", "EUFCC_WEBHOOK")  # both may contain a password
HANDED_ON = ("DAGSTER_HOME", "EUFCC_", "MUSEUM", "WEIGHTS", "HF_HUB_OFFLINE", "DO_NOT_TRACK")


class ExecutorError(ValueError):
    """An unknown or missing executor; the message lists the executors."""


def executor_of(environ: Mapping[str, str] = os.environ) -> dg.ExecutorDefinition:
    """The executor that EUFCC_EXECUTOR names. Raises ExecutorError."""
    name = environ.get(EXECUTOR, "in_process")
    local = {"in_process": dg.in_process_executor, "processes": dg.multiprocess_executor}
    if name in local:
        return local[name]
    if name != "ray":
        raise ExecutorError(f"{EXECUTOR} is {name!r}; it must be in_process, processes or ray.")
    try:
        from dagster_ray import ray_executor
    except ImportError:
        raise ExecutorError(f"{EXECUTOR} is ray, which is not installed: `pip install -e '.[ray]'`.") from None
    ray = {"address": environ.get(RAY_JOBS, "http://127.0.0.1:8265"), "env_vars": handed_on(environ)}
    return ray_executor.configured({"ray": ray}, name="ray_executor")


def handed_on(environ: Mapping[str, str]) -> list[str]:
    """The environment variables that are passed on to steps on Ray."""
    return sorted(name for name in environ if name.startswith(HANDED_ON) and name not in SECRET)


def execute(job: str, defs: dg.Definitions, **given: Any) -> dg.ExecuteInProcessResult | dg.JobExecutionResult:
    """Run the job with the executor of the environment, and wait for it."""
    if os.environ.get(EXECUTOR, "in_process") == "in_process":
        return defs.resolve_job_def(job).execute_in_process(**given)
    elsewhere = dg.build_reconstructable_job("assets.definitions", "job_of", (job,))  # in the processes of its steps
    return dg.execute_job(elsewhere, **given)


def needs_of(stage: str, settings: Settings) -> dict[str, Any]:
    """Tags with the resources that a step of the stage needs on Ray; other executors ignore them."""
    needs = settings.cluster.stages.get(stage, settings.cluster.others)
    asked = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "memory": int(needs.memory_gb * 1e9) or None}
    return {"dagster-ray/config": {name: value for name, value in asked.items() if value is not None}}
