"""A fifth facet is one record: a copy of the tree with it in facets.toml runs from records to the assistant's page.

Older datasets, models, predictions and published files have four facets; the copy must read and score them the same.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import httpx
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from rdflib import Graph, URIRef
from rdflib.namespace import SKOS

from ml.dataset.open import load_dataset
from ml.evaluation.score_run import evaluate_benchmark
from pipeline.facets import FACETS
from pipeline.published.format import COLUMNS, as_published, write_published
from tests.ml.assistant.pages import CHROMIUM, FLAGS, add
from tests.ml.museum import write_museum
from tests.ml.scored import FAST, dataset, museum, storage
from tests.support.references import reference_rows

__all__ = ["dataset", "museum", "storage"]

pytestmark = pytest.mark.xdist_group("fifth_facet")  # one run for all tests that look at it
ROOT = Path(__file__).parents[1]
FIVE = [*FACETS, "techniques"]
RECORD = """
[[facet]]
key = "techniques"
root = "300053001"  # Processes and Techniques (hierarchy), inside the Activities Facet
only_listed = false
title = "Ways of making"
plural = "ways of making"
short = "tech"
labels = { en = "Techniques", ca = "Tècniques", de = "Techniken", es = "Técnicas", fr = "Techniques" }
colour = "#56B4E9"
prompt = "an image of an object made by {tag}"
min_test_images = 3
min_test_images_demo = 3
edm = "dc:format"
lido = "materialsTech"
lido_attributes = { type = "technique" }
"""
PUBLISHED = """published = "techniques"
published_column = 8
"""
RULE = """
[[reassign]]
id = "300900044"
label = "inlaying"
facet = "techniques"
reason = "a technique that stands among the objects"
"""
ENGRAVING, LINES, STIPPLE, INLAYING = (f"30090004{number}" for number in range(1, 5))
EDM_PROPERTY, LIDO = "dc:format", "{http://www.lido-schema.org}"

# Reads what the unchanged tree wrote. argv: its storage, where to write, a network, a picture, published files.
OLD_FILES = """
import json, sys
from pathlib import Path

import torch
from PIL import Image

from ml.assistant.vocabulary import Vocabulary, read_tag_list
from ml.dataset.open import load_dataset
from tests.support.references import reference_rows
from ml.evaluation.score_run import evaluate_benchmark
from ml.registry.score import Scorer
from ml.report.write import write_report
from pipeline.files import sha256_of
from pipeline.release.folder import hash_tag_list
from tests.ml.scored import FAST

