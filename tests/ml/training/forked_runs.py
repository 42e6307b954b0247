"""Runs `ml.experiments` several times from one start of Python: importing torch and timm costs more than these runs.

`python forked_runs.py FOLDER JSON`: a list of runs, each `{"arguments": […], "ranks": 1, "kill_after": null}`.
Each rank is a fork with torchrun's environment; its stdout goes to FOLDER/<run>.<rank>. `kill_after` n sends SIGKILL
once n lines are written. A run that fails ends the program with 1.
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any


def main(folder: Path, runs: list[dict[str, Any]]) -> int:
    """Make the runs one after the other."""
    import ml.experiments.run
    import ml.models.clip

    for number, run in enumerate(runs):
        ranks, port = run.get("ranks", 1), free_port()
        children = [
            start(run["arguments"], folder / f"{number}.{rank}", rank, ranks, port, ml.experiments.run)
            for rank in range(ranks)
        ]
        if run.get("kill_after") is not None:
            wait_for_lines(folder / f"{number}.0", run["kill_after"])
            os.kill(children[0], signal.SIGKILL)
            os.waitpid(children[0], 0)
            continue
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        if any(codes):
            return 1
    return 0


def start(arguments: list[str], out: Path, rank: int, ranks: int, port: int, command: Any) -> int:
    """Fork one rank; returns its process id."""
    child = os.fork()
    if child:
        return child
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT), 1)
    code = command.main(arguments)
    sys.stdout.flush()
    os._exit(code)


def wait_for_lines(file: Path, n: int) -> None:
    """Until the file has n lines, and a moment longer."""
    while not file.exists() or file.read_text().count("\n") < n:
        time.sleep(0.01)
    time.sleep(0.1)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
