"""The report's section on the published files: Tables 1 to 3 in the paper's layout, what leaked, and where."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from ml.evaluation.paper_figures import MENDED, PUBLISHED, WITHOUT_LEAKS
from ml.report.examples import pictures
from ml.report.results import (
    FACET_TITLES,
    METRICS,
    SHORT_METRICS,
    SPLIT_TITLES,
    facets_in,
    ordered_baselines,
    points,
    published,
    show,
    title,
)
from ml.report.tables import HeadCell, ShownCell, ShownRow, ShownTable
from pipeline import DATASET_SPLITS, TEST_SPLITS
from pipeline.images.reasons import meaning_of
from pipeline.images.wanted import wanted_images
from pipeline.tables import FETCHES, LEAKS, PAPER_FIGURES, RECORDS, SPLIT_SIZES

NEEDED = ("paper_figures", "split_sizes", "leaks")
LEAKS_SHOWN = 12  # groups with their pictures
IMAGES_SHOWN = 6  # of a group
BLANK = ShownCell("")
Column = tuple[str, str, str]  # split, facet, metric
Figure = dict[str, Any]
SPLIT_NAMES = {"train": "Training", "left_out": "Left out"} | SPLIT_TITLES
OF_SPLITS = {PUBLISHED: "published splits", MENDED: "mended splits"}


class LeakedImage(NamedTuple):
    """One image of a group that is in several published splits."""

    record_id: str
    data_provider: str
    split: str
    mended: str
    image: str  # data: URL


@dataclass(frozen=True)
class Leak:
    """A group that is in several published splits, with its first images; `n`: how many it has."""

    images: tuple[LeakedImage, ...]
    n: int
    how: str


@dataclass(frozen=True)
class AsPublished:
    """What the section shows."""

    sizes: ShownTable
    missing: list[tuple[str, int]]  # pictures that could not be had, by reason
    tables: list[ShownTable]  # Tables 1 to 3 on the published splits
    mended: list[ShownTable]  # the same on the mended ones; none where no row was trained on them
    leaked: ShownTable
    leaks: list[Leak]
    n_leaks: int  # groups
    n_leaked: int  # images in them

    @property
    def all_tables(self) -> list[ShownTable]:
        """Every table, as tables.md and tables.tex have them."""
        return [self.sizes, *self.tables, *self.mended, self.leaked]


def as_published(storage: Path, chance: Sequence[str] = ()) -> AsPublished | None:
    """The section of a run on the published files; None where the storage has no such tables.

    Rows by chance (`results.rows_by_chance`) stay blank, as those that were not run.
    """
    files = {name: storage / f"{name}.parquet" for name in NEEDED}
    if not all(file.exists() for file in files.values()):
        return None
    figures = PAPER_FIGURES.read(files["paper_figures"]).filter(~pl.col("baseline").is_in(list(chance)))
    leaks = LEAKS.read(files["leaks"])
    return AsPublished(
        sizes=sizes_table(SPLIT_SIZES.read(files["split_sizes"])),
        missing=missing_pictures(storage),
        tables=layout_tables(figures, PUBLISHED),
        mended=layout_tables(figures, MENDED) if MENDED in figures["splits"] else [],
        leaked=leak_table(figures),
        leaks=shown_leaks(storage, leaks),
        n_leaks=leaks["group_id"].n_unique(),
        n_leaked=leaks.height,
    )


def sizes_table(sizes: pl.DataFrame) -> ShownTable:
    """Rows of every published split, pictures that could be had, and what the mending moves."""
    rows, found = [], {row["split"]: row for row in sizes.iter_rows(named=True)}
    for row in (found[split] for split in DATASET_SPLITS if split in found):
        share = f"{100 * row['pictures'] / row['rows']:.1f} %" if row["rows"] else "–"
        numbers = [f"{row[name]:,}" for name in ("rows", "pictures", "mended", "moved_in", "moved_out", "left_out")]
        cells = [ShownCell(text) for text in (*numbers[:2], share, *numbers[2:])]
        rows.append(ShownRow(SPLIT_NAMES[row["split"]], tuple(cells)))
    above = (HeadCell(""), HeadCell("As published", 3), HeadCell("Mended", 4))
    names = ("Split", "Rows", "Pictures", "Share", "Images", "Moved in", "Moved out", "Left out")
    return ShownTable(
        "sizes", "Pictures that could be had, by split", (above, tuple(map(HeadCell, names))), tuple(rows)
    )


def missing_pictures(storage: Path) -> list[tuple[str, int]]:
    """How many records have no picture, by what the ledger says of their addresses, most first."""
    if not (storage / "fetches").is_dir():
        return []
    ledger = {row[0]: row[1:] for row in FETCHES.read(storage / "fetches", ["url", "state", "reason"]).iter_rows()}
    records = RECORDS.read(storage / "records.parquet", ["record_id", "image_url", "thumbnail_url"])
    wanted = wanted_images(records, "thumbnail")
    counts = Counter({"the row has no address": records.height - wanted.height})
    for urls in wanted.select("url", "fallback_url").iter_rows():
        found = [ledger[url] for url in urls if url in ledger]
        if not any(state in ("fetched", "unchanged") for state, _ in found):
            counts[", then ".join(meaning_of(reason) for _, reason in found if reason) or "not asked for yet"] += 1
    return [(reason, n) for reason, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n]


def layout_tables(figures: pl.DataFrame, splits: str) -> list[ShownTable]:
    """Tables 1, 2 and 3 as the paper lays them out: for each of its rows its figure, ours, and the difference."""
    found = figures.filter(splits=splits)
    facets = facets_in(found.filter(pl.col("facet") != "mean"))
    inner, outer = ([(_heading(found, split, facet), split, facet) for facet in facets] for split in TEST_SPLITS)
    means = [(_heading(found, split, "mean"), split, "mean") for split in TEST_SPLITS]
    captions = {
        1: (inner, "Inner test, by facet"),
        2: (outer, "Outer test, by facet (the paper prints only the means)"),
        3: (means, "Mean over the facets, inner and outer test"),
    }
    return [
        _layout(f"{splits}_{number}", f"Table {number}, {OF_SPLITS[splits]}. {caption}", over, found)
        for number, (over, caption) in captions.items()
    ]


def _heading(figures: pl.DataFrame, split: str, facet: str) -> str:
    """The facet with the images that its figures count, or the test with the facets of its mean, where they differ."""
    of_cell = figures.filter(split=split, facet=facet)
    if facet == "mean":
        n = int(of_cell["facets"].max() or 0)  # type: ignore[arg-type]
        return SPLIT_TITLES[split] if n in (0, facets_of_paper()) else f"{SPLIT_TITLES[split]} (over {n} facets)"
    n = int(of_cell["images"].max() or 0)  # type: ignore[arg-type]
    return f"{FACET_TITLES[facet]} ({n:,} {'image' if n == 1 else 'images'})"


def _layout(name: str, caption: str, over: Sequence[tuple[str, str, str]], figures: pl.DataFrame) -> ShownTable:
    columns = [(split, facet, metric) for _, split, facet in over for metric in METRICS]
    printed, ours = _by_cell(published()), _by_cell(figures)
    rows: list[ShownRow] = []
    in_table = [key[0] for key in printed if key[1:] in columns]
    for baseline in ordered_baselines(in_table or [key[0] for key in printed]):
        paper = [printed.get((baseline, *column)) for column in columns]
        mine = [ours.get((baseline, *column)) for column in columns]
        if any(paper):
            rows.append(ShownRow(f"{title(baseline)}, paper", tuple(map(_plain, columns, paper)), "paper"))
        name_of_ours = "this run" if any(paper) else title(baseline)
        kind = "ours" if any(paper) else "run"
        rows.append(ShownRow(name_of_ours, tuple(map(_with_interval, columns, mine)), kind))
        if any(paper) and any(mine):
            rows.append(ShownRow("difference", tuple(map(_difference, columns, paper, mine)), "change"))
    head = (
        (HeadCell(""), *(HeadCell(heading, len(METRICS)) for heading, _, _ in over)),
        (HeadCell("Row"), *(HeadCell(SHORT_METRICS[metric]) for _, _, metric in columns)),
    )
    return ShownTable(name, caption, head, tuple(rows))


def _by_cell(frame: pl.DataFrame) -> dict[tuple[str, str, str, str], Figure]:
    return {
        (row["baseline"], row["split"], row["facet"], row["metric"]): row
        for row in frame.iter_rows(named=True)
        if row["value"] is not None
    }


def _plain(column: Column, figure: Figure | None) -> ShownCell:
    return BLANK if figure is None else ShownCell(show(column[2], figure["value"]))


def _with_interval(column: Column, figure: Figure | None) -> ShownCell:
    if figure is None:
        return BLANK
    metric, low, high = column[2], figure["low"], figure["high"]
    interval = "" if low is None or high is None else f"{show(metric, low)}–{show(metric, high)}"
    return ShownCell(show(metric, figure["value"]), interval)


def _difference(column: Column, paper: Figure | None, ours: Figure | None) -> ShownCell:
    """Ours less the paper's, in points or positions; marked where the paper's figure is outside of our interval.

    A mean over other facets than the paper's is not compared.
    """
    if paper is None or ours is None or (column[1] == "mean" and ours["facets"] != facets_of_paper()):
        return BLANK
    difference = float(ours["value"]) - float(paper["value"])
    kind = ""
    if ours["low"] is not None and ours["high"] is not None:
        below, above = float(paper["value"]) < float(ours["low"]), float(paper["value"]) > float(ours["high"])
        better, worse = (above, below) if column[2] == "avg_rank_position" else (below, above)
        kind = "ahead" if better else "behind" if worse else ""
    return ShownCell(change(column[2], difference), kind=kind)


def facets_of_paper() -> int:
    """How many facets the paper's means are over."""
    return len(set(published()["facet"]) - {"mean"})


