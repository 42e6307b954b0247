"""`python -m assets.engine.training_process ARGUMENTS…`: runs a training and reports its events to Dagster.

`ml` does not depend on Dagster. This process starts `ml.experiments` (with torchrun for several GPUs, or through a
running fork server) and passes on every JSON line of its output.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

from dagster_pipes import open_dagster_pipes

PROCESSES = "EUFCC_TRAINING_PROCESSES"  # GPUs of this machine to train on; default 1
WARM = "EUFCC_WARM_TRAINER"  # the socket of a fork server (ml/experiments/fork_server.py); none when not set


def cold(arguments: list[str], processes: int) -> Iterator[str]:
    """Start a trainer; yields its lines, and a last one with its exit code."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *torchrun, "-m", "ml.experiments", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as trainer:  # noqa: S603
        yield from trainer.stdout or ()
    yield json.dumps({"event": "exit", "code": trainer.returncode})


def warm(arguments: list[str], connection: socket.socket) -> Iterator[str]:
    """Let the fork server start the trainer; yields the same lines."""
    connection.sendall(json.dumps(arguments).encode() + b"\n")
    with connection.makefile("r", encoding="utf-8") as lines:
        yield from lines


def lines_of(arguments: list[str]) -> Iterator[str]:
    """The trainer's lines; from the fork server when one answers and one process is enough."""
    processes, waiting = int(os.environ.get(PROCESSES, "1")), os.environ.get(WARM)
    with socket.socket(socket.AF_UNIX) as connection:
        if waiting and processes == 1 and connection.connect_ex(waiting) == 0:
            yield from warm(arguments, connection)
            return
    yield from cold(arguments, processes)


def main() -> None:
    """Run the trainer; reports its events, and an error when it fails."""
    code = 1
    with open_dagster_pipes() as pipes:
        for line in lines_of(sys.argv[1:]):
            try:
                event = json.loads(line)
            except ValueError:
                print(line, end="")
                continue
            if event.get("event") == "exit":
                code = event["code"]
                continue
            pipes.report_custom_message(event)
            pipes.log.info(line.strip())
        if code != 0:
            pipes.report_custom_message({"event": "error", "message": how_it_ended(code)})


def how_it_ended(code: int) -> str:
    """A sentence on the exit code of a trainer that failed; a signal's is negative."""
    if code >= 0:
        return f"The training process ended with code {code}; its output is in the log."
    why = " (if nobody did so: the machine was out of memory)" if -code == signal.SIGKILL else ""
    ended = f"The training process was ended by {signal.Signals(-code).name}{why}"
    return f"{ended}: run the same job again, it goes on at its last checkpoint."


if __name__ == "__main__":
    main()
