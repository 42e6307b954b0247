"""What `make audit` looks at: it names what is wrong, and says what it could not look up."""

import io
import pickle
import zipfile
from pathlib import Path

import pytest

from assets.cli.supply_chain import is_pickle, judged, licences, pickles_below, versions


def test_a_known_vulnerability_is_named():
    passes, sentence = judged(
        [{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1"}]}, {"name": "b", "version": "2", "vulns": []}]
    )
    assert not passes
    assert sentence == "a 1: PYSEC-1"


def test_what_was_not_looked_up_is_said():
    passes, sentence = judged([{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}])
    assert passes
    assert "1 of 2 packages were looked up" in sentence


def test_another_version_than_the_locks_is_named(tmp_path: Path):
    lock = tmp_path / "constraints.txt"
    lock.write_text("pytest==0.0.1\n")
    passes, sentence = versions(lock)
    assert not passes
    assert f"pytest=={pytest.__version__} is not in constraints.txt" in sentence


def test_every_installed_package_has_a_licence_that_goes_with_ours():
    passes, sentence = licences()
    assert passes, sentence


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "GNU Affero General Public License v3", "Proprietary", ""])
def test_strong_copyleft_and_closed_licences_are_refused(licence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package with the licence is put beside the installed ones."""
    (tmp_path / "added-1.0.dist-info").mkdir()
    about = f"Metadata-Version: 2.4\nName: added\nVersion: 1.0\nLicense: {licence}\n"
    (tmp_path / "added-1.0.dist-info" / "METADATA").write_text(about)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    passes, sentence = licences()
    assert not passes
    assert sentence == f"license {licence or 'UNKNOWN'} not in allow-only licenses was found for package added:1.0"


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_in_the_storage_is_found_whatever_its_name(protocol: int, tmp_path: Path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "model.bin").write_bytes(pickle.dumps({"a": 1}, protocol=protocol))
    assert pickles_below(tmp_path) == (False, "tables/model.bin")


def test_a_pickle_in_a_zip_is_found_and_other_files_are_not(tmp_path: Path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    (tmp_path / "weights.pt").write_bytes(packed.getvalue())
    assert is_pickle(tmp_path / "weights.pt")
    for content in (b"", b"\x80", b"PAR1 data PAR1", b"\x80\x04 and so on"):
        (tmp_path / "other").write_bytes(content)
        assert not is_pickle(tmp_path / "other")
