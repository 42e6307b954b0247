"""The command that says which networks there are, under which licence, and whether they are what they should be."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assets.cli.output import AsJson, answers, print_json
from assets.engine.project import current_project

if TYPE_CHECKING:
    from ml.registry.inventory import Stock

app = typer.Typer()


@app.command(epilog="Example: eufcc check-weights vit_base_patch16_224 --json")
def check_weights(
    names: Annotated[list[str] | None, typer.Argument(help="timm's names, or `model:weights` of open_clip.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where weight files are looked for first.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the networks of all recipes, and prove those that are here against their library. A NAME is downloaded."""
    from ml.registry.inventory import stock

    found = list(stock(names or [], folder or current_project().settings.features.weights))
    if as_json:
        print_json(found)
    else:
        for line in (line for each in found for line in _lines(each)):
            answers.print_line(line)
    wrong = {"refused", "missing"} if names else {"refused"}
    raise typer.Exit(1 if wrong & {each.state for each in found} else 0)


def _lines(each: "Stock") -> list[str]:
    """What there is to say of one network: name, size, licence and state; then where it is from, and what is wrong."""
    use = {True: "commercial use allowed", False: "no commercial use", None: "ask about commercial use"}
    size = "size unknown" if each.size_mb is None else f"{each.size_mb:.0f} MB"
    said = [size] if each.state == "random" else [size, each.licence or "no licence is known", use[each.commercial_use]]
    proof = "" if each.difference is None else f", as its library to {each.difference:.0e}"
    lines = [f"{each.name}: {each.state}{proof} ({', '.join(said)})"]
    lines += [f"    from {each.source}"] if each.source else []
    return lines + ([f"    {each.message}"] if each.message else [])
