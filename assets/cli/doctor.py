"""`eufcc doctor`: what a run would miss on this machine, and what to do about it, on one screen."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.markup import escape
from rich.table import Table

from assets.engine.project import Project
from assets.engine.webhook import WEBHOOK
from pipeline.allow_list import NotAllowed, check_allowed

OK, MISSING, WARNING = "ok", "missing", "warning"
SIGNS = {OK: "[green]✓[/]", MISSING: "[red]✗[/]", WARNING: "[yellow]![/]"}
GIGABYTE = 1_000_000_000
# The demo's storage is below 1 GB. The full run keeps 346,324 images of 30 kB four times (ledger, shards, dataset,
# release), the scores of twelve rows for 1,227 tags, features and models.
NEEDED_GB = {"demo": 2.0, "full": 80.0}
ANSWER_S = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: ok, missing (a run would fail) or a warning (it would do with less)."""

    what: str
    state: str
    said: str
    todo: str = ""


def examine(project: Project, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Everything that a run of the profile needs, in the order in which it would be missed."""
    looks: tuple[Callable[[Project, Mapping[str, str]], Iterator[Finding]], ...] = (
        _python, _storage, _disk, _key, _europeana, _getty, _weights, _gpu, _browser, _webhook,
    )  # fmt: skip
    return [finding for look in looks for finding in look(project, environ)]


def screen(findings: Sequence[Finding]) -> Table:
    """The findings for the terminal: sign, thing, what was seen, and below it what to do."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    for finding in findings:
        todo = f"\n[bold]{escape(finding.todo)}[/]" if finding.todo else ""
        table.add_row(SIGNS[finding.state], finding.what, f"{escape(finding.said)}{todo}")
    return table


def _python(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield Finding("Python", OK, version)
    else:
        yield Finding("Python", MISSING, version, "Use Python 3.11, 3.12 or 3.13: make setup PYTHON=…")


def _storage(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    if project.bucket is not None:
        yield Finding("storage", OK, f"bucket {project.bucket.root}, and a copy in {project.storage}")
    place = _existing(project.storage)
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor.") as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        yield Finding(
            "storage", MISSING, f"{place} cannot be written ({error.strerror})",
            "Correct its rights, or point DAGSTER_HOME or EUFCC_STORAGE to another folder.",
        )  # fmt: skip
        return
    yield Finding("storage", OK, f"{project.storage} can be written")


def _disk(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    needed = NEEDED_GB[project.settings.profile]
    free = shutil.disk_usage(_existing(project.storage)).free / GIGABYTE
    said = f"{free:,.0f} GB free, about {needed:,.0f} GB needed"
    todo = "Make room, or set EUFCC_STORAGE to a larger disk."
    yield Finding("disk", OK, said) if free >= needed else Finding("disk", MISSING, said, todo)


def _key(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    if project.settings.profile == "demo":
        yield Finding("Europeana key", OK, "not needed: the demo asks a local museum")
    elif environ.get("EUROPEANA_API_KEY"):
        yield Finding("Europeana key", OK, "EUROPEANA_API_KEY is set")
    else:
        yield Finding(
            "Europeana key", MISSING, "EUROPEANA_API_KEY is not set",
            "Get a personal key at Europeana (free, in your account), then: export EUROPEANA_API_KEY=…",
        )  # fmt: skip


def _europeana(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    yield _answers(project, "Europeana", project.settings.harvest.api)


def _getty(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    dumps = project.settings.vocabulary.dumps
    if not dumps:
        yield _answers(project, "Getty", project.settings.vocabulary.sparql_endpoint)
        return
    gone = [str(dump) for dump in dumps if not dump.exists()]
    if gone:
        yield Finding("Getty", MISSING, f"no file at {', '.join(gone)}", "Correct vocabulary.dumps in the settings.")
    else:
        yield Finding("Getty", OK, f"{len(dumps)} dump files, no endpoint is asked")


def _answers(project: Project, what: str, address: str) -> Finding:
    """Whether anybody answers there, or where the host map says it is; any answer will do."""
    hosts = project.settings.http.hosts
    if project.settings.profile == "demo" and not hosts:
        return Finding(what, OK, "the local museum is opened by make demo and make dev")
    at = next((hosts[host] for host in (_origin(address), "*") if host in hosts), _origin(address))
    try:
        status = httpx.get(at, timeout=ANSWER_S).status_code
    except httpx.HTTPError as error:
        todo = "Look at the network, a proxy (HTTPS_PROXY), or http.hosts in the settings."
        return Finding(what, MISSING, f"{at} does not answer ({type(error).__name__})", todo)
    return Finding(what, OK, f"{at} answers (HTTP {status})")


def _weights(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    from ml.models.weights import CACHE, WEIGHTS

    for name in project.settings.features.extractors:
        if name not in WEIGHTS:
            yield Finding("weights", OK, f"{name}: seeded random weights, no file is needed")
            continue
        places = [place for place in (project.settings.features.weights, CACHE.expanduser()) if place is not None]
        files = [place / WEIGHTS[name].file for place in places]
        found = next((file for file in files if file.is_file()), None)
        if found is not None:
            yield Finding("weights", OK, f"{name}: {found}")
        elif environ.get("HF_HUB_OFFLINE") or environ.get("EUFCC_OFFLINE"):
            todo = f"Put {WEIGHTS[name].file} into a folder and set WEIGHTS to it, or unset HF_HUB_OFFLINE."
            yield Finding("weights", MISSING, f"{name}: not at {files[0]}, and no download is allowed", todo)
        else:
            yield Finding("weights", OK, f"{name}: downloaded to {places[0]} when it is needed")


def _gpu(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        yield Finding("GPU", OK, names)
    elif project.settings.profile == "demo":
        yield Finding("GPU", OK, "none; the demo needs none")
    else:
        yield Finding(
            "GPU", WARNING, "none: the paper's rows were trained on four of them",
            "Train on a machine with a GPU (docs/gpu.md), or name other rows in benchmark.rows.",
        )  # fmt: skip


def _browser(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    found = shutil.which("chromium", path=environ.get("PATH"))
    if found:
        yield Finding("Chromium", OK, found)
    else:
        todo = "Only page tests need it: make browser (Debian: apt install chromium)."
        yield Finding("Chromium", WARNING, "not found", todo)


def _webhook(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    address = environ.get(WEBHOOK)
    if not address:
        yield Finding("webhook", WARNING, f"{WEBHOOK} is not set", "Failures are seen on Dagster's page alone.")
        return
    try:
        check_allowed(address, environ)
    except NotAllowed as error:
        yield Finding("webhook", MISSING, "its host is not allowed", str(error))
    else:
        yield Finding("webhook", OK, "set, and its host is on the allow-list")


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(place for place in (path, *path.parents) if place.is_dir())


def _origin(address: str) -> str:
    url = httpx.URL(address)
    return f"{url.scheme}://{url.netloc.decode()}"
