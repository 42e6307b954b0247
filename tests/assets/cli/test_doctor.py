"""The doctor names what is missing and what to do, on one screen, and finds nothing wrong where nothing is."""

import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from assets.cli import doctor
from assets.cli.doctor import MISSING, OK, WARNING, examine, screen
from assets.engine.project import Project
from pipeline.files import write_json
from pipeline.settings import Settings, full
from pipeline.vocabulary.archive import Fetched, note_of


class Somebody(BaseHTTPRequestHandler):
    """Knows one key, and says what it may do."""

    def do_GET(self) -> None:
        known = self.headers.get("X-Api-Key") == "k"
        self.send_response(200 if known else 401)
        self.send_header("RateLimit-Policy", '"project";q=10000;w=3600')
        self.send_header("RateLimit", '"project";r=8766;t=600')
        self.end_headers()
        self.wfile.write(b'{"success": true, "totalResults": 7}' if known else b'{"code": "401_key_invalid"}')

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def address() -> Iterator[str]:
    """Somebody who answers, if only with a refusal."""
    with HTTPServer(("127.0.0.1", 0), Somebody) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def settings(address: str) -> Settings:
    given = full()
    http = given.http.model_copy(update={"hosts": {"*": address}})
    return given.model_copy(update={"http": http})


def states(project: Project, environ: dict[str, str]) -> dict[str, str]:
    return {finding.what: finding.state for finding in examine(project, environ)}


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without weights."""
    monkeypatch.setattr("ml.models.weights.CACHE", tmp_path / "no_weights")
    return tmp_path


def test_a_bare_machine_misses_what_a_full_run_needs(bare: Path):
    found = {
        f.what: f for f in examine(Project(settings("http://127.0.0.1:9"), bare), {"PATH": "", "EUFCC_OFFLINE": "1"})
    }
    assert {what for what, finding in found.items() if finding.state == MISSING} >= {
        "Europeana key", "Europeana", "Getty", "weights",
    }  # fmt: skip
    assert found["GPU"].state in (OK, WARNING)
    assert found["Chromium"].state == found["webhook"].state == WARNING
    assert "export EUROPEANA_API_KEY=" in found["Europeana key"].todo
    assert "WEIGHTS" in found["weights"].todo
    assert all(finding.todo for finding in found.values() if finding.state != OK)


def test_a_variable_that_says_no_leaves_downloads_allowed(bare: Path):
    project = Project(settings("http://127.0.0.1:9"), bare)
    assert states(project, {"HF_HUB_OFFLINE": "0", "EUFCC_OFFLINE": "false"})["weights"] == OK
    assert states(project, {"HF_HUB_OFFLINE": "1"})["weights"] == MISSING


def test_what_is_there_is_not_missed(bare: Path, address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "needed_gb", lambda settings: 0.0)
    monkeypatch.setattr("ml.models.weights.CACHE", bare / "weights")
    (bare / "weights").mkdir()
    (bare / "weights" / "pt_inception-2015-12-05-6726825d.pth").write_bytes(b"")
    (bare / "chromium").write_text("#!/bin/sh\n")
    (bare / "chromium").chmod(0o755)
    environ = {
        "PATH": str(bare),
        "EUROPEANA_API_KEY": "k",
        "EUFCC_WEBHOOK": address,
        "EUFCC_ALLOWED_HOSTS": "127.0.0.1",
    }
    found = states(Project(settings(address), bare), environ)
    assert {what for what, state in found.items() if state != OK} <= {"GPU"}


def key_of(project: Project, key: str) -> doctor.Finding:
    return next(one for one in examine(project, {"EUROPEANA_API_KEY": key}) if one.what == "Europeana key")


def test_the_key_is_tried_and_its_limit_told(bare: Path, address: str):
    found = key_of(Project(settings(address), bare), "k")
    assert found.state == OK
    assert found.said.startswith("accepted. A project key may make 10,000 requests an hour; 8,766 are left until ")


def test_a_key_that_is_not_accepted_is_missing(bare: Path, address: str):
    found = key_of(Project(settings(address), bare), "cAnary")
    assert (found.state, found.said) == (MISSING, "Europeana does not accept the key in EUROPEANA_API_KEY")


def test_a_key_that_cannot_be_tried_is_a_warning(bare: Path):
    assert key_of(Project(settings("http://127.0.0.1:9"), bare), "k").state == WARNING


def test_dumps_need_no_key_and_are_counted(bare: Path):
    given = settings("http://127.0.0.1:9")
    given = given.model_copy(update={"harvest": given.harvest.model_copy(update={"dumps": str(bare)})})
    none = {one.what: one for one in examine(Project(given, bare), {})}
    assert none["Europeana key"].state == OK
    assert (none["Europeana"].state, none["Europeana"].said) == (MISSING, "0 zips, 0.0 GB")
    (bare / "9300100.zip").write_bytes(b"x" * 1_000)
    some = {one.what: one for one in examine(Project(given, bare), {})}
    assert some["Europeana"].state == OK
    assert some["Europeana"].said.startswith("1 zips, 0.0 GB, the newest of 20")
    (bare / "9300100.zip").unlink()


def getty_of(project: Project) -> doctor.Finding:
    return next(one for one in examine(project, {}) if one.what == "Getty")


def test_the_age_of_the_aat_is_told_and_its_checksum_looked_at(bare: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "current_day", lambda: date(2026, 11, 30))
    dump = bare / "explicit.zip"
    with zipfile.ZipFile(dump, "w") as archive:
        archive.writestr(zipfile.ZipInfo("AATOut_1Subjects.nt", (2026, 8, 1, 0, 0, 0)), b"")
    given = settings("http://127.0.0.1:9")
    vocabulary = given.vocabulary.model_copy(update={"dumps": (dump,)})
    project = Project(given.model_copy(update={"vocabulary": vocabulary}), bare)
    assert getty_of(project) == doctor.Finding("Getty", OK, "explicit.zip, 121 days old; the endpoint fills in")
    monkeypatch.setattr(doctor, "current_day", lambda: date(2027, 11, 30))
    assert getty_of(project).state == WARNING
    write_json(asdict(Fetched("http://a", "2026-11-30", "0" * 64, 1)), note_of(dump))
    assert (getty_of(project).state, "another checksum" in getty_of(project).said) == (MISSING, True)
    dump.write_bytes(b"<html>")
    assert (getty_of(project).state, getty_of(project).todo) == (MISSING, "Get it again: eufcc fetch-aat")
    dump.unlink()
    assert getty_of(project).said == f"no file at {dump}"


def test_a_webhook_that_is_not_allowed_is_missed(bare: Path):
    project = Project(settings("http://127.0.0.1:9"), bare)
    assert states(project, {"EUFCC_WEBHOOK": "https://chat.example/hook"})["webhook"] == MISSING


def test_storage_that_cannot_be_written_is_named(bare: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "NamedTemporaryFile", refused)  # root may write everywhere
    found = {f.what: f for f in examine(Project(settings("http://127.0.0.1:9"), bare), {})}
    assert found["storage"].state == MISSING
    assert "Permission denied" in found["storage"].said
    assert "EUFCC_STORAGE" in found["storage"].todo


def test_a_full_disk_is_named(bare: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "needed_gb", lambda settings: 1e9)
    assert states(Project(settings("http://127.0.0.1:9"), bare), {})["disk"] == MISSING


def test_all_fits_on_one_screen_and_no_secret_is_shown(bare: Path):
    environ = {"EUROPEANA_API_KEY": "cAnaryKey42", "EUFCC_WEBHOOK": "https://chat.example/t0ken42"}
    console = Console(width=100, record=True, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    console.print(screen(examine(Project(settings("http://127.0.0.1:9"), bare), environ)))
    console.file.close()
    text = console.export_text()
    assert len(text.splitlines()) <= 40
    assert "cAnaryKey42" not in text
    assert "t0ken42" not in text


def test_passwords_in_addresses_are_not_shown(bare: Path, address: str):
    """Neither of a server's own address nor of the one that it is mapped to, whether it answers or not."""
    for at in (address, "http://127.0.0.1:9"):
        project = Project(settings(at.replace("//", "//anna:s3cret@")), bare)
        found = {finding.what: finding for finding in examine(project, {})}
        assert found["Europeana"].said.startswith(f"{at} ")
        assert found["Getty"].said.startswith(f"{at} ")
    own = settings("")
    own = own.model_copy(
        update={"harvest": own.harvest.model_copy(update={"api": "http://anna:s3cret@127.0.0.1:9/v2"})}
    )
    assert doctor._answers(own, "Europeana", own.harvest.api).said.startswith("http://127.0.0.1:9 does not answer")


def test_the_command_ends_with_one_where_something_is_missing(tmp_path: Path):
    changed = {
        "DAGSTER_HOME": str(tmp_path),
        "EUFCC_PROFILE": "full",
        "EUFCC__HTTP__HOSTS": '{"*": "http://127.0.0.1:9"}',
    }
    command = Path(sys.executable).with_name("eufcc")
    done = subprocess.run(
        [command, "doctor"], env=os.environ | changed, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Europeana key" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.rglob("*")) == []
