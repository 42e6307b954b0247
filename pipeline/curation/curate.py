"""Curation: rules on records, stated concepts to tags, corrections, closure, and the fixed point, each step counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pipeline.curation import tags as tagging
from pipeline.curation.rules import RECORD_RULES, Circumstances, reason_of
from pipeline.curation.tags import ImagesOfRecords, Pairs, Round, TagTree, tag_tree
from pipeline.facets import ALL_FACETS
from pipeline.settings import CurationSettings
from pipeline.tables import CURATION_REPORT, RECORD_TAGS, REMOVED_TAGS, SELECTED_RECORDS, TAGS
from pipeline.templates import in_words
from pipeline.vocabulary.facets import Rules, place
from pipeline.vocabulary.thesaurus import Thesaurus, fallback_label

# The steps that are no rule on records, with their reasons; the report carries them under these names.
STEPS = {
    "outside_facets": "The concept falls under none of the facets.",
    "unlisted_subject": "The concept is a subject that is not among the listed ones, with no listed one above it.",
    "tag_above": "Guide terms, hierarchies, cut concepts and unlisted subjects stand for the next tag above them.",
    "corrections_added": "A curator or cataloguer added the tag.",
    "closed_upwards": "Every tag above a stated one holds too.",
    "corrections_removed": "A curator or cataloguer removed the tag, and with it the tags below it.",
    "no_tags": "The record has no tag in any facet.",
    "few_images": "The tag has fewer images than the least number (paper); its records keep the tags above it.",
    "no_usable_image": "No image of the record could be used.",
}


@dataclass(frozen=True)
class Selection:
    """What curation keeps before any image is fetched, in the columns of the tables of these names.

    `ignored_corrections` are the corrections that could not be applied, with `problem`; `removed_tags` the tags that
    had too few records.
    """

    selected_records: pl.DataFrame
    record_tags: pl.DataFrame
    report: pl.DataFrame
    ignored_corrections: pl.DataFrame
    removed_tags: pl.DataFrame


@dataclass(frozen=True)
class Curated:
    """The tags and record tags of the usable images; `removed_tags` as in Selection."""

    tags: pl.DataFrame
    record_tags: pl.DataFrame
    report: pl.DataFrame
    removed_tags: pl.DataFrame


@dataclass
class _Report:
    """The rows of `curation_report` of one stage, in the order of application."""

    stage: str
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, rule: str, records: tuple[int, int], pairs: tuple[int, int], round_: int = 0, reason: str | None = None
    ) -> None:
        """Note a rule with its reason, or one of STEPS; `records` and `pairs` are counts before and after."""
        values = (self.stage, round_, len(self.rows) + 1, rule, reason or STEPS[rule], *records, *pairs)
        self.rows.append(dict(zip(CURATION_REPORT.schema.names, values, strict=True)))

    def add_rounds(self, rounds: Iterable[Round]) -> None:
        for number, each in enumerate(rounds, 1):
            kept = (each.records_before, each.records_before)
            self.add("few_images", kept, (each.pairs_before, each.pairs_after), number)
            left = (each.records_before, each.records_after)
            self.add("no_tags", left, (each.pairs_after, each.pairs_after), number)

    @property
    def frame(self) -> pl.DataFrame:
        return CURATION_REPORT.frame(self.rows)


def select_records(
    records: pl.DataFrame,
    alignments: pl.DataFrame,
    concepts: pl.DataFrame,
    tombstones: pl.DataFrame,
    corrections: pl.DataFrame,
    rules: Rules,
    settings: CurationSettings,
) -> Selection:
    """The records and tags that stay, by the fixed point on records (protocol, section 3).

    `concepts` carry their facets. Of `records` these columns are read: record_id, data_provider, rights_uri, image_url,
    thumbnail_url, concept_uris, type_uris, subject_uris.
    """
    report = _Report("records")
    records = records.sort("record_id")
    statements = _statements(records, alignments)
    alive = _apply_record_rules(records, statements, Circumstances(settings, tombstones), report)
    tree = tag_tree(concepts, rules.of("exclude"))
    stated = _tags_of_statements(
        statements.filter(pl.lit(pl.Series(alive[statements["row"].to_numpy()]))),
        concepts,
        tree,
        rules,
        int(alive.sum()),
        report,
    )
    stated, closed, ignored = _correct(stated, records["record_id"], alive, corrections, tree, report)
    report.add("no_tags", (int(alive.sum()), tagging.distinct_rows(closed)), (len(closed),) * 2)
    kept, rounds = tagging.keep_frequent(
        closed, lambda pairs: tagging.records_per_tag(pairs, len(tree.ids)), settings.min_images_per_tag
    )
    report.add_rounds(rounds)
    record_tags = _record_tags(records["record_id"], stated, kept, tree)
    selected = records.select(SELECTED_RECORDS.schema.names)[tagging.distinct(tagging.rows_of(kept))]
    return Selection(selected, record_tags, report.frame, ignored, _removed(rounds, tree, concepts))


def curate_usable(
    record_tags: pl.DataFrame, images: pl.DataFrame, concepts: pl.DataFrame, settings: CurationSettings
) -> Curated:
    """The tags that stay on usable images, exact duplicates (same image_id) counted once: the second fixed point.

    `record_tags` are those of `select_records`; `images` has record_id and image_id, one row per usable image;
    `concepts` carry their facets.
    """
    report = _Report("usable_images")
    tree = tag_tree(concepts)
    ids, stated, closed = _numbered(record_tags, tree)
    of_records = _images_of_records(ids, images)
    has_image = np.diff(of_records.offsets) > 0
    usable = closed[has_image[tagging.rows_of(closed)]]
    counts = (len(ids), int(has_image.sum())), (len(closed), len(usable))
    report.add("no_usable_image", *counts)
    kept, rounds = tagging.keep_frequent(
        usable, lambda pairs: of_records.per_tag(pairs, len(tree.ids)), settings.min_images_per_tag
    )
    report.add_rounds(rounds)
    n_images = of_records.per_tag(kept, len(tree.ids))
    return Curated(
        tags=_tags(tree, n_images, concepts),
        record_tags=_record_tags(ids, stated, kept, tree),
        report=report.frame,
        removed_tags=_removed(rounds, tree, concepts),
    )


def _numbered(record_tags: pl.DataFrame, tree: TagTree) -> tuple[pl.Series, Pairs, Pairs]:
    """The record ids, sorted, and the stated and all pairs of the table by record row and tag number."""
    if not record_tags["record_id"].is_sorted():
        record_tags = record_tags.sort("record_id")
    begins = record_tags.select(
        record_id=pl.col("record_id"), new=pl.col("record_id") != pl.col("record_id").shift(1, fill_value="")
    )
    rows = begins["new"].cast(pl.UInt32).cum_sum().to_numpy() - 1
    # an Enum's physical value is the place in its list, so the tag's number; an unknown tag raises
    tags = record_tags["tag_id"].cast(pl.Enum(list(tree.ids))).to_physical().to_numpy()
    stated = record_tags["stated"].to_numpy()
    return (
        begins.filter("new")["record_id"],
        tagging.pairs_of(rows[stated], tags[stated]),
        tagging.pairs_of(rows, tags),
    )


def _statements(records: pl.DataFrame, alignments: pl.DataFrame) -> pl.DataFrame:
    """The distinct pairs of a record's row and an AAT concept that it states, through any of its URIs."""
    table = alignments.lazy().select("uri", "concept_id")
    by_column = [
        records.lazy()
        .select(row=pl.row_index().cast(pl.UInt32), uri=pl.col(column))
        .filter(pl.col("uri").list.len() > 0)
        .explode("uri")
        .join(table, on="uri", how="inner")
        .select("row", "concept_id")
        for column in ("concept_uris", "type_uris", "subject_uris")
    ]
    return pl.concat(by_column).unique().sort("row", "concept_id").collect()


