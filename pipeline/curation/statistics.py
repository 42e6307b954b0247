"""The dataset in numbers, as the paper gives them: providers, tags, facets; tables that Plotly figures draw."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl

from pipeline.facets import FACET_OF, FACETS
from pipeline.vocabulary.thesaurus import fallback_label

MOST_SECTORS = 400  # of a sunburst; the rarest tags beyond are left out, and the title says so


def items_per_provider(images: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """One row per data provider: data_provider, n_images; most first, then by name.

    `images` has one row per usable image with record_id; `records` has record_id and data_provider.
    """
    return (
        images.select("record_id")
        .join(records.select("record_id", "data_provider"), on="record_id", how="inner")
        .group_by("data_provider")
        .agg(n_images=pl.len().cast(pl.Int64))
        .sort("n_images", "data_provider", descending=[True, False])
    )


def tags_per_image(record_tags: pl.DataFrame, images: pl.DataFrame, *, stated: bool = False) -> pl.DataFrame:
    """One row per facet and number of tags: facet, n_tags (from 1), n_images; all closed tags, or the stated alone."""
    counted = record_tags.filter("stated") if stated else record_tags
    per_record = counted.group_by("record_id", "facet").agg(n_tags=pl.len().cast(pl.Int64))
    return _images_by(per_record, images, "facet", "n_tags")


def facets_per_image(record_tags: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """One row per number of annotated facets: n_facets (from 1), n_images."""
    per_record = record_tags.group_by("record_id").agg(n_facets=pl.col("facet").n_unique().cast(pl.Int64))
    return _images_by(per_record, images, "n_facets")


def images_per_tag(tags: pl.DataFrame) -> pl.DataFrame:
    """One row per tag: facet, rank (1 the most frequent in its facet), tag_id, n_images."""
    return (
        tags.sort("facet", "n_images", "tag_id", descending=[False, True, False])
        .with_columns(rank=pl.int_range(1, pl.len() + 1).over("facet"))
        .select("facet", "rank", "tag_id", "n_images")
    )


def tags_per_facet(tags: pl.DataFrame, facets: Sequence[str] = FACETS) -> pl.DataFrame:
    """One row per facet, also those without tags: facet, n_tags, n_tops (tags with none above), deepest, n_leaves."""
    inner = tags["parent"].drop_nulls().unique().to_list()
    counted = tags.group_by("facet").agg(
        n_tags=pl.len().cast(pl.Int64),
        n_tops=pl.col("parent").is_null().sum().cast(pl.Int64),
        deepest=pl.col("depth").max().cast(pl.Int64),
        n_leaves=(~pl.col("tag_id").is_in(inner)).sum().cast(pl.Int64),
    )
    return pl.DataFrame({"facet": facets}).join(counted, on="facet", how="left", maintain_order="left").fill_null(0)


def summary(
    tags: pl.DataFrame, record_tags: pl.DataFrame, images: pl.DataFrame, records: pl.DataFrame
) -> dict[str, Any]:
    """The figures in JSON: counts, and the four tables as lists of rows."""
    per_provider = items_per_provider(images, records)
    return {
        "n_images": images.height,
        "n_records": record_tags["record_id"].n_unique(),
        "n_providers": per_provider.height,
        "n_tags": tags.height,
        "tags_per_facet": tags_per_facet(tags).to_dicts(),
        "facets_per_image": facets_per_image(record_tags, images).to_dicts(),
        "tags_per_image": tags_per_image(record_tags, images).to_dicts(),
        "items_per_provider": per_provider.to_dicts(),
    }


def figures(
    tags: pl.DataFrame,
    record_tags: pl.DataFrame,
    images: pl.DataFrame,
    records: pl.DataFrame,
    *,
    facets: Sequence[str] = FACETS,
    language: str = "en",
    top_providers: int = 30,
) -> dict[str, go.Figure]:
    """Every figure by name: bars, distributions, the frequency curve, a sunburst for each facet that has tags.

    `facets` are those of the dataset.
    """
    drawn = {
        "items_per_provider": provider_bars(items_per_provider(images, records), top_providers),
        "tags_per_facet": facet_bars(tags_per_facet(tags, facets)),
        "facets_per_image": facets_bars(facets_per_image(record_tags, images)),
        "tags_per_image": distribution(tags_per_image(record_tags, images)),
        "images_per_tag": frequency_curve(images_per_tag(tags)),
    }
    stated = stated_images(record_tags, images)
    for facet, of_facet in _by_facet(tags):
        drawn[f"sunburst_{facet}"] = sunburst(of_facet, stated, facet, language)
    return drawn


def _by_facet(rows: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """The facets that have rows, with these."""
    parts = rows.partition_by("facet", as_dict=True)
    return [(facet, parts[facet,]) for facet in FACETS if (facet,) in parts]


def provider_bars(per_provider: pl.DataFrame, top: int = 30) -> go.Figure:
    """Images of the providers with most of them, the largest on top."""
    first = per_provider.head(top)
    title = f"Images of {first.height} of {per_provider.height} data providers"
    bars = go.Bar(x=first["n_images"].to_list(), y=first["data_provider"].to_list(), orientation="h")
    figure = _figure(title, "images", "data provider", [bars])
    return figure.update_yaxes(autorange="reversed").update_layout(height=140 + 22 * first.height)


def facet_bars(per_facet: pl.DataFrame) -> go.Figure:
    """Tags of each facet."""
    facets = per_facet["facet"].to_list()
    counts = per_facet["n_tags"].to_list()
    bars = go.Bar(x=facets, y=counts, text=counts, marker_color=[FACET_OF[facet].colour for facet in facets])
    return _figure("Tags of each facet", "facet", "tags", [bars])


def facets_bars(per_image: pl.DataFrame) -> go.Figure:
    """Images by the number of facets annotated."""
    counts = per_image["n_images"].to_list()
    bars = go.Bar(x=[str(n) for n in per_image["n_facets"]], y=counts, text=counts)
    return _figure("Facets annotated in an image", "facets", "images", [bars])


def distribution(per_image: pl.DataFrame) -> go.Figure:
    """Images by the number of tags, a row of bars for each facet."""
    bars = [
        go.Bar(name=facet, x=row["n_tags"].to_list(), y=row["n_images"].to_list(), marker_color=FACET_OF[facet].colour)
        for facet, row in _by_facet(per_image)
    ]
    return _figure("Tags of an image, those above them counted", "tags of the facet", "images", bars)


def frequency_curve(per_tag: pl.DataFrame) -> go.Figure:
    """Images of each tag against its rank in its facet, both on logarithmic axes."""
    curves = [
        go.Scatter(
            name=facet,
            x=row["rank"].to_list(),
            y=row["n_images"].to_list(),
            mode="lines+markers",
            line_color=FACET_OF[facet].colour,
        )
        for facet, row in _by_facet(per_tag)
    ]
    figure = _figure("Images of each tag, most frequent first", "rank of the tag in its facet", "images", curves)
    return figure.update_xaxes(type="log").update_yaxes(type="log")


def sunburst(tags: pl.DataFrame, stated: dict[str, int], facet: str, language: str = "en") -> go.Figure:
    """The tags of one facet as rings; a sector is as wide as the images that state the tag or one below it.

    An image that states two tags counts in both sectors, so rings can sum to more than the images there are.
    """
    shown = tags.sort("n_images", "depth", "tag_id", descending=[True, False, False]).head(MOST_SECTORS)
    ids = shown["tag_id"].to_list()
    names = [_name(labels, tag_id, language) for labels, tag_id in shown.select("labels", "tag_id").iter_rows()]
    rings = go.Sunburst(
        ids=ids,
        labels=names,
        parents=[parent or "" for parent in shown["parent"]],
        values=[stated.get(tag_id, 0) for tag_id in ids],
        customdata=shown["n_images"].to_list(),
        hovertemplate="%{label}<br>%{customdata} images<extra>aat:%{id}</extra>",
        branchvalues="remainder",
    )
    left_out = tags.height - shown.height
    title = f"{facet}: {tags.height} tags" + (f", the {left_out} rarest not drawn" if left_out else "")
    return go.Figure(rings).update_layout(title=title, template="plotly_white", height=700)


def stated_images(record_tags: pl.DataFrame, images: pl.DataFrame) -> dict[str, int]:
    """For each tag the images whose record states it."""
    per_record = images.group_by("record_id").len("n")
    stated = record_tags.lazy().filter("stated").join(per_record.lazy(), on="record_id", how="inner")
    return dict(stated.group_by("tag_id").agg(pl.col("n").sum().cast(pl.Int64)).collect().iter_rows())


def _images_by(per_record: pl.DataFrame, images: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """The images of the records with each value of the keys, sorted by them."""
    views = images.group_by("record_id").agg(views=pl.len().cast(pl.Int64))
    joined = per_record.join(views, on="record_id", how="inner")
    return joined.group_by(*keys).agg(n_images=pl.col("views").sum()).sort(*keys)


def _figure(title: str, x: str, y: str, traces: Sequence[Any]) -> go.Figure:
    figure = go.Figure(list(traces))
    return figure.update_layout(title=title, xaxis_title=x, yaxis_title=y, template="plotly_white")


def _name(labels: Sequence[dict[str, str]], tag_id: str, language: str) -> str:
    return fallback_label({each["language"]: each["text"] for each in labels}, tag_id, language).text
