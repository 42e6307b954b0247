"""What `make audit` looks at: it finds what is wrong, and says what it could not look up."""

import io
import pickle
import zipfile
from pathlib import Path

import pytest

from assets.cli import supply_chain
from assets.cli.supply_chain import GOOD, code, is_pickle, judged, licences, locked, pickles_below


def test_a_known_vulnerability_is_named():
    line = judged(
        [{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1"}]}, {"name": "b", "version": "2", "vulns": []}]
    )
    assert not line.good
    assert line.said == "a 1: PYSEC-1"


def test_what_was_not_looked_up_is_said():
    line = judged([{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}])
    assert line.good
    assert "1 of 2 packages were looked up" in line.said


def test_another_version_than_the_locks_is_named(tmp_path: Path):
    lock = tmp_path / "constraints.txt"
    lock.write_text("pytest==0.0.1\n")
    assert "in place of 0.0.1" in locked(lock).said
    assert not locked(lock).good


def test_every_installed_package_has_a_licence_that_goes_with_ours():
    assert licences().good, licences().said


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "GNU Affero General Public License v3", "Proprietary", ""])
def test_strong_copyleft_and_closed_licences_are_refused(licence: str):
    assert not GOOD.search(licence)


def test_no_module_of_ours_reads_a_pickle():
    assert code().good, code().said


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import pickle\npickle.loads(b'')\n", "calls pickle.loads"),
        ("import torch\ntorch.load('x')\n", "without weights_only"),
        ("import torch\ntorch.load('x', weights_only=True)\n", None),
    ],
)
def test_a_module_that_reads_one_is_found(
    text: str, found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "bad.py").write_text(text)
    monkeypatch.setattr(supply_chain, "ROOT", tmp_path)
    assert code().good is (found is None)
    if found is not None:
        assert found in code().said


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_in_the_storage_is_found_whatever_its_name(protocol: int, tmp_path: Path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "model.bin").write_bytes(pickle.dumps({"a": 1}, protocol=protocol))
    assert pickles_below(tmp_path).said == "tables/model.bin"


def test_a_pickle_in_a_zip_is_found_and_other_files_are_not(tmp_path: Path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    (tmp_path / "weights.pt").write_bytes(packed.getvalue())
    assert is_pickle(tmp_path / "weights.pt")
    for content in (b"", b"\x80", b"PAR1 data PAR1", b"\x80\x04 and so on"):
        (tmp_path / "other").write_bytes(content)
        assert not is_pickle(tmp_path / "other")
