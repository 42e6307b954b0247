"""The table `published_alignment`: the AAT id of each published path, how it was found, and how sure it is."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipeline.published.format import BETWEEN_LEVELS, FLAT
from pipeline.published.trees import SURE_SCORE, Node, all_nodes, match_published_trees
from pipeline.published.votes import HIGH, LEAST_SHARE, MEDIUM, Tag, Votes, votes_of
from pipeline.tables import PUBLISHED_ALIGNMENT
from pipeline.vocabulary.facets import Rules
from pipeline.vocabulary.thesaurus import Thesaurus

# How an id was found: by the concepts of the rows' own records, by its own label, by its place below or above a tag
# that has an id, by a given mapping.
VOTES, LABEL, POSITION, MAPPING = "votes", "label", "position", "mapping"
_HOW = {"label": LABEL, "position": POSITION, "score": MAPPING, "small_facet": MAPPING}  # of the match of the trees
SURE = ("low", "medium", "high")
_SURE = {"label": "high", "position": "medium", "score": "medium", "small_facet": "low"}
CURATED = 100.0  # a given candidate with such a score is a curator's word, and decides
WEIGHT_OF_VOTES = 8.0  # of a chosen concept, above every score of a label and a mapping; of others their share of 2
WEIGHT_OF_OTHERS = 2.0

SHOWN = 3  # ids or names in one sentence

Path = tuple[str, ...]
Named = Mapping[tuple[str, str], set[str]]  # the ids that have a label, by facet and label
Scores = Mapping[str, float]
Decision = tuple[str | None, str | None, str | None]  # id, how, sure
Candidates = Mapping[tuple[str, Path], Scores]


@dataclass(frozen=True)
class Evidence:
    """What an alignment rests on.

    `concepts`: rows of the AAT, with what is above them. `catalan`: concept_id and text of Catalan labels.
    `candidates`: scored ids of given mappings by facet and path. `linked`: record_id and concept_id of the records
    behind the rows. `languages`: of the labels that tags get.
    """

    concepts: pl.DataFrame
    catalan: pl.DataFrame
    rules: Rules
    candidates: Candidates
    linked: pl.DataFrame
    languages: Sequence[str]


def linked_concepts(relinks: pl.DataFrame, alignments: pl.DataFrame) -> pl.DataFrame:
    """The AAT ids of the records behind the rows, exact matches only: record_id, concept_id."""
    exact = alignments.filter(match="exact").select("uri", "concept_id")
    stated = relinks.select("record_id", uri="concept_uris").explode("uri").drop_nulls()
    return stated.join(exact, on="uri").select("record_id", "concept_id").unique().sort("record_id", "concept_id")


def candidates_of(tags: pl.DataFrame, given: Candidates) -> dict[tuple[str, Path], dict[str, float]]:
    """The given candidates of each path: its own, else those of paths in the facet with the same last level.

    The label files keep one parent for a name, where rows have several. Flat facets have no paths at all.
    """
    by_name: dict[tuple[str, str], dict[str, float]] = {}
    for (facet, path), scores in given.items():
        for concept_id, score in scores.items():
            of_name = by_name.setdefault((facet, path[-1]), {})
            of_name[concept_id] = max(score, of_name.get(concept_id, score))
    found = {}
    for facet, path in map(_path_of, tags.select("facet", "path").iter_rows()):
        own = {} if facet in FLAT else given.get((facet, path), {})
        if scores := own or by_name.get((facet, path[-1]), {}):
            found[facet, path] = dict(scores)
    return found


def ids_of_names(tags: pl.DataFrame, labels: pl.DataFrame) -> list[str]:
    """The ids with a Catalan label, in the form of a label file, that is the last level of a tag."""
    names = {_path_of((facet, path))[1][-1].lower() for facet, path in tags.select("facet", "path").iter_rows()}
    catalan = labels.filter(language="ca").filter(pl.col("text").str.to_lowercase().is_in(names))
    return sorted(set(catalan["concept_id"]))


def catalan_labels(concepts: pl.DataFrame, further: pl.DataFrame) -> pl.DataFrame:
    """The Catalan labels of the AAT and of label files: concept_id, text."""
    own = concepts.select("concept_id", "labels").explode("labels").unnest("labels").filter(language="ca")
    both = [each.select("concept_id", "text") for each in (own, further.filter(language="ca"))]
    return pl.concat(both).unique(maintain_order=True)


def align_published(tags: pl.DataFrame, record_tags: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """The table PUBLISHED_ALIGNMENT for TAGS and RECORD_TAGS of the published rows.

    The votes of the rows' own records decide where one concept wins
    them; else the label, the place in the tree and the given mappings, as in `match_published_trees`, to which the
    votes are candidates. A curator's mapping comes first.
    """
    thesaurus = Thesaurus(evidence.concepts)
    facets = _facets_of(thesaurus, evidence.rules)
    names = evidence.catalan.join(facets, on="concept_id").select(
        "facet", pl.col("text").str.strip_chars().str.to_lowercase().alias("name"), "concept_id"
    )
    votes = votes_of(record_tags, evidence.linked, facets, names)
    matched = _match(tags, evidence, votes)
    named = _named(names)
    repeated = Counter((facet, path[-1]) for facet, path in map(_path_of, tags.select("facet", "path").iter_rows()))
    labels = {row["concept_id"]: row["labels"] or [] for row in evidence.concepts.to_dicts()}
    rows = []
    for tag in tags.to_dicts():
        facet, path = _path_of((tag["facet"], tag["path"]))
        of_tag = votes.get((facet, tag["tag_id"]), Votes(0, (), None))
        given = evidence.candidates.get((facet, path), {})
        is_repeated = repeated[facet, path[-1]] > 1
        concept_id, how, sure = _curated(given) or _decided(of_tag, matched.get((facet, path)), is_repeated)
        row = {"tag_id": tag["tag_id"], "facet": facet, "path": list(path), "n_rows": tag["n_images"]}
        row |= {"concept_id": concept_id, "how": how, "sure": sure, **_counts(of_tag, concept_id)}
        row["conflict"] = _conflict((facet, path), of_tag, row, named, given)
        row["labels"] = _labels_of(labels.get(concept_id or "", []), evidence.languages)
        row["concept_label"] = thesaurus.label(concept_id, "en").text if concept_id else None
        rows.append(row)
    return PUBLISHED_ALIGNMENT.frame(_with_shared(rows)).sort("tag_id")


def with_labels(tags: pl.DataFrame, alignment: pl.DataFrame) -> pl.DataFrame:
    """TAGS with the labels of the aligned concepts, in languages that the tag has none in; Catalan ones stay."""
    known = dict(alignment.select("tag_id", "labels").iter_rows())
    labels = []
    for tag_id, own in tags.select("tag_id", "labels").iter_rows():
        has = {label["language"] for label in own}
        further = [label for label in known.get(tag_id) or [] if label["language"] not in has]
        labels.append(sorted([*own, *further], key=lambda label: (label["language"], label["text"])))
    return tags.with_columns(labels=pl.Series(labels, dtype=tags.schema["labels"]))


def coverage_of(alignment: pl.DataFrame, record_tags: pl.DataFrame) -> pl.DataFrame:
    """How far the ids reach, by facet: tags and rows, and those with ids; a row counts when all its stated tags do.

    Columns: facet, tags, with_id, share, rows, rows_with_ids, rows_share.
    """
    has_id = pl.col("concept_id").is_not_null()
    tags = alignment.group_by("facet").agg(tags=pl.len(), with_id=has_id.sum(), share=has_id.mean())
    stated = record_tags.filter("stated").join(
        alignment.select("facet", "tag_id", "concept_id"), on=["facet", "tag_id"]
    )
    rows = stated.group_by("facet", "record_id").agg(all_have=has_id.all())
    counted = rows.group_by("facet").agg(
        rows=pl.len(), rows_with_ids=pl.col("all_have").sum(), rows_share=pl.col("all_have").mean()
    )
    return tags.join(counted, on="facet", how="left").sort("facet")


def _path_of(tag: tuple[str, Sequence[str]]) -> tuple[str, Path]:
    """The facet and the levels of a tag, whose path has the ids of the tags above it."""
    facet, path = tag
    return facet, tuple(str(path[-1]).removeprefix(f"{facet}: ").split(BETWEEN_LEVELS))


def _facets_of(thesaurus: Thesaurus, rules: Rules) -> pl.DataFrame:
    """The facets that a concept lies in: concept_id, facet. Subjects are objects too."""
    roots = {root: facet for facet, root in rules.roots.items()}
    found = [
        (concept_id, roots[above])
        for concept_id, kind in thesaurus.kinds.items()
        if kind == "concept"
        for above in thesaurus.preferred_ancestors(concept_id)
        if above in roots
    ]
    return pl.DataFrame(found, schema={"concept_id": pl.String, "facet": pl.String}, orient="row")


def _match(
    tags: pl.DataFrame, evidence: Evidence, votes: Mapping[Tag, Votes]
) -> dict[tuple[str, Path], tuple[str, str]]:
    """What labels, places and mappings say of each path: an id, and how."""
    candidates = {key: dict(scores) for key, scores in evidence.candidates.items()}
    for (facet, tag_id), of_tag in votes.items():
        key = _path_of((facet, [tag_id]))
        for vote in of_tag.ranked:
            weight = WEIGHT_OF_VOTES if vote == of_tag.chosen else WEIGHT_OF_OTHERS * vote.share
            scores = candidates.setdefault(key, {})
            scores[vote.concept_id] = scores.get(vote.concept_id, 0.0) + weight
    tops = _tree(tags)
    for key, scores in _above_voted(tops, votes, Thesaurus(evidence.concepts)).items():
        candidates.setdefault(key, scores)
    found = match_published_trees(tops, evidence.concepts, evidence.rules, candidates, evidence.catalan)
    return {(row["facet"], tuple(row["path"])): (row["concept_id"], row["how"]) for row in found.matched.to_dicts()}


def _above_voted(
    tops: Sequence[Node], votes: Mapping[Tag, Votes], thesaurus: Thesaurus
) -> dict[tuple[str, Path], dict[str, float]]:
    """For each path the concepts next above those of the paths below it, by how many of them lie there."""
    found: dict[tuple[str, Path], dict[str, float]] = {}
    for node in reversed(all_nodes(tops)):  # children before parents
        scores: dict[str, float] = {}
        for child in node.children:
            of_child = votes.get((child.facet, f"{child.facet}: {BETWEEN_LEVELS.join(child.path)}"))
            chosen = (
                of_child.chosen.concept_id
                if of_child and of_child.chosen
                else _only(found.get((child.facet, child.path)))
            )
            above = (each for each in thesaurus.preferred_ancestors(chosen or "") if thesaurus.kinds[each] == "concept")
            if (concept_id := next(above, None)) is not None:
                scores[concept_id] = scores.get(concept_id, 0.0) + 1.0
        if scores:
            found[node.facet, node.path] = scores
    return found


def _only(scores: Scores | None) -> str | None:
    """The one id of candidates; None where there are several or none."""
    return next(iter(scores)) if scores and len(scores) == 1 else None


def _tree(tags: pl.DataFrame) -> list[Node]:
    """The tags as trees."""
    nodes = {
        (facet, path): Node(facet, path, 0) for facet, path in map(_path_of, tags.select("facet", "path").iter_rows())
    }
    tops: list[Node] = []
    for (facet, path), node in sorted(nodes.items()):
        above = nodes.get((facet, path[:-1]))
        (above.children if above is not None else tops).append(node)
    return tops


def _curated(given: Scores) -> Decision | None:
    """What a curator says of a tag."""
    best = max(given, key=lambda each: (given[each], each), default=None)
    return (best, MAPPING, "high") if best is not None and given[best] >= CURATED else None


def _decided(votes: Votes, match: tuple[str, str] | None, is_repeated: bool) -> Decision:
    """The id of a tag, how it was found, and how sure it is; a name under several parents is less sure."""
    if votes.chosen is not None:
        sure = "high" if votes.low >= HIGH else "medium" if votes.low >= MEDIUM else "low"
        return votes.chosen.concept_id, VOTES, sure
    if match is None:
        return None, None, None
    concept_id, how = match
    agrees = any(vote.concept_id == concept_id and vote.share >= LEAST_SHARE for vote in votes.ranked)
    level = SURE.index(_SURE[how]) + agrees - is_repeated
    return concept_id, _HOW[how], SURE[max(0, min(level, len(SURE) - 1))]


def _counts(votes: Votes, concept_id: str | None) -> dict[str, Any]:
    """The columns that count votes."""
    own = next((vote for vote in votes.ranked if vote.concept_id == concept_id), None)
    second = next((vote for vote in votes.ranked if vote.concept_id != concept_id), None)
    return {
        "n_linked": votes.n,
        "n_votes": own.n if own else 0,
        "second_id": second.concept_id if second else None,
        "n_second": second.n if second else 0,
    }


def _named(names: pl.DataFrame) -> Named:
    """The ids that have a Catalan label, by facet and label."""
    named: dict[tuple[str, str], set[str]] = {}
    for facet, name, concept_id in names.iter_rows():
        named.setdefault((facet, name), set()).add(concept_id)
    return named


def _conflict(tag: tuple[str, Path], votes: Votes, row: Mapping[str, Any], named: Named, given: Scores) -> str | None:
    """What speaks against the id of a tag, or why its votes gave none."""
    facet, path = tag
    concept_id = row["concept_id"]
    strong = [vote for vote in votes.ranked if vote.share >= LEAST_SHARE]
    if row["how"] == VOTES:
        labelled = named.get((facet, path[-1].lower()), set())
        best = max(given, key=lambda each: (given[each], each), default=None)
        if labelled and concept_id not in labelled:
            return f"its label is that of {' and '.join(sorted(labelled))}"
        if best is not None and best != concept_id and given[best] >= SURE_SCORE:
            return f"the given mapping says {best}"
    elif strong and concept_id is None:
        equal = [vote.concept_id for vote in strong if vote.rank == strong[0].rank]
        return f"its records' concepts do not tell which: {' or '.join(equal[:SHOWN])}"
    elif strong and all(vote.concept_id != concept_id for vote in strong):
        return f"its records' concepts say {strong[0].concept_id}"
    return None


def _labels_of(labels: Iterable[Mapping[str, str]], languages: Sequence[str]) -> list[dict[str, str]]:
    """A concept's labels in these languages but Catalan, one each, which the published tag has itself."""
    wanted = {language for language in languages if language != "ca"}
    found: dict[str, str] = {}
    for label in labels:
        if label["language"] in wanted:
            found.setdefault(label["language"], label["text"])
    return [{"language": language, "text": text} for language, text in sorted(found.items())]


def _with_shared(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows; those without a conflict that share an id with a tag of another name say so."""
    names: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["concept_id"] is not None:
            names.setdefault((row["facet"], row["concept_id"]), []).append(row["path"][-1])
    for row in rows:
        others = sorted({name for name in names.get((row["facet"], row["concept_id"]), ()) if name != row["path"][-1]})
        if others and row["conflict"] is None:
            row["conflict"] = f"shares its id with {', '.join(others[:SHOWN])}"
    return rows
