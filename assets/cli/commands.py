"""The commands on runs and releases. Slow imports wait until a command needs them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assets.cli.output import AsJson, answers, differences_table, print_json, results_table, sizes_table, table
from assets.engine.console import complain
from assets.engine.keep_days import KEEP_DAYS, MOST_DAYS
from assets.engine.project import current_project

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer()
SHOWN_UNKNOWN = 20  # lines
SHOWN_CHANGES = 20  # lines; `--out` writes all changes


@app.command(epilog="Example: eufcc compare softmax multilabel --all")
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
    as_json: AsJson = False,
) -> None:
    """Compare two runs on the same images: paired differences with 95 % intervals."""
    from ml.evaluation.comparisons import compare_runs

    first, second = _run(run_a), _run(run_b)
    differences = compare_runs(first, second, release)
    if out is not None:
        _write_csv(differences, out)
    shown = differences if everything else differences.filter(metric="r_precision")
    if as_json:
        print_json(shown.to_dicts())
        return
    answers.print_line(f"A {first}")
    answers.print_line(f"B {second}")
    answers.print(differences_table(shown))


@app.command(epilog="Example: eufcc evaluate predictions/mine --release path/to/release")
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder with <split>/<facet>.parquet.")],
    release: Annotated[Path, typer.Option(help="Dataset or release folder, or a folder of the published CSV files.")],
    out: Annotated[Path, typer.Option(help="File for all results and the split hash.")] = Path("results.json"),
    device: Annotated[str, typer.Option(help="cpu or cuda; the results are the same.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Score predictions on a release, beside the label prior."""
    from ml.evaluation.submission import evaluate_submission

    result = evaluate_submission(predictions, release, out, device=device)
    if as_json:
        print_json(result)
        return
    answers.print(results_table(result))
    where = f"{result['baseline']} on split {result['split_hash'][:12]}"
    answers.print_line(f"{where}: all results are in {out}.")


@app.command("answers", epilog="Example: eufcc answers answers.jsonl --release path/to/release --out predictions/mine")
def predictions_from_answers(
    file: Annotated[Path, typer.Argument(help="JSON lines: record_id, view, facet, tags (names, the surest first).")],
    release: Annotated[Path, typer.Option(help="Dataset or release folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the predictions, for `eufcc evaluate`.")],
    split: Annotated[str, typer.Option(help="inner_test, outer_test or validation.")] = "inner_test",
    as_json: AsJson = False,
) -> None:
    """Turn answers in words, as of a language model, into predictions; count what names no tag of the list."""
    from ml.evaluation.answers import predictions_of

    counts = predictions_of(file, release, out, split)
    if as_json:
        print_json(counts)
        return
    unknown = sum(counts.unknown.values())
    said = f"{counts.named:,} named tags, {unknown:,} of them not in the list; {counts.unanswered:,} answers missing"
    answers.print_line(f"{out}: {said}.")
    for name, count in counts.unknown.most_common(SHOWN_UNKNOWN):
        answers.print_line(f"  {count:>6,}  {name}")


