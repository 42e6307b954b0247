"""Rows that cannot have learned anything get no verdict in the demo, with its own settings."""

from pathlib import Path

import polars as pl
import pytest

from ml.evaluation.controls import TRAINED, control_rows
from pipeline.settings import EvaluationSettings
from tests.operations.services import storage_below


@pytest.mark.long
def test_twenty_seeds_of_controls_get_at_most_one_verdict(local_home: Path):
    storage = storage_below(local_home)
    rows = control_rows(storage / "dataset", storage / "features", EvaluationSettings(), seeds=20)
    assert rows.filter(control=TRAINED, verdict="better").height > 0
    controls = rows.filter(pl.col("control") != TRAINED)
    assert controls.filter(tells="tells").height > 100
    assert controls.filter(verdict="better").height <= 1
