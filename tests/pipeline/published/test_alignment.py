"""The AAT ids of the published paths, by their records' concepts, labels, places and given mappings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest

from pipeline.facets import FACET_OF
from pipeline.published.alignment import (
    Evidence,
    align_published,
    candidates_of,
    catalan_labels,
    coverage_of,
    ids_of_names,
    linked_concepts,
    with_labels,
)
from pipeline.published.dataset import read_folder
from pipeline.published.format import COLUMNS, as_published, read_published, write_published
from pipeline.published.tables import PublishedTables, as_tables
from pipeline.sandbox.published.world import holdings_of, items_of
from pipeline.settings import RULES_FILE
from pipeline.tables import CONCEPT_ALIGNMENTS, CONCEPTS, PUBLISHED_ALIGNMENT, RELINKS
from pipeline.vocabulary.dump import DumpSource
from pipeline.vocabulary.facets import load_rules
from tests.support.published import thumbnail

OBJECTS, MATERIALS = FACET_OF["object_types"].root, FACET_OF["materials"].root
ABOVE = {  # furniture > seats > chairs, stools; tools > hooks; wood > oak, walnut
    "300000001": OBJECTS, "300000002": "300000001", "300000003": "300000002", "300000004": "300000002",
    "300000005": OBJECTS, "300000006": "300000005", "300000010": MATERIALS, "300000011": "300000010",
    "300000012": "300000010",
}  # fmt: skip
ENGLISH = {"300000003": "chairs", "300000004": "stools", "300000011": "oak (wood)"}
CHAIR, STOOL, OAK = "moble | seient | cadira", "moble | seient | tamboret", "fusta | roure"


def concepts(catalan: Mapping[str, str] | None = None) -> pl.DataFrame:
    labels = {each: [("en", ENGLISH.get(each, f"term {each}")), ("de", f"Begriff {each}")] for each in ABOVE}
    for concept_id, text in (catalan or {}).items():
        labels[concept_id].append(("ca", text))
    listed = [
        {
            "concept_id": each,
            "kind": "concept",
            "preferred_parent": above,
            "parents": [above],
            "labels": [{"language": language, "text": text} for language, text in sorted(labels[each])],
        }
        for each, above in ABOVE.items()
    ]
    return CONCEPTS.frame(
        [*listed, *({"concept_id": each, "kind": "facet", "parents": []} for each in (OBJECTS, MATERIALS))]
    )


def tables(tmp_path: Path, rows: Sequence[tuple[str, str]]) -> PublishedTables:
    """The tables of rows with these object types and materials, r0, r1 …"""
    file = tmp_path / "train.csv"
    lines = [
        f"r{n},{objects},,{materials},{thumbnail(f'https://m.example/{n}')},EUROPEANA,M,"
        for n, (objects, materials) in enumerate(rows)
    ]
    file.write_text("\n".join([",".join(COLUMNS), *lines, ""]), encoding="utf-8")
    return as_tables(read_published({"train": file}))


def aligned(made: PublishedTables, linked: Sequence[Sequence[str]], given=None, catalan=None) -> dict[str, dict]:
    """The alignment by tag id; `linked` has the last two digits of the concepts of each row's record."""
    pairs = [(f"r{n}", f"3000000{digits}") for n, of_row in enumerate(linked) for digits in of_row]
    known = concepts(catalan)
    evidence = Evidence(
        concepts=known,
        catalan=catalan_labels(
            known, pl.DataFrame(schema=dict.fromkeys(("concept_id", "language", "text"), pl.String))
        ),
        rules=load_rules(RULES_FILE),
        candidates=candidates_of(made.tags, given or {}),
        linked=pl.DataFrame(pairs, schema={"record_id": pl.String, "concept_id": pl.String}, orient="row"),
        languages=("ca", "en", "de", "fr"),
    )
    table = align_published(made.tags, made.record_tags, evidence)
    PUBLISHED_ALIGNMENT.conform(table)
    return {row["tag_id"]: row for row in table.to_dicts()}


def told(rows: dict[str, dict], tag_id: str) -> tuple:
    return tuple(rows[tag_id][name] for name in ("concept_id", "how", "sure"))


