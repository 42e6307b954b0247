"""The commands for what others made: their answers on stdout, their errors in one sentence."""

import csv
import json
import re
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.cli import output
from assets.cli.app import main
from assets.engine.console import LINES, console
from assets.engine.keep_days import MOST_DAYS
from ml.dataset.ground_truth import load_truth
from ml.dataset.open import load_dataset
from ml.dataset.prediction_files import write_predictions
from ml.models.index_weights import INDEX_FILES
from ml.registry.inventory import Stock
from pipeline.rate_limit import SystemClock
from pipeline.release.folder import write_dataset
from pipeline.release.pack import ReleaseTables, write_release
from pipeline.settings import Settings
from pipeline.tables import COMPARISONS, TOMBSTONES
from tests.ml.scored import random_scores
from tests.pipeline.conftest import make_museum

SETTINGS = Settings(profile="demo", source="test")


def release_of(museum, folder: Path) -> Path:
    """The museum's dataset beside its release."""
    tables = (museum.records, museum.record_tags, museum.tags)
    write_dataset(museum.images, *tables, museum.splits, museum.split_tags, folder / "dataset")
    packed = ReleaseTables(*tables, museum.split_tags, TOMBSTONES.empty())
    write_release(folder / "dataset", packed, folder / "release", SETTINGS)
    return folder / "release"


@pytest.fixture(scope="module")
def museum(tmp_path_factory):
    """Every image a group of its own: nothing leaks."""
    drawn = make_museum(tmp_path_factory.mktemp("museum"))
    return changed(drawn, splits=drawn.splits.with_columns(group_id="record_id"))


def changed(museum, **tables):
    return museum.__class__(**(vars(museum) | tables))


@pytest.fixture(scope="module")
def run(museum, tmp_path_factory) -> Path:
    """A run's storage with a dataset, a release and the predictions of two rows, one much better than the other."""
    folder = tmp_path_factory.mktemp("run")
    release_of(museum, folder)
    loaded = load_dataset(folder / "dataset")
    for number, (row, skill) in enumerate({"softmax": 0.4, "multilabel": 0.0}.items()):
        for split in ("inner_test", "outer_test"):
            scores = random_scores(folder / "dataset", split, number, skill)
            truth, into = load_truth(loaded, split), folder / "predictions" / row
            write_predictions(scores, truth, loaded, into, baseline=row, seed=0, logarithms=False)
    return folder


