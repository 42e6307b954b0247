"""kill -9 in the middle of a training: one sentence, and the next run ends with the same predictions."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from assets.engine.project import ROOT
from pipeline.files import sha256_of
from tests.operations.services import environment, storage_below

pytestmark = pytest.mark.long
TRAIN = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "assets.definitions", "--select"]


def training(home: Path, museum: Path) -> subprocess.Popen[str]:
    command = [*TRAIN, "models/multilabel"]
    given = environment(home, museum)
    return subprocess.Popen(
        command, env=given, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # fmt: skip


def trainers_of(command: subprocess.Popen[str]) -> list[psutil.Process]:
    """The fork of the fork server that trains."""
    family = psutil.Process(command.pid).children(recursive=True)
    forks = [process for process in family if "ml.experiments.fork_server" in process.cmdline()]
    return [fork for fork in forks if fork.ppid() in {other.pid for other in forks}]


def test_a_killed_training_goes_on(local_home: Path, museum: Path, tmp_path: Path):
    """What becomes of a killed command is in `test_trouble.py`."""
    home = tmp_path / "home"
    subprocess.run(["cp", "-a", local_home, home], check=True)
    storage = storage_below(home)
    before = sha256_of(storage / "predictions" / "multilabel")
    for name in ("models", "predictions"):
        shutil.rmtree(storage / name)
        shutil.rmtree(storage / ".made" / name)
    command = training(home, museum)
    checkpoint = storage / "models" / "multilabel" / "checkpoint.safetensors"
    while command.poll() is None and not checkpoint.exists():
        time.sleep(0.02)
    [trainer] = trainers_of(command)
    trainer.kill()
    said, _ = command.communicate(timeout=120)
    assert command.returncode != 0
    assert "was ended by SIGKILL" in said
    assert "run the same job again, it goes on at its last checkpoint." in said
    assert not (storage / ".made" / "models" / "multilabel.json").exists()
    assert not (storage / "predictions").exists()
    again = training(home, museum)
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert sha256_of(storage / "predictions" / "multilabel") == before
    assert not checkpoint.exists()
