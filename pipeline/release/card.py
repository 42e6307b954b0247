"""The dataset card: every number in it is computed from the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipeline import DATASET_SPLITS, FACETS
from pipeline.facets import ALL_FACETS
from pipeline.settings import Settings
from pipeline.templates import in_words, render

LICENCES = (  # rights URI prefix, name, whether credit is due
    ("http://creativecommons.org/publicdomain/mark/", "Public Domain Mark", False),
    ("http://creativecommons.org/publicdomain/zero/", "CC0", False),
    ("http://creativecommons.org/licenses/by-sa/", "CC BY-SA", True),
    ("http://creativecommons.org/licenses/by/", "CC BY", True),
    ("http://rightsstatements.org/vocab/NoC-US/", "No Copyright, United States", False),
)


@dataclass(frozen=True)
class Facts:
    """What a release's card states."""

    version: str
    source: str
    last_harvest: str  # day of the latest record, for want of a later date that does not change with each build
    split_hash: str
    tag_list_hash: str
    n_images: int
    n_records: int
    n_providers: int
    n_left_out: int
    images: dict[str, int]  # by split
    outer_providers: list[str]
    tags: dict[str, int]  # by facet
    scored_tags: dict[str, int]  # by facet
    annotated: dict[str, int]  # images by facet
    facets_per_image: dict[int, int]
    licences: dict[str, int]  # images by name of the licence
    languages: dict[str, int]  # tags with a label, by language


def licence_name(uri: str) -> str:
    """The licence's name with its version, or the URI where it has none here."""
    for prefix, name, _ in LICENCES:
        if uri.startswith(prefix):
            version = uri[len(prefix) :].strip("/").split("/")[0]
            return f"{name} {version}".strip()
    return uri


def gather_facts(
    splits: pl.DataFrame,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    split_tags: pl.DataFrame,
    tag_list: dict[str, Any],
    settings: Settings,
) -> Facts:
    """Count everything the card says."""
    images = splits.filter(pl.col("split").is_in(DATASET_SPLITS))
    with_record = images.join(records.select("record_id", "data_provider", "rights_uri"), on="record_id", how="left")
    per_facet = images.select("record_id", "view").join(
        record_tags.select("record_id", "facet").unique(), on="record_id", how="inner"
    )
    per_image = per_facet.group_by("record_id", "view").len("n").group_by("n").len("images").sort("n")
    outer = with_record.filter(pl.col("split") == "outer_test")["data_provider"].drop_nulls().unique().sort()
    names = with_record["rights_uri"].fill_null("").map_elements(licence_name, return_dtype=pl.String)
    licences = names.value_counts().sort(["count", "rights_uri"], descending=[True, False])
    languages = tags.select("tag_id", pl.col("labels").list.eval(pl.element().struct.field("language")).list.unique())
    by_language = languages.explode("labels").drop_nulls().group_by("labels").len().sort("labels")
    return Facts(
        version=settings.release.version,
        source=settings.source,
        last_harvest=_day(records["harvested_at"].max()),
        split_hash=tag_list["split_hash"],
        tag_list_hash=tag_list["tag_list_hash"],
        n_images=images.height,
        n_records=images["record_id"].n_unique(),
        n_providers=with_record["data_provider"].n_unique(),
        n_left_out=splits.filter(pl.col("split") == "left_out").height,
        images={split: images.filter(split=split).height for split in DATASET_SPLITS},
        outer_providers=outer.to_list(),
        tags={facet: tags.filter(facet=facet).height for facet in FACETS},
        scored_tags={facet: split_tags.filter(pl.col("scored"), facet=facet).height for facet in FACETS},
        annotated={facet: per_facet.filter(facet=facet).height for facet in FACETS},
        facets_per_image={int(n): int(count) for n, count in per_image.iter_rows()},
        licences={str(name): int(n) for name, n in licences.iter_rows()},
        languages={str(language): int(n) for language, n in by_language.iter_rows()},
    )


def _day(moment: Any) -> str:
    return "" if moment is None else moment.date().isoformat()


def size_category(n: int) -> str:
    """The hub's name for a size."""
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if n < limit:
            return name
    return "1M<n<10M"


def card(facts: Facts, settings: Settings, suites: Sequence[str], left_out: Mapping[str, int]) -> str:
    """README.md for the hub: YAML for machines, then text for people. `left_out`: images in no split by reason."""
    return render(
        Path(__file__).with_name("card.md"),
        facts=facts,
        settings=settings,
        facets=ALL_FACETS,
        number_of_facets=in_words(len(ALL_FACETS)),
        origin=origin(settings),
        suites=suites,
        size=size_category(facts.n_images),
        share=share,
        left_out=left_out,
    )


def origin(settings: Settings) -> str:
    """Where the records come from, so that nobody takes a local museum for Europeana."""
    if settings.profile == "full":
        return (
            "Europeana" if settings.published is None else "Europeana, as the published files of EUFCC-340K list them"
        )
    if settings.published is not None:
        return "museums that were drawn for published files of EUFCC-340K: pictures and rights are invented"
    return f"the museum folder `{settings.source}`, served here in Europeana's form"


def share(n: int, whole: int) -> str:
    """A share in percent, one decimal."""
    return f"{100 * n / whole:.1f} %" if whole else "–"
