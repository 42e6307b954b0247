"""What the long tests of operations start on loopback, each in processes of its own, ended by their ids."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from assets.engine.project import ROOT

EUFCC = (sys.executable, "-m", "assets.cli")
ROWS = '["multilabel"]'  # one trained row: enough to see that training ends the same; the soak takes all
# Everything that is published or decides what is; `fetches` holds times, models and report say how long they took.
FINAL = (
    "records", "concepts", "selected_records", "images", "features", "groups", "tags", "record_tags",
    "provider_distances", "splits", "dataset", "predictions", "results", "release",
)  # fmt: skip


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def dagster_home(folder: Path, configuration: Path = ROOT / "dagster_home" / "dagster.yaml") -> Path:
    """A home of Dagster with that configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(configuration, folder / "dagster.yaml")
    return folder


def without_ours() -> dict[str, str]:
    """This process's environment without what sets a profile, a museum or weights."""
    ours = ("EUFCC", "MUSEUM", "WEIGHTS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def environment(home: Path, museum: Path, **more: str) -> dict[str, str]:
    """The variables of a small demo: one trained row, two slices of images, no bytecode that others do not have."""
    return os.environ | {
        "DAGSTER_HOME": str(home),
        "MUSEUM": str(museum),
        "EUFCC_PROFILE": "demo",
        "EUFCC__BENCHMARK__ROWS": ROWS,
        "EUFCC__IMAGES__SLICES": "2",
        "EUFCC__EVALUATION__RESAMPLES": "200",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "150",
        **more,
    }


def eufcc(command: Sequence[str], given: dict[str, str], seconds: float = 900) -> subprocess.CompletedProcess[str]:
    """The command line, to its end."""
    return subprocess.run(
        [*EUFCC, *command], env=given, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )


def final_hashes(storage: Path) -> dict[str, str]:
    """The sha256 of every final table and folder; a sliced one by its slices."""
    notes = {
        note.relative_to(storage / ".made").with_suffix("").as_posix(): json.loads(note.read_text())["sha256"]
        for note in sorted((storage / ".made").rglob("*.json"))
    }
    return {name: digest for name, digest in notes.items() if name in FINAL or name.partition("/")[0] in FINAL}


def storage_below(home: Path) -> Path:
    """The one storage folder of a home."""
    (storage,) = (home / "storage").glob("demo-*")
    return storage


def wait_until_it_answers(address: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Until a server answers with anything at all."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server at {address} ended with code {process.returncode}")
        try:
            httpx.get(address, timeout=5)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError(f"{address} did not answer within {seconds:.0f} s")


def end(process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    """End a process that was started here, and all it has started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in family:
        if child.is_running():
            child.kill()


@contextmanager
def served_museum(museum: Path, port: int, image_latency_s: float = 0.0) -> Iterator[subprocess.Popen[bytes]]:
    """The museum folder, served on that port; every image takes so long at least."""
    process = start_museum(museum, port, image_latency_s)
    try:
        yield process
    finally:
        end(process)


def start_museum(museum: Path, port: int, image_latency_s: float = 0.0) -> subprocess.Popen[bytes]:
    """A server of the museum folder that answers."""
    command = [sys.executable, "-m", "pipeline.sandbox", "serve", str(museum), "--port", str(port)]
    if image_latency_s:
        command = [sys.executable, "-m", "tests.support", str(museum), "--port", str(port)]
        command += ["--image-latency", str(image_latency_s)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until_it_answers(f"http://127.0.0.1:{port}/health", process)
    return process


@contextmanager
def object_store() -> Iterator[str]:
    """moto's S3-compatible server; yields its address."""
    address = f"127.0.0.1:{free_port()}"
    host, _, port = address.partition(":")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", host, "-p", port],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_it_answers(f"http://{address}/", process)
        yield address
    finally:
        end(process)


class Postgres:
    """A PostgreSQL server of its own, of the system's user `postgres`, on loopback; it can be killed and comes back."""

    def __init__(self) -> None:
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert binaries, "PostgreSQL is not installed: apt-get install postgresql"
        self.binaries, self.port = binaries[-1], free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="eufcc-postgres-"))
        shutil.chown(self.folder, "postgres")
        self._as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        command = [*self._as_postgres, self.binaries / "initdb", "-D", self.folder / "data", "-A", "trust"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)
        self.start()

    @property
    def url(self) -> str:
        """Where it is found."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def for_dagster(self) -> str:
        """The same for Dagster, with the driver that it knows (see deploy/dagster.yaml)."""
        return self.url.replace("postgresql:", "postgresql+psycopg2:")

    def start(self, seconds: float = 60) -> None:
        """Start it, and wait for it; after a kill the old one's children must have gone first."""
        command = [*self._as_postgres, self.binaries / "postgres", "-D", self.folder / "data"]
        command += ["-h", "127.0.0.1", "-p", str(self.port), "-k", self.folder, "-c", "max_connections=200"]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder
            )
            while self.process.poll() is None and time.monotonic() < deadline:
                ready = [self.binaries / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port)]
                if subprocess.run(ready, capture_output=True).returncode == 0:
                    return
                time.sleep(0.1)
            time.sleep(0.3)
        raise TimeoutError("PostgreSQL did not start")

    def kill(self) -> None:
        """kill -9 of the server; its children see it and end."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it and remove its data."""
        self.process.send_signal(signal.SIGINT)  # without waiting for clients
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def ray_cluster(nodes: int, cpus: int = 1) -> Iterator[dict[str, str]]:
    """A Ray cluster of that many nodes on loopback; yields the variables that a run needs to use it.

    Ray replaces 127.0.0.1 by an address of the network card; loopback's other addresses it leaves alone.
    """
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    patient = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1", "RAY_raylet_start_wait_time_s": "240"}
    binaries = Path(sys.executable).parent  # a job calls `dagster`: nodes are started from the activated environment
    given = os.environ | quiet | patient | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    ray, port, jobs = binaries / "ray", free_port(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="eufcc-ray-"))
    common = ["--block", "--disable-usage-stats", f"--num-cpus={cpus}", "--object-store-memory=100000000"]
    head = ["--head", "--node-ip-address=127.0.0.2", f"--port={port}", "--dashboard-host=127.0.0.1"]
    head += [f"--dashboard-port={jobs}", f"--temp-dir={folder}"]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(nodes):
            more = [f"--address=127.0.0.2:{port}", f"--node-ip-address=127.0.0.{number + 2}"] if number else head
            processes.append(
                subprocess.Popen(
                    [ray, "start", *more, *common], env=given, cwd=ROOT,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )
            )  # fmt: skip
            if not number:
                wait_until_it_answers(f"http://127.0.0.1:{jobs}/api/version", processes[0], 300)
        _wait_for_nodes(jobs, nodes)
        yield quiet | {"EUFCC_EXECUTOR": "ray", "EUFCC_RAY_JOBS": f"http://127.0.0.1:{jobs}"}
    finally:
        for process in reversed(processes):
            end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_nodes(port: int, nodes: int, seconds: float = 300) -> None:
    """Until that many nodes are alive."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = httpx.get(f"http://127.0.0.1:{port}/nodes?view=summary", timeout=30).json()
        states = [node["raylet"].get("state") for node in answer["data"]["summary"]]
        if states.count("ALIVE") >= nodes:
            return
        time.sleep(0.5)
    raise TimeoutError(f"Ray has not got its {nodes} nodes: {states}")
