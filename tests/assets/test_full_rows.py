"""Every row at the paper's size, through Dagster: only the data, the batch and the number of steps are cut."""

from pathlib import Path

import dagster as dg
import pytest

from assets.engine.project import Project
from assets.training import TRAINING
from ml.baselines import PAPER_ROWS, recipe
from ml.training.checkpoints import read_description
from pipeline.settings import BenchmarkSettings, full
from tests.ml.museum import write_museum

CUT = {"epochs": "1", "batch": "4", "eval_batch": "4", "repeats": "1", "workers": "0", "pretrained": "false"}
SIZES = {"train": 8, "validation": 4, "inner_test": 4, "outer_test": 4}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of dagster-pipes
def test_every_row_of_the_full_profile_takes_two_steps(tmp_path: Path):
    settings = full().model_copy(update={"benchmark": BenchmarkSettings(overrides=CUT)})
    project = Project(settings, tmp_path)
    write_museum(project.path("dataset"), SIZES, px=256)
    project.remember("dataset", "cut", {})
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(TRAINING, resources={"project": project}, instance=instance, raise_on_error=False)
    failures = [event.message for event in done.all_events if event.is_step_failure]
    assert done.success, failures
    for row in PAPER_ROWS:
        described = read_description(tmp_path / "models" / row.key)
        if row.kind == "ensemble":
            continue
        wanted = recipe(row.key, "full")
        assert described["network"]["input"]["size"] == wanted.size == 224
        assert described["recipe"]["backbone"]["name"] == "convnext_base.fb_in1k"
        assert described["cost"]["parameters_m"] == pytest.approx(149.6 if row.kind == "clip" else 87.6, abs=0.5)
        for split in ("validation", "inner_test", "outer_test"):
            assert (tmp_path / "predictions" / row.key / split / "materials.parquet").exists()