def test_the_records_of_the_rows_vote(tmp_path: Path):
    made = tables(tmp_path, [(CHAIR, OAK)] * 5 + [(STOOL, OAK)] * 2 + [("", "")])
    rows = aligned(made, [["03", "11"]] * 4 + [["04", "11"]] + [["04", "11"]] * 2 + [["03"]])
    assert told(rows, f"object_types: {CHAIR}") == ("300000003", "votes", "medium")
    assert told(rows, f"object_types: {STOOL}") == ("300000004", "votes", "medium")
    assert told(rows, f"materials: {OAK}") == ("300000011", "votes", "high")
    chair = rows[f"object_types: {CHAIR}"]
    assert (chair["n_rows"], chair["n_linked"], chair["n_votes"], chair["second_id"], chair["n_second"]) == (
        5,
        5,
        4,
        "300000004",
        1,
    )
    assert (chair["concept_label"], chair["conflict"]) == ("chairs", None)
    # no row states them: they are where what is below them lies
    assert told(rows, "object_types: moble | seient") == ("300000002", "position", "medium")
    assert told(rows, "object_types: moble") == ("300000001", "position", "medium")


def test_what_always_comes_together_is_told_apart_by_other_rows_or_a_label_or_not_at_all(tmp_path: Path):
    both = f"{CHAIR} $ eina | ganxo"
    made = tables(tmp_path, [(both, "")] * 3)
    linked = [["03", "06"]] * 3
    rows = aligned(made, linked)
    assert told(rows, f"object_types: {CHAIR}") == (None, None, None)
    assert (
        rows[f"object_types: {CHAIR}"]["conflict"] == "its records' concepts do not tell which: 300000003 or 300000006"
    )
    rows = aligned(made, linked, catalan={"300000006": "Ganxo"})
    assert told(rows, "object_types: eina | ganxo")[:2] == ("300000006", "votes")
    assert told(rows, f"object_types: {CHAIR}")[:2] == ("300000003", "votes")  # what is left
    more = tables(tmp_path, [(both, "")] * 3 + [(CHAIR, "")])
    rows = aligned(more, [*linked, ["03"]])
    assert told(rows, f"object_types: {CHAIR}")[:2] == ("300000003", "votes")
    assert told(rows, "object_types: eina | ganxo")[:2] == ("300000006", "votes")


def test_a_name_under_two_parents_may_be_one_concept(tmp_path: Path):
    twice = f"{CHAIR} $ eina | cadira"
    rows = aligned(tables(tmp_path, [(twice, "")] * 4), [["03"]] * 4)
    assert (
        told(rows, f"object_types: {CHAIR}")
        == told(rows, "object_types: eina | cadira")
        == ("300000003", "votes", "high")
    )


def test_without_votes_labels_and_given_mappings_count(tmp_path: Path):
    made = tables(tmp_path, [(CHAIR, OAK), ("eina | ganxo", "fusta | noguer")])
    given = {
        ("object_types", ("eines", "ganxo")): {"300000006": 3.0},
        ("materials", ("fusta", "noguer")): {"300000012": 1.0},
    }
    rows = aligned(made, [[], []], given, {"300000003": "Cadira"})
    assert told(rows, f"object_types: {CHAIR}") == ("300000003", "label", "high")
    assert told(rows, "object_types: eina | ganxo") == ("300000006", "mapping", "medium")  # by the last level
    assert told(rows, "materials: fusta | noguer") == ("300000012", "mapping", "low")
    assert told(rows, f"materials: {OAK}") == (None, None, None)
    assert rows[f"materials: {OAK}"]["conflict"] is None
    assert rows[f"materials: {OAK}"]["labels"] == []


def test_conflicts_are_told(tmp_path: Path):
    made = tables(tmp_path, [(CHAIR, "")] * 4 + [(STOOL, OAK)] * 4)
    given = {("materials", ("fusta", "roure")): {"300000012": 3.0}}
    rows = aligned(made, [["03"]] * 4 + [["04", "11"]] * 4, given, {"300000004": "cadira"})
    assert told(rows, f"object_types: {CHAIR}") == ("300000003", "votes", "high")
    assert rows[f"object_types: {CHAIR}"]["conflict"] == "its label is that of 300000004"
    assert rows[f"materials: {OAK}"]["conflict"] == "the given mapping says 300000012"
    shared = {("object_types", ("moble", "seient", each)): {"300000003": 3.0} for each in ("cadira", "tamboret")}
    rows = aligned(made, [[]] * 8, shared)
    assert rows[f"object_types: {STOOL}"]["conflict"] == "shares its id with cadira"


def test_a_curators_word_comes_before_the_votes(tmp_path: Path):
    given = {("object_types", ("moble", "seient", "cadira")): {"300000004": 100.0, "300000003": 3.0}}
    rows = aligned(tables(tmp_path, [(CHAIR, "")] * 4), [["03"]] * 4, given)
    assert told(rows, f"object_types: {CHAIR}") == ("300000004", "mapping", "high")
    assert rows[f"object_types: {CHAIR}"]["conflict"] == "its records' concepts say 300000003"


