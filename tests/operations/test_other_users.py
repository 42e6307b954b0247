"""Another user, and a disk that cannot be written: nothing is changed, and one sentence says what to do."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.engine.instance import NoHome, opened
from assets.engine.project import ROOT
from tests.operations.services import dagster_home, environment, eufcc
from tests.operations.test_trouble import disk, run, stored, tombstones

NOBODY = 65_534
# Becomes another user after the first run, which imports all that the second needs: this Python may lie in a folder
# that others cannot enter.
AS_NOBODY = f"""
import os, sys
from pathlib import Path
from assets.engine.failure_messages import machine_trouble
from assets.engine.instance import NoHome, opened
from pipeline.files import sha256_of
from tests.operations.test_trouble import run, tombstones

place = Path(sys.argv[1])
assert run(tombstones(1), place / "mine") is None
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
print(run(tombstones(2), place / "mine"))
try:
    with opened(place / "home"):
        print("opened")
except NoHome as error:
    print(error)
try:
    sha256_of(place / "secret")
except OSError as error:
    print(machine_trouble(error))
"""


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="eufcc-users-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_another_user_is_told_what_cannot_be_written_or_read(tmp_path: Path):
    if os.getuid() != 0:
        pytest.skip("becoming another user needs root")
    home = dagster_home(tmp_path / "home")
    (tmp_path / "secret").write_bytes(b"of root")
    (tmp_path / "secret").chmod(0o600)
    command = [sys.executable, "-c", AS_NOBODY, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    of_storage, of_home, of_secret = done.stdout.splitlines()
    assert of_storage.startswith(f"The storage cannot be written ({tmp_path}/mine/")
    assert "Permission denied. Correct its rights or mount" in of_storage
    assert of_home.startswith(f"DAGSTER_HOME is {home}, where this user cannot write: correct its rights or mount, or")
    assert of_secret.startswith(f"The storage cannot be read ({tmp_path}/secret): Permission denied.")
    assert stored(tmp_path / "mine") == 1


def test_a_home_on_a_disk_that_cannot_be_written(tmp_path: Path):
    with disk(tmp_path / "disk", 8):
        home = dagster_home(tmp_path / "disk" / "home")
        assert run(tombstones(10), home / "storage") is None
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        with pytest.raises(NoHome, match="where this user cannot write"), opened(home):
            pass
        assert stored(home / "storage") == 10


@pytest.mark.long
def test_commands_on_a_disk_that_cannot_be_written(local_home: Path, museum: Path, tmp_path: Path):
    """What only reads works; what writes ends with one sentence."""
    with disk(tmp_path / "disk", 200):
        home = tmp_path / "disk" / "home"
        subprocess.run(["cp", "-a", local_home, home], check=True)
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        given = environment(home, museum)
        assert eufcc(["history"], given).returncode == 0
        (dataset,) = home.glob("storage/*/dataset")
        assert eufcc(["audit", str(dataset)], given).returncode == 0
        (kept,) = home.glob("storage/*/history/*.json")
        for command in (["run", "splits"], ["run", "splits", "--as-of", kept.stem[-12:]], ["tidy"]):
            done = eufcc(command, given)
            assert done.returncode == 1, command
            assert "Traceback" not in done.stderr
            [sentence] = [line for line in done.stderr.splitlines() if line.startswith("✗")]
            assert "annot be written" in sentence or "cannot write" in sentence
