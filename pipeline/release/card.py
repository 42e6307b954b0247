"""The dataset card: every number in it is computed from the tables."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from pipeline import DATASET_SPLITS, FACETS
from pipeline.settings import Settings

LICENCES = (  # rights URI prefix, name, whether credit is due
    ("http://creativecommons.org/publicdomain/mark/", "Public Domain Mark", False),
    ("http://creativecommons.org/publicdomain/zero/", "CC0", False),
    ("http://creativecommons.org/licenses/by-sa/", "CC BY-SA", True),
    ("http://creativecommons.org/licenses/by/", "CC BY", True),
    ("http://rightsstatements.org/vocab/NoC-US/", "No Copyright, United States", False),
)
FACET_NAMES = {
    "object_types": "object types",
    "materials": "materials",
    "classifications": "disciplines",
    "subjects": "subjects",
}


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

    def as_json(self) -> dict[str, Any]:
        """For release.json."""
        return asdict(self)


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


def card(facts: Facts, settings: Settings) -> str:
    """README.md for the hub: YAML for machines, then text for people."""
    return _header(facts, settings) + _body(facts, settings)


def _header(facts: Facts, settings: Settings) -> str:
    files = "".join(f"  - split: {split}\n    path: data/{split}-*.parquet\n" for split in DATASET_SPLITS)
    languages = "".join(f"- {language}\n" for language in settings.vocabulary.languages)
    return (
        f"---\npretty_name: {settings.release.name}\nlicense: other\nlicense_name: per-image-open-licences\n"
        f"license_link: attribution.csv\nlanguage:\n{languages}task_categories:\n- image-classification\n"
        "task_ids:\n- multi-label-image-classification\ntags:\n- cultural-heritage\n- glam\n- europeana\n- aat\n"
        f"- hierarchical\nsize_categories:\n- {size_category(facts.n_images)}\n"
        f"configs:\n- config_name: default\n  data_files:\n{files}---\n\n"
    )


def _body(facts: Facts, settings: Settings) -> str:
    images = "\n".join(f"| {split} | {n:,} | {share(n, facts.n_images)} |" for split, n in facts.images.items())
    facets = "\n".join(
        f"| {FACET_NAMES[f]} (`{f}`) | {facts.tags[f]:,} | {facts.scored_tags[f]:,} | {facts.annotated[f]:,} |"
        for f in FACETS
    )
    licences = "\n".join(f"| {name} | {n:,} | {share(n, facts.n_images)} |" for name, n in facts.licences.items())
    several = ", ".join(f"{n} in {count:,} images" for n, count in facts.facets_per_image.items())
    languages = ", ".join(f"{language} {n:,}" for language, n in facts.languages.items())
    further = ""
    if settings.curation.more_open_rights:
        listed = ", ".join(f"`{uri}`" for uri in settings.curation.more_open_rights)
        further = f" This source also counts as open: {listed}."
    return f"""# {settings.release.name}, version {facts.version}

Images of museum objects from {origin(settings)}, with terms of Getty's Art & Architecture Thesaurus (AAT) in four
facets, each with the broader terms above it. Built by the rules of EUFCC-340K (Net, Folia, Casals,
Bagdanov, Gómez: arXiv 2406.02380), from records and images alone; it is no copy of the published dataset.

{facts.n_images:,} images of {facts.n_records:,} records held by {facts.n_providers:,} institutions.
Last record harvested on {facts.last_harvest or "an unknown day"}.

## Load it

```python
from datasets import load_dataset

dataset = load_dataset("path/to/this/folder")
dataset["train"][0]["image"], dataset["train"][0]["materials_labels"]
```

## Splits

| split | images | share |
|---|--:|--:|
{images}

The inner test balances tags; the outer test holds whole institutions that training never sees:
{", ".join(facts.outer_providers) or "none"}. Near-duplicate images and images of one record form a group, and a group
never crosses splits; {facts.n_left_out:,} images whose group does are left out. `splits.parquet` says where each image
is and why. Splits `{facts.split_hash}`, tag list `{facts.tag_list_hash}`: figures compare only where both are the same.

## Facets

| facet | tags | tags with training images | images annotated |
|---|--:|--:|--:|
{facets}

Facets annotated per image: {several}. Tags with a label, by language: {languages}. A facet without a tag means that
nobody described it, not that nothing applies.

## Columns

`image`, `record_id` (Europeana's), `view`, `image_id` (sha256 of the source bytes), `group_id`; `data_provider`,
`provider`, `country`, `title`, `rights_uri`, `attribution`, `europeana_url`, `landing_page`, `image_url`; `request`,
`harvested_at`, `updated_at`. Per facet: `<facet>` (AAT ids, broader terms included), `<facet>_stated` (those the
record itself states), `<facet>_paths` (the path of each stated tag, from the top), `<facet>_labels` (labels of
`<facet>` by language, null where AAT has none).

## Rights

Only records whose rights statement is in the allow-list are here.{further} `attribution.csv` holds what must be said
beside each image.

| rights | images | share |
|---|--:|--:|
{licences}

AAT: Getty Vocabularies, ODC-By 1.0. Europeana's metadata: CC0.

## Limits

Tags were given by many cataloguers over decades; absent tags are not negatives. Institutions are uneven in number and
style, and most object types come from few of them. Images are thumbnails. Historical terms and depictions may offend.
A record that its holder withdraws leaves the next version; `SHA256SUMS` fixes this one.

## Other files

`tag_list.json` (the tags models score), `splits.parquet`, `vocabulary.ttl` (SKOS), `provenance.ttl` (PROV-O),
`croissant.json` (Croissant with responsible-AI fields), `published_format/` (the CSVs of the published dataset's form,
and `tags.csv` with the AAT id of each path), `attribution.csv`, `SHA256SUMS`.
"""


def origin(settings: Settings) -> str:
    """Where the records come from, so that nobody takes a local museum for Europeana."""
    if settings.museum is None:
        return "Europeana"
    return f"the museum folder `{settings.museum.name}`, served here in Europeana's form"


def share(n: int, whole: int) -> str:
    """A share in percent, one decimal."""
    return f"{100 * n / whole:.1f} %" if whole else "–"
