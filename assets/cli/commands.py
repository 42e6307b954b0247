"""The commands on runs and releases. Slow imports wait until a command needs them."""

import sys
from collections.abc import Iterable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from assets.engine.console import Terminal, complain
from assets.engine.project import current_project

if TYPE_CHECKING:
    import polars as pl

    from ml.evaluation.power import Size, Spread

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
# Their output is a result, and goes to stdout; in a file or a pipe, tables have 200 columns.
answers = Terminal(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200)

SHOWN_UNKNOWN = 20  # lines
SHOWN_CHANGES = 20  # lines; `--out` writes all changes


@app.command()
def compare(
    run_a: Annotated[
        str, typer.Argument(help="A row of this profile, a folder of predictions, or the storage of a run.")
    ],
    run_b: Annotated[str, typer.Argument(help="The other one. Differences are A minus B.")],
    release: Annotated[
        Path | None, typer.Option(help="Dataset or release folder; by default the one beside the predictions.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all four metrics, not only R-Precision.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write every difference to this CSV file.")] = None,
) -> None:
    """Compare two runs on the same images: paired differences with 95 % intervals."""
    from ml.evaluation.comparisons import compare_runs

    first, second = _run(run_a), _run(run_b)
    differences = compare_runs(first, second, release)
    if out is not None:
        _write_csv(differences, out)
    answers.print_line(f"A {first}")
    answers.print_line(f"B {second}")
    answers.print(_differences(differences if everything else differences.filter(metric="r_precision")))


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder with <split>/<facet>.parquet.")],
    release: Annotated[Path, typer.Option(help="Dataset or release folder, or a folder of the published CSV files.")],
    out: Annotated[Path, typer.Option(help="File for all results and the split hash.")] = Path("results.json"),
    device: Annotated[str, typer.Option(help="cpu or cuda; the results are the same.")] = "cpu",
) -> None:
    """Score predictions on a release, beside the label prior."""
    from ml.evaluation.submission import evaluate_submission

    result = evaluate_submission(predictions, release, out, device=device)
    answers.print(_results(result))
    where = f"{result['baseline']} on split {result['split_hash'][:12]}"
    answers.print_line(f"{where}: all results are in {out}.")


@app.command("answers")
def predictions_from_answers(
    file: Annotated[Path, typer.Argument(help="JSON lines: record_id, view, facet, tags (names, the surest first).")],
    release: Annotated[Path, typer.Option(help="Dataset or release folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the predictions, for `eufcc evaluate`.")],
    split: Annotated[str, typer.Option(help="inner_test, outer_test or validation.")] = "inner_test",
) -> None:
    """Turn answers in words, as of a language model, into predictions; count what names no tag of the list."""
    from ml.evaluation.answers import predictions_of

    counts = predictions_of(file, release, out, split)
    unknown = sum(counts.unknown.values())
    said = f"{counts.named:,} named tags, {unknown:,} of them not in the list; {counts.unanswered:,} answers missing"
    answers.print_line(f"{out}: {said}.")
    for name, count in counts.unknown.most_common(SHOWN_UNKNOWN):
        answers.print_line(f"  {count:>6,}  {name}")


@app.command()
def power(
    run_a: Annotated[str, typer.Argument(help="A row of this profile, or a folder of predictions.")],
    run_b: Annotated[str, typer.Argument(help="The other one.")],
    difference: Annotated[float, typer.Option(help="The difference that should be seen, in points.", min=0.01)] = 3.0,
    facet: Annotated[str, typer.Option(help="A facet, or the mean over them.")] = "mean",
    release: Annotated[
        Path | None, typer.Option(help="Dataset or release folder; by default the one beside the predictions.")
    ] = None,
) -> None:
    """How many images and providers a test needs to show a difference, at the spread that two rows have today."""
    from ml.evaluation.power import sizes_needed, spreads
    from pipeline.settings import EvaluationSettings

    first, second = _run(run_a), _run(run_b)
    dataset = release or first.parent.parent / "dataset"
    found = spreads(first, second, dataset, EvaluationSettings(), facet)
    answers.print_line(f"A {first}")
    answers.print_line(f"B {second}")
    for spread in found:
        answers.print(_sizes(spread, list(sizes_needed(spread, difference / 100)), difference))


