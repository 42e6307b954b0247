"""`eufcc doctor`: checks what a run needs on this machine, and says what to do where something is missing."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from rich.table import Table
from rich.text import Text

from assets.engine.project import Project
from assets.engine.webhook import WEBHOOK
from pipeline.allow_list import NotAllowed, check_allowed, shown
from pipeline.encodings import DAMAGED_ZIP
from pipeline.files import sha256_of
from pipeline.harvest.dumps import place_of_dumps
from pipeline.harvest.errors import HarvestError
from pipeline.harvest.europeana import EuropeanaClient
from pipeline.harvest.plan import dumps_to_read, told_limit
from pipeline.http import HttpClient, HttpError, WrongKey, mapped
from pipeline.settings import Settings
from pipeline.single_requests import NoAnswer, status_of
from pipeline.vocabulary.archive import age_in_days, read_note
from pipeline.vocabulary.cache import current_day
from pipeline.waits import Patience

OK, MISSING, WARNING = "ok", "missing", "warning"
SIGNS = {OK: Text("✓", "green"), MISSING: Text("✗", "red"), WARNING: Text("!", "yellow")}
DEMO_GB = 2.0  # its storage is below 1 GB
PAPER_RECORDS = 346_324
COPIES = 4  # of each image: ledger, shards, dataset, release
OTHER_BYTES_A_RECORD = 40_000  # vectors of 2,048 numbers, and scores of twelve rows for 1,227 tags
MODELS_GB = 10.0  # of the twelve rows, with the largest checkpoint beside them
ANSWER_S = 5.0
FETCH_AGAIN = "Get it again: eufcc fetch-aat"


@dataclass(frozen=True)
class Finding:
    """The result of one check: ok, missing (a run would fail) or a warning (a run would do with less)."""

    what: str
    state: str
    said: str
    todo: str = ""


def examine(project: Project, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Check everything that a run of the profile needs, in the order in which it would be missed."""
    settings = project.settings
    return [
        _python(), *_storage(project), _disk(project), _key(settings, environ), _europeana(project),
        _getty(settings, environ), *_weights(settings, environ),
        _gpu(settings), _browser(environ), _webhook(environ),
    ]  # fmt: skip


