"""The commands that read what others made: compare, evaluate, diff, audit, export. Imports wait for their command."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from assets.engine.console import complain

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
WIDE = 200  # columns of a table that goes into a file or a pipe: nothing is wrapped there

# On stdout: what these commands say is their result.
answers = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)

RELEASE = Annotated[Path | None, typer.Option(help="Dataset or release folder; by default that of the predictions.")]
SHOWN_CHANGES = 20  # lines; all of them are in the file that `--out` names


@app.command()
def compare(
    run_a: Annotated[str, typer.Argument(help="A row of this profile, a predictions folder, or a run's storage.")],
    run_b: Annotated[str, typer.Argument(help="The other one: differences are A minus B.")],
    release: RELEASE = None,
    everything: Annotated[bool, typer.Option("--all", help="All four metrics, not R-Precision alone.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write every difference to this CSV file.")] = None,
) -> None:
    """Paired differences of two runs on the same images, with 95 % intervals."""
    from ml.evaluation.comparisons import compare_runs

    first, second = _run(run_a), _run(run_b)
    found = compare_runs(first, second, release)
    if out is not None:
        _write_csv(found, out)
    shown = found if everything else found.filter(metric="r_precision")
    answers.print(f"A {first}\nB {second}", soft_wrap=True)
    answers.print(_differences(shown))


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder with <split>/<facet>.parquet.")],
    release: Annotated[Path, typer.Option(help="Dataset or release folder, or a folder of the published CSV files.")],
    out: Annotated[Path, typer.Option(help="The file with all figures and the split hash.")] = Path("results.json"),
    device: Annotated[str, typer.Option(help="cpu, or cuda: the same figures from a GPU.")] = "cpu",
) -> None:
    """Score anyone's predictions on a release, beside the label prior."""
    from ml.evaluation.submission import evaluate_submission

    result = evaluate_submission(predictions, release, out, device=device)
    answers.print(_figures(result))
    answers.print(
        f"{result['baseline']} on split {result['split_hash'][:12]}: every figure is in {out}.", soft_wrap=True
    )


@app.command()
def diff(
    release_a: Annotated[Path, typer.Argument(help="The earlier release folder.")],
    release_b: Annotated[Path, typer.Argument(help="The later one.")],
    out: Annotated[Path | None, typer.Option(help="Write every change to this CSV file.")] = None,
) -> None:
    """What changed between two releases: added, withdrawn, changed, relabelled, moved between splits."""
    from pipeline.release.diff import release_diff

    found = release_diff(release_a, release_b)
    if out is not None:
        _write_csv(found.changes, out)
    for kind, record, view, before, after in (
        found.changes.head(SHOWN_CHANGES).select("kind", "record_id", "view", "before", "after").iter_rows()
    ):
        answers.print(
            f"{kind:<10} {record} view {view}: {before or '–'} → {after or '–'}", markup=False, soft_wrap=True
        )
    if found.changes.height > SHOWN_CHANGES:
        answers.print(f"… and {found.changes.height - SHOWN_CHANGES:,} more; --out FILE writes them all.")
    answers.print(found.sentence())


@app.command()
def audit(
    folder: Annotated[Path, typer.Argument(help="Dataset or release folder, or a folder of the published CSV files.")],
) -> None:
    """Look for records, images and near-duplicate groups that lie in two splits; exit code 1 where there are any."""
    from pipeline.splits.audit import audit_folder

    audited = audit_folder(folder)
    for sentence in audited.sentences:
        answers.print(sentence, markup=False, soft_wrap=True)
    raise typer.Exit(0 if audited.leaks.is_empty() else 1)


@app.command()
def export(
    row: Annotated[str, typer.Argument(help="A trained row of this profile, as `softmax`.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default model_releases/<row> of this run.")
    ] = None,
    onnx: Annotated[bool, typer.Option(help="Also as ONNX, its answers compared with the model's.")] = True,
) -> None:
    """A model as others can use it: safetensors, tag list, preprocessing, card with figures, ONNX."""
    from assets.resources import current_project
    from ml.registry.export import write_model_release
    from pipeline.tables import RESULTS

    project = current_project()
    results = RESULTS.read(project.here("results")).to_dicts() if project.here("results").exists() else []
    folder = out or project.storage / "model_releases" / row
    write_model_release(project.storage / "models" / row, project.here("dataset"), results, folder, onnx=onnx)
    answers.print(f"{folder}", soft_wrap=True)
    if not results:
        complain("This run has no results yet: the card has no figures.")