@app.command()
def diff(
    release_a: Annotated[Path, typer.Argument(help="The earlier release folder.")],
    release_b: Annotated[Path, typer.Argument(help="The later release folder.")],
    out: Annotated[Path | None, typer.Option(help="Write every change to this CSV file.")] = None,
) -> None:
    """Show what changed between two releases: images added, withdrawn, changed, relabelled or moved between splits."""
    from pipeline.release.diff import release_diff
    from pipeline.settings import load

    difference = release_diff(release_a, release_b, load().limits)
    changes = difference.changes
    if out is not None:
        _write_csv(changes, out)
    shown = changes.head(SHOWN_CHANGES).select("kind", "record_id", "view", "before", "after")
    for kind, record, view, before, after in shown.iter_rows():
        line = f"{kind:<10} {record} view {view}: {before or '–'} → {after or '–'}"
        answers.print_line(line)
    if changes.height > SHOWN_CHANGES:
        answers.print(f"… and {changes.height - SHOWN_CHANGES:,} more; --out FILE writes all of them.")
    answers.print_line(difference.sentence())


@app.command()
def audit(
    folder: Annotated[Path, typer.Argument(help="Dataset or release folder, or a folder of the published CSV files.")],
) -> None:
    """Look for records, images and near-duplicate groups that are in two splits; exit code 1 when there are any."""
    from pipeline.settings import load
    from pipeline.splits.audit import audit_folder

    audited = audit_folder(folder, load().limits)
    for sentence in audited.sentences:
        answers.print_line(sentence)
    raise typer.Exit(0 if audited.leaks.is_empty() else 1)


@app.command()
def export(
    row: Annotated[str, typer.Argument(help="A trained row of this profile, for example `softmax`.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default model_releases/<row> in the storage.")
    ] = None,
    onnx: Annotated[bool, typer.Option(help="Also write ONNX, and compare its output with the model's.")] = True,
) -> None:
    """Export a model for use elsewhere: safetensors, tag list, preprocessing, model card, ONNX."""
    from ml.registry.export import write_model_release
    from pipeline.tables import RESULTS

    project = current_project()
    results = RESULTS.read(project.here("results")).to_dicts() if project.here("results").exists() else []
    folder = out or project.storage / "model_releases" / row
    write_model_release(project.storage / "models" / row, project.here("dataset"), results, folder, onnx=onnx)
    answers.print_line(f"{folder}")
    if not results:
        complain("This run has no results yet, so the model card has none.")


@app.command()
def tidy(
    keep_days: Annotated[int, typer.Option(help="Delete runs that ended more than this many days ago.", min=1)] = 180,
) -> None:
    """Delete old runs, old sets of splits, and the pages of collections that are no longer in the settings."""
    from datetime import timedelta

    from assets.engine.instance import opened
    from assets.engine.project import home
    from assets.engine.retention import delete_old_sets, delete_other_pages
    from assets.engine.retention import tidy as delete_old_runs

    with opened(home()) as (instance, _):
        runs = delete_old_runs(instance, timedelta(days=keep_days))
    answers.print(f"{len(runs)} runs were deleted from the event log.")
    answers.print(f"{len(delete_old_sets(current_project()))} sets of splits were deleted from the history.")
    answers.print(f"Pages were deleted of: {', '.join(delete_other_pages(current_project())) or 'no collection'}.")


@app.command()
def history() -> None:
    """List the sets of splits that `eufcc run splits --as-of` can make again, the latest last."""
    from pipeline.history import SHORT, split_sets

    sets = split_sets(current_project().here("history"))
    rows = ((s.made_at[:16], s.splits[:SHORT], s.harvested[:16], f"{s.images:,}", f"{s.seed}") for s in sets)
    answers.print(_table(("made (UTC)", "splits", "harvested until"), ("images", "seed"), rows))