def screen(findings: Sequence[Finding]) -> Table:
    """The findings for the terminal, with what to do below each that needs it."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    for finding in findings:
        said = Text(finding.said)
        if finding.todo:
            said.append(f"\n{finding.todo}", "bold")
        table.add_row(SIGNS[finding.state], finding.what, said)
    return table


def _finding(what: str, good: bool, said: str, todo: str, otherwise: str = MISSING) -> Finding:
    return Finding(what, OK, said) if good else Finding(what, otherwise, said, todo)


def _python() -> Finding:
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return _finding("Python", good, platform.python_version(), "Use Python 3.11, 3.12 or 3.13: make setup PYTHON=…")


def _storage(project: Project) -> Iterator[Finding]:
    if project.bucket is not None:
        yield Finding("storage", OK, f"bucket {project.bucket.root}, with a copy in {project.storage}")
    place = _existing(project.storage)
    todo = "Correct its permissions, or set DAGSTER_HOME or EUFCC_STORAGE to another folder."
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor.", buffering=0) as file:
            file.write(b"x")
    except OSError as error:
        yield Finding("storage", MISSING, f"{place} cannot be written ({error.strerror})", todo)
    else:
        yield Finding("storage", OK, f"{project.storage} can be written")


def _disk(project: Project) -> Finding:
    needed = needed_gb(project.settings)
    free = shutil.disk_usage(_existing(project.storage)).free / 1e9
    said = f"{free:,.0f} GB free, about {needed:,.0f} GB needed"
    return _finding("disk", free >= needed, said, "Make room, or set EUFCC_STORAGE to a folder on a larger disk.")


def needed_gb(settings: Settings, records: int = PAPER_RECORDS) -> float:
    """How much disk a run of so many records fills."""
    if settings.profile == "demo":
        return DEMO_GB
    harvest = settings.harvest
    a_record = COPIES * harvest.image_bytes_per_record + harvest.page_bytes_per_record + OTHER_BYTES_A_RECORD
    return records * a_record / 1e9 + MODELS_GB


def _key(settings: Settings, environ: Mapping[str, str]) -> Finding:
    if settings.profile == "demo":
        return Finding("Europeana key", OK, "not needed: the demo asks a local museum")
    key = environ.get("EUROPEANA_API_KEY")
    if settings.published is not None and not key:
        return Finding("Europeana key", OK, "not set: pictures are fetched without one, records are not looked up")
    if settings.harvest.dumps:
        return Finding("Europeana key", OK, "not needed: records come from the dumps")
    if not key:
        todo = "Get a personal key at Europeana (free, in your account), then: export EUROPEANA_API_KEY=…"
        return Finding("Europeana key", MISSING, "EUROPEANA_API_KEY is not set", todo)
    once = {"attempts": 1, "rate_limit_waits": 0, "read_timeout_s": ANSWER_S, "connect_timeout_s": ANSWER_S}
    http = HttpClient(settings.http.model_copy(update=once), patience=Patience(None, ANSWER_S))
    with EuropeanaClient(http, settings.harvest, key) as client:
        try:
            client.count("*")
        except WrongKey:
            todo = "Copy the key again from your account at Europeana; a key may also have been disabled."
            return Finding("Europeana key", MISSING, "Europeana does not accept the key in EUROPEANA_API_KEY", todo)
        except HttpError:
            todo = "Try again when Europeana answers."
            return Finding("Europeana key", WARNING, "EUROPEANA_API_KEY is set, and could not be tried", todo)
        return Finding("Europeana key", OK, f"accepted. {told_limit(client.allowed, http.clock.now())}")


def _europeana(project: Project) -> Finding:
    """Whether the API answers, or the dumps that take its place are there."""
    settings = project.settings
    if not settings.harvest.dumps:
        return _answers(settings, "Europeana", settings.harvest.api)
    http = settings.http.model_copy(update={"attempts": 1, "read_timeout_s": ANSWER_S})
    try:
        [found] = dumps_to_read(place_of_dumps(settings.harvest.dumps, http, project.storage / "cache")).to_dicts()
    except HarvestError as error:
        return Finding("Europeana", MISSING, str(error), "See docs/operating.md, “Without a key”.")
    size = "" if found["gigabytes"] is None else f", {found['gigabytes']:,.1f} GB"
    newest = "" if found["newest"] is None else f", the newest of {found['newest'][:10]}"
    return _finding("Europeana", found["zips"] > 0, f"{found['zips']:,} zips{size}{newest}", "Fetch some zips first.")


def _getty(settings: Settings, environ: Mapping[str, str]) -> Finding:
    given = (*settings.vocabulary.candidate_files, *settings.vocabulary.label_files)
    if settings.published is not None and not given and not environ.get("EUROPEANA_API_KEY"):
        return Finding("Getty", OK, "not asked: without records and given ids, tags have their Catalan labels alone")
    dumps = settings.vocabulary.dumps
    if not dumps:
        found = _answers(settings, "Getty", settings.vocabulary.sparql_endpoint)
        return found if found.state == OK else replace(found, todo=f"{found.todo} Or get the AAT: eufcc fetch-aat.")
    if gone := ", ".join(str(dump) for dump in dumps if not dump.exists()):
        return Finding("Getty", MISSING, f"no file at {gone}", "Correct vocabulary.dumps in the settings.")
    return _age_of_dumps(settings)


def _age_of_dumps(settings: Settings) -> Finding:
    """How old the dumps are, and whether they are what was fetched."""
    said, oldest = [], 0
    for dump in settings.vocabulary.dumps:
        try:
            days = age_in_days(dump, current_day())
        except (*DAMAGED_ZIP, OSError) as error:
            return Finding("Getty", MISSING, f"{dump} cannot be read ({error})", FETCH_AGAIN)
        note, oldest = read_note(dump), max(oldest, days)
        if note is not None and sha256_of(dump) != note.sha256:
            return Finding("Getty", MISSING, f"{dump} has another checksum than when it was fetched", FETCH_AGAIN)
        said.append(f"{dump.name}, {days} days old")
    fills = "the endpoint fills in" if settings.vocabulary.fill_in else "the endpoint is not asked"
    good = oldest <= settings.vocabulary.cache_days
    return _finding(
        "Getty", good, f"{'; '.join(said)}; {fills}", f"Newer concepts may be missing. {FETCH_AGAIN}", WARNING
    )


def _answers(settings: Settings, what: str, address: str) -> Finding:
    """Whether a server answers, with any status, at the address or where http.hosts maps it to."""
    hosts = settings.http.hosts
    if settings.profile == "demo" and not hosts:
        return Finding(what, OK, "make demo and make dev start a local museum")
    url = urlsplit(address)
    at, _ = mapped(f"{url.scheme}://{url.netloc}", hosts)
    try:
        status = status_of(at, ANSWER_S)
    except NoAnswer as error:
        todo = "Check the network, a proxy (HTTPS_PROXY), and http.hosts in the settings."
        return Finding(what, MISSING, f"{shown(at)} does not answer ({error.kind})", todo)
    return Finding(what, OK, f"{shown(at)} answers (HTTP {status})")


def _weights(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    from ml.models.weights import CACHE, WEIGHTS, offline

    folders = [folder for folder in (settings.features.weights, CACHE.expanduser()) if folder is not None]
    for name in settings.features.extractors:
        if name not in WEIGHTS:
            yield Finding("weights", OK, f"{name}: seeded random weights; needs no file")
            continue
        files = [folder / WEIGHTS[name].file for folder in folders]
        if there := [file for file in files if file.is_file()]:
            yield Finding("weights", OK, f"{name}: {there[0]}")
        elif not offline(environ):
            yield Finding("weights", OK, f"{name}: will be downloaded to {folders[0]}")
        else:
            todo = f"Put {WEIGHTS[name].file} into a folder and set WEIGHTS to it, or unset HF_HUB_OFFLINE."
            yield Finding("weights", MISSING, f"{name}: not at {files[0]}, and downloads are not allowed", todo)


def _gpu(settings: Settings) -> Finding:
    import torch

    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    if names or settings.profile == "demo":
        return Finding("GPU", OK, names or "none; the demo needs none")
    todo = "Train on a machine with a GPU (docs/gpu.md), or name other rows in benchmark.rows."
    return Finding("GPU", WARNING, "none: the paper's rows were trained on four of them", todo)


def _browser(environ: Mapping[str, str]) -> Finding:
    file = shutil.which("chromium", path=environ.get("PATH"))
    todo = "Only page tests need it: make browser (Debian: apt install chromium)."
    return _finding("Chromium", file is not None, file or "not found", todo, WARNING)


def _webhook(environ: Mapping[str, str]) -> Finding:
    address = environ.get(WEBHOOK)
    if not address:
        return Finding("webhook", WARNING, f"{WEBHOOK} is not set", "Failures are shown on Dagster's pages only.")
    try:
        check_allowed(address, environ)
    except NotAllowed as error:
        return Finding("webhook", MISSING, "its host is not allowed", str(error))
    return Finding("webhook", OK, "set, and its host is on the allow-list")


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.is_dir())