def _apply_record_rules(
    records: pl.DataFrame, statements: pl.DataFrame, given: Circumstances, report: _Report
) -> np.ndarray:
    """A mask of the records that the rules keep."""
    per_record = np.bincount(statements["row"].to_numpy(), minlength=records.height)
    alive = np.ones(records.height, bool)
    for rule in RECORD_RULES:
        before = int(alive.sum()), int(per_record[alive].sum())
        left = np.flatnonzero(alive)
        alive[left[rule(records[left], given).to_numpy()]] = False
        after = int(alive.sum()), int(per_record[alive].sum())
        report.add(rule.__name__, (before[0], after[0]), (before[1], after[1]), reason=reason_of(rule))
    return alive


def _tags_of_statements(
    statements: pl.DataFrame, concepts: pl.DataFrame, tree: TagTree, rules: Rules, n_records: int, report: _Report
) -> Pairs:
    """The stated pairs of record and tag; each rule of the file says how many statements it removed."""
    thesaurus = Thesaurus(concepts)
    placed = place(thesaurus, rules)
    removed_by = pl.DataFrame(
        [
            (
                each,
                tree.stands_for.get(each, -1),
                None if each in tree.stands_for else _removing_rule(each, placed, rules, thesaurus),
            )
            for each in thesaurus.kinds
        ],
        schema={"concept_id": pl.String, "tag": pl.Int64, "rule": pl.String},
        orient="row",
    )
    joined = statements.join(removed_by, on="concept_id", how="inner")
    counts = dict(joined.group_by("rule").len().iter_rows())
    left = joined.height
    names = {rule.name: rule.reason for rule in rules.rules if rule.action in ("cut", "exclude", "heading")}
    for name, reason in {**names, "unlisted_subject": None, "outside_facets": None}.items():
        report.add(name, (n_records, n_records), (left, left - counts.get(name, 0)), reason=reason)
        left -= counts.get(name, 0)
    standing = joined.filter(pl.col("tag") >= 0)
    pairs = tagging.pairs_of(standing["row"].to_numpy(), standing["tag"].to_numpy())
    report.add("tag_above", (n_records, n_records), (left, len(pairs)))
    return pairs