@app.command("match-trees")
def match_trees(
    trees: Annotated[Path, typer.Argument(help="Folder with the published label trees: objectTypes.txt and so on.")],
    aat: Annotated[list[Path], typer.Option(help="Dump of the AAT (.nt, .nt.gz or explicit.zip); may be repeated.")],
    candidates: Annotated[Path | None, typer.Option(help="CSV with columns facet, path, aat_id, score.")] = None,
    labels: Annotated[list[Path] | None, typer.Option(help="CSV of Catalan labels; may be repeated.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for matched.csv and unmatched.csv.")] = Path("published_trees"),
) -> None:
    """Match the published label trees to AAT ids by labels and positions in the tree; list the rest for a curator."""
    import polars as pl

    from pipeline.published.trees import match_published_trees, read_candidates, read_trees
    from pipeline.settings import RULES_FILE
    from pipeline.vocabulary.dump import DumpSource
    from pipeline.vocabulary.facets import load_rules
    from pipeline.vocabulary.labels import read_label_files

    tops = read_trees(trees)
    known = read_candidates(candidates) if candidates else {}
    catalan = read_label_files(labels or []).filter(language="ca").select("concept_id", "text")
    matching = match_published_trees(tops, DumpSource(aat).all_concepts(), load_rules(RULES_FILE), known, catalan)
    for name, nodes in (("matched", matching.matched), ("unmatched", matching.unmatched)):
        _write_csv(nodes.with_columns(pl.col("path").list.join(" | ")), out / f"{name}.csv")
    counted = matching.coverage.iter_rows()
    rows = ((facet, f"{n:,}", f"{k:,}", "–" if share is None else f"{share:.0%}") for facet, n, k, share in counted)
    answers.print(_table(("facet",), ("nodes", "matched", "share"), rows))
    answers.print_line(
        f"{out / 'unmatched.csv'} lists the other nodes, with the reason and the best candidate of each."
    )


@app.command("import-published")
def import_published_files(
    folder: Annotated[Path, typer.Argument(help="Folder with train.csv and, as far as there are, the other files.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; a new one, or an empty one.")],
) -> None:
    """Make a dataset folder without pictures from the published CSV files (docs/official.md)."""
    from pipeline.published.dataset import import_published

    imported = import_published(folder, out)
    for remark in imported.remarks:
        complain(remark)
    counts = ((name, f"{n:,}") for name, n in (*imported.rows.items(), *imported.tags.items()))
    answers.print(_table(("split, or facet",), ("rows, or tags",), counts))
    answers.print_line(f"{out}")


def _run(given: str) -> Path:
    """The folder of a run: a path, or the key of a row of this profile."""
    return Path(given) if Path(given).is_dir() else current_project().storage / "predictions" / given


def _write_csv(frame: "pl.DataFrame", file: Path) -> None:
    from pipeline.files import whole_file

    with whole_file(file) as temporary:
        frame.write_csv(temporary)


