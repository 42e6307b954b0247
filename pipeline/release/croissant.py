"""Croissant 1.1 metadata of a release, with the responsible-AI fields (MLCommons croissant-spec 1.1, RAI 1.0)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline import DATASET_SPLITS
from pipeline.release.card import Facts, origin, share
from pipeline.settings import Settings

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
PAPER = "Net, Folia, Casals, Bagdanov, Gómez: EUFCC-340K, arXiv 2406.02380"
MEANINGS = {
    "record_id": "Europeana's id of the record",
    "view": "which image of the record, 0 for its main one",
    "image_id": "sha256 of the source bytes",
    "image": "the image as JPEG, short side at most 256 px",
    "group_id": "group of near-duplicate images; a group never crosses splits",
    "rights_uri": "rights statement or licence of the image",
    "attribution": "what must be said beside the image",
}


def croissant(
    folder: Path, files: Sequence[tuple[str, int, str]], facts: Facts, settings: Settings, schema: pa.Schema
) -> dict[str, Any]:
    """The JSON-LD of `croissant.json` for a release folder with these data files (path, bytes, sha256)."""
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": "eufcc",
        "alternateName": settings.release.name,
        "version": settings.release.version,
        "description": (
            f"{facts.n_images:,} images of museum objects of {facts.n_providers:,} institutions from "
            f"{origin(settings)}, tagged with terms of the Art & Architecture Thesaurus in four facets, with "
            "leak-free splits."
        ),
        "datePublished": facts.last_harvest,
        "url": "https://www.europeana.eu",
        "creator": {"@type": "sc:Organization", "name": "the EUFCC project"},
        "license": sorted(facts.licences) or ["see attribution.csv"],
        "keywords": ["cultural heritage", "museum", "image tagging", "hierarchical classification", "AAT", "Europeana"],
        "inLanguage": list(settings.vocabulary.languages),
        "citeAs": PAPER,
        "isLiveDataset": False,
        "sdVersion": facts.split_hash,
        "distribution": [*map(_file, files), _file_set()],
        "recordSet": [_splits(), _records(schema)],
        **_responsible_ai(facts),
    }


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


def _file_set() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": "images",
        "name": "images",
        "description": "All parts of all splits.",
        "encodingFormat": "application/x-parquet",
        "includes": "data/*.parquet",
    }


def _splits() -> dict[str, Any]:
    kinds = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit"}
    data = [{"splits/name": s, "splits/url": kinds.get(s, "cr:TestSplit")} for s in DATASET_SPLITS]
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "dataType": "sc:URL"},
        ],
        "data": data,
    }


def _records(schema: pa.Schema) -> dict[str, Any]:
    fields: list[dict[str, Any]] = [
        {
            "@type": "cr:Field",
            "@id": "records/split",
            "dataType": "sc:Text",
            "description": "the split the image is in",
            "references": {"field": {"@id": "splits/name"}},
            "source": {
                "fileSet": {"@id": "images"},
                "extract": {"fileProperty": "fullpath"},
                # mlcroissant applies it to its own result again
                "transform": {"regex": f"(?:data/)?({'|'.join(DATASET_SPLITS)})(?:-.+parquet)?$"},
            },
        }
    ]
    # Croissant has no list of lists or of structs: paths and labels are in vocabulary.ttl, and in the Parquet files.
    flat = [field for field in schema if not field.name.endswith(("_paths", "_labels"))]
    fields += [_field(field.name, field.type) for field in flat]
    return {"@type": "cr:RecordSet", "@id": "records", "name": "records", "field": fields}


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


def _responsible_ai(facts: Facts) -> dict[str, Any]:
    """The fields of Croissant RAI 1.0 that apply."""
    largest = ", ".join(f"{name} {share(n, facts.n_images)}" for name, n in list(facts.licences.items())[:3])
    return {
        "rai:dataCollection": "Records with open rights found by keyword on Europeana's Search API, with their images.",
        "rai:dataCollectionType": ["Web API", "Secondary data analysis"],
        "rai:dataCollectionMissingData": (
            "A facet without tags means that nobody described it; such facets count in no metric. Images that could "
            "not be fetched are left out."
        ),
        "rai:dataPreprocessingProtocol": [
            "Images are re-encoded as JPEG without metadata, short side at most 256 px.",
            "Tags are closed upwards along the preferred parents of the AAT; tags with fewer than ten images leave.",
        ],
        "rai:dataAnnotationProtocol": (
            "Tags are what the holding institutions recorded, aligned to the AAT through Europeana's entities; none "
            "was given for this dataset."
        ),
        "rai:annotatorDemographics": ["Cataloguers of the holding institutions, over decades; not recorded."],
        "rai:machineAnnotationTools": ["None of the tags was given by a model."],
        "rai:dataUseCases": ["Training and testing of models that suggest terms to cataloguers."],
        "rai:dataLimitations": [
            "Absent tags are not negatives.",
            "Most object types come from few institutions, so style and tag are confounded.",
            f"{facts.n_left_out:,} images whose near-duplicates lie in two splits are left out.",
        ],
        "rai:dataBiases": [
            "European institutions, and among them those that publish with open rights, are over-represented.",
            f"Rights: {largest}.",
        ],
        "rai:dataSocialImpact": (
            "Historical terms and depictions may offend; suggestions need a cataloguer's judgement before publication."
        ),
        "rai:personalSensitiveInformation": ["Photographs may show identifiable people; no names are added."],
        "rai:dataReleaseMaintenancePlan": (
            "Records withdrawn by their holders leave the next version; old images keep their split."
        ),
    }