@app.command("match-trees")
def match_trees(
    trees: Annotated[Path, typer.Argument(help="Folder with the published label trees, objectTypes.txt and so on.")],
    aat: Annotated[list[Path], typer.Option(help="Dump of the AAT (.nt, .nt.gz or explicit.zip); may be repeated.")],
    candidates: Annotated[Path | None, typer.Option(help="CSV with columns facet, path, aat_id, score.")] = None,
    labels: Annotated[list[Path] | None, typer.Option(help="CSV of Catalan labels; may be repeated.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for matched.csv and unmatched.csv.")] = Path("published_trees"),
) -> None:
    """Match the published label trees to AAT ids by labels and places; the rest is listed for a curator."""
    import polars as pl

    from pipeline.published.trees import match_published_trees, read_candidates, read_trees
    from pipeline.settings import RULES_FILE
    from pipeline.vocabulary.dump import DumpSource
    from pipeline.vocabulary.facets import load_rules
    from pipeline.vocabulary.labels import read_label_files

    tops = read_trees(trees)
    known = read_candidates(candidates) if candidates else {}
    catalan = read_label_files(labels or []).filter(language="ca").select("concept_id", "text")
    found = match_published_trees(tops, DumpSource(aat).all_concepts(), load_rules(RULES_FILE), known, catalan)
    for name, rows in (("matched", found.matched), ("unmatched", found.unmatched)):
        _write_csv(rows.with_columns(pl.col("path").list.join(" | ")), out / f"{name}.csv")
    table = Table("facet", box=None, pad_edge=False, header_style="bold")
    for column in ("nodes", "matched", "share"):
        table.add_column(column, justify="right")
    for facet, n, n_matched, share in found.coverage.iter_rows():
        table.add_row(facet, f"{n:,}", f"{n_matched:,}", "–" if share is None else f"{share:.0%}")
    answers.print(table)
    answers.print(f"{out / 'unmatched.csv'} is for a curator: each node with the reason and its best candidate.")


def _run(given: str) -> Path:
    """A folder as it is, or a row of this profile by its key."""
    if Path(given).is_dir():
        return Path(given)
    from assets.resources import current_project

    return current_project().storage / "predictions" / given


def _write_csv(frame: "pl.DataFrame", file: Path) -> None:
    from pipeline.files import whole_file

    with whole_file(file) as temporary:
        frame.write_csv(temporary)


def _differences(found: "pl.DataFrame") -> Table:
    from ml.report.results import FACET_TITLES, SHORT_METRICS, SPLIT_TITLES, points, title

    table = Table("", "test", "facet", "metric", box=None, pad_edge=False, header_style="bold")
    for name in ("A − B", "95 % interval", "p"):
        table.add_column(name, justify="right")
    for r in found.iter_rows(named=True):
        rank = r["metric"] == "avg_rank_position"
        shown = [f"{v:+.2f}" if rank else points(v) for v in (r["difference"], r["low"], r["high"])]
        row = title(Path(r["first"]).name)
        where = (SPLIT_TITLES[r["split"]], FACET_TITLES[r["facet"]], SHORT_METRICS.get(r["metric"], r["metric"]))
        sure = r["low"] > 0 or r["high"] < 0
        table.add_row(
            row, *where, shown[0], f"{shown[1]} … {shown[2]}{'  ✓' if sure else '   '}", f"{r['p_value']:.4f}"
        )
    table.caption = "In points (Rank in places); ✓: the interval leaves zero out."
    table.caption_justify = "left"
    return table


def _figures(result: dict) -> Table:
    from ml.report.results import FACET_TITLES, SHORT_METRICS, SPLIT_TITLES, show
    from pipeline.tables import IGNORE_UNSEEN

    prior = {
        (r["split"], r["facet"], r["metric"], r["policy"]): r["value"]
        for r in result["references"]
        if r["baseline"] == "label_prior"
    }
    table = Table("test", "facet", "metric", box=None, pad_edge=False, header_style="bold")
    for name in ("value", "95 % interval", "images", "label prior"):
        table.add_column(name, justify="right")
    for r in result["results"]:
        key = (r["split"], r["facet"], r["metric"], r["policy"])
        if r["policy"] == IGNORE_UNSEEN and r["metric"] in SHORT_METRICS and r["value"] is not None:
            low, high = show(r["metric"], r["low"]), show(r["metric"], r["high"])
            where = (SPLIT_TITLES[r["split"]], FACET_TITLES[r["facet"]], SHORT_METRICS[r["metric"]])
            value, other = show(r["metric"], r["value"]), show(r["metric"], prior.get(key))
            table.add_row(*where, value, f"{low} … {high}", f"{r['n']:,}", other)
    return table
