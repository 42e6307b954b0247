"""The local museum, served by a process of its own while a command runs."""

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from assets.engine.console import console
from pipeline.settings import RENDERED_MUSEUM, SettingsError
from pipeline.single_requests import NoAnswer, status_of

START_S = 120


class MuseumNotServed(RuntimeError):
    """The local museum could not be started; the message says why."""


def museum_folder() -> Path:
    """The museum folder in MUSEUM, or the drawn museum of the demo."""
    named = os.environ.get("MUSEUM")
    if not named:
        from pipeline.sandbox.render import render_museum

        if not RENDERED_MUSEUM.exists():
            console.print("  drawing the museum …")
        try:
            render_museum(RENDERED_MUSEUM)
        except OSError as error:
            todo = "draw it elsewhere (`python -m pipeline.sandbox render FOLDER`), and set MUSEUM to that folder."
            raise SettingsError(f"The museum cannot be drawn in {RENDERED_MUSEUM} ({error.strerror}): {todo}") from None
        return RENDERED_MUSEUM
    folder = Path(named).expanduser().resolve()
    if not (folder / "records.jsonl").is_file():
        missing = f"MUSEUM is {named}, but there is no museum folder: {folder / 'records.jsonl'} is missing. "
        raise SettingsError(f"{missing}Give the path of a folder in the museum format, or leave MUSEUM out.")
    return folder


def play_published(published: Path) -> None:
    """Draw the museums behind a folder of published files, once, and take the profile `official` with them."""
    from pipeline.sandbox.published.world import render_published

    folder = published.expanduser().resolve()
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    museum = RENDERED_MUSEUM.with_name(f"published-{digest}")
    console.print_line(f"  drawing the museums behind {folder.name} in {museum.name}, unless they are drawn already")
    render_published(folder, museum)
    os.environ |= {"EUFCC_PROFILE": "official", "PUBLISHED": str(folder), "MUSEUM": str(museum)}


@contextmanager
def served_museum(port: int = 0) -> Iterator[tuple[Path, str]]:
    """Serve the museum folder on loopback in a process of its own; yields the folder and its address.

    Sets MUSEUM and MUSEUM_ADDRESS, for this process and those that it starts.
    """
    folder = museum_folder()
    os.environ["MUSEUM"] = str(folder)
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "pipeline.sandbox", "serve", str(folder), "--port", str(port)]
    # A file, not a pipe: nobody reads it while the server runs, and a full pipe would block it.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as complaints:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=complaints)  # noqa: S603
        try:
            _wait_until_it_answers(process, address, complaints)
            os.environ["MUSEUM_ADDRESS"] = address
            yield folder, address
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], address: str, complaints: IO[str]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            complaints.seek(0)
            said = complaints.read().strip()
            raise MuseumNotServed(said.splitlines()[-1] if said else "The local museum ended without a message.")
        try:
            status_of(f"{address}/health", 2.0)
            return
        except NoAnswer:
            time.sleep(0.1)
    raise MuseumNotServed(f"The local museum did not answer at {address} within {START_S} s.")
