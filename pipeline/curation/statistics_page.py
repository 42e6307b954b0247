"""The dataset's figures on one page that opens anywhere, and the same numbers as small tables in Markdown."""

from collections.abc import Mapping
from pathlib import Path

import plotly.graph_objects as go
import plotly.offline
import polars as pl

from pipeline.curation import statistics
from pipeline.files import write_text
from pipeline.markdown import markdown
from pipeline.plots import svg
from pipeline.templates import render


def write_page(file: Path, figures: Mapping[str, go.Figure], title: str, words: str) -> None:
    """Write every figure below another, as SVG and with plotly.js inside; the same figures give the same bytes."""
    page = render(
        Path(__file__).with_name("statistics.html"),
        figures=figures,
        svg=svg,
        untitled=_untitled,
        title=title,
        words=words,
        plotly=plotly.offline.get_plotlyjs(),
    )
    write_text(page, file)


def _untitled(figure: go.Figure) -> go.Figure:
    """The figure without its title, which stands above it on the page."""
    return go.Figure(figure).update_layout(title=None, margin={"t": 20})


def small_tables(
    tags: pl.DataFrame, record_tags: pl.DataFrame, images: pl.DataFrame, records: pl.DataFrame, *, top: int = 30
) -> dict[str, str]:
    """The paper's statistics as Markdown with bars: providers, tags, facets."""
    per_provider = statistics.items_per_provider(images, records)
    ranked = statistics.images_per_tag(tags)
    spread = ranked.group_by("facet", maintain_order=True).agg(
        n_tags=pl.len(),
        most=pl.col("n_images").max(),
        median=pl.col("n_images").median().cast(pl.Int64),
        least=pl.col("n_images").min(),
    )
    return {
        "items_per_provider": markdown(per_provider.head(top), bar="n_images"),
        "tags_per_facet": markdown(statistics.tags_per_facet(tags), bar="n_tags"),
        "facets_per_image": markdown(statistics.facets_per_image(record_tags, images), bar="n_images"),
        "tags_per_image": markdown(statistics.tags_per_image(record_tags, images), bar="n_images"),
        "images_per_tag": markdown(spread),
    }
