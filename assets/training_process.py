"""`python -m assets.training_process ARGUMENTS…`: the trainer as a process, its events handed to Dagster as they come.

`ml` knows nothing of Dagster, so this little relay stands between them: it starts `ml.run`, by torchrun where several
GPUs are asked for, and passes on every JSON line that it prints.
"""

import json
import os
import subprocess
import sys

from dagster_pipes import open_dagster_pipes

PROCESSES = "EUFCC_TRAINING_PROCESSES"  # GPUs of this machine to train on; 1 when not set


def command(arguments: list[str], processes: int) -> list[str]:
    """How the trainer is started."""
    if processes > 1:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        return [*torchrun, "-m", "ml.run", *arguments]
    return [sys.executable, "-m", "ml.run", *arguments]


def main() -> None:
    """Run the trainer to its end; how it ended is the last message."""
    with open_dagster_pipes() as pipes:
        trainer = subprocess.Popen(  # noqa: S603
            command(sys.argv[1:], int(os.environ.get(PROCESSES, "1"))), stdout=subprocess.PIPE, text=True
        )
        for line in trainer.stdout or ():
            try:
                event = json.loads(line)
            except ValueError:
                print(line, end="")
                continue
            pipes.report_custom_message(event)
            pipes.log.info(line.strip())
        if trainer.wait() != 0:
            ended = f"The training process ended with code {trainer.returncode}; its own words are in the log."
            pipes.report_custom_message({"event": "error", "message": ended})


if __name__ == "__main__":
    main()
