"""`eufcc import-published`, and that its folder is scored as the CSV files are."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from assets.cli.commands import app
from ml.dataset.ground_truth import load_truth
from ml.dataset.open import load_dataset
from pipeline.published.format import PublishedError
from tests.support.published import write_rows


def test_the_folder_has_the_same_truth_as_the_files(tmp_path: Path):
    files, out = tmp_path / "files", tmp_path / "out"
    write_rows(files, {"train": 200, "inner_test": 40})
    (files / "extra.csv").write_text("a,b\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["import-published", str(files), str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Missing: val.csv, test_ood.csv" in done.stderr
    assert "extra.csv" in done.stderr
    assert "inner_test" in done.stdout
    ours, theirs = load_dataset(out), load_dataset(files)
    assert {facet: len(tags) for facet, tags in ours.facets.items()} == {
        facet: len(tags) for facet, tags in theirs.facets.items()
    }
    imported, read = load_truth(ours, "inner_test"), load_truth(theirs, "inner_test")
    assert imported.record_ids == read.record_ids
    for facet, relevance in read.relevance.items():
        assert imported.relevance[facet].starts.tolist() == relevance.starts.tolist()
        assert imported.relevance[facet].unseen.tolist() == relevance.unseen.tolist()


def test_another_format_is_one_sentence(tmp_path: Path):
    (tmp_path / "train.csv").write_text("id,tags\n1,a\n", encoding="utf-8")
    with pytest.raises(PublishedError, match=r"train\.csv: line 1 lacks idInSource.*\.$"):
        CliRunner().invoke(app, ["import-published", str(tmp_path), str(tmp_path / "out")], catch_exceptions=False)
