"""The command that says which networks there are, under which licence, and whether they are what they should be."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from assets.engine.console import console
from assets.engine.project import current_project

if TYPE_CHECKING:
    from ml.registry.inventory import Stock

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def check_weights(
    names: Annotated[list[str] | None, typer.Argument(help="timm's names, or `model:weights` of open_clip.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where weight files are looked for first.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list on stdout.")] = False,
) -> None:
    """List the networks of all recipes, and prove those that are here against their library. A NAME is downloaded."""
    from ml.registry.inventory import stock

    found = list(stock(names or [], folder or current_project().settings.features.weights))
    if as_json:
        print(json.dumps([asdict(each) for each in found], indent=1))
    else:
        console.print(_screen(found))
        for each in found:
            console.print(f"  {each.name}: {each.message}", soft_wrap=True) if each.state == "refused" else None
    raise typer.Exit(1 if any(each.state == "refused" for each in found) else 0)


def _screen(found: "list[Stock]") -> Table:
    table = Table()
    for column in ("network", "MB", "licence", "commercial", "state"):
        table.add_column(column, no_wrap=True)
    table.add_column("from", overflow="fold")
    use = {True: "yes", False: "no", None: "?"}
    for each in found:
        size = f"{each.size_mb:.0f}" if each.size_mb is not None else "?"
        state = each.state if each.difference is None else f"{each.state}, {each.difference:.0e}"
        licensed = each.state != "random"
        licence = (each.licence or "?", use[each.commercial_use]) if licensed else ("none needed", "yes")
        table.add_row(each.name, size, *licence, state, each.source)
    return table