def change(metric: str, value: float) -> str:
    """A difference with its sign: in points, or in positions of the mean rank."""
    return f"{round(value, 1) + 0.0:+.1f}".replace("-", "−") if metric == "avg_rank_position" else points(value)


LEAK_COLUMNS = (PUBLISHED, WITHOUT_LEAKS, MENDED)


def leak_table(figures: pl.DataFrame) -> ShownTable:
    """How much was leak: mean R-Precision on the published splits, its change without leaks, and on mended splits."""
    chosen = figures.filter(metric="r_precision")
    found = {(r["baseline"], r["split"], r["facet"], r["splits"]): r for r in chosen.iter_rows(named=True)}
    rows = []
    for baseline in ordered_baselines(chosen["baseline"].to_list()):
        of_row = chosen.filter(baseline=baseline)
        facet = "mean" if "mean" in of_row["facet"] else facets_in(of_row)[0]
        cells: list[ShownCell] = []
        for split in TEST_SPLITS:
            of_split = [found.get((baseline, split, facet, splits)) for splits in LEAK_COLUMNS]
            cells.append(_with_interval((split, facet, "r_precision"), of_split[0]))
            cells += [_change(row) for row in of_split[1:]]
        alone = "" if facet == "mean" else f" ({FACET_TITLES[facet].lower()} alone)"
        rows.append(ShownRow(title(baseline) + alone, tuple(cells)))
    heads = ("Published", "Without leaks", "Mended")
    head = (
        (HeadCell(""), *(HeadCell(SPLIT_TITLES[split], len(heads)) for split in TEST_SPLITS)),
        (HeadCell("Row"), *(HeadCell(text) for _ in TEST_SPLITS for text in heads)),
    )
    caption = "How much was leak: R-Precision on the published splits, and how it changes, in points"
    return ShownTable("leaked", caption, head, tuple(rows))


