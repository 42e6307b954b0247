"""Whole files and folders: on disk before they take their place; who may read them is what the umask says."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from assets.engine.project import ROOT
from pipeline import files

WRITERS = """
import os, sys
from pathlib import Path
import polars as pl
import pyarrow as pa
from pipeline.files import whole_file, whole_folder, write_json, write_text
from pipeline.images.ledger import Ledger
from pipeline.parquet import write_parquet
from pipeline.rate_limit import Budget, SystemClock
from pipeline.sandbox.render import render_museum

def write(folder: Path) -> None:
    write_text("x", folder / "text.txt")
    write_json({}, folder / "more" / "x.json")
    write_parquet(pa.table({"a": [1]}), folder / "x.parquet", row_group_size=1)
    with whole_file(folder / "by_name.csv") as temporary:
        pl.DataFrame({"a": [1]}).write_csv(temporary)
    with whole_folder(folder / "whole") as new:
        (new / "inner").mkdir()
        (new / "inner" / "x.txt").write_text("x")
    ledger = Ledger(folder / "cache" / "images.sqlite", {})
    Budget("server", 1e9, SystemClock(), folder / "budgets").take()
    if folder.name == "077":  # drawing takes seconds
        render_museum(folder / "museum", images=60)
    for path in sorted(folder.rglob("*")):
        print(path.relative_to(folder.parent), path.is_dir(), oct(path.stat().st_mode & 0o777)[2:])
    ledger.close()

for umask in sys.argv[2:]:
    os.umask(int(umask, 8))
    write(Path(sys.argv[1]) / umask)
"""


def test_the_umask_is_honoured_for_every_file_that_is_written(tmp_path: Path):
    command = [sys.executable, "-c", WRITERS, str(tmp_path), "077", "027", "022"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.rsplit(" ", 2) for line in done.stdout.splitlines()]
    for file in ("027/text.txt", "022/x.parquet", "077/whole/inner/x.txt", "077/cache/images.sqlite"):
        assert file in [name for name, _, _ in lines]
    assert "077/museum/records.jsonl" in [name for name, _, _ in lines]
    for name, is_folder, mode in lines:
        umask, _, file = name.partition("/")
        most = (0o777 if is_folder == "True" else 0o666) & ~int(umask, 8)
        if file.startswith("cache/"):
            most &= 0o644  # SQLite's own
        if file.startswith("budgets/"):
            most &= 0o600  # for its owner alone
        assert oct(int(mode, 8)) == oct(most), name


def test_a_file_that_takes_anothers_place_has_no_more_readers_than_the_umask_allows(tmp_path: Path):
    old = tmp_path / "x.txt"
    old.write_text("old")
    old.chmod(0o644)
    code = "import os, sys; from pathlib import Path; from pipeline.files import write_text; os.umask(0o077)"
    command = [sys.executable, "-c", f"{code}; write_text('new', Path(sys.argv[1]))", str(old)]
    subprocess.run(command, cwd=ROOT, check=True)
    assert (old.read_text(), stat.S_IMODE(old.stat().st_mode)) == ("new", 0o600)


@pytest.mark.parametrize("count", [3, 4])
def test_a_folder_of_many_files_is_synced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int):
    told: list[str] = []
    monkeypatch.setattr(files, "SYNCED_EACH", 3)
    monkeypatch.setattr(files, "sync", lambda path: told.append(path.name))
    monkeypatch.setattr(os, "sync", lambda: told.append("everything"))
    with files.whole_folder(tmp_path / "whole") as new:
        for number in range(count):
            (new / f"{number}").touch()
    assert told == [*(["0", "1", "2"] if count == 3 else ["everything"]), tmp_path.name]
