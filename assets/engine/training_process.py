"""`python -m assets.engine.training_process ARGUMENTS…`: runs a training and reports its events to Dagster.

`ml` does not know Dagster, so this relay stands between them. It starts `ml.experiments` (by torchrun for several
GPUs, or through the fork server where one is running) and passes on every JSON line that comes back.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

from dagster_pipes import open_dagster_pipes

PROCESSES = "EUFCC_TRAINING_PROCESSES"  # GPUs of this machine to train on; 1 when not set
WARM = "EUFCC_WARM_TRAINER"  # the socket of a fork server (ml/experiments/fork_server.py); none when not set


def command(arguments: list[str], processes: int) -> list[str]:
    """How the trainer is started."""
    if processes > 1:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        return [*torchrun, "-m", "ml.experiments", *arguments]
    return [sys.executable, "-m", "ml.experiments", *arguments]


def cold(arguments: list[str], processes: int) -> Iterator[str]:
    """Start the trainer; its lines, and last how it ended."""
    with subprocess.Popen(command(arguments, processes), stdout=subprocess.PIPE, text=True) as trainer:  # noqa: S603
        yield from trainer.stdout or ()
    yield json.dumps({"event": "exit", "code": trainer.returncode})


def warm(arguments: list[str], connection: socket.socket) -> Iterator[str]:
    """The same from the trainer that is waiting."""
    connection.sendall(json.dumps(arguments).encode() + b"\n")
    with connection.makefile("r", encoding="utf-8") as lines:
        yield from lines


def lines_of(arguments: list[str]) -> Iterator[str]:
    """From the warm trainer where there is one that answers and one process is enough; else from a new one."""
    processes, waiting = int(os.environ.get(PROCESSES, "1")), os.environ.get(WARM)
    with socket.socket(socket.AF_UNIX) as connection:
        if waiting and processes == 1 and connection.connect_ex(waiting) == 0:
            yield from warm(arguments, connection)
            return
    yield from cold(arguments, processes)


def main() -> None:
    """Run the trainer to its end; how it ended is the last message."""
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
            ended = f"The training process ended with code {code}; its own words are in the log."
            pipes.report_custom_message({"event": "error", "message": ended})


if __name__ == "__main__":
    main()