def _removing_rule(concept_id: str, placed: dict[str, Any], rules: Rules, thesaurus: Thesaurus) -> str:
    """Why a concept stands for no tag: a rule of the file, or one of the two steps."""
    if (rule := placed[concept_id].rule) is not None:
        return str(rule.name)
    listed_roots = {rules.roots[facet.key] for facet in ALL_FACETS if facet.only_listed}
    upwards = {concept_id, *thesaurus.preferred_ancestors(concept_id)}
    return "unlisted_subject" if listed_roots & upwards else "outside_facets"


def _correct(
    stated: Pairs, ids: pl.Series, alive: np.ndarray, corrections: pl.DataFrame, tree: TagTree, report: _Report
) -> tuple[Pairs, Pairs, pl.DataFrame]:
    """The stated and the closed pairs with the corrections applied, and the corrections that could not be.

    Additions come first, then closure, then removals: a removed tag takes the tags below it along, and those above it
    stay (the curator removes them too when they are wrong).
    """
    known, ignored = _applicable(corrections, ids, alive, tree)
    n_records = (int(alive.sum()),) * 2
    before = len(stated)
    stated = tagging.united(stated, _pairs_of_corrections(known.filter(pl.col("action") == "add")))
    report.add("corrections_added", n_records, (before, len(stated)))
    closed = tagging.close_upwards(stated, tree)
    report.add("closed_upwards", n_records, (len(stated), len(closed)))
    removals = _pairs_of_corrections(known.filter(pl.col("action") == "remove"))
    rows = [(row, below) for row, tag in _each(removals) for below in tree.below[tag]]
    barred = tagging.pairs_of(*np.array(rows, np.int64).reshape(-1, 2).T)
    left = closed[~tagging.contains(barred, closed)]
    report.add("corrections_removed", n_records, (len(closed), len(left)))
    return _restated_after_removal(stated, barred, left, tree), left, ignored


def _restated_after_removal(stated: Pairs, barred: Pairs, closed: Pairs, tree: TagTree) -> Pairs:
    """The stated pairs; one that was removed gives way to the nearest tag above that its record still has."""
    gone = tagging.contains(barred, stated)
    rows, nearest = [], []
    for row, tag in _each(stated[gone]):
        upwards = tree.upwards(tag)
        held = tagging.contains(closed, _as_pairs(row, upwards))
        if held.any():
            rows.append(row)
            nearest.append(upwards[int(held.argmax())])
    return tagging.united(stated[~gone], tagging.pairs_of(np.array(rows, np.int64), np.array(nearest, np.int64)))


def _as_pairs(row: int, upwards: Sequence[int]) -> Pairs:
    """The pairs of one record with these tags, in the order given."""
    pairs: Pairs = np.uint64(row << tagging.TAG_BITS) | np.array(upwards, np.uint64)
    return pairs


def _each(pairs: Pairs) -> Iterable[tuple[int, int]]:
    return zip(tagging.rows_of(pairs).tolist(), tagging.tags_of(pairs).tolist(), strict=True)


