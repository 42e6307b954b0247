"""Dagster's page behind our gate, its daemon and the code that both of them ask, as three processes of one command.

`dagster dev` is superseded by `dg dev`, and both start Dagster's own page, which has no gate. So the commands behind
them are started here, as in a deployment: `dagster code-server start`, the page, `dagster-daemon run`.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

LOCATION = "assets.definitions"
CODE_S = 120.0  # for the code to be loaded
STOP_S = 45.0  # a run that is under way is told to end
POLL_S = 0.2
WORKSPACE = """load_from:
  - grpc_server:
      socket: {socket}
      location_name: {location}
"""


class DevError(RuntimeError):
    """Dagster's processes could not be started; the message says what to do."""


def serve_dagster(port: int) -> int:
    """Serve the page on loopback until interrupted, or until one of the processes ends; returns its exit code.

    Raises DevError when the definitions cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="eufcc-dev-") as place, ExitStack() as stack:
        socket, workspace = Path(place) / "code.sock", Path(place) / "workspace.yaml"
        workspace.write_text(WORKSPACE.format(socket=socket, location=LOCATION), encoding="utf-8")
        code = _started(stack, commands(socket, workspace, port)[0])
        # The terminal sends Ctrl-C to every process; SIGTERM reaches this one alone, and is handed on.
        asked: list[int] = []
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, lambda number, _: asked.append(number))
        _wait_for_code(code, socket, asked)
        running = [code, *(_started(stack, command) for command in commands(socket, workspace, port)[1:])]
        while not asked and all(process.poll() is None for process in running):
            time.sleep(POLL_S)
        ended = next((process.returncode for process in running if process.poll() is not None), 0)
        return 0 if asked else ended or 1


def commands(socket: Path, workspace: Path, port: int) -> list[list[str]]:
    """The code server, the page, the daemon."""
    dagster, daemon = (str(Path(sys.executable).with_name(name)) for name in ("dagster", "dagster-daemon"))
    page = [sys.executable, "-m", "assets.cli.webserver"]
    return [
        [dagster, "code-server", "start", "-m", LOCATION, "--socket", str(socket), "--location-name", LOCATION],
        [*page, "--workspace", str(workspace), "--host", "127.0.0.1", "--port", str(port)],
        [daemon, "run", "--workspace", str(workspace)],
    ]


def _started(stack: ExitStack, command: Sequence[str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command)  # noqa: S603
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process as Ctrl-C does; one that does not end in time is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for_code(code: subprocess.Popen[bytes], socket: Path, asked: Sequence[int]) -> None:
    """Wait until the code server answers: a page that is started before shows an error until it is reloaded."""
    health = [str(Path(sys.executable).with_name("dagster")), "api", "grpc-health-check", "--socket", str(socket)]
    until = time.monotonic() + CODE_S
    while not asked:
        if code.poll() is not None or time.monotonic() > until:
            raise DevError("The definitions could not be loaded; Dagster says why above, or `dg check defs` does.")
        if socket.exists() and subprocess.run(health, capture_output=True, check=False).returncode == 0:  # noqa: S603
            return
        time.sleep(POLL_S)
