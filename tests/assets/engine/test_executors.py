"""Where steps run is configuration, and keys do not travel with them."""

from pathlib import Path

import dagster as dg
import pytest

from assets.definitions import defs
from assets.engine.executors import ExecutorError, execute, executor_of, handed_on, needs_of
from pipeline.settings import load


@pytest.mark.parametrize(
    ("name", "executor"),
    [(None, dg.in_process_executor), ("in_process", dg.in_process_executor), ("processes", dg.multiprocess_executor)],
)
def test_the_executor_is_the_one_named(name: str | None, executor: dg.ExecutorDefinition):
    assert executor_of({"EUFCC_EXECUTOR": name} if name else {}) is executor


def test_another_name_is_one_sentence():
    with pytest.raises(ExecutorError, match="EUFCC_EXECUTOR is 'dask'; it must be in_process, processes or ray"):
        executor_of({"EUFCC_EXECUTOR": "dask"})


def test_what_a_stage_needs_is_told_to_ray():
    asked = '{"training": {"gpus": 1, "cpus": 4, "memory_gb": 16}}'
    settings = load({"EUFCC__CLUSTER__STAGES": asked})
    training = {"num_cpus": 4.0, "num_gpus": 1.0, "memory": 16_000_000_000}
    assert needs_of("training", settings) == {"dagster-ray/config": training}
    assert needs_of("images", settings) == {"dagster-ray/config": {"num_cpus": 1.0, "num_gpus": 0.0}}


def test_a_step_elsewhere_is_given_settings_and_no_secrets():
    environ = {
        "EUFCC_STORAGE": "s3://museum/eufcc",
        "EUFCC_POSTGRES": "postgresql://user:password@db/eufcc",
        "EUFCC_WEBHOOK": "https://chat.example/token",
        "EUROPEANA_API_KEY": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "MUSEUM": "a/museum",
        "PATH": "/bin",
    }
    assert handed_on(environ) == ["EUFCC_STORAGE", "MUSEUM"]


def test_a_job_is_found_by_its_name_in_other_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EUFCC_EXECUTOR", "processes")
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        done = execute("tidy", defs, instance=instance, run_config={"ops": {"delete_old_runs": {"config": {}}}})
    assert done.success
