"""The warm trainer: it answers request after request, says how each ended, and ends with whoever started it."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from assets.engine.training_process import WARM, lines_of, warm

ROOT = Path(__file__).parents[3]


def arguments(museum: Path, folder: Path, key: str) -> list[str]:
    places = ["--dataset", str(museum), "--models", str(folder / "models"), "--predictions", str(folder / "p")]
    overrides = ["--override", "epochs=1", "image_size=32", "cache_px=none", "batch=32"]
    return ["--baseline", key, *places, "--seed", "1", *overrides]


def ask(file: Path, asked: list[str]) -> list[dict[str, object]]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(file))
        return [json.loads(line) for line in warm(asked, connection)]


def test_it_trains_like_a_process_of_its_own_and_ends_with_its_starter(
    museum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "trainer"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(
        [sys.executable, "-m", "ml.experiments.fork_server", str(file)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with started:
        while not file.exists():
            assert started.poll() is None
            time.sleep(0.01)
        refused = ask(file, arguments(museum, tmp_path / "a", "vgg"))
        assert refused[0]["kind"] == "BaselineError"
        assert refused[-1] == {"event": "exit", "code": 1}
        trained = ask(file, arguments(museum, tmp_path / "a", "softmax"))
        assert [event["event"] for event in trained] == ["epoch", "done", "exit"]
        assert trained[-1]["code"] == 0
        assert started.stdin is not None
        started.stdin.close()
        assert started.wait(timeout=60) == 0
    assert not file.exists()

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(WARM, str(file))  # nobody answers there any more
    alone = [json.loads(line) for line in lines_of(arguments(museum, tmp_path / "b", "softmax"))]
    assert alone[-1] == {"event": "exit", "code": 0}
    assert alone[0]["loss"] == trained[0]["loss"]
    one, other = (load_file(tmp_path / side / "models" / "softmax" / "weights.safetensors") for side in "ab")
    assert all((one[name] == other[name]).all() for name in one)
