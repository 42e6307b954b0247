"""The published label trees reach a curator as two lists."""

import csv
from pathlib import Path

from typer.testing import CliRunner

from assets.cli.commands import app
from pipeline.sandbox import excerpt

TREES = {
    "objectTypes.txt": "Root\n└── retrat inventat\n",
    "materials.txt": "Root\n├── bronze\n└── ELIMINAR\n",
    "classifications.txt": "Root\n",
    "subjects.txt": "Root\n└── retrat\n",
}


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_matched_and_unmatched_nodes_are_written_and_the_shares_told(tmp_path: Path):
    for name, text in TREES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "aat.nt").write_text("".join(excerpt.triples()), encoding="utf-8")
    (tmp_path / "ca.csv").write_text("aat_id,label_ca\n300010957,bronze\n300015637,retrat\n", encoding="utf-8")
    asked = ["match-trees", str(tmp_path), "--aat", str(tmp_path / "aat.nt"), "--labels", str(tmp_path / "ca.csv")]
    done = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0
    matched = {row["path"]: row["concept_id"] for row in rows(tmp_path / "out" / "matched.csv")}
    assert matched == {"bronze": "300010957", "retrat": "300015637"}
    unmatched = {row["path"]: row["reason"] for row in rows(tmp_path / "out" / "unmatched.csv")}
    assert unmatched == {
        "retrat inventat": "no candidate in its facet",
        "ELIMINAR": "debris of the published tree",
    }
