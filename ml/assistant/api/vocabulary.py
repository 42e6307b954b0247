"""Trees, tags and search."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from ml.assistant import api_schemas
from ml.assistant.api.common import Refused, ServiceDep, check_facet, term_of
from ml.assistant.api_schemas import ImageId, Language, TagIdInPath

router = APIRouter(prefix="/api", tags=["vocabulary"])


@router.get("/tree/{facet}")
def roots(facet: str, service: ServiceDep) -> dict[str, Any]:
    """The tags at the top of a facet's tree."""
    check_facet(service, facet)
    return {"nodes": [api_schemas.node(service.vocabulary, tag) for tag in service.vocabulary.roots(facet)]}


@router.get("/tags/{tag_id}/children")
def children(tag_id: TagIdInPath, service: ServiceDep) -> dict[str, Any]:
    """The tags one level below a tag."""
    term_of(service, tag_id)
    return {"nodes": [api_schemas.node(service.vocabulary, tag) for tag in service.vocabulary.children(tag_id)]}


@router.get("/tags/{tag_id}")
def tag(tag_id: TagIdInPath, service: ServiceDep) -> dict[str, Any]:
    """A tag with its path, scope notes and synonyms in every language."""
    term_of(service, tag_id)
    return api_schemas.detail(service.vocabulary, tag_id)


@router.get("/tags/{tag_id}/examples")
def examples(tag_id: TagIdInPath, service: ServiceDep) -> dict[str, Any]:
    """A few training images that have the tag."""
    term_of(service, tag_id)
    if service.examples is None:
        return {"images": []}
    images = []
    for image_id in service.examples.of_tag(tag_id, service.limits.most_examples):
        location = service.examples.locations[image_id]
        provider = location.data_provider
        images.append({"image_id": image_id, "record_id": location.record_id, "data_provider": provider})
    return {"images": images}


@router.get("/examples/{image_id}", response_class=Response)
def example(image_id: ImageId, service: ServiceDep) -> Response:
    """A training image."""
    if service.examples is None or image_id not in service.examples.locations:
        raise Refused(404, "no_such_image", "There is no such image in the training data.")
    headers = {"cache-control": "private, max-age=86400"}
    return Response(service.examples.jpeg(image_id), media_type="image/jpeg", headers=headers)


@router.get("/search")
def search(
    service: ServiceDep,
    q: Annotated[str, Query(max_length=200)],
    lang: Language = "en",
    facet: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """Tags by the beginnings of words, in labels and synonyms of any language; accents and case are ignored."""
    check_facet(service, facet)
    hits = service.index.search(q, lang, facet=facet, limit=limit)
    return {"hits": [api_schemas.hit(service.vocabulary, hit) for hit in hits]}


@router.get("/facets")
def facets(service: ServiceDep) -> dict[str, Any]:
    """The number of tags per facet, and the number of tags with a label per language."""
    counts = dict.fromkeys(service.vocabulary.facets, 0)
    for term in service.vocabulary.terms.values():
        counts[term.facet] += 1
    return {"facets": counts, "tags": len(service.vocabulary), "labelled": service.vocabulary.coverage()}
