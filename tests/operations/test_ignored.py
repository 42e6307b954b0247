"""What is left out of the container image and of git: keys, data, and whatever else lies in the folder."""

import re
import subprocess
from pathlib import Path

import pytest

from assets.engine.project import ROOT

SECRETS = (
    ".env", ".env.local", ".envrc", "deploy/.env", "deploy/.env.production", "assets/cli/.env", "pipeline/.env.bak",
    "dagster_home/storage/full/records.parquet", "dagster_home/.telemetry/id_user.yaml", "dagster_home/history/runs.db",
    ".venv/bin/python", "ml/__pycache__/baselines.cpython-313.pyc",
)  # fmt: skip
ONLY_OUT_OF_THE_IMAGE = (
    "dagster_home/dagster.yaml", ".git/config", "tests/conftest.py", "museum/media/1.jpg", "id_rsa", "secrets.toml",
    "shared/README.md", "a.env", "notes/.env/x",
)  # fmt: skip
NEEDED = (
    "assets/definitions.py", "deploy/dagster.yaml", "deploy/workspace.yaml", "ml/baselines.py", "pipeline/tables.toml",
    "LICENSE", "README.md", "constraints.txt", "pyproject.toml", "workspace.yaml",
)  # fmt: skip


def as_expression(pattern: str) -> re.Pattern[str]:
    """A pattern of Docker (docs.docker.com, .dockerignore files): Go's filepath.Match, and `**` for any folders."""
    out, place = "", 0
    while place < len(pattern):
        if pattern.startswith("**/", place):
            out, place = out + "(?:.*/)?", place + 3
        elif pattern.startswith("**", place):
            out, place = out + ".*", place + 2
        elif pattern[place] in "*?":
            out, place = out + ("[^/]*" if pattern[place] == "*" else "[^/]"), place + 1
        else:
            out, place = out + re.escape(pattern[place]), place + 1
    return re.compile(out)


def excluded(path: str, lines: list[str]) -> bool:
    """Whether Docker leaves the path out: the last line that matches it, or a folder above it, counts."""
    above = [path, *map(str, Path(path).parents)][:-1]
    left_out = False
    for line in lines:
        pattern = line.removeprefix("!").strip("/")
        if any(as_expression(pattern).fullmatch(each) for each in above):
            left_out = not line.startswith("!")
    return left_out


@pytest.fixture(params=[".dockerignore", "deploy/Dockerfile.dockerignore"])
def lines(request: pytest.FixtureRequest) -> list[str]:
    """The lines of an ignore file; BuildKit reads the one beside the Dockerfile, other builders the other."""
    text = (ROOT / request.param).read_text()
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_no_key_and_no_data_gets_into_the_image(lines: list[str]):
    assert [path for path in (*SECRETS, *ONLY_OUT_OF_THE_IMAGE) if not excluded(path, lines)] == []


def test_what_the_project_needs_gets_into_the_image(lines: list[str]):
    assert [path for path in NEEDED if excluded(path, lines) or not (ROOT / path).exists()] == []
    files = (file for room in ("assets", "ml", "pipeline", "deploy") for file in (ROOT / room).rglob("*.*"))
    ours = [file.relative_to(ROOT).as_posix() for file in files if file.is_file() and "__pycache__" not in file.parts]
    assert [path for path in ours if excluded(path, lines) and "/.env" not in path] == []


def test_the_patterns_are_read_as_docker_reads_them():
    rules = ["*", "!docs", "docs/*.md", "!docs/README.md", "**/secret?.txt"]
    paths = ("a", "docs/a.md", "docs/README.md", "docs/b/c.md", "docs/x/secret1.txt", "docs/secret.txt")
    left_out = {path for path in paths if excluded(path, rules)}
    assert left_out == {"a", "docs/a.md", "docs/x/secret1.txt"}


def test_git_takes_no_key_and_no_data(tmp_path: Path):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    asked = subprocess.run(
        ["git", "check-ignore", *SECRETS, *NEEDED], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert asked.stdout.splitlines() == list(SECRETS)