def _table(left: Sequence[str], right: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A table for the terminal, with columns aligned to the left and to the right."""
    table = Table(*left, box=None, pad_edge=False, header_style="bold", caption_justify="left")
    for column in right:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def _sizes(spread: "Spread", sizes: Iterable["Size"], difference: float) -> Table:
    from ml.report.results import SPLIT_TITLES, points

    def row(size: "Size") -> tuple[str, ...]:
        if size.groups_a_provider is None:
            what = ("the same providers", f"{spread.providers:,}", "–")
        else:
            what = ("other providers", "–" if size.units is None else f"{size.units:,}", f"{size.groups_a_provider:,}")
        shown = "–" if size.simulated is None else f"{size.simulated:.0%}"
        return *what, "more than a million" if size.groups is None else f"{size.groups:,}", shown

    table = _table(("",), ("providers", "images of each", "images", "shown in"), map(row, sizes))
    table.title = f"{SPLIT_TITLES[spread.split]}: to see {difference:g} points with a chance of 80 %"
    between = (
        "unknown with one provider" if spread.between != spread.between else points(spread.between**0.5).lstrip("+")
    )
    within = points(spread.within**0.5).lstrip("+")
    table.caption = (
        f"Today A − B is {points(spread.difference)} points on {spread.groups:,} images (near-duplicates counted once) "
        f"of {spread.providers:,} providers. Standard deviation within a provider {within}, "
        f"between providers {between}. "
        "Shown in: the share of simulated tests of that size whose 95 % interval lies above zero."
    )
    return table


def _differences(differences: "pl.DataFrame") -> Table:
    from ml.evaluation.tells import CANNOT_TELL, TELLS
    from ml.report.results import FACET_TITLES, SHORT_METRICS, SPLIT_TITLES, points, title

    def row(r: dict[str, Any]) -> Sequence[str | Text]:
        rank = r["metric"] == "avg_rank_position"
        value, low, high = (
            "" if v is None else f"{v:+.2f}" if rank else points(v) for v in (r["difference"], r["low"], r["high"])
        )
        known = r["low"] is not None and r["tells"] == TELLS
        mark = "  ✓" if known and (r["low"] > 0 or r["high"] < 0) else "   "
        ends = "–" if r["low"] is None else f"{low} … {high}"
        names = (SPLIT_TITLES[r["split"]], FACET_TITLES[r["facet"]], SHORT_METRICS.get(r["metric"], r["metric"]))
        cells = (title(Path(r["first"]).name), *names, value, f"{ends}{mark}", f"{r['p_value']:.4f}", r["tells"])
        return _grey(cells) if r["tells"] == CANNOT_TELL else cells

    rows = map(row, differences.iter_rows(named=True))
    table = _table(("", "test", "facet", "metric"), ("A − B", "95 % interval", "p", "the test"), rows)
    table.caption = "In points (Rank in ranks); ✓: the test tells, and the interval excludes zero."
    return table


def _results(result: dict[str, Any]) -> Table:
    from ml.evaluation.tells import CANNOT_TELL
    from ml.report.results import FACET_TITLES, SHORT_METRICS, SPLIT_TITLES, show
    from pipeline.tables import IGNORE_UNSEEN

    def row(r: dict[str, Any]) -> Sequence[str | Text]:
        others = [references.get((baseline, *key(r))) for baseline in ("label_prior", "provider_alone")]
        numbers = (r["value"], r["low"], r["high"], *others)
        value, low, high, prior, alone = (show(r["metric"], number) for number in numbers)
        names = (SPLIT_TITLES[r["split"]], FACET_TITLES[r["facet"]], SHORT_METRICS[r["metric"]])
        ends = "–" if r["low"] is None else f"{low} … {high}"
        cells = (*names, value, ends, f"{r['n']:,}", prior, alone, r["tells"])
        return _grey(cells) if r["tells"] == CANNOT_TELL else cells

    key = itemgetter("split", "facet", "metric", "policy")
    references = {(r["baseline"], *key(r)): r["value"] for r in result["references"]}
    shown = [r for r in result["results"] if r["policy"] == IGNORE_UNSEEN and r["metric"] in SHORT_METRICS]
    rows = (row(r) for r in shown if r["value"] is not None)
    right = ("value", "95 % interval", "images", "label prior", "museum's name", "the test")
    table = _table(("test", "facet", "metric"), right, rows)
    table.caption = "\n".join(_told(result))
    return table


def _told(result: dict[str, Any]) -> list[str]:
    """The verdict of each test: whether the predictions are better than what needs no eyes, and what it lacks."""
    from ml.report.results import FACET_TITLES, SPLIT_TITLES

    words = {
        "better": "✓ surely better than what needs no eyes",
        "worse": "✗ surely worse than the label prior",
        "not surely": "not surely better than what needs no eyes",
        "cannot tell": "no verdict",
    }
    lines = [f"{SPLIT_TITLES[split]}: {words[verdict]}." for split, verdict in result["verdicts"].items()]
    lacking = [row for row in result["informativeness"] if row["missing"] and row["facet"] != "mean"]
    lines += [f"{SPLIT_TITLES[r['split']]}, {FACET_TITLES[r['facet']]}, {r['tells']}: {r['missing']}" for r in lacking]
    return lines


def _grey(cells: Sequence[str]) -> tuple[Text, ...]:
    """The cells of a row in grey, for a test that cannot tell."""
    return tuple(Text(cell, style="bright_black") for cell in cells)