def _change(row: Figure | None) -> ShownCell:
    if row is None or row["change"] is None:
        return BLANK
    low, high = row["change_low"], row["change_high"]
    return ShownCell(points(row["change"]), "" if low is None or high is None else f"{points(low)} to {points(high)}")


def shown_leaks(storage: Path, leaks: pl.DataFrame) -> list[Leak]:
    """The first leaking groups with their pictures: those of a test and training before others, large ones first."""
    in_split = {split: pl.col("split").list.contains(split) for split in ("train", *TEST_SPLITS)}
    trained_on = in_split["train"] & (in_split["inner_test"] | in_split["outer_test"])
    of_groups = leaks.group_by("group_id").agg("split", n=pl.len()).with_columns(trained_on=trained_on)
    chosen = of_groups.sort(["trained_on", "n", "group_id"], descending=[True, True, False]).head(LEAKS_SHOWN)
    groups = {(group, n): _of_group(leaks.filter(group_id=group)) for group, n in chosen["group_id", "n"].iter_rows()}
    images: dict[tuple[str, int], str] = {}
    for split in DATASET_SPLITS:
        keys = [key for rows in groups.values() for key in rows.filter(split=split)["record_id", "view"].iter_rows()]
        images |= pictures(storage / "dataset", split, keys) if keys else {}
    providers = dict(RECORDS.read(storage / "records.parquet", ["record_id", "data_provider"]).iter_rows())
    found = []
    for (_, n), rows in groups.items():
        shown = [
            LeakedImage(
                record, providers.get(record) or "", SPLIT_NAMES[split], SPLIT_NAMES[after], images[record, view]
            )
            for record, view, split, after in rows["record_id", "view", "split", "mended"].iter_rows()
        ]
        how = " and ".join(each.replace("_", " ") for each in rows["how"].unique().sort())
        found.append(Leak(tuple(shown), n, how))
    return found


def _of_group(rows: pl.DataFrame) -> pl.DataFrame:
    """Some images of a group: one of each split first."""
    nth = pl.int_range(pl.len()).over("split")
    chosen = rows.sort("record_id", "view").with_columns(nth=nth).sort("nth", "split", "record_id").head(IMAGES_SHOWN)
    return chosen.sort("split", "record_id", "view").drop("nth")
