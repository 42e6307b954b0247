"""`python -m tests.ml.assistant.desk_process FOLDER [--token …]`: serves the small assistant; prints its address."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import psutil

import ml.assistant.__main__ as command
from ml.assistant.service import AssistantService
from ml.assistant.store import Store
from ml.assistant.vocabulary import Vocabulary, read_tag_list
from tests.ml.assistant.conftest import TAG_LIST, colour_models

ROOT = Path(__file__).parents[3]


@contextmanager
def desk_process(folder: Path, *arguments: str) -> Iterator[tuple[str, psutil.Process]]:
    """The assistant in a process of its own: its address and the process, so that its memory can be looked at."""
    run = [sys.executable, "-m", "tests.ml.assistant.desk_process", str(folder), *arguments]
    with (
        (folder / "stderr").open("w") as errors,
        Popen(run, stdout=PIPE, stderr=errors, text=True, cwd=ROOT) as process,
    ):
        said = next(line for line in process.stdout if "serves at" in line)
        yield said.split("serves at ")[1].split("/?")[0].split(" ")[0].rstrip("/"), psutil.Process(process.pid)
        process.terminate()


def main() -> int:
    """The command, with the small assistant of the tests."""
    folder = Path(sys.argv[1])
    order, tags = read_tag_list(TAG_LIST)
    store = Store(f"sqlite:///{folder / 'assistant.sqlite'}")
    small = AssistantService(vocabulary=Vocabulary(tags), models=colour_models(order), store=store, folder=folder)
    command.make_service = lambda options: small
    return command.main(["--storage", str(folder), "--port", "0", *sys.argv[2:]])


if __name__ == "__main__":
    sys.exit(main())