def test_tags_get_the_labels_of_their_concepts_and_keep_their_own(tmp_path: Path):
    made = tables(tmp_path, [(CHAIR, "fusta | *oak tree")] * 4)
    rows = aligned(made, [["03", "11"]] * 4, catalan={"300000011": "roure"})
    alignment = PUBLISHED_ALIGNMENT.frame([*rows.values()])
    tags = {
        row["tag_id"]: {label["language"]: label["text"] for label in row["labels"]}
        for row in with_labels(made.tags, alignment).to_dicts()
    }
    assert tags[f"object_types: {CHAIR}"] == {"ca": "cadira", "en": "chairs", "de": "Begriff 300000003"}
    assert tags["materials: fusta | *oak tree"] == {
        "en": "oak tree",
        "de": "Begriff 300000011",
    }  # no Catalan of the AAT
    coverage = coverage_of(alignment, made.record_tags)
    assert coverage.rows() == [("materials", 2, 2, 1.0, 4, 4, 1.0), ("object_types", 3, 3, 1.0, 4, 4, 1.0)]


def test_linked_concepts_are_exact_matches_of_found_records():
    relinks = RELINKS.frame([
        {"record_id": "a", "view": 0, "concept_uris": ["u", "close"]},
        {"record_id": "a", "view": 1, "concept_uris": ["v"]},
        {"record_id": "b", "view": 0, "concept_uris": []}, {"record_id": "c", "view": 0},
    ])  # fmt: skip
    pairs = [("u", "300000001", "exact"), ("v", "300000001", "exact"), ("close", "300000002", "close")]
    alignments = CONCEPT_ALIGNMENTS.frame(
        [{"uri": uri, "concept_id": each, "match": match} for uri, each, match in pairs]
    )
    assert linked_concepts(relinks, alignments).rows() == [("a", "300000001")]


def test_only_labels_that_name_a_tag_are_asked_for(tmp_path: Path):
    labels = pl.DataFrame({
        "concept_id": ["300000003", "300000004", "300000005"], "language": ["ca", "ca", "de"],
        "text": ["Cadira", "banc", "cadira"],
    })  # fmt: skip
    assert ids_of_names(tables(tmp_path, [(CHAIR, "")]).tags, labels) == ["300000003"]


@pytest.mark.shared
def test_the_real_rows_find_the_concepts_that_the_sandbox_gives_their_records(shared, tmp_path: Path):
    (tmp_path / "train.csv").write_bytes((shared / "eufcc" / "inner_test_sample.csv").read_bytes())
    published = read_folder(tmp_path)[0]
    made, (found, known) = as_tables(published), holdings_of(published)
    (tmp_path / "aat.nt").write_text("".join(known.triples()), encoding="utf-8")
    aat = DumpSource([tmp_path / "aat.nt"]).all_concepts()
    ids = {known.uri(*key): concept_id for key, concept_id in known.ids.items()}
    names = dict(published.rows.with_row_index().select("index", "record_id").iter_rows())
    linked = {
        (names[each.number], ids[uri])
        for each in found
        for item in items_of(each, known)
        for uri in item.get("edmConcept", [])
    }
    evidence = Evidence(
        concepts=aat,
        catalan=catalan_labels(aat, pl.DataFrame(schema=dict.fromkeys(("concept_id", "language", "text"), pl.String))),
        rules=load_rules(RULES_FILE),
        candidates={},
        linked=pl.DataFrame(sorted(linked), schema=["record_id", "concept_id"], orient="row"),
        languages=("en",),
    )
    table = align_published(made.tags, made.record_tags, evidence)
    truth = {f"{facet}: {' | '.join(path)}": concept_id for (facet, path), concept_id in known.ids.items()}
    right = table.filter(pl.col("concept_id") == pl.col("tag_id").replace_strict(truth))
    assert table.filter(how="votes").join(right, on="tag_id", how="anti").is_empty()
    shares = dict(coverage_of(table, made.record_tags).select("facet", "rows_share").iter_rows())
    assert shares["materials"] > 0.95
    assert shares["object_types"] > 0.8
    labelled = with_labels(made.tags, table)
    write_published(as_published(made.splits, made.records, made.record_tags, labelled), tmp_path / "with")
    write_published(as_published(made.splits, made.records, made.record_tags, made.tags), tmp_path / "without")
    assert (tmp_path / "with" / "train.csv").read_bytes() == (tmp_path / "without" / "train.csv").read_bytes()