@pytest.fixture
def eufcc(monkeypatch, capsys):
    """Run the command as a person does; its exit code, what it says on stdout, and on stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["eufcc", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setenv(LINES, "")  # commands set it for their process, which here is that of all tests
        with pytest.raises(SystemExit) as left:
            main()
        told = capsys.readouterr()
        return int(left.value.code or 0), told.out, told.err

    return call


def only_sentence(code: int, out: str, err: str) -> str:
    """What a failed command says: one line on stderr, nothing on stdout, exit code 1."""
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err.removeprefix("✗ ").strip()


def test_two_rows_are_compared_on_the_same_images(eufcc, run: Path, tmp_path: Path):
    rows = [run / "predictions" / name for name in ("softmax", "multilabel")]
    code, out, _ = eufcc("compare", *rows, "--out", tmp_path / "differences.csv")
    assert code == 0
    written = pl.read_csv(tmp_path / "differences.csv")
    mean = written.filter(split="inner_test", facet="mean", metric="r_precision").row(0, named=True)
    assert (mean["low"], mean["high"]) == (None, None)  # fewer than 12 groups carry no interval
    assert mean["p_value"] < 0.05
    line = next(line for line in out.splitlines() if "Inner test" in line and "Mean of the facets" in line)
    assert f"{100 * mean['difference']:+.1f}" in line
    assert "✓" not in line
    assert "weak" in line
    assert "Acc@1" not in out
    assert "Acc@1" in eufcc("compare", *rows, "--all")[1]


def test_json_holds_what_the_tables_are_made_of(eufcc, run: Path, tmp_path: Path):
    rows = [run / "predictions" / name for name in ("softmax", "multilabel")]
    code, out, _ = eufcc("compare", *rows, "--out", tmp_path / "differences.csv", "--all", "--json")
    assert code == 0
    told, written = json.loads(out), pl.read_csv(tmp_path / "differences.csv")
    assert [row["difference"] for row in told] == written["difference"].to_list()
    code, out, _ = eufcc("power", *rows, "--json")
    assert code == 0
    (spread, *_) = json.loads(out)
    assert spread["split"] == "inner_test"
    assert spread["sizes"][0]["groups_a_provider"] is None
    _, out, _ = eufcc("evaluate", rows[0], "--release", run / "release", "--out", tmp_path / "results.json", "--json")
    assert json.loads(out) == json.loads((tmp_path / "results.json").read_text())


def test_json_of_releases_has_the_counts_of_the_sentence(eufcc, run: Path):
    code, out, _ = eufcc("diff", run / "release", run / "release", "--json")
    told = json.loads(out)
    assert (code, told["changes"], set(told["counts"].values())) == (0, [], {0})
    code, out, _ = eufcc("audit", run / "release", "--json")
    told = json.loads(out)
    assert sum(row["keys"] for row in told["comparisons"]) == 0
    assert (code, set(told["images"])) == (0, {"train", "validation", "inner_test", "outer_test"})


def test_the_size_of_a_test_that_shows_a_difference_is_told(eufcc, run: Path):
    rows = [run / "predictions" / name for name in ("softmax", "multilabel")]
    code, out, _ = eufcc("power", *rows, "--difference", "5")
    assert code == 0
    assert "Inner test: to see 5 points with a chance of 80 %" in out
    needed = {n: int(re.search(rf"other providers +([\d,]+) +{n} ", out)[1].replace(",", "")) for n in (20, 200)}
    assert 2 <= needed[200] <= needed[20]
    said = only_sentence(*eufcc("power", *rows, "--facet", "colour"))
    assert said.startswith("There is no facet colour; there are object_types")


def test_two_runs_are_compared_row_by_row(eufcc, run: Path, tmp_path: Path):
    other = Path(shutil.copytree(run, tmp_path / "other"))
    shutil.rmtree(other / "predictions" / "softmax")
    code, out, _ = eufcc("compare", run, other)
    assert code == 0
    assert "Multi-label" in out
    assert "Softmax" not in out
    assert re.search(r"Mean of the facets +R-Prec +\+0\.0 +– +1\.0000", out)


@pytest.mark.parametrize(
    ("tells", "low", "shown"),
    [("tells", 0.05, "+5.0 … +15.0  ✓"), ("weak", 0.05, "+5.0 … +15.0"), ("cannot tell", None, "–")],
)
def test_a_difference_has_a_mark_only_where_the_test_tells(tells, low, shown, capsys):
    high = None if low is None else 0.15
    row = {"run": "r", "split": "inner_test", "first": "softmax", "second": "multilabel", "facet": "materials"}
    row |= {"metric": "r_precision", "difference": 0.1, "low": low, "high": high, "p_value": 0.01, "tells": tells}
    output.answers.print(output.differences_table(COMPARISONS.frame([row])))
    line = next(line for line in capsys.readouterr().out.splitlines() if "Materials" in line)
    assert f"+10.0  {shown}" in re.sub(r" {2,}(?=[–+])", "  ", line)
    assert ("✓" in line) is (tells == "tells")
    assert tells in line


def test_a_run_that_is_not_there_or_of_another_split_is_one_sentence(eufcc, run: Path, museum, tmp_path: Path):
    said = only_sentence(*eufcc("compare", run / "predictions" / "softmax", tmp_path / "nowhere"))
    assert said.endswith("nowhere; name a trained row or a folder of predictions.")
    smaller = museum.splits.filter(pl.col("record_id") != museum.splits["record_id"][0])
    write_dataset(
        museum.images, museum.records, museum.record_tags, museum.tags, smaller, museum.split_tags, tmp_path / "dataset"
    )
    rows = [run / "predictions" / name for name in ("softmax", "multilabel")]
    said = only_sentence(*eufcc("compare", *rows, "--release", tmp_path / "dataset"))
    assert re.search(r"was predicted for the split \w{12}, the dataset has \w{12}; predict again\.$", said)


def test_predictions_of_anyone_are_scored_on_a_release(eufcc, run: Path, tmp_path: Path):
    out = tmp_path / "results.json"
    code, said, _ = eufcc("evaluate", run / "predictions" / "softmax", "--release", run / "release", "--out", out)
    assert code == 0
    result = json.loads(out.read_text())
    assert result["split_hash"] == load_dataset(run / "dataset").split_hash
    assert {row["baseline"] for row in result["references"]} == {"label_prior", "provider_alone", "oracle"}
    assert result["verdicts"] == {"inner_test": "cannot tell", "outer_test": "cannot tell"}
    assert "Outer test, Object types, " in said
    assert "Settings that change it:" in said
    assert result["split_hash"][:12] in said
    value = next(
        row["value"]
        for row in result["results"]
        if (row["split"], row["facet"], row["metric"], row["policy"])
        == ("outer_test", "mean", "acc_at_1", "ignore_unseen")
    )
    line = next(line for line in said.splitlines() if re.match("Outer test +Mean of the facets +Acc@1", line))
    assert f"{value:.2f}".removeprefix("0") in line


def spoil(file: Path, how: str) -> None:
    """Write the prediction file anew with one fault."""
    table = pq.read_table(file)
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    frame = pl.DataFrame(pl.from_arrow(table))
    if how == "no parquet":
        file.write_text("record_id,view,scores")
        return
    if how == "no column":
        pq.write_table(table.drop_columns(["view"]), file)
        return
    if how == "whole numbers":
        frame = frame.with_columns(pl.col("scores").cast(pl.Array(pl.Int16, frame["scores"].dtype.size)))
    elif how == "null":
        nothing = pl.lit(None, frame["scores"].dtype)
        frame = frame.with_columns(scores=pl.when(pl.int_range(pl.len()) == 2).then(nothing).otherwise("scores"))
    elif how == "nan":
        frame = frame.with_columns(scores=pl.lit([float("nan")] * frame["scores"].dtype.size, frame["scores"].dtype))
    elif how == "repeated":
        frame = pl.concat([frame, frame.head(1)])
    else:
        metadata |= {"unknown tag": {"tag_ids": json.dumps(["1", "2"])}, "split": {"split_hash": "0" * 64}}[how]
    pq.write_table(frame.to_arrow().cast(frame.to_arrow().schema).replace_schema_metadata(metadata), file)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("split", r"was predicted for the split 000000000000, the dataset has \w{12}; predict again\.$"),
        ("missing", r"has no predictions for the facet materials of inner_test; write materials\.parquet\.$"),
        ("nan", r"has NaN scores for /\S+; predict again with finite scores\.$"),
        ("repeated", r"has the image /\S+ view 0 more than once; keep one row an image\.$"),
        ("unknown tag", r"scores the unknown tag 1; materials does not list it\.$"),
        ("no parquet", r"materials\.parquet cannot be read \(.+\); write it again\.$"),
        ("no column", r"has no column `view`; it needs record_id, view and scores\.$"),
        ("whole numbers", r"has scores of type .+; they must be fixed-size lists of floats\.$"),
        ("null", r"has images without scores; predict them too\.$"),
    ],
)
def test_predictions_that_do_not_fit_are_one_sentence(eufcc, run: Path, tmp_path: Path, how, sentence):
    spoiled = Path(shutil.copytree(run / "predictions" / "softmax", tmp_path / "softmax"))
    file = spoiled / "inner_test" / "materials.parquet"
    if how == "missing":
        file.unlink()
    else:
        spoil(file, how)
    out = tmp_path / "results.json"
    said = only_sentence(*eufcc("evaluate", spoiled, "--release", run / "release", "--out", out))
    assert re.search(sentence, said), said
    assert not out.exists()


def test_a_folder_that_is_no_release_is_one_sentence(eufcc, run: Path, tmp_path: Path):
    predictions = run / "predictions" / "softmax"
    said = only_sentence(*eufcc("evaluate", predictions, "--release", tmp_path))
    assert "is no dataset: it has no tag_list.json, nor the published CSV files." in said
    assert "is no release: it has no data/*.parquet." in only_sentence(*eufcc("diff", run / "release", tmp_path))
    assert "does not hold two splits to compare" in only_sentence(*eufcc("audit", tmp_path))


def test_two_releases_are_told_apart(eufcc, run: Path, museum, tmp_path: Path):
    gone, moved = museum.splits.filter(split="train")["record_id"].to_list()[:2]
    which = pl.col("record_id")
    splits = museum.splits.filter(which != gone).with_columns(
        split=pl.when(which == moved).then(pl.lit("validation")).otherwise("split")
    )
    later = release_of(changed(museum, splits=splits), tmp_path)
    code, out, _ = eufcc("diff", run / "release", later, "--out", tmp_path / "changes.csv")
    assert code == 0
    assert out.splitlines()[-1] == "0 added, 1 withdrawn, 0 changed, 0 relabelled, 1 moved"
    assert f"withdrawn  {gone} view 0: train → –" in out
    assert f"moved      {moved} view 0: train → validation" in out
    with (tmp_path / "changes.csv").open(newline="") as file:
        assert [(row["record_id"], row["kind"]) for row in csv.DictReader(file)] == sorted(
            [(gone, "withdrawn"), (moved, "moved")]
        )


def test_a_release_is_audited_and_a_leak_is_an_exit_code(eufcc, run: Path, tmp_path: Path):
    code, out, _ = eufcc("audit", run / "release")
    assert code == 0
    assert re.search(r"\d+ images in 4 splits: none shares its record, group, source bytes, stored bytes\.", out)
    header = (
        "idInSource,objectTypes.hierarchy,subjects.hierarchy,materials.hierarchy,#portraitMedia.original,database,"
        "repository.keeper,classifications.hierarchy\n"
    )
    for name, record in (("train.csv", "art_1"), ("val.csv", "art_2"), ("test_id.csv", "art_1")):
        row = f"{record},,,,https://museum.example/{record}.jpg,EUROPEANA,Museu,\n"
        (tmp_path / name).write_text(header + row, encoding="utf-8")
    code, out, _ = eufcc("audit", tmp_path)
    assert code == 1
    assert "1 × the same record in train.csv (1 images) and test_id.csv (1), for example art_1." in out


HOSTILE = "/1/\x1b[2J\u202eevil\n✓"


def test_ids_cannot_command_the_terminal(eufcc, tmp_path: Path):
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        rows = {"record_id": [HOSTILE], "group_id": ["g"], "image_id": ["i"], "image": [{"bytes": b"x", "path": "p"}]}
        pq.write_table(pa.table(rows), tmp_path / split / "part-00000.parquet")
    code, out, _ = eufcc("audit", str(tmp_path))
    assert code == 1
    assert "\\x1b[2J\\u202eevil\\n✓" in out
    assert not re.search("[\x1b\u202e]|^✓", out, re.MULTILINE)


def test_ids_are_shown_as_they_are_written(capsys):
    """What rich would draw as a picture, colour as a number, or read as markup."""
    output.answers.print_line("/1/a:art:b 42 [red]")
    console.print_line("/1/a:art:b 42 [red]")
    told = capsys.readouterr()
    assert told.out == told.err == "/1/a:art:b 42 [red]\n"


def test_a_diff_shows_ids_as_they_are_written(eufcc, museum, tmp_path: Path):
    before, after = (release_of(museum, tmp_path / name) for name in ("before", "after"))
    part = next(iter((after / "data").glob("train-*.parquet")))
    table = pq.read_table(part)
    ids = [HOSTILE, *table["record_id"].to_pylist()[1:]]
    pq.write_table(table.set_column(table.column_names.index("record_id"), "record_id", pa.array(ids)), part)
    code, out, _ = eufcc("diff", str(before), str(after))
    assert code == 0
    assert "\\x1b[2J\\u202eevil\\n✓" in out
    assert not re.search("[\x1b\u202e]|^✓", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("days", "bound"), [(0, "greater than or equal to 1"), (MOST_DAYS + 1, f"less than or equal to {MOST_DAYS}")]
)
def test_tidy_refuses_a_number_of_days_that_the_job_refuses(eufcc, tmp_path: Path, monkeypatch, days: int, bound: str):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    code, out, err = eufcc("tidy", "--keep-days", days)
    assert (code, out) == (2, "")
    assert f"Invalid value for '--keep-days': Input should be {bound}" in err
    assert list(tmp_path.iterdir()) == []


def test_json_before_a_command_is_refused(eufcc):
    code, out, err = eufcc("--json", "doctor")
    assert (code, out) == (2, "")
    assert "eufcc doctor --json" in err


def test_a_job_that_does_not_exist_is_told_alike(eufcc):
    for command in ("run", "status"):
        code, out, err = eufcc(command, "splitz")
        assert (code, out) == (2, "")
        assert err.startswith("✗ There is no job splitz; there are harvest, dataset, splits, benchmark, suites,")


def test_texts_about_networks_keep_their_brackets(eufcc, monkeypatch):
    """A message names an extra, and a path may have brackets that close no markup."""
    stock = Stock("net", "timm", "[/tmp/x]", "MIT", True, 1.0, "missing", message="install `eufcc[export]`")
    monkeypatch.setattr("ml.registry.inventory.stock", lambda *_: [stock])
    code, out, err = eufcc("check-weights")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == ["    from [/tmp/x]", "    install `eufcc[export]`"]


def test_a_folder_of_weights_keeps_its_brackets(eufcc, tmp_path: Path, monkeypatch):
    folder = tmp_path / "[bold]" / "x"
    name, *_ = INDEX_FILES
    folder.mkdir(parents=True)
    (folder / INDEX_FILES[name].becomes.file).write_bytes(b"x")
    monkeypatch.setattr("ml.models.index_weights.fetch_from_index", lambda _: {name: "present"})
    code, _, err = eufcc("weights", "--from-index", "--folder", folder)
    assert code == 0
    assert f"present: {folder}/" in err


def test_tables_are_on_stdout_and_keep_their_brackets(eufcc, monkeypatch):
    rows = pl.DataFrame({"name": ["[red] a", "[/x] :art:"], "value": [0.5, 1234.0]})
    monkeypatch.setattr("ml.assistant.decision_impact.decision_impact", lambda *_: ("[bold] key", rows))
    monkeypatch.setattr("pipeline.harvest.plan.dry_run", lambda *_: rows)
    client = SimpleNamespace(allowed=None, http=SimpleNamespace(clock=SystemClock()))
    monkeypatch.setattr("assets.harvest.europeana", lambda _: nullcontext(client))
    for command, shown in (
        ("decisions", ["[bold] key", "0.5", "1.23e+03"]),
        ("plan", ["0.50", "1,234.00", "The server states no limit."]),
    ):
        code, out, err = eufcc(command)
        assert (code, err) == (0, "")
        assert [one for one in ("[red] a", "[/x] :art:", *shown) if one not in out] == []
