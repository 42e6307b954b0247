"""`eufcc fetch-aat` stores the archive with its checksum, and prints how a run uses it."""

import json
import threading
import zipfile
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

from typer.testing import CliRunner

from assets.cli.app import app
from pipeline.vocabulary.archive import ArchiveError, read_note


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_the_archive_is_stored_with_its_checksum(tmp_path: Path):
    (tmp_path / "served").mkdir()
    with zipfile.ZipFile(tmp_path / "served" / "explicit.zip", "w") as archive:
        for name in ("AATOut_1Subjects.nt", "AATOut_2Terms.nt", "AATOut_HierarchicalRels.nt"):
            archive.writestr(name, b"")
    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/explicit.zip"
        given = ["fetch-aat", "--folder", str(tmp_path / "kept"), "--address", address]
        done = CliRunner().invoke(app, given)
        told = json.loads(CliRunner().invoke(app, [*given, "--json"]).stdout)
        refused = CliRunner().invoke(app, [*given, "--sha256", "0" * 64])
        server.shutdown()
    assert done.exit_code == 0
    note = read_note(tmp_path / "kept" / "explicit.zip")
    assert note is not None
    assert isinstance(refused.exception, ArchiveError)
    assert note.address == address
    assert (told["file"], told["sha256"]) == (str(tmp_path / "kept" / "explicit.zip"), note.sha256)
