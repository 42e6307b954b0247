"""The published label trees and their match to the AAT."""

import polars as pl
import pytest

from pipeline.published.format import PublishedError
from pipeline.published.trees import all_nodes, match_published_trees, read_candidates, read_tree, read_trees
from pipeline.settings import RULES_FILE
from pipeline.tables import CONCEPTS
from pipeline.vocabulary.facets import load_rules
from pipeline.vocabulary.labels import read_label_files
from tests.pipeline.conftest import REAL_AAT

TREE = "Root\n├── metall\n│   ├── bronze\n│   │   └── bell metal\n│   └── llautó\n└── vidre"


@pytest.fixture
def tree_file(tmp_path):
    def write(text):
        file = tmp_path / "materials.txt"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_a_rendered_tree_is_read_back(tree_file):
    nodes = all_nodes(read_tree(tree_file(TREE), "materials"))
    assert [node.path for node in nodes] == [
        ("metall",),
        ("metall", "bronze"),
        ("metall", "bronze", "bell metal"),
        ("metall", "llautó"),
        ("vidre",),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metall\n", "line 1 is not `Root`"),
        ("Root\n├── metall\n│   │   └── bell metal\n", "line 3 is no branch"),
        ("Root\nmetall\n", "line 2 is no branch"),
    ],
)
def test_what_is_no_tree_is_told_with_its_line(tree_file, text, message):
    with pytest.raises(PublishedError, match=message):
        read_tree(tree_file(text), "materials")


@pytest.fixture
def small_aat():
    # materials: metal > bronze > bell metal; brass; glass; outside: an object also called bronze
    above = {
        "300264091": None,
        "300264092": None,
        "300000001": "300264091",
        "300000002": "300000001",
        "300000003": "300000002",
        "300000004": "300000001",
        "300000005": "300264091",
        "300000006": "300264092",
        "300000007": "300264091",
    }
    return CONCEPTS.frame(
        [
            {
                "concept_id": each,
                "kind": "concept" if parent else "facet",
                "preferred_parent": parent,
                "parents": [parent] if parent else [],
                "labels": [{"language": "en", "text": f"term {each[-1]}"}],
            }
            for each, parent in above.items()
        ]
    )


def matched(tree_file, small_aat, candidates, catalan=()):
    found = match_published_trees(
        read_tree(tree_file(TREE), "materials"),
        small_aat,
        load_rules(RULES_FILE),
        {("materials", path): scores for path, scores in candidates.items()},
        pl.DataFrame(list(catalan), schema={"concept_id": pl.String, "text": pl.String}, orient="row"),
    )
    return found, {tuple(row["path"]): (row["concept_id"], row["how"]) for row in found.matched.to_dicts()}


def test_the_place_in_the_tree_decides_between_candidates(tree_file, small_aat):
    candidates = {
        ("metall",): {"300000001": 1.0},
        # the better score is not below metal, and the object is in another facet
        ("metall", "bronze"): {"300000007": 2.0, "300000002": 1.0, "300000006": 4.0},
        ("metall", "bronze", "bell metal"): {"300000003": 1.0},
    }
    found, ids = matched(tree_file, small_aat, candidates)
    assert ids == {
        ("metall",): ("300000001", "position"),
        ("metall", "bronze"): ("300000002", "position"),
        ("metall", "bronze", "bell metal"): ("300000003", "position"),
    }
    assert found.unmatched.select("label", "reason").rows() == [
        ("llautó", "no candidate in its facet"),
        ("vidre", "no candidate in its facet"),
    ]
    assert found.coverage.filter(facet="materials").rows() == [("materials", 5, 3, 0.6)]


def test_two_that_fit_the_place_alike_are_left_to_a_curator(tree_file, small_aat):
    candidates = {("metall",): {"300000001": 1.0}, ("metall", "bronze"): {"300000002": 1.0, "300000004": 1.0}}
    found, ids = matched(tree_file, small_aat, candidates)
    assert ("metall", "bronze") not in ids
    assert ("several candidates alike",) in found.unmatched.filter(label="bronze").select("reason").rows()


def test_a_catalan_label_of_the_id_itself_counts_most(tree_file, small_aat):
    _, ids = matched(tree_file, small_aat, {("vidre",): {"300000007": 3.0}}, [("300000005", "Vidre")])
    assert ids[("vidre",)] == ("300000005", "label")


def test_candidates_that_tie_are_left_to_a_curator(tree_file, small_aat):
    found, ids = matched(tree_file, small_aat, {("vidre",): {"300000005": 2.5, "300000007": 2.5}})
    assert ("vidre",) not in ids
    row = found.unmatched.filter(label="vidre").to_dicts()[0]
    assert (row["reason"], row["candidate"]) == ("several candidates alike", "300000005")


@REAL_AAT
@pytest.mark.shared
def test_the_published_trees_are_matched_as_far_as_labels_and_places_allow(shared, real_aat):
    mappings = shared / "aat" / "mappings"
    tops = read_trees(shared / "eufcc" / "labels")
    found = match_published_trees(
        tops,
        real_aat[0],
        load_rules(RULES_FILE),
        read_candidates(mappings / "eufcc_label_aat_candidates.csv"),
        read_label_files([mappings / "catalan_labels_by_aat.csv"]).select("concept_id", "text"),
    )
    assert found.coverage.select("facet", "n", "n_matched").rows() == [
        ("object_types", 894, 256),
        ("materials", 269, 166),
        ("classifications", 33, 29),
        ("subjects", 7, 6),
    ]
    assert found.matched.height + found.unmatched.height == len(all_nodes(tops)) == 1_203
    ids = {row["label"]: row["concept_id"] for row in found.matched.to_dicts() if row["facet"] == "classifications"}
    # the dossier's list (section 4), looked up by dictionary and dump
    known = {
        "disseny": "300054171",
        "arts visuals": "300054154",
        "religió": "300054300",
        "biologia": "300054466",
        "zoologia": "300054472",
        "arquitectura": "300054156",
        "arqueologia": "300054328",
        "heràldica": "300077808",
        "*dance": "300417581",
        "numismàtica": "300054419",
        "geologia": "300054546",
        "botànica": "300054467",
        "*photography": "300389795",
    }
    assert {label: ids.get(label) for label in known} == known
    assert found.unmatched.filter(label="ELIMINAR")["reason"].to_list() == ["debris of the published tree"]
