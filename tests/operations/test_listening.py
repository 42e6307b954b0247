"""Nothing that the commands open listens beyond this machine."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from assets.engine.project import ROOT
from tests.operations.services import EUFCC, dagster_home, end, environment, free_port, storage_below

pytestmark = pytest.mark.long
LOOPBACK = ("127.", "::1")


def listening(command: Sequence[str], given: dict[str, str], ports: Sequence[int], seconds: float = 120) -> set[str]:
    """Every address that the command and what it starts listen on, once all the ports are open."""
    process = subprocess.Popen(command, env=given, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert process.poll() is None, f"{command} ended with {process.returncode}"
            addresses = {
                (found.laddr.ip, found.laddr.port)
                for each in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                for found in each.net_connections("inet")
                if found.status == psutil.CONN_LISTEN
            }
            if set(ports) <= {port for _, port in addresses}:
                return {ip for ip, _ in addresses}
            time.sleep(0.5)
    finally:
        end(process)
    raise TimeoutError(f"{command} did not open {ports}; it listens on {addresses}")


def test_the_museum_the_page_and_the_desk(local_home: Path, museum: Path, tmp_path: Path):
    first, second = free_port(), free_port()
    commands = [
        [sys.executable, "-m", "pipeline.sandbox", "serve", str(museum), "--port", str(first)],
        [*EUFCC, "dev", "--port", str(first), "--ui-port", str(second)],
        [*EUFCC, "assistant", "--storage", str(storage_below(local_home)), "--port", str(first)],
    ]
    ports = [[first], [first, second], [first]]
    for command, opened in zip(commands, ports, strict=True):
        addresses = listening(command, environment(dagster_home(tmp_path / "home"), museum), opened)
        assert addresses, command
        assert all(address.startswith(LOOPBACK) for address in addresses), (command, addresses)
