"""The command that gets Getty's archive of the AAT."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from assets.cli.output import AsJson, print_json
from assets.engine.console import console
from pipeline.vocabulary.archive import ADDRESS, CACHE, fetch_archive

app = typer.Typer()


@app.command(epilog="Example: eufcc fetch-aat")
def fetch_aat(
    folder: Annotated[Path, typer.Option(help="Where the archive is kept.")] = CACHE,
    address: Annotated[str, typer.Option(help="Getty's, or a mirror's.")] = ADDRESS,
    sha256: Annotated[str | None, typer.Option(help="The checksum that it must have, if you know one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Get the AAT as one archive (134 MB), with its checksum, so that a run does not depend on Getty's endpoint."""
    file, note = fetch_archive(folder, address, sha256)
    if as_json:
        print_json({"file": str(file), **asdict(note)})
        return
    console.print_line(f"  {file}, {note.size / 1e6:.0f} MB, sha256 {note.sha256}")
    console.print_line(f"  use it: export EUFCC__VOCABULARY__DUMPS='[\"{file}\"]'")
