"""The report's table of distorted pictures: there only where they were looked at, and never for another split."""

import shutil
from pathlib import Path

import pytest

from ml.dataset.distortions import DISTORTIONS
from ml.report.robustness import TITLES, robustness_section
from ml.report.write import write_report
from tests.ml.scored import FAST

ROWS = ["softmax", "multilabel"]


@pytest.fixture
def looked_at(storage: Path, tmp_path: Path) -> Path:
    """A storage in which blurred pictures get the answers of another row."""
    shutil.copytree(storage, tmp_path / "storage", symlinks=True)
    stored = tmp_path / "storage" / "predictions"
    for name, given in (("undistorted", "softmax"), ("blur", "clip_zero_shot")):
        shutil.copytree(stored / given, tmp_path / "storage" / "distorted" / name / "softmax")
    return tmp_path / "storage"


def test_every_distortion_has_a_title():
    assert list(TITLES) == list(DISTORTIONS)


def test_without_distorted_pictures_there_is_no_table(storage: Path, report: Path):
    assert robustness_section(storage, ROWS, FAST) == (None, "")
    assert "phones and scanners" not in (report / "report.html").read_text()


def test_the_report_shows_the_rows_that_looked_at_them(looked_at: Path, tmp_path: Path):
    table = robustness_section(looked_at, ROWS, FAST).table
    assert table is not None
    assert table.columns == ["Row", "Undistorted", "Blur"]
    assert [row.name for row in table.rows] == ["Softmax"]
    assert table.rows[0].cells[1].text.startswith("−")
    write_report(looked_at, tmp_path / "report", FAST)
    assert "Pictures as phones and scanners give them" in (tmp_path / "report" / "report.html").read_text()
    assert table.caption in (tmp_path / "report" / "tables.md").read_text()


def test_predictions_for_another_split_are_a_sentence_in_place_of_a_table(looked_at: Path):
    for file in (looked_at / "distorted").rglob("materials.parquet"):
        file.write_bytes(b"of another split")
    section = robustness_section(looked_at, ROWS, FAST)
    assert section.table is None
    assert "materials.parquet" in section.missing
