"""Commands open Dagster's instance one after the other, and a killed one keeps nobody waiting."""

import os
import signal
from pathlib import Path

import dagster as dg
import pytest

from assets.engine.instance import COMMAND, NoHome, opened


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\nconcurrency: {pools: {default_limit: 1}}\n")
    return tmp_path


def ends_of(children: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def test_four_commands_in_a_new_home_wait_for_each_other(home: Path):
    start, go = os.pipe()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.read(start, 1)
                with opened(home) as (instance, _):
                    code = instance.get_runs_count()  # 0
            finally:
                os._exit(code)
        children.append(child)
    os.write(go, b"!!!!")
    assert ends_of(children) == [0, 0, 0, 0]
    assert not list((home / "commands").iterdir())
    for end in (start, go):
        os.close(end)


@dg.op(pool="gpu")
def waits(context: dg.OpExecutionContext) -> None:
    """Waits to be killed, once."""
    ready = context.run.tags.get("ready")
    if ready:
        os.write(int(ready), b"!")
        signal.pause()


@dg.job
def training() -> None:
    """One step in a pool of one place."""
    waits()


def test_a_killed_command_gives_back_its_place_in_a_pool(home: Path, monkeypatch, capsys):
    """And the next one says in which step it was killed: nobody else tells of a machine without memory."""
    monkeypatch.setenv("EUFCC_LINES", "1")
    told, ready = os.pipe()
    child = os.fork()
    if child == 0:
        with opened(home) as (instance, mine):
            training.execute_in_process(instance=instance, tags=mine | {"ready": str(ready)})
        os._exit(0)
    assert os.read(told, 1) == b"!"
    with opened(home) as (instance, mine):  # while it lives, it keeps its place
        [run] = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.STARTED
        assert instance.event_log_storage.get_concurrency_run_ids() == {run.run_id}
        assert run.tags[COMMAND] != mine[COMMAND]
    os.kill(child, signal.SIGKILL)
    assert ends_of([child]) == [-signal.SIGKILL]
    with opened(home) as (instance, mine):
        assert instance.get_runs()[0].status is dg.DagsterRunStatus.CANCELED
        said = " ".join(capsys.readouterr().err.split())
        assert "The last run was killed in waits; if nobody did so, the machine was out of memory." in said
        signal.alarm(60)  # where the place is not given back, this would wait for ever
        try:
            assert training.execute_in_process(instance=instance, tags=mine).success
        finally:
            signal.alarm(0)
    for end in (told, ready):
        os.close(end)


def test_each_database_of_an_instance_has_one_engine(home: Path):
    """Dagster made one per event, and each compiled its statements anew."""
    with opened(home) as (instance, _):
        storages = (instance.run_storage.connect, instance.event_log_storage.index_connection)
        engines = []
        for connect in storages * 2:
            with connect() as connection:
                engines.append(connection.engine)
    assert engines[:2] == engines[2:]
    assert len({str(engine.url) for engine in engines}) == 2


def test_runs_of_other_machines_and_of_the_daemon_are_left_alone(home: Path):
    with opened(home) as (instance, _):
        for tags in ({}, {COMMAND: "another:/home/commands/17-ab"}):
            instance.create_run_for_job(training, tags=tags, status=dg.DagsterRunStatus.STARTED)
    with opened(home) as (instance, _):
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.STARTED}


def test_a_home_that_is_not_there(tmp_path: Path):
    with pytest.raises(NoHome, match="nowhere, and there is no such folder"), opened(tmp_path / "nowhere"):
        pass
