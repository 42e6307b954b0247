"""The shapes in which the API speaks: requests as typed models, answers as plain JSON objects."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import Path as PathParameter
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ml.assistant.annotation import implied
from ml.assistant.search import Hit
from ml.assistant.store import Act, Annotation, LoggedStep
from ml.assistant.suggest import FacetSuggestions, ModelInfo
from ml.assistant.vocabulary import LANGUAGES, Vocabulary

TagId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}$")]
ImageId = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{64}$", description="sha256 of the image's source bytes")]
TagIdInPath = Annotated[str, PathParameter(pattern=r"^[0-9]{1,12}$", description="AAT id")]
Language = Annotated[Literal["ca", "es", "en", "de", "nl", "fr"], Query(description=f"one of {', '.join(LANGUAGES)}")]
# No control characters: names and titles are shown and exported (XML 1.0 cannot hold them).
PLAIN = r"^[^\x00-\x1f\x7f-\x9f\x{fffe}\x{ffff}]*$"
Text = Annotated[str, StringConstraints(max_length=300, pattern=PLAIN)]
Who = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=PLAIN)]
Version = Annotated[int, Field(ge=0, le=2**31 - 2)]


class Body(BaseModel):
    """A request's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class ActBody(Body):
    """Who acts, having seen which version."""

    who: Who
    version: Version
    key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{8,64}$")] = Field(
        description="chosen by the client; the same key again is the same step, so a request may be repeated"
    )
    opened_at: datetime | None = None
    clicks: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    showing_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None

    def act(self) -> Act:
        """As the store takes it. A moment without a zone is taken as UTC."""
        return Act(self.who, self.version, self.key, _within_reason(self.opened_at), self.clicks, self.showing_id)


class DecisionBody(ActBody):
    """A decision on a tag."""

    tag_id: TagId
    action: Literal["accept", "reject", "withdraw"]


class StateBody(ActBody):
    """An image set aside as done or skipped, or taken up again."""

    kind: Literal["done", "skip", "reopen"]


class DatasetBody(Body):
    """Images of the dataset for the queue."""

    split: Literal["train", "validation", "inner_test", "outer_test"] = "train"
    count: Annotated[int, Field(ge=1)] = 20
    who: Who


class AddressBody(Body):
    """A IIIF manifest, or a Europeana record, to take images from."""

    address: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    who: Who


def image(row: sa.Row) -> dict[str, Any]:
    """An image of the queue."""
    return {
        "image_id": row.image_id,
        "title": row.title,
        "source": row.source,
        "source_url": row.source_url,
        "record_id": row.record_id,
        "attribution": row.attribution,
        "batch": row.batch,
        "width": row.width,
        "height": row.height,
        "added_by": row.added_by,
        "added_at": row.added_at.isoformat(),
        "blind": row.blind,
        "state": row.state,
        "version": row.version,
        "position": row.position,
    }


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


def nodes_with_paths(vocabulary: Vocabulary, tag_ids: list[str]) -> dict[str, Any]:
    """The tags and everything above them, by id."""
    wanted = dict.fromkeys(step for tag in tag_ids if tag in vocabulary for step in vocabulary.path(tag))
    return {tag: node(vocabulary, tag) for tag in wanted}


def detail(vocabulary: Vocabulary, tag_id: str) -> dict[str, Any]:
    """A tag with its scope notes, synonyms and path."""
    term = vocabulary.terms[tag_id]
    return {
        **node(vocabulary, tag_id),
        "alt_labels": {language: list(texts) for language, texts in term.alt_labels.items()},
        "scope_notes": dict(term.scope_notes),
        "path": [{"tag_id": tag, "labels": dict(vocabulary.terms[tag].labels)} for tag in vocabulary.path(tag_id)],
        "other_parents": [{"tag_id": tag, "labels": dict(vocabulary.terms[tag].labels)} for tag in term.parents[1:]],
    }


def annotation(vocabulary: Vocabulary, stand: Annotation) -> dict[str, Any]:
    """An image's decisions, with the tags that they imply and the nodes to show them."""
    accepted = [tag for tag, stands in stand.stands.items() if stands == "accepted"]
    rejected = [tag for tag, stands in stand.stands.items() if stands == "rejected"]
    return {
        "image_id": stand.image_id,
        "version": stand.version,
        "state": stand.state,
        "accepted": accepted,
        "rejected": rejected,
        "implied": implied(stand.stands, vocabulary),
        "can_undo": stand.can_undo,
        "nodes": nodes_with_paths(vocabulary, [*accepted, *rejected]),
    }


def log(lines: list[LoggedStep]) -> list[dict[str, Any]]:
    """Steps as logged."""
    return [
        {
            "version": line.step.version,
            "kind": line.step.kind,
            "who": line.who,
            "at": line.at.isoformat(),
            "undoes": line.step.undoes,
            "changes": [
                {"tag_id": change.tag_id, "action": change.action, "because": change.because}
                for change in line.step.changes
            ],
        }
        for line in lines
    ]


def model(info: ModelInfo) -> dict[str, Any]:
    """What is told about a model."""
    return {
        "key": info.key,
        "description": info.description,
        "version": info.version,
        "trained_on": info.trained_on,
        "note": info.note,
        "thresholds": dict(info.thresholds),
    }


def suggestions(facets: dict[str, FacetSuggestions]) -> dict[str, Any]:
    """The suggestions per facet."""
    return {
        facet: {
            "threshold": found.threshold,
            "tags": [
                {"tag_id": tag, "score": score, "rank": rank} for rank, (tag, score) in enumerate(found.tags, start=1)
            ],
            "above": found.above,
        }
        for facet, found in facets.items()
    }


def hit(vocabulary: Vocabulary, found: Hit) -> dict[str, Any]:
    """A tag found by searching, with its path in words."""
    tag_id = found.term.tag_id
    return {
        **node(vocabulary, tag_id),
        "matched": {"text": found.text, "language": found.language, "is_synonym": found.is_synonym},
        "path": [{"tag_id": tag, "labels": dict(vocabulary.terms[tag].labels)} for tag in vocabulary.path(tag_id)],
        "above": [node(vocabulary, tag) for tag in vocabulary.path(tag_id)[:-1]],
    }


def _within_reason(moment: datetime | None) -> datetime | None:
    """A moment that a database can hold in UTC."""
    if moment is None or not 1970 < moment.year < 9000:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
