"""The assistant as its command serves it, and the browser that looks at it: for the benchmarks of both."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@dataclass(frozen=True)
class Served:
    """A running assistant: its address and its process."""

    address: str
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds of the assistant and its decoder processes, which hardly depend on other load."""
        family = {self.pid, *_children(self.pid)}
        ticks = [sum(map(int, _stat(pid)[11:13])) for pid in family]
        return sum(ticks) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _children(pid: int) -> list[int]:
    own = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in own for child in file.read_text().split()]


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def serving(storage: Path, *options: str, folder: Path | None = None, port: int | None = None) -> Iterator[Served]:
    """The real command, on a free port and with a temporary store unless these are given."""
    port = port or free_port()
    temporary = Path(tempfile.mkdtemp())
    command = [sys.executable, "-m", "ml.assistant", "--storage", storage, "--folder", folder or temporary]
    command += ["--port", str(port)]
    server = subprocess.Popen(
        [*map(str, command), *options], cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "2"}
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(3_000):
            try:
                httpx.get(f"{address}/api/about")
                break
            except httpx.TransportError:
                if server.poll() is not None:
                    raise RuntimeError("the assistant did not start") from None
                time.sleep(0.1)
        yield Served(address, server.pid)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(temporary)