def _applicable(
    corrections: pl.DataFrame, ids: pl.Series, alive: np.ndarray, tree: TagTree
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The corrections with `row` and `tag` as numbers; and those of unknown records or tags, with `problem`."""
    here = pl.DataFrame({"record_id": ids, "row": np.arange(len(ids)), "alive": alive})
    numbers = pl.DataFrame(
        {"tag_id": tree.ids, "tag": np.arange(len(tree.ids))}, schema_overrides={"tag_id": pl.String}
    )
    joined = corrections.join(here, on="record_id", how="left", maintain_order="left").join(
        numbers, on="tag_id", how="left", maintain_order="left"
    )
    problem = (
        pl.when(pl.col("row").is_null())
        .then(pl.lit("the record was not harvested"))
        .when(~pl.col("alive"))
        .then(pl.lit("a rule on records removed the record"))
        .when(pl.col("tag").is_null())
        .then(pl.lit(f"the tag is no tag of the {in_words(len(ALL_FACETS))} facets, or no record reaches it"))
    )
    judged = joined.with_columns(problem=problem)
    ignored = judged.filter(pl.col("problem").is_not_null()).drop("row", "alive", "tag")
    return judged.filter(pl.col("problem").is_null()), ignored


def _pairs_of_corrections(known: pl.DataFrame) -> Pairs:
    return tagging.pairs_of(known["row"].to_numpy(), known["tag"].to_numpy())


def _record_tags(ids: pl.Series, stated: Pairs, kept: Pairs, tree: TagTree) -> pl.DataFrame:
    """The table `record_tags` of the kept pairs, sorted by its key."""
    frequent = np.zeros(len(tree.ids), bool)
    frequent[tagging.tags_of(kept)] = True
    restated = tagging.restate(stated, tree, frequent)
    tag_ids, facets = pl.Series(tree.ids, dtype=pl.String), pl.Series(tree.facets, dtype=pl.String)
    tags = tagging.tags_of(kept)
    return pl.DataFrame(
        {
            "record_id": ids.gather(tagging.rows_of(kept)),
            "facet": facets.gather(tags),
            "tag_id": tag_ids.gather(tags),
            "stated": tagging.contains(restated, kept),
        }
    ).select(RECORD_TAGS.schema.names)


def _images_of_records(ids: pl.Series, images: pl.DataFrame) -> ImagesOfRecords:
    links = (
        pl.DataFrame({"record_id": ids, "row": np.arange(len(ids))})
        .join(images.select("record_id", "image_id"), on="record_id", how="inner")
        .select("row", image=pl.col("image_id").rank("dense").cast(pl.Int64) - 1)
        .unique()
        .sort("row", "image")
    )
    offsets = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(np.bincount(links["row"].to_numpy(), minlength=len(ids)), out=offsets[1:])
    return ImagesOfRecords(offsets, links["image"].to_numpy())


def _tags(tree: TagTree, n_images: np.ndarray, concepts: pl.DataFrame) -> pl.DataFrame:
    labels = dict(concepts.select("concept_id", "labels").iter_rows())
    rows = []
    for tag in np.flatnonzero(n_images).tolist():
        path = [tree.ids[each] for each in reversed(tree.upwards(tag))]
        rows.append(
            {
                "tag_id": tree.ids[tag],
                "facet": tree.facets[tag],
                "parent": path[-2] if len(path) > 1 else None,
                "depth": len(path),
                "path": path,
                "labels": labels[tree.ids[tag]],
                "n_images": int(n_images[tag]),
            }
        )
    return TAGS.frame(rows)


def english(labels: Sequence[dict[str, str]] | None, concept_id: str) -> str:
    """The English label of a concept's `labels`, or what stands in for it."""
    return fallback_label({each["language"]: each["text"] for each in labels or []}, concept_id, "en").text


def _removed(rounds: Sequence[Round], tree: TagTree, concepts: pl.DataFrame) -> pl.DataFrame:
    labels = dict(concepts.select("concept_id", "labels").iter_rows())
    rows = [
        {
            "round": number,
            "tag_id": tree.ids[tag],
            "facet": tree.facets[tag],
            "label": english(labels[tree.ids[tag]], tree.ids[tag]),
            "n_images": count,
        }
        for number, each in enumerate(rounds, 1)
        for tag, count in sorted(each.removed_tags.items())
    ]
    return REMOVED_TAGS.frame(rows)
