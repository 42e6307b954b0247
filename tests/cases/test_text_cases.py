"""Every case of ../shared/cases that comes as text, table or prediction file, each through the door it names."""

import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from starlette.responses import Response

from pipeline.curation.corrections import CorrectionsError, read_corrections
from pipeline.harvest.entities import EntityConcept, read_concepts
from pipeline.harvest.items import row_of_item
from pipeline.harvest.pages import harvest_collection
from pipeline.harvest.records import write_records
from pipeline.http import HttpClient
from pipeline.images.fetch import fetch_images
from pipeline.images.wanted import WANTED
from pipeline.published.format import PublishedError, read_published
from pipeline.published.trees import read_candidates
from pipeline.sandbox.folder import MuseumError
from pipeline.settings import HarvestSettings, HttpSettings, ImageSettings, VocabularySettings
from pipeline.splits.audit import AuditError, audit_folder
from pipeline.tables import RECORDS
from pipeline.text_files import TextFileError
from pipeline.vocabulary.align import Alignment, align_concepts
from pipeline.vocabulary.dump import DumpSource
from pipeline.vocabulary.getty import GettySource
from pipeline.vocabulary.labels import read_label_files
from pipeline.vocabulary.source import DumpThenEndpoint
from tests.conftest import SHARED
from tests.pipeline.harvest.conftest import client_of
from tests.pipeline.images.pictures import jpeg
from tests.pipeline.images.provider import Provider, serving
from tests.support.museum_server import running

pytestmark = pytest.mark.shared

CASES = SHARED / "cases"
KINDS = ("text-surrogates", "europeana-addresses", "aat-spellings", "museum-tables", "predictions-files")
ERRORS = (CorrectionsError, PublishedError, MuseumError, AuditError, TextFileError)
Case = dict[str, Any]


def harvest(case: Case, kind: Path, tmp_path: Path) -> None:
    """A harvest of these search answers, then the rows of records.parquet."""
    content = (kind / case["input"]).read_bytes()
    answer = httpx.Response(200, content=content, headers={"Content-Type": "application/json"})
    harvest_collection(client_of(lambda request: answer), "*", tmp_path / "pages" / "all", HarvestSettings())
    write_records(tmp_path / "pages", tmp_path / "records.parquet")
    rows = {row["record_id"]: row for row in pl.read_parquet(tmp_path / "records.parquet").iter_rows(named=True)}
    right = case["right"]["records"]
    assert {name: {column: rows[name][column] for column in columns} for name, columns in right.items()} == right
    for row in rows.values():
        json.dumps(row, default=str, ensure_ascii=False).encode()


def concept_of_entity(case: Case, kind: Path, tmp_path: Path) -> None:
    """The Entity API's answer, once asked and once from the cache: the label of the concept that stands for nothing."""
    content = (kind / case["input"]).read_bytes()
    client = client_of(lambda request: httpx.Response(200, content=content))
    labels = []
    for ask in (client.concepts, refuse):
        unmapped = aligned([case["uri"]], ask, empty_thesaurus(tmp_path), tmp_path).unmapped_concepts
        labels += unmapped["label"].to_list()
    assert labels == [case["right"]["label"]] * 2


def getty(case: Case, kind: Path, tmp_path: Path) -> None:
    """Labels of an answer of Getty's endpoint, once asked and once from the cache."""
    content = (kind / case["input"]).read_bytes()
    answer = httpx.Response(200, content=content, headers={"Content-Type": "application/sparql-results+json"})
    for transport in (httpx.MockTransport(lambda request: answer), httpx.MockTransport(refuse)):
        http = HttpClient(HttpSettings(attempts=1), transport=transport)
        (row,) = GettySource(http, VocabularySettings(), tmp_path).concepts([case["id"]]).iter_rows(named=True)
        assert row["labels"] == case["right"]["labels"]


def item(case: Case, kind: Path, tmp_path: Path) -> None:
    """The columns named of an item's row."""
    row = row_of_item(read(kind / case["input"]))
    assert {column: row[column] for column in case["right"]["columns"]} == case["right"]["columns"]


def spelling_in_record(case: Case, kind: Path, tmp_path: Path) -> None:
    """An item with its spelling of a concept: the concept ids that it is aligned to."""
    row = row_of_item(read(kind / case["input"]))
    uris = [*row["concept_uris"], *row["type_uris"], *row["subject_uris"]]
    alignment = aligned(uris, refuse, kind / "thesaurus.nt", tmp_path)
    assert alignment.concept_alignments["concept_id"].to_list() == case["right"]["concepts"]


