"""The report on the dataset itself: statistics, hierarchies, splits, distances, and sample records."""

from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from ml.report import charts as draw
from ml.report.charts import Figure, figure
from ml.report.results import FACET_TITLES
from ml.report.samples import Sample, Term, sample_records, tree
from pipeline import FACETS
from pipeline.curation import statistics
from pipeline.release.folder import labels_by_language, preferred_label
from pipeline.tables import PROVIDER_DISTANCES, RECORD_TAGS, SPLIT_TABLE, SPLIT_TAGS, TAGS

SAMPLES = 6  # records shown with their hierarchies


def dataset_figures(storage: Path) -> list[Figure | None]:
    """Statistics, sunbursts, provider ranking and split balance, from the tables that are there."""
    found: list[Figure | None] = []
    wanted = [storage / f"{name}.parquet" for name in ("tags", "record_tags", "records", "splits")]
    if all(path.exists() for path in wanted):
        tags, record_tags = TAGS.read(wanted[0]), RECORD_TAGS.read(wanted[1])
        records = pl.read_parquet(wanted[2], columns=["record_id", "data_provider"])
        images = SPLIT_TABLE.read(wanted[3]).select("record_id", "view")  # every image that counts, left out or not
        for name, chart in statistics.figures(tags, record_tags, images, records).items():
            heading = str(chart.layout.title.text or name)
            for key, facet in FACET_TITLES.items():
                heading = heading.replace(f"{key}:", f"{facet}:")
            for trace in chart.data:
                trace.name = FACET_TITLES.get(trace.name, trace.name)
                if name == "tags_per_facet":
                    trace.x = [FACET_TITLES.get(facet, facet) for facet in trace.x]
            if name in ("tags_per_facet", "facets_per_image"):
                chart.update_traces(textangle=0, textposition="outside", cliponaxis=False)
                chart.update_xaxes(type="category")
            if name.startswith("sunburst"):
                if len(chart.data[0].ids) < 2:
                    continue  # one term is no hierarchy
                chart.update_layout(height=560)
            found.append(
                figure(
                    name, heading, STATISTICS.get(name.partition("_")[0] if name.startswith("sun") else name, ""), chart
                )
            )
        found.append(
            figure(
                "tag_sizes",
                "How many images a tag has",
                "Tags counted by their images, broader terms included.",
                draw.images_per_tag(tags),
            )
        )
    if (storage / "split_tags.parquet").exists():
        found.append(
            figure(
                "balance",
                "Split balance: every tag in training and in the inner test",
                "Each point is a tag; both axes are logarithmic.",
                draw.balance_chart(SPLIT_TAGS.read(storage / "split_tags.parquet")),
            )
        )
    if (storage / "provider_distances.parquet").exists():
        found.append(
            figure(
                "ranking",
                "How far each museum's pictures are from the whole",
                "Fréchet distance with its interval; the outer test is chosen among the eligible.",
                draw.ranking_chart(PROVIDER_DISTANCES.read(storage / "provider_distances.parquet")),
            )
        )
        found.append(
            figure(
                "distances",
                "Which museums became the outer test",
                "The farther up, the less a museum's pictures resemble the whole collection.",
                draw.distance_chart(PROVIDER_DISTANCES.read(storage / "provider_distances.parquet")),
            )
        )
    return found


STATISTICS = {
    "items_per_provider": "The museums with most images.",
    "tags_per_facet": "Terms in use, those above them counted.",
    "facets_per_image": "How completely records are described.",
    "tags_per_image": "Broader terms included.",
    "images_per_tag": "Both axes are logarithmic.",
    "sunburst": "The hierarchy from the centre outwards; click a term to open it.",
}


def show_samples(storage: Path) -> list[Sample]:
    """Sample records with their hierarchies, where the tables are there."""
    tables = [storage / "records.parquet", storage / "tags.parquet"]
    if not all(table.exists() for table in tables):
        return []
    return sample_records(storage / "dataset", tables[0], TAGS.read(tables[1]), SAMPLES)


def vocabulary_trees(storage: Path) -> list[tuple[str, tuple[Term, ...]]]:
    """Each facet's tags as a tree with their images: the rings in words, for those who do not see or point."""
    if not (storage / "tags.parquet").exists():
        return []
    trees = []
    for facet in FACETS:
        tags = TAGS.read(storage / "tags.parquet").filter(facet=facet)
        names = {
            tag: f"{preferred_label(labels_by_language(texts), tag)} ({n:,})"
            for tag, texts, n in tags.select("tag_id", "labels", "n_images").iter_rows()
        }
        above = dict(tags.select("tag_id", "parent").iter_rows())
        trees.append((FACET_TITLES[facet], tree(list(names), set(), above, names)))
    return trees


def sample_view(sample: Sample) -> dict[str, Any]:
    """A sample as the template reads it."""
    trees = [(FACET_TITLES[facet], sample.trees[facet]) for facet in FACETS]
    return {**vars(sample), "image": Markup(sample.image), "trees": trees}  # noqa: S704
