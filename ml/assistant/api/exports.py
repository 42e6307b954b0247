"""Downloads of the accepted tags."""

import logging
from collections.abc import Callable, Iterable
from typing import Annotated, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from ml.assistant.api.common import PersonDep, ServiceDep
from ml.assistant.api.opinions import check_blind
from ml.assistant.api_schemas import Language
from ml.assistant.current_decisions import Decision
from ml.assistant.exports.edm import as_edm
from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.exports.lido import as_lido
from ml.assistant.exports.linked_art import as_linked_art
from ml.assistant.exports.published_csv import as_csv
from ml.assistant.exports.system_csv import as_collectiveaccess, as_omeka_s
from ml.assistant.exports.web_annotations import as_web_annotations
from ml.assistant.opinions import kept_apart
from ml.assistant.pictures import NoPicture
from ml.assistant.service import AssistantService
from ml.assistant.settled import counted_decisions
from ml.assistant.vocabulary import Vocabulary

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api", tags=["export"])
Format = Literal["csv", "edm", "webannotation", "lido", "linkedart", "omeka", "collectiveaccess"]
Writer = Callable[[Iterable[ExportedImage], Vocabulary, str], str]
# File name, media type, and the function that writes images with labels in a language.
FORMATS: dict[Format, tuple[str, str, Writer]] = {
    "csv": ("tags.csv", "text/csv; charset=utf-8", as_csv),
    "edm": ("tags.edm.jsonld", "application/ld+json", as_edm),
    "webannotation": ("tags.annotations.jsonld", "application/ld+json", as_web_annotations),
    "lido": ("tags.lido.xml", "application/xml", as_lido),
    "linkedart": ("tags.linked-art.jsonld", "application/ld+json", as_linked_art),
    "omeka": ("tags.omeka-s.csv", "text/csv; charset=utf-8", as_omeka_s),
    "collectiveaccess": ("tags.collectiveaccess.csv", "text/csv; charset=utf-8", as_collectiveaccess),
}


@router.get("/export", response_class=Response)
async def export(
    service: ServiceDep,
    person: PersonDep,
    format: Annotated[Format, Query()] = "csv",
    lang: Language = "ca",
    image_id: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$")] = None,
    machine: bool = False,
) -> Response:
    """The accepted tags of one image or of all images, with their AAT URIs and their origin: human or machine.

    The opinions on one image are kept apart, as in `GET /api/images/{image_id}`: images that the person still has to
    second are not among all images.
    With `machine`, also suggestions that the default model is sure of and nobody decided on; none for blind images.
    """
    if image_id is not None:
        await run_in_threadpool(check_blind, image_id, service, person)
    decided = await run_in_threadpool(counted_decisions, service.store, image_id and [image_id])
    if image_id is None:
        hidden = await run_in_threadpool(kept_apart, service.store, person.name) if person.name else set()
        rows = [row for row in await run_in_threadpool(service.store.queue) if row.image_id not in hidden]
    else:
        rows = [await run_in_threadpool(service.store.image, image_id)]
    images = [await exported(service, row, decided.get(row.image_id, []), machine) for row in rows]
    name, media_type, write = FORMATS[format]
    text = await run_in_threadpool(write, images, service.vocabulary, lang)
    return Response(text, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})


async def exported(service: AssistantService, row: sa.Row, lines: list[Decision], machine: bool) -> ExportedImage:
    tags = [
        ExportedTag(
            service.vocabulary.terms[line.tag_id], "human", line.who, line.at, line.decision_id, line.model, line.score
        )
        for line in lines
        if line.accepted and line.tag_id in service.vocabulary
    ]
    if machine and not row.blind and service.models.default is not None:
        tags += await _sure(service, row.image_id, {line.tag_id for line in lines})
    told = (row.image_id, row.title, row.record_id, row.source_url, row.attribution)
    size = (row.canvas_width, row.canvas_height) if row.canvas_width and row.canvas_height else None
    place = {"canvas": row.canvas, "manifest": row.manifest, "canvas_size": size, "collection": row.collection}
    return ExportedImage(*told, tuple(tags), width=row.width, height=row.height, **place)


async def _sure(service: AssistantService, image_id: str, decided: set[str]) -> list[ExportedTag]:
    """Suggestions at or above their facet's threshold, without decided tags and tags below a rejected one.

    None for an image whose picture is missing: what people decided on it is exported all the same.
    """
    vocabulary, verdicts = service.vocabulary, service.store.annotation(image_id).verdicts
    rejected = {tag for tag, verdict in verdicts.items() if verdict == "rejected"}
    try:
        shown = await service.suggestions(image_id)
    except NoPicture as error:
        log.warning("No suggestions for %s are exported: %s", image_id, error)
        return []
    return [
        ExportedTag(vocabulary.terms[tag], "machine", model=shown.model.key, score=score)
        for suggestions in shown.facets.values()
        if suggestions.threshold is not None
        for tag, score in suggestions.tags
        if score >= suggestions.threshold and tag not in decided and not rejected & set(vocabulary.ancestors(tag))
    ]