def spelling_in_match(case: Case, kind: Path, tmp_path: Path) -> None:
    """A record that names Europeana's concept, whose matches are spelt so."""
    concepts = read_concepts(read(kind / case["input"]))
    alignment = aligned([each.uri for each in concepts], lambda uris: concepts, kind / "thesaurus.nt", tmp_path)
    assert alignment.concept_alignments["concept_id"].to_list() == case["right"]["concepts"]


def corrections(case: Case, kind: Path, tmp_path: Path) -> None:
    """Columns of the curators' CSV."""
    rows = read_corrections(kind / case["input"])
    for name, column in (("record_ids", "record_id"), ("tag_ids", "tag_id")):
        if name in case["right"]:
            assert rows[column].to_list() == case["right"][name]


def labels(case: Case, kind: Path, tmp_path: Path) -> None:
    """The concepts of a file of further labels."""
    rows = read_label_files([kind / case["input"]])
    assert rows["concept_id"].to_list() == case["right"]["concept_ids"]


def takedown(case: Case, kind: Path, tmp_path: Path) -> None:
    """One picture of a record that the list names: not one request, not one picture."""
    asked, usable = fetched(kind / case["input"], [case["record_id"]], tmp_path)
    assert {"asked": asked, "usable": usable} == case["right"]


def museum_table(case: Case, kind: Path, tmp_path: Path) -> None:
    """A museum folder, served: what searches find and how long the picture is, or one sentence."""

    def answers(folder: Path) -> dict[str, Any]:
        with running(folder) as address, httpx.Client(base_url=address) as http:
            return {name: answer_of(http, question) for name, question in case["right"].get("ask", {}).items()}

    read_or_told(case, kind, answers)


def published_table(case: Case, kind: Path, tmp_path: Path) -> None:
    """A published CSV file."""
    read_or_told(case, kind, lambda file: {"record_ids": read_published({"train": file}).rows["record_id"].to_list()})


def corrections_table(case: Case, kind: Path, tmp_path: Path) -> None:
    """A curators' CSV."""
    read_or_told(case, kind, lambda file: {"rows": read_corrections(file).rows()})


def audit_table(case: Case, kind: Path, tmp_path: Path) -> None:
    """A folder of published splits."""
    read_or_told(case, kind, lambda folder: {"sentences": audit_folder(folder).sentences()})


def candidates_table(case: Case, kind: Path, tmp_path: Path) -> None:
    """The candidates of match-trees."""
    read_or_told(case, kind, lambda file: {"ids": sorted(id for of in read_candidates(file).values() for id in of)})


def takedown_table(case: Case, kind: Path, tmp_path: Path) -> None:
    """Three records, of which the list names two."""
    ids = [f"/9301/{number}" for number in (1, 2, 3)]
    read_or_told(case, kind, lambda file: {"usable": fetched(file, ids, tmp_path)[1]})


def predictions(case: Case, kind: Path, tmp_path: Path) -> None:
    """`eufcc evaluate`: exit code and figures, or one sentence."""
    out, right = tmp_path / "results.json", case["right"]
    options = (kind / case["input"], "--release", kind / case["release"], "--out", out)
    code, said = eufcc("evaluate", *options)
    if right["exit"] != 0:
        assert code == 1
        assert right["names"] in said
        assert said.count("\n") == 1
        return
    assert code == 0, said
    result = read(out)
    assert (result["baseline"], result["seed"]) == (right["baseline"], right["seed"])
    rows = [row for row in result["results"] if (row["split"], row["metric"]) == (right["split"], "r_precision")]
    figures = {row["facet"]: row["value"] for row in rows if row["policy"] == "ignore_unseen"}
    assert figures == pytest.approx(right["r_precision"], abs=1e-6)


def eufcc(*arguments: object) -> tuple[int, str]:
    """The exit code of the command, and what it says on stderr; in this process, as its imports take two seconds."""
    from assets.cli.app import main
    from assets.engine.console import LINES

    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()), redirect_stderr(said):
        patch.setattr(sys, "argv", ["eufcc", *map(str, arguments)])
        patch.setenv(LINES, "")  # commands set it for their process, which here is that of all tests
        with pytest.raises(SystemExit) as left:
            main()
    return int(left.value.code or 0), said.getvalue()


