"""Runs of the command `eufcc` on bad and good input, made once for all tests that look at them; and a small world."""

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.files import sha256_of
from tests.support.museum_server import running

if TYPE_CHECKING:
    from tests.assets.world import World

ROOT = Path(__file__).parents[2]
KEY = "cAnary/kEy+42="  # every spelling of it differs: raw, in URLs, in base64
WRONG_KEY = "cAnary/kEy+43="
AAT = "http://vocab.getty.edu/aat/"
CLOSED = "http://127.0.0.1:9"  # the discard port: nobody listens there
# Dagster keeps in its database what any library logs, down to each header that arrives.
EVERY_LOG = """
python_logs:
  managed_python_loggers: [root]
  python_log_level: DEBUG
"""


class Runs:
    """The finished runs of the command, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def said(self, name: str) -> str:
        """The one sentence of a run that failed."""
        text = (self.folder / f"{name}.err").read_text(encoding="utf-8")
        assert int((self.folder / f"{name}.code").read_text()) == 1, text
        assert "Traceback" not in text
        assert "Warning" not in text
        (sentence,) = [line.removeprefix("✗ ") for line in text.splitlines() if line.startswith("✗")]
        return sentence

    def tables(self, name: str) -> dict[str, str]:
        """The hashes of a run's tables."""
        found = sorted((self.folder / name / "storage").glob("*/*.parquet"))
        return {file.stem: sha256_of(file) for file in found}

    def leftovers(self, name: str) -> list[Path]:
        """What is half written below a run's home."""
        return [file for file in (self.folder / name).rglob("*") if file.name.endswith((".part", ".tmp"))]


@pytest.fixture(scope="session")
def museum(drawn_museum) -> Path:
    """A small drawn museum."""
    return drawn_museum(40)


@pytest.fixture(scope="session")
def address(museum: Path) -> Iterator[str]:
    """Where it answers, to the right key alone."""
    with running(museum, api_key=KEY) as url:
        yield url


@contextmanager
def forking(folder: Path) -> Iterator[Callable[..., None]]:
    """make(run, run): makes these runs side by side (`forked_commands.py`), all of them from one start of Python."""
    program = [sys.executable, str(Path(__file__).with_name("forked_commands.py")), str(folder)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("EUFCC", "MUSEUM", "EUROPEANA"))}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    errors = folder / "forked_commands.err"
    with (
        errors.open("w") as said,
        subprocess.Popen(program, cwd=ROOT, env=environment, stderr=said, **pipes) as process,
    ):

        def make(*runs: dict[str, Any]) -> None:
            process.stdin.write(f"{json.dumps(runs)}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "made\n", errors.read_text(encoding="utf-8")

        yield make


def full(hosts: dict[str, str], key: str | None = KEY, **changed: Any) -> dict[str, str]:
    """The environment of a run against Europeana, which is reached at these hosts; attempts are few and quick."""
    quick = {"HTTP__HOSTS": hosts, "HTTP__ATTEMPTS": 2, "HTTP__BACKOFF_FIRST_S": 0.01, "HTTP__STEP_RETRIES": 0}
    kept = {"HARVEST__COLLECTIONS": ["*"], "CURATION__MIN_IMAGES_PER_TAG": 1, "HTTP__REQUESTS_PER_SECOND": 1000}
    values = {f"EUFCC__{name}": json.dumps(value) for name, value in {**quick, **kept, **changed}.items()}
    return {"EUFCC_PROFILE": "full", "EUROPEANA_API_KEY": key or "", "COLUMNS": "300", **values}


def bent(museum: Path, folder: Path, name: str, bend: Any) -> Path:
    """A copy of the museum whose records are bent, without its images."""
    copy = folder / name
    shutil.copytree(museum, copy, ignore=shutil.ignore_patterns("*.jpg"))
    (copy / "media.csv").write_text("url,file\n", encoding="utf-8")
    lines = (copy / "records.jsonl").read_text(encoding="utf-8").splitlines()
    (copy / "records.jsonl").write_text("".join(f"{line}\n" for line in bend(lines)), encoding="utf-8")
    return copy


def broken_third_line(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[2][:40], *lines[3:]]


def nothing_open(lines: list[str]) -> list[str]:
    closed = {"rights": ["http://rightsstatements.org/vocab/InC/1.0/"]}
    return [json.dumps(json.loads(line) | closed) for line in lines]


def cyclic_dump(museum: Path, file: Path) -> Path:
    """The museum's thesaurus with the Objects facet placed below a concept that stands under it."""
    text = gzip.decompress((museum / "aat_excerpt.nt.gz").read_bytes()).decode()
    preferred = "<http://vocab.getty.edu/ontology#broaderPreferred>"
    child = next(line.split()[0] for line in text.splitlines() if line.split()[1:3] == [preferred, f"<{AAT}300264092>"])
    file.write_text(f"{text}<{AAT}300264092> {preferred} {child} .\n", encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def runs(museum: Path, address: str, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """All runs, made from one start of Python."""
    folder = tmp_path_factory.mktemp("runs")
    here = {"https://api.europeana.eu": address, "https://vocab.getty.edu": address}
    rules = folder / "rules.toml"
    rules.write_text('[roots]\nobject_types = "300264092"\n\n[[cut]]\nid = "12"\n', encoding="utf-8")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        def demo(name: str, folder: Path, *options: str) -> dict[str, Any]:
            return {"name": name, "arguments": ["demo", *options], "environment": {"MUSEUM": str(folder)}}

        def run(name: str, job: str, environment: dict[str, str], **like: str) -> dict[str, Any]:
            made = {"name": name, "arguments": ["run", job], "environment": environment}
            return {**made, "configuration": EVERY_LOG, **like}

        no_sparql = {**here, "https://vocab.getty.edu": CLOSED}
        capped = {"HARVEST__MAX_RECORDS_PER_COLLECTION": 20}
        cyclic = {"VOCABULARY__DUMPS": [str(cyclic_dump(museum, folder / "cyclic.nt"))]}
        steps = [
            [
                demo("no_museum", folder / "nowhere"),
                demo("broken_line", bent(museum, folder, "broken", broken_third_line)),
                demo("port", museum, "--port", port),
                demo("nothing_open", bent(museum, folder, "closed", nothing_open)),
            ],
            [
                run("no_key", "harvest", full({}, key=None)),
                run("wrong_key", "harvest", full(here, key=WRONG_KEY)),
                run("no_network", "harvest", full({"*": CLOSED})),
                run("keyword", "harvest", full(here, HARVEST__COLLECTIONS=["furnituer"])),
                run("no_sparql", "dataset", full(no_sparql)),
                run("good", "dataset", full(here)),
            ],
            [
                run("key_later", "harvest", full(here, key=WRONG_KEY, **capped), like="good"),
                run("rules", "dataset", full(here, VOCABULARY__RULES_FILE=str(rules)), like="good"),
                run("cyclic", "dataset", full(here, **cyclic), like="good"),
            ],
        ]
        with forking(folder) as make:
            for step in steps:
                make(*step)
    return Runs(folder)


@pytest.fixture
def world(
    drawn_museum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator["World"]:
    """A museum, and all that its steps depend on; what a test changed in the code is forgotten after it."""
    from tests.assets import world as support  # imports all assets, which other tests do without

    monkeypatch.delenv("ASSISTANT_DATABASE", raising=False)
    museum = drawn_museum(60)
    with running(museum) as address:
        left_out = support.LEFT_OUT if request.node.get_closest_marker("long") else support.LEFT_OUT | support.SLOW
        made = support.World(tmp_path, museum, address, monkeypatch, left_out)
        yield made
    support.read_code_again(made)
