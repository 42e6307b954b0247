"""Every Parquet table of the dataset, as `tables.toml` declares it. `pipeline/parquet.py` writes and reads them."""

import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.facets import FACETS
from pipeline.parquet import Column, Table

STRING = pa.string()
STRINGS = pa.list_(STRING)
TIME = pa.timestamp("us", tz="UTC")
BY_LANGUAGE = pa.list_(pa.struct([("language", STRING), ("text", STRING)]))  # sorted by language, then text
BY_FACET = pa.list_(pa.struct([("facet", STRING), ("text", STRING)]))
IMAGE = pa.struct([("bytes", pa.binary()), ("path", STRING)])  # what `datasets` reads as an Image
TYPES = {
    "string": STRING,
    "strings": STRINGS,
    "time": TIME,
    "date": pa.date32(),
    "by_language": BY_LANGUAGE,
    "by_facet": BY_FACET,
    "image": IMAGE,
    "binary": pa.binary(),
    "bool": pa.bool_(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint64": pa.uint64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "vector": pa.list_(pa.float16()),
}

IGNORE_UNSEEN = "ignore_unseen"  # policy of results: tags without training images are left out (paper)
COUNT_UNSEEN = "count_unseen"  # ours: they count as missed, behind every tag of the list


def _table(name: str, declared: dict[str, Any]) -> Table:
    declared = _DECLARED.get(declared.get("like", ""), {}) | declared  # another table with the same columns
    facets = f"{', '.join(FACETS[:-1])} or {FACETS[-1]}"
    columns = [
        Column(column, TYPES[kind], meaning.replace("{facets}", facets))
        for column, (kind, meaning) in declared["columns"].items()
    ]
    return Table(name, declared["row"], tuple(declared["key"]), tuple(columns))


_DECLARED = tomllib.loads(Path(__file__).with_name("tables.toml").read_text(encoding="utf-8"))
_FEATURES = _table("features", _DECLARED.pop("features"))
TABLES = {name: _table(name, declared) for name, declared in _DECLARED.items()}  # in the order of the graph


def features_table(dimensions: int) -> Table:
    """The `features` table for an extractor of that many dimensions."""
    *columns, vector = _FEATURES.columns
    sized = Column(vector.name, pa.list_(pa.float16(), dimensions), vector.meaning)
    return Table(_FEATURES.name, _FEATURES.row, _FEATURES.key, (*columns, sized))


RECORDS = TABLES["records"]
RELINKS = TABLES["relinks"]
PUBLISHED_ROWS = TABLES["published_rows"]
PUBLISHED_ALIGNMENT = TABLES["published_alignment"]
TOMBSTONES = TABLES["tombstones"]
CONCEPTS = TABLES["concepts"]
CONCEPT_ALIGNMENTS = TABLES["concept_alignments"]
UNMAPPED_CONCEPTS = TABLES["unmapped_concepts"]
TAGS = TABLES["tags"]
RECORD_TAGS = TABLES["record_tags"]
SELECTED_RECORDS = TABLES["selected_records"]
CURATION_REPORT = TABLES["curation_report"]
CANDIDATE_RECORD_TAGS = TABLES["candidate_record_tags"]
SELECTION_REPORT = TABLES["selection_report"]
CORRECTIONS = TABLES["corrections"]
IGNORED_CORRECTIONS = TABLES["ignored_corrections"]
REMOVED_TAGS = TABLES["removed_tags"]
REMOVED_CANDIDATES = TABLES["removed_candidates"]
RULE_EFFECTS = TABLES["rule_effects"]
REJECTED_TAGS = TABLES["rejected_tags"]
FETCHES = TABLES["fetches"]
IMAGES = TABLES["images"]
GROUPS = TABLES["groups"]
PROVIDER_DISTANCES = TABLES["provider_distances"]
SPLIT_TABLE = TABLES["splits"]
SPLIT_TAGS = TABLES["split_tags"]
SPLIT_SIZES = TABLES["split_sizes"]
LEAKS = TABLES["leaks"]
INFORMATIVENESS = TABLES["informativeness"]
CATALOGUER_DECISIONS = TABLES["cataloguer_decisions"]
RESULTS = TABLES["results"]
PAPER_FIGURES = TABLES["paper_figures"]
BREAKDOWNS = TABLES["breakdowns"]
COMPARISONS = TABLES["comparisons"]
SUITE_RESULTS = TABLES["suite_results"]
CONTROLS = TABLES["controls"]
