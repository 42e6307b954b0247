"""What the graph is made from and does not make, as external assets: servers, people and files."""

import dagster as dg

from assets.engine.asset_metadata import key_of

GROUP = "sources"
EUROPEANA, GETTY, PROVIDERS = "source/europeana", "source/getty", "source/providers"
DESK, PUBLISHED = "source/desk", "source/published_files"
DESCRIBED = {
    EUROPEANA: (
        "europeana",
        "Records of museum objects, by Europeana's Search, Record and Entity APIs, or from its weekly dumps.",
    ),
    GETTY: ("sparql", "The Art & Architecture Thesaurus: Getty's archive of it, and its SPARQL endpoint."),
    PROVIDERS: ("http", "The pictures: Europeana's thumbnails, and the image servers of the museums."),
    DESK: ("database", "What cataloguers decided in the assistant: tags that they accepted or rejected."),
    PUBLISHED: ("csv", "The published CSV files of EUFCC-340K, which the profile `official` reads."),
}


def sources_of(assets: list[dg.AssetsDefinition]) -> list[dg.AssetSpec]:
    """The external assets that these assets depend on."""
    needed = {key for asset in assets for keys in asset.asset_deps.values() for key in keys}
    return [_spec(name) for name in DESCRIBED if key_of(name) in needed]


def source(name: str) -> dg.AssetDep:
    """A dependency on an external asset. Its content is none of Dagster's: steps declare a version of it themselves."""
    return dg.AssetDep(key_of(name))


def _spec(name: str) -> dg.AssetSpec:
    kind, description = DESCRIBED[name]
    return dg.AssetSpec(
        key_of(name),
        description=description,
        group_name=GROUP,
        owners=["team:eufcc"],
        kinds={kind},
        tags={"stage": GROUP},
    )
