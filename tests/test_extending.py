"""The new kind of row of docs/extending.md: its steps are carried out on a copy of the tree, and the row is scored."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ml.evaluation.evaluate import evaluate
from pipeline.settings import EvaluationSettings
from tests.ml.museum import write_museum
from tests.support.references import reference_rows

ROOT = Path(__file__).parents[1]
STEP = re.compile(
    r"```python\n# (?P<file>\S+), (?P<where>before|last in) (?P<what>[^\n]*)\n(?P<code>.*?)```", re.DOTALL
)

PROGRAM = """
import sys
from pathlib import Path

import torch
from PIL import Image

from ml.experiments.run import main
from ml.registry.score import Scorer

torch.set_num_threads(1)
dataset, models, predictions = map(Path, sys.argv[1:])
arguments = ["--dataset", str(dataset), "--models", str(models), "--predictions", str(predictions)]
assert main(["--baseline", "centroids", *arguments]) == 0
scores = Scorer("centroids", models, dataset).scores(Image.new("RGB", (90, 80), (230, 190, 40)))
print({facet: len(values) for facet, values in scores.items()})
"""


def carry_out(step: re.Match[str], tree: Path) -> str:
    """Put the code of a step where the page says; returns the file it goes into."""
    file = tree / step["file"]
    text = file.read_text(encoding="utf-8")
    start = text.index(f"\n{step['what']}") + 1
    if step["where"] == "last in":
        start = re.compile(r"^[)}]", re.MULTILINE).search(text, start).start()
    file.write_text(text[:start] + step["code"] + ("" if step["where"] == "last in" else "\n\n") + text[start:])
    return step["file"]


def test_the_new_kind_of_row_on_the_page_is_made_scored_and_loaded_again(tmp_path: Path):
    for package in ("ml", "pipeline"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    steps = list(STEP.finditer((ROOT / "docs" / "extending.md").read_text(encoding="utf-8")))
    assert {carry_out(step, tmp_path) for step in steps} == {"ml/baselines.py", "ml/experiments/make.py"}

    museum = write_museum(tmp_path / "dataset")
    places = [str(museum), str(tmp_path / "models"), str(tmp_path / "predictions")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *places],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "{'object_types': 6, 'materials': 4, 'classifications': 2, 'subjects': 2}"

    settings = EvaluationSettings(resamples=200)
    rows = evaluate(tmp_path / "predictions" / "centroids", museum, settings=settings)
    rows += reference_rows(museum, ("inner_test",), settings)
    wanted = {"split": "inner_test", "facet": "mean", "metric": "r_precision", "policy": "ignore_unseen"}
    values = {row["baseline"]: row["value"] for row in rows if row.items() >= wanted.items()}
    assert values["label_prior"] < values["centroids"] < values["oracle"], values
