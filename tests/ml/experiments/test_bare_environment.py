"""A GPU node needs little: the training path runs where neither dagster nor polars nor pydantic can be imported."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
NOT_THERE = ("dagster", "polars", "pydantic", "numba", "httpx", "rich", "tensorboard", "assets")

PROGRAM = f"""
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {NOT_THERE}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled())
from ml.experiments.run import main
for key in ("softmax", "multilabel", "ensemble_ml_s", "clip_1_tag"):
    code = main(["--baseline", key, *sys.argv[1:]])
    found = [name for name in (*{NOT_THERE}, "open_clip") if name in sys.modules]
    print(key, code, found)
"""


def test_the_training_path_needs_little_and_open_clip_for_clip_rows_alone(museum: Path, tmp_path: Path):
    arguments = ["--dataset", str(museum), "--models", str(tmp_path / "m"), "--predictions", str(tmp_path / "p")]
    arguments += ["--override", "epochs=1", "image_size=32", "tensorboard=true"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    said = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    assert said == [
        "softmax 0 []",
        "multilabel 0 []",
        "ensemble_ml_s 0 []",
        "clip_1_tag 0 ['open_clip']",
    ], done.stderr
