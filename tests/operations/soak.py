"""`python -m tests.operations.soak --seeds 10`: the demo under kills, again and again, and the same hashes in the end.

Dagster's daemon, PostgreSQL and the local museum run as they would in service. While the jobs go on, one of four is
killed with -9 at a random moment: the daemon, the process of the running step (or its trainer), the database, the
museum. What was killed is started again; a job whose run is lost is asked for again, as an operator would. The run
without kills, by one process and SQLite, says which hashes must come out.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import psutil
import psycopg

from assets.engine.project import ROOT
from pipeline.sandbox.render import render_museum
from tests.operations.services import (
    Postgres,
    dagster_home,
    end,
    environment,
    eufcc,
    final_hashes,
    free_port,
    start_museum,
    storage_below,
)

JOBS = {"harvest": 5.0, "dataset": 15.0, "benchmark": 60.0}  # and within how many seconds of work the next kill comes
VICTIMS = ("daemon", "worker", "database", "museum")
LOST_AFTER_S = 12.0  # a run that nobody works on for so long is asked for again
LONGEST_S = 3_600.0  # of one seed, on a machine with other work


class SoakError(RuntimeError):
    """A seed that did not come to the same end; the message says how."""


@dataclass
class Service:
    """Everything that runs in one seed."""

    home: Path
    museum: Path
    seed: int
    tags: dict[str, dict[str, str]]
    rows: str
    killed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.port = free_port()
        self.database = Postgres()
        os.environ["EUFCC_POSTGRES"] = self.database.for_dagster  # read by deploy/dagster.yaml, in this process too
        self.given = environment(
            self.home, self.museum, EUFCC__BENCHMARK__ROWS=self.rows, EUFCC_POSTGRES=self.database.for_dagster,
            MUSEUM_ADDRESS=f"http://127.0.0.1:{self.port}",
        )  # fmt: skip
        self.sandbox = start_museum(self.museum, self.port)
        self.daemon = self._start_daemon()

    def _start_daemon(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"]
        log = (self.home / "daemon.log").open("ab")
        return subprocess.Popen(command, env=self.given, cwd=ROOT, stdout=log, stderr=log)

    def processes(self, *words: str) -> list[psutil.Process]:
        """Processes of this seed, by its home; only those whose command has one of the words, if given."""
        found = []
        for process in psutil.process_iter(["pid", "cmdline", "environ"]):
            command = " ".join(process.info["cmdline"] or ())
            ours = (process.info["environ"] or {}).get("DAGSTER_HOME") == str(self.home)
            if ours and (not words or any(word in command for word in words)):
                found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        """Processes that execute a run (Dagster's server starts them by `spawn`), and the trainers they started."""
        return self.processes("spawn_main", "ml.experiments")

    def kill(self, victim: str) -> None:
        """kill -9 of one of them, and the next moment it is started again; the run's process is not."""
        if victim == "worker":
            at_work = self.workers()
            if not at_work:
                return
            self.random.choice(at_work).kill()
        elif victim == "daemon":
            self.daemon.kill()
            self.daemon.wait()
            self.daemon = self._start_daemon()
        elif victim == "database":
            self.database.kill()
            time.sleep(self.random.uniform(0, 1))
            self.database.start()
        else:
            self.sandbox.kill()
            self.sandbox.wait()
            time.sleep(self.random.uniform(0, 1))
            self.sandbox = start_museum(self.museum, self.port)
        self.killed.append(victim)

    def launch(self, job: str) -> None:
        """Give up the runs of the job that nobody works on, and put a new one into the queue, with every partition."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            going_on = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
            for run in instance.get_runs(going_on):
                instance.report_run_canceled(run, message="Nobody works on it any more.")
        command = ["-m", "dagster", "job", "launch", "-w", "workspace.yaml", "-j", job]
        done = subprocess.run(
            [sys.executable, *command, "--tags", json.dumps(self.tags.get(job, {}))], env=self.given, cwd=ROOT,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise SoakError(f"seed {self.seed}: {job} could not be asked for: {done.stderr[-2000:]}")

    def status(self) -> str:
        """What became of the last run; `NONE` while the database cannot say."""
        try:
            with psycopg.connect(self.database.url, connect_timeout=5) as database:
                row = database.execute("SELECT status FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        except psycopg.OperationalError:
            return "NONE"
        return row[0] if row else "NONE"

    def stop(self) -> None:
        """End everything, workers and the servers of killed daemons too."""
        end(self.daemon)
        end(self.sandbox)
        for process in self.processes():
            if process.is_running():
                process.kill()
        self.database.stop()


def one_seed(service: Service, expected: dict[str, str], kills: int) -> str:
    """Run the jobs with so many kills; a line of what happened. Raises SoakError when anything differs."""
    started, seed = time.monotonic(), service.seed
    victims = [*VICTIMS, *service.random.choices(VICTIMS, k=max(0, kills - len(VICTIMS)))][:kills]
    service.random.shuffle(victims)
    asked = 0
    try:
        waiting: list[str] = []
        for number, job in enumerate(JOBS):
            waiting += victims[number * kills // len(JOBS) : (number + 1) * kills // len(JOBS)]
            asked += _finish(service, job, waiting, started)
        found = final_hashes(storage_below(service.home))
    finally:
        service.stop()
    if found != expected:
        differing = sorted(name for name in found.keys() | expected if found.get(name) != expected.get(name))
        raise SoakError(f"seed {seed}: {', '.join(differing)} differ after kills of {', '.join(service.killed)}.")
    shutil.rmtree(service.home)
    return (
        f"seed {seed}: same hashes after kills of {', '.join(service.killed)}; {len(JOBS)} jobs asked for "
        f"{asked} times; {time.monotonic() - started:.0f} s"
    )


def _finish(service: Service, job: str, victims: list[str], started: float) -> int:
    """Ask for the job until a run of it ends well, killing on the way; how often it was asked for."""
    service.launch(job)
    asked, next_kill, idle_since = 1, None, None
    while time.monotonic() - started < LONGEST_S:
        status, at_work = service.status(), bool(service.workers())
        if status == "SUCCESS":  # kills that it was too quick for fall into the next job
            return asked
        if at_work and victims:
            next_kill = next_kill or time.monotonic() + service.random.uniform(0.2, JOBS[job])
            if time.monotonic() >= next_kill:
                service.kill(victims.pop())
                next_kill = None
        if at_work or status in ("NONE", "QUEUED"):
            idle_since = None
        else:
            idle_since = idle_since or time.monotonic()
            if time.monotonic() - idle_since > LOST_AFTER_S:
                service.launch(job)
                asked, idle_since = asked + 1, None
        time.sleep(0.3)
    raise SoakError(f"seed {service.seed}: {job} did not end within {LONGEST_S:.0f} s.")


def main() -> None:
    """Draw the museum, run it once undisturbed, then seed after seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds, one after the other")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--kills", type=int, default=6, help="kills in each, of each kind at least one")
    parser.add_argument("--images", type=int, default=300, help="images of the museum")
    parser.add_argument("--rows", nargs="*", default=(), help="rows that are trained; none named: the twelve")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="eufcc-soak-") as place:
        folder = Path(place)
        museum = folder / "museums" / "small"
        render_museum(museum, images=asked.images)
        home, rows = dagster_home(folder / "undisturbed"), json.dumps(asked.rows)
        given = environment(home, museum, EUFCC__BENCHMARK__ROWS=rows)
        began = time.monotonic()
        done = eufcc(["demo"], given)
        took = time.monotonic() - began
        if done.returncode != 0:
            raise SoakError(f"The run without kills failed: {done.stderr[-3000:]}")
        expected = final_hashes(storage_below(home))
        told = [sys.executable, "-c", "import json, assets.automation as a; print(json.dumps(a.TAGS))"]
        tags = json.loads(subprocess.check_output(told, env=given, cwd=ROOT, text=True))
        print(f"undisturbed: {len(expected)} hashes, release {expected['release'][:12]}; {took:.0f} s", flush=True)
        for seed in range(asked.first, asked.first + asked.seeds):
            home = dagster_home(folder / f"seed-{seed}", ROOT / "deploy" / "dagster.yaml")
            print(one_seed(Service(home, museum, seed, tags, rows), expected, asked.kills), flush=True)
    print(f"{asked.seeds} seeds in a row ended with the same hashes.")


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
