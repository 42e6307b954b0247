"""A small tree of tags, and records that state some of them."""

from collections.abc import Mapping

import polars as pl
import pytest

from pipeline.settings import CurationSettings
from pipeline.tables import CONCEPT_ALIGNMENTS, CONCEPTS, CORRECTIONS, RECORDS, TOMBSTONES
from pipeline.vocabulary.facets import Rule, Rules

ROOTS = {
    "subjects": "300191098",
    "materials": "300264091",
    "classifications": "300054134",
    "object_types": "300264092",
}
OPEN = "http://creativecommons.org/publicdomain/mark/1.0/"
# id: (kind, facet, preferred parent); `300000x`: metal > (a guide term) > copper alloy > bronze, brass; paintings
TREE: Mapping[str, tuple[str, str | None, str | None]] = {
    "300264091": ("facet", "materials", None),
    "300000001": ("concept", None, "300264091"),  # materials, cut
    "300000010": ("concept", "materials", "300000001"),  # metal
    "300000011": ("guide_term", "materials", "300000010"),
    "300000012": ("concept", "materials", "300000011"),  # copper alloy
    "300000013": ("concept", "materials", "300000012"),  # bronze
    "300000014": ("concept", "materials", "300000012"),  # brass
    "300264092": ("facet", "object_types", None),
    "300000020": ("concept", "object_types", "300264092"),  # paintings
    "300000030": ("concept", None, "300264092"),  # excluded
    "300191098": ("guide_term", "subjects", "300264092"),
    "300000040": ("concept", "subjects", "300191098"),  # portraits
    "300000041": ("concept", None, "300000040"),  # group portraits, not listed
    "300000042": ("concept", None, "300191098"),  # cityscapes, not listed
    "300000050": ("concept", None, None),  # under no root
}
METAL, ALLOY, BRONZE, BRASS, PAINTINGS, PORTRAITS = (
    "300000010",
    "300000012",
    "300000013",
    "300000014",
    "300000020",
    "300000040",
)


@pytest.fixture
def tree() -> pl.DataFrame:
    """The tree as rows of `concepts`, facets assigned."""
    return CONCEPTS.frame(
        [
            {
                "concept_id": each,
                "kind": kind,
                "facet": facet,
                "preferred_parent": parent,
                "parents": [parent] if parent else [],
                "labels": [{"language": "en", "text": f"term {each[-2:]}"}],
            }
            for each, (kind, facet, parent) in TREE.items()
        ]
    )


@pytest.fixture
def rules() -> Rules:
    """The rules that give the tree its facets."""
    return Rules(
        ROOTS,
        (
            Rule("cut", "true of every object", "300000001", "materials"),
            Rule("exclude", "debris", "300000030"),
            Rule("subject", "published", PORTRAITS),
        ),
    )


@pytest.fixture
def records():
    """Records from {id: ids of concepts}; keyword arguments replace columns for all."""

    def build(stated: Mapping[str, list[str]], **columns: object) -> pl.DataFrame:
        return RECORDS.frame(
            [
                {
                    "record_id": record_id,
                    "data_provider": "Museum",
                    "rights_uri": OPEN,
                    "image_url": f"https://museum.example{record_id}.jpg",
                    "thumbnail_url": f"https://thumbnails.example{record_id}.jpg",
                    "concept_uris": [f"http://vocab.getty.edu/aat/{each}" for each in ids],
                    "type_uris": [],
                    "subject_uris": [],
                    **columns,
                }
                for record_id, ids in stated.items()
            ]
        )

    return build


@pytest.fixture
def alignments() -> pl.DataFrame:
    """Every id of the tree by its URI."""
    return CONCEPT_ALIGNMENTS.frame(
        [
            {"uri": f"http://vocab.getty.edu/aat/{each}", "concept_id": each, "evidence": "direct", "match": "exact"}
            for each in TREE
        ]
    )


@pytest.fixture
def select(tree, rules, alignments):
    """`select_records` on the tree."""
    from pipeline.curation.curate import select_records

    def run(records, *, tombstones=None, corrections=None, minimum=1, **settings):
        return select_records(
            records,
            alignments,
            tree,
            TOMBSTONES.empty() if tombstones is None else tombstones,
            CORRECTIONS.empty() if corrections is None else corrections,
            rules,
            CurationSettings(min_images_per_tag=minimum, **settings),
        )

    return run