@app.command(epilog="Example: eufcc power softmax multilabel --difference 5")
def power(
    run_a: Annotated[str, typer.Argument(help="A row of this profile, or a folder of predictions.")],
    run_b: Annotated[str, typer.Argument(help="The other one.")],
    difference: Annotated[float, typer.Option(help="The difference that should be seen, in points.", min=0.01)] = 3.0,
    facet: Annotated[str, typer.Option(help="A facet, or the mean over them.")] = "mean",
    release: Annotated[
        Path | None, typer.Option(help="Dataset or release folder; by default the one beside the predictions.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How many images and providers a test needs to show a difference, at the spread that two rows have today."""
    from ml.evaluation.power import sizes_needed, spreads
    from pipeline.settings import EvaluationSettings

    first, second = _run(run_a), _run(run_b)
    dataset = release or first.parent.parent / "dataset"
    found = spreads(first, second, dataset, EvaluationSettings(), facet)
    if as_json:
        print_json([asdict(one) | {"sizes": list(sizes_needed(one, difference / 100))} for one in found])
        return
    answers.print_line(f"A {first}")
    answers.print_line(f"B {second}")
    for spread in found:
        answers.print(sizes_table(spread, list(sizes_needed(spread, difference / 100)), difference))


@app.command(epilog="Example: eufcc diff releases/2026-10 releases/2026-11 --out changes.csv")
def diff(
    release_a: Annotated[Path, typer.Argument(help="The earlier release folder.")],
    release_b: Annotated[Path, typer.Argument(help="The later release folder.")],
    out: Annotated[Path | None, typer.Option(help="Write every change to this CSV file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed between two releases: images added, withdrawn, changed, relabelled or moved between splits."""
    from pipeline.release.diff import release_diff
    from pipeline.settings import load

    difference = release_diff(release_a, release_b, load().limits)
    changes = difference.changes
    if out is not None:
        _write_csv(changes, out)
    if as_json:
        print_json({"counts": difference.counts, "changes": changes.to_dicts()})
        return
    shown = changes.head(SHOWN_CHANGES).select("kind", "record_id", "view", "before", "after")
    for kind, record, view, before, after in shown.iter_rows():
        line = f"{kind:<10} {record} view {view}: {before or '–'} → {after or '–'}"
        answers.print_line(line)
    if changes.height > SHOWN_CHANGES:
        answers.print(f"… and {changes.height - SHOWN_CHANGES:,} more; --out FILE writes all of them.")
    answers.print_line(difference.sentence())


@app.command(epilog="Example: eufcc audit path/to/release")
def audit(
    folder: Annotated[Path, typer.Argument(help="Dataset or release folder, or a folder of the published CSV files.")],
    as_json: AsJson = False,
) -> None:
    """Look for records, images and near-duplicate groups that are in two splits; exit code 1 when there are any."""
    from pipeline.settings import load
    from pipeline.splits.audit import audit_folder

    audited = audit_folder(folder, load().limits)
    if as_json:
        print_json({"images": audited.images, "comparisons": audited.comparisons.to_dicts()})
    else:
        for sentence in audited.sentences:
            answers.print_line(sentence)
    raise typer.Exit(0 if audited.leaks.is_empty() else 1)


@app.command(epilog="Example: eufcc export softmax --out softmax-model")
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


@app.command(epilog="Example: eufcc tidy --keep-days 90")
def tidy(
    keep_days: Annotated[
        int, typer.Option(help="Delete runs that ended more than this many days ago.", min=1, max=MOST_DAYS)
    ] = KEEP_DAYS,
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


@app.command(epilog="Example: eufcc history")
def history(as_json: AsJson = False) -> None:
    """List the sets of splits that `eufcc run splits --as-of` can make again, the latest last."""
    from pipeline.history import SHORT, split_sets

    sets = split_sets(current_project().here("history"))
    if as_json:
        print_json(sets)
        return
    rows = ((s.made_at[:16], s.splits[:SHORT], s.harvested[:16], f"{s.images:,}", f"{s.seed}") for s in sets)
    answers.print(table(("made (UTC)", "splits", "harvested until"), ("images", "seed"), rows))


@app.command("match-trees", epilog="Example: eufcc match-trees path/to/trees --aat explicit.zip")
def match_trees(
    trees: Annotated[Path, typer.Argument(help="Folder with the published label trees: objectTypes.txt and so on.")],
    aat: Annotated[list[Path], typer.Option(help="Dump of the AAT (.nt, .nt.gz or explicit.zip); may be repeated.")],
    candidates: Annotated[Path | None, typer.Option(help="CSV with columns facet, path, aat_id, score.")] = None,
    labels: Annotated[list[Path] | None, typer.Option(help="CSV of Catalan labels; may be repeated.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for matched.csv and unmatched.csv.")] = Path("published_trees"),
    as_json: AsJson = False,
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
    if as_json:
        print_json(matching.coverage.to_dicts())
        return
    counted = matching.coverage.iter_rows()
    rows = ((facet, f"{n:,}", f"{k:,}", "–" if share is None else f"{share:.0%}") for facet, n, k, share in counted)
    answers.print(table(("facet",), ("nodes", "matched", "share"), rows))
    answers.print_line(
        f"{out / 'unmatched.csv'} lists the other nodes, with the reason and the best candidate of each."
    )


@app.command("import-published", epilog="Example: eufcc import-published path/to/csvs dataset")
def import_published_files(
    folder: Annotated[Path, typer.Argument(help="Folder with train.csv and, as far as there are, the other files.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; a new one, or an empty one.")],
    as_json: AsJson = False,
) -> None:
    """Make a dataset folder without pictures from the published CSV files (docs/official.md)."""
    from pipeline.published.dataset import import_published

    imported = import_published(folder, out)
    for remark in imported.remarks:
        complain(remark)
    if as_json:
        print_json({"rows": imported.rows, "tags": imported.tags, "remarks": imported.remarks})
        return
    counts = ((name, f"{n:,}") for name, n in (*imported.rows.items(), *imported.tags.items()))
    answers.print(table(("split, or facet",), ("rows, or tags",), counts))
    answers.print_line(f"{out}")


def _run(given: str) -> Path:
    """The folder of a run: a path, or the key of a row of this profile."""
    return Path(given) if Path(given).is_dir() else current_project().storage / "predictions" / given


def _write_csv(frame: "pl.DataFrame", file: Path) -> None:
    from pipeline.files import whole_file

    with whole_file(file) as temporary:
        frame.write_csv(temporary)