DOORS: dict[tuple[str, str], Callable[[Case, Path, Path], None]] = {
    ("text-surrogates", "harvest"): harvest,
    ("text-surrogates", "entity"): concept_of_entity,
    ("text-surrogates", "getty"): getty,
    ("europeana-addresses", "item"): item,
    ("europeana-addresses", "corrections"): corrections,
    ("europeana-addresses", "takedown"): takedown,
    ("aat-spellings", "record"): spelling_in_record,
    ("aat-spellings", "entity"): spelling_in_match,
    ("aat-spellings", "corrections"): corrections,
    ("aat-spellings", "labels"): labels,
    ("museum-tables", "museum"): museum_table,
    ("museum-tables", "published"): published_table,
    ("museum-tables", "corrections"): corrections_table,
    ("museum-tables", "audit"): audit_table,
    ("museum-tables", "candidates"): candidates_table,
    ("museum-tables", "takedown"): takedown_table,
    ("predictions-files", "predictions"): predictions,
}
AT_THE_DESK = {  # tests/cases/test_desk_cases.py runs these
    *(("text-surrogates", door) for door in ("manifest", "reconcile", "decision", "record")),
    *(("europeana-addresses", door) for door in ("desk", "refused")),
    ("aat-spellings", "reconcile"),
}


def read(file: Path) -> Any:
    """The JSON of a file."""
    return json.loads(file.read_text(encoding="utf-8"))


def door_of(kind: str, case: Case) -> tuple[str, str]:
    """The kind and the door; prediction files have one door, which their cases do not name."""
    return kind, case.get("door", "predictions")


def cases() -> list[Any]:
    """All cases of the five kinds; none where ../shared is missing, which conftest tells."""
    listed = [(kind, case) for kind in KINDS if CASES.is_dir() for case in read(CASES / kind / "cases.json")]
    return [
        pytest.param(kind, case, id=f"{kind}-{case['case']}")
        for kind, case in listed
        if door_of(kind, case) not in AT_THE_DESK
    ]


@pytest.mark.parametrize(("kind", "case"), cases())
def test_a_case_has_its_right_value(kind: str, case: Case, tmp_path: Path):
    DOORS[door_of(kind, case)](case, CASES / kind, tmp_path)


def refuse(*asked: object) -> Any:
    """A server that must not be asked."""
    raise AssertionError(f"asked for {asked}")


def aligned(
    uris: list[str], entities: Callable[[list[str]], list[EntityConcept]], thesaurus: Path, cache: Path
) -> Alignment:
    """One record that states these URIs, aligned."""
    records = RECORDS.frame([{"record_id": "/1/a", "concept_uris": [], "type_uris": uris, "subject_uris": []}])
    return align_concepts(
        records, entities, DumpThenEndpoint(DumpSource([thesaurus]), None), VocabularySettings(), cache
    )


def empty_thesaurus(folder: Path) -> Path:
    """A thesaurus of one concept that nothing names."""
    file = folder / "empty.nt"
    file.write_text('<http://vocab.getty.edu/aat/300000000> <http://www.w3.org/2004/02/skos/core#prefLabel> "x"@en .\n')
    return file


def fetched(takedown_file: Path, record_ids: list[str], folder: Path) -> tuple[int, int]:
    """How often the host was asked and how many pictures are usable, one wanted picture for each record."""
    with serving(Provider()) as provider:
        provider.answers |= {f"/{number}.jpg": Response(jpeg(number)) for number in range(len(record_ids))}
        rows = [(name, 0, f"http://a.example/{n}.jpg", None) for n, name in enumerate(record_ids)]
        summary = fetch_images(
            pl.DataFrame(rows, schema=WANTED, orient="row"),
            folder,
            ImageSettings(allowed_addresses=("127.0.0.0/8",), takedown_file=takedown_file),
            HttpSettings(hosts={"*": provider.address}),
        )
        return provider.asked.total(), summary.usable


def answer_of(http: httpx.Client, question: dict[str, Any]) -> Any:
    """The ids that a search of the local museum finds, or the length of a picture."""
    if "fetch" in question:
        url = httpx.URL(question["fetch"])
        return len(http.get(url.raw_path.decode(), headers={"X-Original-Host": f"{url.scheme}://{url.host}"}).content)
    params = {"query": question["search"], "sort": "europeana_id asc", "rows": "10", **question.get("more", {})}
    answer = http.get("/record/v2/search.json", params=params).raise_for_status()
    return [each["id"] for each in json.loads(answer.content, parse_constant=refuse)["items"]]


def read_or_told(case: Case, kind: Path, through: Callable[[Path], dict[str, Any]]) -> None:
    """The input is read as it must be, or refused in one sentence that names the file and the line."""
    right = case["right"]
    given, said = None, ""
    try:
        given = through(kind / case["input"])
    except ERRORS as error:
        said = str(error)
    assert ("error" if said else "read") in right["outcome"], said
    if said:
        assert "\n" not in said
        assert right["names"] in said
        assert all(f"line {line}" in said for line in right["lines"])
    else:
        assert given == right["read"]
