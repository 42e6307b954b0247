"""The report on the dataset itself: statistics, hierarchies, splits, distances, and sample records."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ml.report.charts import Chart, balance_chart, distance_chart, images_per_tag, page_chart, ranking_chart
from ml.report.results import FACET_TITLES
from ml.report.samples import Term, tag_labels, tree
from pipeline.curation import statistics
from pipeline.tables import PROVIDER_DISTANCES, RECORD_TAGS, SPLIT_TABLE, SPLIT_TAGS, TAGS


def dataset_charts(storage: Path, facets: Sequence[str]) -> dict[str, Chart | None]:
    """Statistics, sunbursts, split balance and provider distances, by name, from the tables that are there."""
    charts = statistics_charts(storage, facets)
    if (storage / "split_tags.parquet").exists():
        charts["balance"] = page_chart("balance", balance_chart(SPLIT_TAGS.read(storage / "split_tags.parquet")))
    if (storage / "provider_distances.parquet").exists():
        distances = PROVIDER_DISTANCES.read(storage / "provider_distances.parquet")
        charts["ranking"] = page_chart("ranking", ranking_chart(distances))
        charts["distances"] = page_chart("distances", distance_chart(distances))
    return charts


def statistics_charts(storage: Path, facets: Sequence[str]) -> dict[str, Chart | None]:
    """The figures of the curation's statistics with the facets' titles, and the sizes of the tags."""
    files = {name: storage / f"{name}.parquet" for name in ("tags", "record_tags", "records", "splits")}
    if not all(file.exists() for file in files.values()):
        return {}
    tags, record_tags = TAGS.read(files["tags"]), RECORD_TAGS.read(files["record_tags"])
    records = pl.read_parquet(files["records"], columns=["record_id", "data_provider"])
    images = SPLIT_TABLE.read(files["splits"]).select("record_id", "view")  # the left out ones too
    charts = {}
    for name, figure in statistics.figures(tags, record_tags, images, records, facets=facets).items():
        for key, title in FACET_TITLES.items():
            figure.layout.title.text = figure.layout.title.text.replace(f"{key}:", f"{title}:")
        for trace in figure.data:
            trace.name = FACET_TITLES.get(trace.name, trace.name)
            if name == "tags_per_facet":
                trace.x = [FACET_TITLES.get(facet, facet) for facet in trace.x]
        if name in ("tags_per_facet", "facets_per_image"):
            figure.update_traces(textangle=0, textposition="outside", cliponaxis=False)
            figure.update_xaxes(type="category")
        if name.startswith("sunburst"):
            if len(figure.data[0].ids) < 2:
                continue  # one term is no hierarchy
            figure.update_layout(height=560)
        charts[name] = page_chart(name, figure)
    charts["tag_sizes"] = page_chart("tag_sizes", images_per_tag(tags))
    return charts


def vocabulary_trees(storage: Path, facets: Sequence[str]) -> list[tuple[str, tuple[Term, ...]]]:
    """Each facet's tags as a tree with their numbers of images: the sunbursts in words."""
    if not (storage / "tags.parquet").exists():
        return []
    trees = []
    for facet in facets:
        tags = TAGS.read(storage / "tags.parquet").filter(facet=facet)
        labels = tag_labels(tags)
        names = {tag: f"{labels[tag]} ({n:,})" for tag, n in tags.select("tag_id", "n_images").iter_rows()}
        above = dict(tags.select("tag_id", "parent").iter_rows())
        trees.append((FACET_TITLES[facet], tree(list(names), set(), above, names)))
    return trees
