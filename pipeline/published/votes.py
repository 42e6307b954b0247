"""Which AAT concept each published tag stands for, by the concepts of the records that state it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.published.format import BETWEEN_LEVELS

LEAST_SHARE = 0.5  # of the tag's records have the concept, and of the concept's records the tag, at least
HIGH, MEDIUM = 0.5, 0.3  # lower ends of the 95 % interval of that share: four records of four, two of two
Tag = tuple[str, str]  # facet and tag id


@dataclass(frozen=True)
class Vote:
    """A concept that a tag may stand for. `share`: the smaller one of the two shares that LEAST_SHARE is about."""

    concept_id: str
    n: int  # records that state the tag and have the concept
    share: float
    labelled: bool = False  # whether the tag's name is a Catalan label of the concept, which tells equals apart

    @property
    def rank(self) -> tuple[float, int, bool]:
        """What votes are compared by."""
        return self.share, self.n, self.labelled


@dataclass(frozen=True)
class Votes:
    """`n`: records that state the tag and have concepts; `ranked`: the concepts, best first; `chosen`: if one wins."""

    n: int
    ranked: tuple[Vote, ...]
    chosen: Vote | None

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval of the share of the tag's records that have the chosen concept."""
        from scipy.stats import binomtest  # takes half a second

        if self.chosen is None:
            return 0.0
        return float(binomtest(self.chosen.n, self.n).proportion_ci(method="wilson").low)


def votes_of(
    record_tags: pl.DataFrame, linked: pl.DataFrame, facets: pl.DataFrame, named: pl.DataFrame
) -> dict[Tag, Votes]:
    """The votes of each facet and tag that a record with concepts states.

    `record_tags` is RECORD_TAGS of the published rows, `linked` has record_id and concept_id of their records, `facets`
    concept_id and facet, `named` facet, name and concept_id of Catalan labels. A concept is chosen where it is the best
    of the tag, and the tag the best of the concept, each by itself; then both are taken out, and the rest is looked at
    again.
    """
    known = record_tags.join(linked.select("record_id").unique(), on="record_id", how="semi")
    totals = known.filter("stated").group_by("facet", "tag_id").agg(n=pl.len())
    ranked = _ranked(_pairs(known, linked.join(facets, on="concept_id"), totals), named)
    chosen = _chosen(ranked)
    return {
        (facet, tag_id): Votes(n, tuple(ranked.get((facet, tag_id), ())), chosen.get((facet, tag_id)))
        for facet, tag_id, n in totals.sort("facet", "tag_id").iter_rows()
    }


def _pairs(known: pl.DataFrame, concepts: pl.DataFrame, totals: pl.DataFrame) -> pl.DataFrame:
    """Each tag with each concept of its records: facet, tag_id, concept_id, n, share."""
    both = known.join(concepts, on=["record_id", "facet"])
    key = ["facet", "tag_id", "concept_id"]
    counted = both.group_by(key).agg(n=pl.col("stated").sum().cast(pl.Int64), closed=pl.len())
    of_concept = concepts.group_by("facet", "concept_id").agg(of_concept=pl.len())
    counted = counted.filter(pl.col("n") > 0).join(of_concept, on=["facet", "concept_id"])
    counted = counted.join(totals.rename({"n": "of_tag"}), on=["facet", "tag_id"])
    shares = pl.min_horizontal(pl.col("n") / pl.col("of_tag"), pl.col("closed") / pl.col("of_concept"))
    return counted.select(*key, "n", share=shares).sort(key)


def _ranked(pairs: pl.DataFrame, named: pl.DataFrame) -> dict[Tag, list[Vote]]:
    labels = set(named.iter_rows())
    ranked: dict[Tag, list[Vote]] = {}
    for facet, tag_id, concept_id, n, share in pairs.iter_rows():
        labelled = (facet, _name((facet, tag_id)).lower(), concept_id) in labels
        ranked.setdefault((facet, tag_id), []).append(Vote(concept_id, n, share, labelled))
    return {tag: sorted(votes, key=lambda vote: vote.rank, reverse=True) for tag, votes in ranked.items()}


def _chosen(ranked: Mapping[Tag, list[Vote]]) -> dict[Tag, Vote]:
    """The concept of each tag that wins it alone, round by round."""
    chosen: dict[Tag, Vote] = {}
    left = {tag: [vote for vote in votes if vote.share >= LEAST_SHARE] for tag, votes in ranked.items()}
    while won := _won(left):
        chosen |= won
        taken = {(tag[0], vote.concept_id) for tag, vote in won.items()}
        left = {
            tag: [vote for vote in votes if (tag[0], vote.concept_id) not in taken]
            for tag, votes in left.items()
            if tag not in chosen
        }
    return chosen


def _won(left: Mapping[Tag, list[Vote]]) -> dict[Tag, Vote]:
    """The best concept of each tag, where the tag is the best of the concept too."""
    of_concept: dict[tuple[str, str], list[tuple[Tag, Vote]]] = {}
    for tag, votes in left.items():
        for vote in votes:
            of_concept.setdefault((tag[0], vote.concept_id), []).append((tag, vote))
    won = {}
    for tag, votes in left.items():
        best = _best(votes)
        if best is not None:
            # The AAT has some concepts under several parents, so that two paths with the same last level may be one.
            others = [vote for other, vote in of_concept[tag[0], best.concept_id] if _name(other) != _name(tag)]
            if _best([best, *others]) == best:
                won[tag] = best
    return won


def _best(votes: Sequence[Vote]) -> Vote | None:
    """The best vote; None where there is none, or another is as good."""
    ordered = sorted(votes, key=lambda vote: vote.rank, reverse=True)[:2]
    return ordered[0] if len({vote.rank for vote in ordered}) == len(ordered) > 0 else None


def _name(tag: Tag) -> str:
    """The last level of a tag's path."""
    return tag[1].removeprefix(f"{tag[0]}: ").rpartition(BETWEEN_LEVELS)[2]
