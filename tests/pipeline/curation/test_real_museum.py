"""The real museum in ../shared, from its records to its tags."""

import pytest

from pipeline.curation.curate import curate_usable, select_records
from pipeline.curation.statistics import tags_per_facet
from pipeline.harvest.entities import europeana_concept, read_concepts
from pipeline.settings import demo
from pipeline.tables import CORRECTIONS, RECORDS, TOMBSTONES
from pipeline.vocabulary.align import align_concepts
from pipeline.vocabulary.dump import DumpSource
from pipeline.vocabulary.facets import load_rules
from pipeline.vocabulary.source import DumpThenEndpoint

pytestmark = [pytest.mark.shared, pytest.mark.xdist_group("real_museum")]  # one worker curates it


def record_row(item):
    """A Search API item as far as vocabulary and curation read it."""
    stated = {
        name: [uri for uri in item.get(f"dc{name}LangAware", {}).get("def", []) if uri.startswith("http")]
        for name in ("Type", "Subject")
    }
    return {
        "record_id": item["id"],
        "data_provider": item["dataProvider"][0],
        "rights_uri": item["rights"][0],
        "image_url": item["edmIsShownBy"][0],
        "thumbnail_url": item["edmPreview"][0],
        "concept_uris": sorted(item.get("edmConcept", [])),
        "type_uris": stated["Type"],
        "subject_uris": stated["Subject"],
    }


@pytest.fixture(scope="module")
def museum(shared, tmp_path_factory):
    import json

    folder = shared / "museum"
    settings = demo(folder, None)
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").split("\n")
    records = RECORDS.frame([record_row(json.loads(line)) for line in lines if line])
    lines = (folder / "entities.jsonl").read_text(encoding="utf-8").split("\n")
    entities = {
        europeana_concept(each.uri): each for each in read_concepts([json.loads(line) for line in lines if line])
    }
    dump = DumpThenEndpoint(DumpSource([folder / "aat_subset.nt.gz", folder / "aat_types_inferred.nt.gz"]), None)
    rules = load_rules(settings.vocabulary.rules_file)
    aligned = align_concepts(
        records,
        lambda uris: [entities[uri] for uri in uris if uri in entities],
        dump,
        settings.vocabulary,
        tmp_path_factory.mktemp("cache"),
        rules,
    )
    selection = select_records(
        records,
        aligned.concept_alignments,
        aligned.concepts,
        TOMBSTONES.empty(),
        CORRECTIONS.empty(),
        rules,
        settings.curation,
    )
    return aligned, selection, settings


def test_every_concept_is_aligned_or_says_why_not(museum):
    aligned = museum[0]
    assert aligned.concept_alignments.height == 73
    assert dict(aligned.concept_alignments.group_by("evidence").len().iter_rows()) == {"direct": 69, "via_entity": 4}
    assert set(aligned.unmapped_concepts["reason"]) == {"outside_facets"}
    assert aligned.unmapped_concepts["label"].to_list()[0] == "religious art"


def test_open_records_and_providers_are_those_of_the_readme(museum):
    selected = museum[1].selected_records
    assert (selected.height, selected["data_provider"].n_unique()) == (3_882, 10)


def test_tags_of_each_facet(museum):
    aligned, selection, settings = museum
    images = selection.selected_records.select("record_id", image_id="image_url")
    curated = curate_usable(selection.record_tags, images, aligned.concepts, settings.curation)
    counts = dict(tags_per_facet(curated.tags).select("facet", "n_tags").iter_rows())
    assert counts == {"object_types": 32, "materials": 37, "classifications": 9, "subjects": 5}
    assert curated.tags["n_images"].min() >= 10


def test_without_the_cut_list_upper_concepts_come_on_top(museum):
    """About a hundred tags: 83, and the cut concepts that the experts found too wide."""
    aligned, _, _ = museum
    cut = load_rules(museum[2].vocabulary.rules_file).of("cut")
    reached = set(aligned.concepts["concept_id"])
    assert sum(each in reached for each in cut) == 21
