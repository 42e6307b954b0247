"""Croissant 1.1 metadata of a release, with the responsible-AI fields (MLCommons croissant-spec 1.1, RAI 1.0)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline import DATASET_SPLITS, FACETS
from pipeline.release.card import Facts, origin, share
from pipeline.settings import Settings
from pipeline.templates import in_words

MEANINGS = {
    "record_id": "Europeana's id of the record",
    "view": "which image of the record, 0 for its main one",
    "image_id": "sha256 of the source bytes",
    "image": "the image as JPEG, short side at most 256 px",
    "group_id": "group of near-duplicate images; a group never crosses splits",
    "rights_uri": "rights statement or licence of the image",
    "attribution": "what must be said beside the image",
}


def croissant(files: Sequence[tuple[str, int, str]], facts: Facts, settings: Settings, schema: pa.Schema) -> dict:
    """The JSON-LD of `croissant.json` for a release with these data files (path, bytes, sha256) and columns.

    What is the same for every release is in `croissant.json` beside this module.
    """
    described = json.loads(Path(__file__).with_name("croissant.json").read_text(encoding="utf-8"))
    described |= {
        "alternateName": settings.release.name,
        "version": settings.release.version,
        "description": (
            f"{facts.n_images:,} images of museum objects of {facts.n_providers:,} institutions from "
            f"{origin(settings)}, tagged with terms of the Art & Architecture Thesaurus in {in_words(len(FACETS))} "
            "facets, with leak-free splits."
        ),
        "datePublished": facts.last_harvest,
        "license": sorted(facts.licences) or ["see attribution.csv"],
        "inLanguage": list(settings.vocabulary.languages),
        "sdVersion": facts.split_hash,
    }
    if not facts.last_harvest:  # the published files tell no day, and an empty one is not valid
        del described["datePublished"]
    described["distribution"] = [*map(_file, files), *described["distribution"]]
    splits, records = described["recordSet"]
    kinds = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit"}
    splits["data"] = [{"splits/name": s, "splits/url": kinds.get(s, "cr:TestSplit")} for s in DATASET_SPLITS]
    # mlcroissant applies the expression to its own result again
    of_path = {"regex": f"(?:data/)?({'|'.join(DATASET_SPLITS)})(?:-.+parquet)?$"}
    records["field"][0]["source"]["transform"] = of_path
    # Croissant has no list of lists or of structs: paths and labels are in vocabulary.ttl, and in the Parquet files.
    flat = [field for field in schema if not field.name.endswith(("_paths", "_labels"))]
    records["field"] += [_field(field.name, field.type) for field in flat]
    why = "whose near-duplicates lie in two splits"
    if settings.published is not None:
        why += ", or that are not known to be openly licensed,"
    described["rai:dataLimitations"].append(f"{facts.n_left_out:,} images {why} are left out.")
    largest = ", ".join(f"{name} {share(n, facts.n_images)}" for name, n in list(facts.licences.items())[:3])
    described["rai:dataBiases"].append(f"Rights: {largest}.")
    return described


def _file(file: tuple[str, int, str]) -> dict[str, Any]:
    path, size, digest = file
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "contentSize": f"{size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": digest,
    }


def _field(name: str, type_: pa.DataType) -> dict[str, Any]:
    described: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"records/{name}",
        "dataType": _data_type(type_),
        "source": {"fileSet": {"@id": "images"}, "extract": {"column": name}},
    }
    if name in MEANINGS:
        described["description"] = MEANINGS[name]
    if pa.types.is_list(type_):
        described |= {"isArray": True, "arrayShape": "-1"}
    if name == "image":
        described["source"]["transform"] = {"jsonPath": "bytes"}
    return described


def _data_type(type_: pa.DataType) -> str:
    if pa.types.is_list(type_):
        return _data_type(type_.value_type)
    if pa.types.is_struct(type_):
        return "sc:ImageObject" if "bytes" in [type_.field(i).name for i in range(type_.num_fields)] else "sc:Text"
    if pa.types.is_integer(type_):
        return "sc:Integer"
    return "sc:DateTime" if pa.types.is_timestamp(type_) else "sc:Text"
