"""The schemas of the API: requests as pydantic models, answers as JSON objects."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import Path as PathParameter
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ml.assistant.annotation import implied
from ml.assistant.calibration import Calibration
from ml.assistant.search import Hit
from ml.assistant.store import Act, Annotation, LoggedStep
from ml.assistant.suggest import FacetSuggestions
from ml.assistant.vocabulary import LANGUAGES, Vocabulary

# An AAT id, or the facet and path of a published tag.
TAG = r"^(?:[0-9]{1,12}|[a-z_]{1,40}: [^\x00-\x1f\x7f-\x9f\x{fffe}\x{ffff}]{1,1000})$"
TagId = Annotated[str, StringConstraints(pattern=TAG)]
ImageId = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{64}$", description="sha256 of the image's source bytes")]
TagIdInPath = Annotated[str, PathParameter(pattern=TAG, description="AAT id, or the facet and path of a published tag")]
Language = Annotated[Literal["ca", "es", "en", "de", "nl", "fr"], Query(description=f"one of {', '.join(LANGUAGES)}")]
# Names and titles are exported as XML 1.0, which has no control characters.
PLAIN = r"^[^\x00-\x1f\x7f-\x9f\x{fffe}\x{ffff}]*$"
Text = Annotated[str, StringConstraints(max_length=300, pattern=PLAIN)]
Who = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=PLAIN)]
Key = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9-]{8,64}$"),
    Field(description="chosen by the client; a request repeated with the same key counts once"),
]
Version = Annotated[int, Field(ge=0, le=2**31 - 2)]


class Body(BaseModel):
    """A request's body; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class ActBody(Body):
    """Who changes an image, and from which version of it."""

    who: Who | None = None  # a named token gives the name
    version: Version
    key: Key
    opened_at: datetime | None = None
    clicks: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    showing_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None

    def act(self, who: str) -> Act:
        """The body as an argument of the store, by this person. A time without a zone is UTC."""
        return Act(who, self.version, self.key, _utc(self.opened_at), self.clicks, self.showing_id)


class DecisionBody(ActBody):
    """A decision on a tag."""

    tag_id: TagId
    action: Literal["accept", "reject", "withdraw"]


class StateBody(ActBody):
    """An image marked as done, skipped, or reopened."""

    kind: Literal["done", "skip", "reopen"]


class DatasetBody(Body):
    """A request for images of the dataset."""

    split: Literal["train", "validation", "inner_test", "outer_test"] = "train"
    count: Annotated[int, Field(ge=1)] = 20
    who: Who | None = None


class AddressBody(Body):
    """A request for the images of a IIIF manifest or Collection, of a Europeana record, or of a list of these."""

    address: Annotated[str, StringConstraints(min_length=1, max_length=50_000)]  # one or more, a line each
    start: Annotated[int, Field(ge=0, le=100_000, description="of many images, where to go on")] = 0
    who: Who | None = None


def image(row: sa.Row) -> dict[str, Any]:
    """An image of the queue."""
    kept = {name: value for name, value in row._asdict().items() if name != "stated"}
    return kept | {"added_at": row.added_at.isoformat()}


def node(vocabulary: Vocabulary, tag_id: str) -> dict[str, Any]:
    """A tag as the tree shows it, with its labels in every language."""
    term = vocabulary.terms[tag_id]
    return {
        "tag_id": tag_id,
        "uri": term.uri,
        "facet": term.facet,
        "labels": dict(term.labels),
        "parent": term.parents[0] if term.parents else None,
        "n_children": len(vocabulary.children(tag_id)),
        "in_model": term.in_model,
        "n_train": term.n_train,
    }


def nodes_with_paths(vocabulary: Vocabulary, tag_ids: Iterable[str]) -> dict[str, Any]:
    """The tags and all their ancestors, by id."""
    wanted = dict.fromkeys(step for tag in tag_ids if tag in vocabulary for step in vocabulary.path(tag))
    return {tag: node(vocabulary, tag) for tag in wanted}


def labels_of(vocabulary: Vocabulary, tag_ids: Iterable[str]) -> list[dict[str, Any]]:
    """The tags with their labels in every language."""
    return [{"tag_id": tag, "labels": dict(vocabulary.terms[tag].labels)} for tag in tag_ids]


def detail(vocabulary: Vocabulary, tag_id: str) -> dict[str, Any]:
    """A tag with its scope notes, synonyms and path."""
    term = vocabulary.terms[tag_id]
    return {
        **node(vocabulary, tag_id),
        "alt_labels": {language: list(texts) for language, texts in term.alt_labels.items()},
        "scope_notes": dict(term.scope_notes),
        "path": labels_of(vocabulary, vocabulary.path(tag_id)),
        "other_parents": labels_of(vocabulary, term.parents[1:]),
    }


def annotation(vocabulary: Vocabulary, current: Annotation) -> dict[str, Any]:
    """The current decisions on an image, the tags that they imply, and the nodes of the tree for all of them."""
    verdicts = current.verdicts
    return {name: getattr(current, name) for name in ("image_id", "version", "state", "can_undo")} | {
        "accepted": [tag for tag in verdicts if verdicts[tag] == "accepted"],
        "rejected": [tag for tag in verdicts if verdicts[tag] == "rejected"],
        "implied": implied(verdicts, vocabulary),
        "nodes": nodes_with_paths(vocabulary, verdicts),
    }


def log(logged: list[LoggedStep]) -> list[dict[str, Any]]:
    """The steps of a log."""
    return [asdict(line.step) | {"who": line.who, "at": line.at.isoformat()} for line in logged]


def suggestions(
    facets: dict[str, FacetSuggestions], vocabulary: Vocabulary, worth: Mapping[str, Calibration] | None = None
) -> dict[str, Any]:
    """The suggestions per facet, and the nodes of the tree for them.

    `worth`: the model's calibration by facet. `of_ten` is how many of ten suggestions with such a score were right on
    the validation images; None where that is not known.
    """
    answer = {}
    for facet, best in facets.items():
        calibration = (worth or {}).get(facet)
        tags = [
            {
                "tag_id": tag,
                "score": score,
                "rank": rank,
                "of_ten": calibration and round(10 * calibration.share(score)),
            }
            for rank, (tag, score) in enumerate(best.tags, start=1)
        ]
        answer[facet] = {"threshold": best.threshold, "tags": tags, "above": best.above}
    shown = [tag for best in facets.values() for tag, _ in best.tags]
    return {"facets": answer, "nodes": nodes_with_paths(vocabulary, shown)}


def hit(vocabulary: Vocabulary, match: Hit) -> dict[str, Any]:
    """A search result: the tag, the label that matched, and the path to it."""
    path = vocabulary.path(match.term.tag_id)
    return {
        **node(vocabulary, match.term.tag_id),
        "matched": {"text": match.text, "language": match.language, "is_synonym": match.is_synonym},
        "path": labels_of(vocabulary, path),
        "above": [node(vocabulary, tag) for tag in path[:-1]],
    }


def _utc(time: datetime | None) -> datetime | None:
    """The time with a zone; None if a database could not hold it in UTC."""
    if time is None or not 1970 < time.year < 9000:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
