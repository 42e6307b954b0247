"""The second real museum as its probe.csv counts it: the facets and tags of tag_map.csv, without broader tags."""

import csv
import json
import re
from pathlib import Path

import numpy as np

from ml.dataset.tag_list import FacetTags
from ml.suites.collection import Collection, FacetTruth
from pipeline.splits.suites import Annotated

FACETS = {"object_type": "object_types", "material": "materials", "subject": "subjects"}
AAT_ID = re.compile(r"aat/(\d{9})")


def read_records(folder: Path) -> list[dict]:
    """The records, each with its file and the AAT ids of its concepts."""
    with (folder / "media.csv").open(encoding="utf-8", newline="") as file:
        file_of = {row["url"]: row["file"] for row in csv.DictReader(file)}
    entities = {}
    for line in (folder / "entities.jsonl").read_text(encoding="utf-8").splitlines():
        entity = json.loads(line)
        number = entity["id"].rpartition("/")[2]
        entities[number] = [found[1] for uri in entity.get("exactMatch", []) if (found := AAT_ID.search(uri))]
    records = []
    for line in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        ids = set()
        for uri in record.get("edmConcept", []):
            found = AAT_ID.search(uri)
            ids |= {found[1]} if found else set(entities.get(uri.rpartition("/")[2], ()))
        url = record["edmIsShownBy"][0]
        records.append({"id": record["id"], "provider": record["dataProvider"][0], "ids": ids, "file": file_of[url]})
    return sorted(records, key=lambda record: record["id"])


def as_in_probe_csv(folder: Path, records: list[dict], vectors: np.ndarray) -> Collection:
    """The collection of these records with their vectors; every record is a group of its own."""
    with (folder / "tag_map.csv").open(encoding="utf-8", newline="") as file:
        facet_of = {row["aat_id"]: FACETS[row["facet"]] for row in csv.DictReader(file) if row["facet"] in FACETS}
    used = sorted(set().union(*(record["ids"] for record in records)) & set(facet_of))
    facets, columns = {}, {}
    for facet in FACETS.values():
        ids = tuple(tag for tag in used if facet_of[tag] == facet)
        columns[facet] = np.array([used.index(tag) for tag in ids], np.int64)
        tags = FacetTags(facet, ids, ids, (-1,) * len(ids), (0,) * len(ids))
        facets[facet] = FacetTruth(tags, columns[facet], ids)
    annotated = Annotated(
        np.array([record["id"] for record in records]),
        np.array([record["provider"] for record in records]),
        np.array([[tag in record["ids"] for tag in used] for record in records]),
        np.array(used),
        np.array([facet_of[tag] for tag in used]),
        np.ones(len(used), bool),
    )
    return Collection(annotated, vectors, facets)