torch.set_num_threads(1)
storage, out, network, picture, published = map(Path, sys.argv[1:])
benchmark = evaluate_benchmark(storage, FAST)
write_report(storage, out / "report", FAST, benchmark)
order, terms = read_tag_list(storage / "dataset" / "tag_list.json")
listed = json.loads((storage / "dataset" / "tag_list.json").read_text())
scores = Scorer("multilabel", network / "models", network / "dataset").scores(Image.open(picture))
print(json.dumps({
    "results": benchmark.results.rows(),
    "hash": hash_tag_list(listed["facets"]) == listed["tag_list_hash"],
    "trees": Vocabulary(terms, list(order)).facets,
    "scores": {facet: values.tolist() for facet, values in scores.items()},
    "published_hash": load_dataset(published).tag_list_hash,
    "published_rows": reference_rows(published, ("inner_test",), FAST),
}))
"""


def run(tree: Path, *arguments: object) -> str:
    """Python in the copy, and nothing of this tree on its path; returns what it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=tree, env=environment(tree), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(tree: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def copy_tree(folder: Path, record: str) -> Path:
    """The files that git knows, with what numba has compiled, and one record more in facets.toml."""
    kept = ("pipeline", "ml", "assets", "tests", "pyproject.toml", "workspace.yaml")
    listed = subprocess.run(["git", "ls-files", *kept], cwd=ROOT, capture_output=True, text=True, check=True)
    compiled = [file.relative_to(ROOT) for room in kept[:3] for file in (ROOT / room).rglob("*.nb[ic]")]
    for name in [*listed.stdout.splitlines(), *compiled]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    for file, text in (("pipeline/facets.toml", record), ("pipeline/vocabulary/rules.toml", RULE)):
        with (folder / file).open("a", encoding="utf-8") as stream:
            stream.write(text)
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The copy; the published files do not have its fifth facet."""
    return copy_tree(tmp_path_factory.mktemp("five"), RECORD)


@pytest.fixture(scope="module")
def five(tree: Path, tmp_path_factory) -> Path:
    """The storage of a run in the copy."""
    folder = tmp_path_factory.mktemp("storage")
    run(tree, "-m", "tests.support.five_facets", folder)
    return folder


@pytest.fixture(scope="module")
def published(museum, tmp_path_factory) -> Path:
    """Published files as the unchanged tree writes them."""
    folder = tmp_path_factory.mktemp("published")
    write_published(as_published(museum.splits, museum.records, museum.record_tags, museum.tags), folder)
    return folder


def read(five: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(five / f"{name}.parquet")


def test_rules_and_curation_give_concepts_and_records_the_facet(five: Path):
    facets = dict(read(five, "concepts").select("concept_id", "facet").iter_rows())
    assert {each for each, facet in facets.items() if facet == "techniques"} == {
        "300053001", ENGRAVING, LINES, STIPPLE, INLAYING
    }  # fmt: skip
    effect = read(five, "rule_effects").filter(concept_id=INLAYING).row(0, named=True)
    assert (effect["n_concepts"], effect["problem"]) == (1, None)
    tags = read(five, "tags").filter(facet="techniques")
    assert dict(tags.select("tag_id", "parent").iter_rows()) == {
        ENGRAVING: None, LINES: ENGRAVING, STIPPLE: ENGRAVING, INLAYING: None
    }  # fmt: skip
    pairs = read(five, "record_tags").filter(facet="techniques")
    assert pairs.filter(~pl.col("stated"))["tag_id"].unique().to_list() == [ENGRAVING]
    assert "Techniques" not in (five / "statistics.html").read_text()  # titles are the record's, not the key
    assert "techniques" in (five / "statistics.html").read_text()
    assert "classifications, subjects or techniques" in (five / "data-dictionary.md").read_text()


def test_splits_and_dataset_have_the_facet(five: Path):
    counts = read(five, "split_tags").filter(facet="techniques")
    assert set(counts["minimum"]) == {3}
    assert (counts["inner_test"] >= 3).all()
    content = json.loads((five / "dataset" / "tag_list.json").read_text())
    assert list(content["facets"]) == sorted(FIVE)  # JSON keys are sorted
    assert [tag["tag_id"] for tag in content["facets"]["techniques"]] == [ENGRAVING, LINES, STIPPLE, INLAYING]
    table = pq.read_table(five / "dataset" / "train" / "part-00000.parquet")
    assert {"techniques", "techniques_stated"} <= set(table.schema.names)
    assert [ENGRAVING, LINES] in table["techniques"].to_pylist()


def test_results_have_the_facet_and_their_mean_counts_five(five: Path):
    results = read(five, "report/results").filter(policy="ignore_unseen", metric="r_precision")
    for row in ("multilabel", "clip_1_tag_prompt", "label_prior", "oracle"):
        for split in ("inner_test", "outer_test"):
            of_row = dict(results.filter(baseline=row, split=split).select("facet", "value").iter_rows())
            assert set(of_row) == {*FIVE, "mean"}
            assert of_row["mean"] == pytest.approx(np.mean([of_row[facet] for facet in FIVE]), rel=1e-5)
            assert 0 < of_row["techniques"] <= 1


def test_report_tables_and_console_show_the_facet(five: Path):
    page = (five / "report" / "report.html").read_text()
    assert "Ways of making" in page
    assert "#56B4E9" in page
    for name in ("tables.md", "tables.tex"):
        assert "Ways of making" in (five / "report" / name).read_text()
    console = (five / "console.txt").read_text()
    assert re.search(r"obj +mat disc subj tech$", console, re.MULTILINE)
    assert max(map(len, console.splitlines())) <= 80


def test_card_and_release_have_the_facet(five: Path):
    card, facts = (
        (five / "release" / "README.md").read_text(),
        json.loads((five / "release" / "release.json").read_text()),
    )
    assert "in five\nfacets" in card
    assert "ways of making (`techniques`) | 4 | 4 | " in card
    assert facts["annotated"]["techniques"] > 150
    names = pq.read_schema(next((five / "release" / "data").glob("train-*"))).names
    assert {f"techniques{suffix}" for suffix in ("", "_stated", "_paths", "_labels")} <= set(names)
    assert "techniques_stated" in (five / "release" / "croissant.json").read_text()
    graph = Graph().parse(five / "release" / "vocabulary.ttl")
    aat = "http://vocab.getty.edu/aat/"
    assert (URIRef(aat + LINES), SKOS.broader, URIRef(aat + ENGRAVING)) in graph
    assert len(set(graph.subjects(SKOS.inScheme, URIRef("urn:eufcc:facet:techniques")))) == 4


def test_without_a_published_name_the_published_files_lack_the_facet_and_the_card_says_so(five: Path):
    folder = five / "release" / "published_format"
    with (folder / "train.csv").open(encoding="utf-8", newline="") as stream:
        assert tuple(next(csv.reader(stream))) == COLUMNS
    assert "engraving" not in "".join(file.read_text() for file in folder.iterdir())
    assert "without the facet `techniques`, which they do not have," in (five / "release" / "README.md").read_text()
    assert list(load_dataset(folder).facets) == list(FACETS)


def test_with_a_published_name_the_facet_has_a_column_at_the_end(five: Path, published: Path, tmp_path: Path):
    other = copy_tree(tmp_path / "tree", RECORD + PUBLISHED)
    told = json.loads(run(other, "-m", "tests.support.fifth_column", five, tmp_path, published))
    first = (tmp_path / "first" / "train.csv").read_text()
    assert first.splitlines()[0] == ",".join([*COLUMNS, "techniques.hierarchy"])
    assert "engraving | line engraving" in first
    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes()
    assert told["same"]
    assert told["paths"] == [
        "engraving", "engraving | line engraving", "engraving | stipple engraving", "inlaying"
    ]  # fmt: skip
    assert told["tags"] == 4
    assert told["pairs"][0] == told["pairs"][1] > 100
    assert told["scored"] == [4, 4]
    (row,) = csv.DictReader(told["csv"].splitlines())
    assert row["techniques.hierarchy"] == "engraving | line engraving"
    assert (row["techniques.aat"], row["techniques.origin"]) == (f"http://vocab.getty.edu/aat/{LINES}", "human")
    assert told["older"] == load_dataset(published).tag_list_hash


def test_older_datasets_models_predictions_and_published_files_give_the_same(
    tree: Path, storage: Path, published: Path, tmp_path: Path, older_network: Path
):
    picture = tmp_path / "picture.jpg"
    rows = pq.read_table(older_network / "dataset" / "inner_test" / "part-00000.parquet")
    picture.write_bytes(rows["image"][0]["bytes"].as_py())
    told = json.loads(run(tree, "-c", OLD_FILES, storage, tmp_path, older_network, picture, published))

    results = evaluate_benchmark(storage, FAST).results
    assert [tuple(row) for row in told["results"]] == results.rows()
    assert told["hash"]
    assert told["trees"] == list(FACETS)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Disciplines" in page
    assert "Ways of making" not in page

    from ml.registry.score import Scorer  # torch takes seconds to import

    scorer = Scorer("multilabel", older_network / "models", older_network / "dataset")
    scores = scorer.scores(Image.open(picture))
    assert list(told["scores"]) == list(scores) == list(FACETS)
    for facet, values in scores.items():
        assert np.allclose(told["scores"][facet], values, atol=1e-6)
    assert told["published_hash"] == load_dataset(published).tag_list_hash
    assert told["published_rows"] == reference_rows(published, ("inner_test",), FAST)


@pytest.fixture(scope="module")
def older_network(tmp_path_factory) -> Path:
    """A dataset and a network that the unchanged tree made."""
    from ml.experiments.run import main  # torch takes seconds to import

    folder = tmp_path_factory.mktemp("older")
    write_museum(folder / "dataset")
    places = [f"--{name}={folder / name}" for name in ("dataset", "models", "predictions")]
    small = ["--override", "epochs=1", "image_size=32", "cache_px=40", "warmup_steps=2"]
    assert main(["--baseline", "multilabel", *places, *small]) == 0
    return folder


@pytest.fixture(scope="module")
def address(tree: Path, five: Path, tmp_path_factory) -> Iterator[str]:
    """The copy's assistant with the run's models."""
    command = [sys.executable, "-m", "ml.assistant", "--storage", str(five), "--port", "0", "--no-fetch"]
    command += ["--folder", str(tmp_path_factory.mktemp("assistant"))]
    with subprocess.Popen(command, cwd=tree, env=environment(tree), stdout=subprocess.PIPE, text=True) as server:
        try:
            said = next(found for line in server.stdout if (found := re.search(r"http://\S+", line)))
            waiting = httpx.HTTPTransport(retries=6)  # it says the address just before it listens
            with httpx.Client(transport=waiting, timeout=60) as client:
                client.get(said[0]).raise_for_status()
            yield said[0].rstrip("/")
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, headers={"x-assistant": "1"}, timeout=60) as made:
        yield made


@pytest.fixture(scope="module")
def picture(five: Path) -> bytes:
    return pq.read_table(five / "dataset" / "inner_test" / "part-00000.parquet")["image"][0]["bytes"].as_py()


@pytest.fixture(scope="module")
def exported(client: httpx.Client, picture: bytes) -> Callable[[str], str]:
    """exported("lido"): the export of an image whose only tag is of the fifth facet."""
    image = client.post("/api/images?who=anna&title=one.jpg", content=picture).json()["image"]["image_id"]
    body = {"who": "anna", "version": 0, "key": "key-00000000", "tag_id": LINES, "action": "accept"}
    assert client.post(f"/api/images/{image}/decisions", json=body).status_code == 200

    def export(kind: str) -> str:
        return client.get("/api/export", params={"format": kind, "image_id": image, "lang": "en"}).text

    return export


def test_the_assistant_has_the_facets_tree(client: httpx.Client):
    about = client.get("/api/about").json()
    assert list(about["facets"]) == FIVE
    assert about["facet_labels"]["techniques"]["ca"] == "Tècniques"
    nodes = client.get("/api/tree/techniques").json()["nodes"]
    assert [node["tag_id"] for node in nodes] == [ENGRAVING, INLAYING]


def test_the_assistants_exports_keep_the_facets_tag(exported: Callable[[str], str]):
    uri = f"http://vocab.getty.edu/aat/{LINES}"
    (row,) = csv.DictReader(exported("csv").splitlines())
    assert (row["techniques.aat"], row["techniques.origin"]) == (uri, "human")
    assert "techniques.hierarchy" not in row
    (cho, *_) = json.loads(exported("edm"))["@graph"]
    assert cho[EDM_PROPERTY] == [{"@id": uri}]
    (term,) = ElementTree.fromstring(exported("lido")).iter(f"{LIDO}termMaterialsTech")
    assert (term.get(f"{LIDO}type"), term.findtext(f"{LIDO}term")) == ("technique", "line engraving")
    assert uri in exported("webannotation")


@pytest.mark.browser
def test_the_page_shows_five_trees_with_suggestions_in_each(address: str, picture: bytes):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(locale="en-GB")
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        add(page, [{"name": "two.jpg", "mimeType": "image/jpeg", "buffer": picture + b"another"}])
        titles = ["Object types", "Materials", "Disciplines", "Subjects", "Techniques"]
        expect(page.locator("#trees .facet h3")).to_have_text(titles)
        for facet in FIVE:
            expect(page.locator(f"#tree-{facet} .suggested").first).to_be_visible()
        browser.close()
    assert errors == []
