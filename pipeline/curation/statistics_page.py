"""The dataset's figures on one page that opens anywhere, and the same numbers as small tables in Markdown."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

import plotly.graph_objects as go
import plotly.offline
import polars as pl

from pipeline.curation import statistics
from pipeline.files import write_text
from pipeline.markdown import markdown

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }}
nav a {{ margin-right: 1rem; white-space: nowrap }} figure {{ margin: 2rem 0 }}</style>
<h1>{title}</h1><p>{words}</p><nav>{links}</nav>
<script>{script}</script>
{figures}
</html>
"""


def write_page(file: Path, figures: Mapping[str, go.Figure], title: str, words: str) -> None:
    """Every figure below another, with plotly.js inside; the same figures give the same bytes."""
    drawn = [f'<figure id="{name}">{_drawn(name, figure)}</figure>' for name, figure in figures.items()]
    links = [
        f'<a href="#{name}">{escape(figure.layout.title.text or name, quote=False)}</a>'
        for name, figure in figures.items()
    ]
    page = PAGE.format(
        title=escape(title),
        words=escape(words),
        links=" ".join(links),
        script=plotly.offline.get_plotlyjs(),
        figures="\n".join(drawn),
    )
    write_text(page, file)


def _drawn(name: str, figure: go.Figure) -> str:
    return str(figure.to_html(full_html=False, include_plotlyjs=False, div_id=f"figure-{name}"))


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
