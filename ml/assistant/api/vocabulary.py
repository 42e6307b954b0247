"""Trees, tags and search."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from ml.assistant import api_schemas as shapes
from ml.assistant.api.common import DeskHere, Refused, term_of
from ml.assistant.api_schemas import ImageId, Language, TagIdInPath
from pipeline import FACETS

router = APIRouter(prefix="/api", tags=["vocabulary"])
Facet = Literal["object_types", "materials", "classifications", "subjects"]


@router.get("/tree/{facet}")
def roots(facet: Facet, desk: DeskHere) -> dict[str, Any]:
    """The tags at the top of a facet's tree."""
    return {"nodes": [shapes.node(desk.vocabulary, tag) for tag in desk.vocabulary.roots(facet)]}


@router.get("/tags/{tag_id}/children")
def children(tag_id: TagIdInPath, desk: DeskHere) -> dict[str, Any]:
    """The tags one level below a tag."""
    term_of(desk, tag_id)
    return {"nodes": [shapes.node(desk.vocabulary, tag) for tag in desk.vocabulary.children(tag_id)]}


@router.get("/tags/{tag_id}")
def tag(tag_id: TagIdInPath, desk: DeskHere) -> dict[str, Any]:
    """A tag with its path, scope notes and synonyms in every language."""
    term_of(desk, tag_id)
    return shapes.detail(desk.vocabulary, tag_id)


@router.get("/tags/{tag_id}/examples")
def examples(tag_id: TagIdInPath, desk: DeskHere) -> dict[str, Any]:
    """A few training images that carry the tag."""
    term_of(desk, tag_id)
    if desk.examples is None:
        return {"images": []}
    found = desk.examples.of_tag(tag_id, desk.limits.most_examples)
    places = [desk.examples.places[image_id] for image_id in found]
    return {
        "images": [
            {"image_id": image_id, "record_id": place.record_id, "data_provider": place.data_provider}
            for image_id, place in zip(found, places, strict=True)
        ]
    }


@router.get("/examples/{image_id}", response_class=Response)
def example(image_id: ImageId, desk: DeskHere) -> Response:
    """A training image."""
    if desk.examples is None or image_id not in desk.examples.places:
        raise Refused(404, "no_such_image", "There is no such image in the training data.")
    headers = {"cache-control": "private, max-age=86400"}
    return Response(desk.examples.jpeg(image_id), media_type="image/jpeg", headers=headers)


@router.get("/search")
def search(
    desk: DeskHere,
    q: Annotated[str, Query(max_length=200)],
    lang: Language = "en",
    facet: Facet | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """Tags by the beginning of words in any language; accents and case are ignored, synonyms included."""
    hits = desk.index.search(q, lang, facet=facet, limit=limit)
    return {"hits": [shapes.hit(desk.vocabulary, found) for found in hits]}


@router.get("/facets")
def facets(desk: DeskHere) -> dict[str, Any]:
    """The facets with the number of their tags, and how many have a label in each language."""
    counts = dict.fromkeys(FACETS, 0)
    for term in desk.vocabulary.terms.values():
        counts[term.facet] += 1
    return {"facets": counts, "tags": len(desk.vocabulary), "labelled": desk.vocabulary.coverage()}
