"""Downloads of what was decided."""

from typing import Annotated, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from ml.assistant import exports
from ml.assistant.api.common import DeskHere
from ml.assistant.api_schemas import Language
from ml.assistant.current_decisions import Decision, all_standing_decisions, standing_decisions
from ml.assistant.exports import ExportedImage, ExportedTag
from ml.assistant.service import Desk

router = APIRouter(prefix="/api", tags=["export"])
Format = Literal["csv", "edm", "webannotation", "lido"]
FILES = {
    "csv": ("tags.csv", "text/csv; charset=utf-8"),
    "edm": ("tags.edm.jsonld", "application/ld+json"),
    "webannotation": ("tags.annotations.jsonld", "application/ld+json"),
    "lido": ("tags.lido.xml", "application/xml"),
}


@router.get("/export", response_class=Response)
async def export(
    desk: DeskHere,
    format: Annotated[Format, Query()] = "csv",
    lang: Language = "ca",
    image_id: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$")] = None,
    machine: bool = False,
) -> Response:
    """The accepted tags of one image or of all, each with its AAT URI and whether a human or a machine says so.

    With `machine`, also what nobody decided on and the default model is sure of, for images not decided blind.
    """
    rows, decided = await run_in_threadpool(_decided, desk, image_id)
    images = [await _exported(desk, row, decided.get(row.image_id, []), machine) for row in rows]
    text = await run_in_threadpool(_written, format, images, desk, lang)
    name, media_type = FILES[format]
    return Response(text, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})


def _decided(desk: Desk, image_id: str | None) -> tuple[list[sa.Row], dict[str, list[Decision]]]:
    """One image or all, with the decisions that stand."""
    if image_id is not None:
        return [desk.store.image(image_id)], {image_id: standing_decisions(desk.store, image_id)}
    return list(desk.store.queue(limit=2**31 - 1)), all_standing_decisions(desk.store)


async def _exported(desk: Desk, row: sa.Row, lines: list[Decision], machine: bool) -> ExportedImage:
    tags = [
        ExportedTag(
            desk.vocabulary.terms[line.tag_id], "human", line.who, line.at, line.decision_id, line.model, line.score
        )
        for line in lines
        if line.accepted and line.tag_id in desk.vocabulary
    ]
    if machine and not row.blind and desk.models.default is not None:
        tags += await _sure(desk, row.image_id, {line.tag_id for line in lines})
    return ExportedImage(row.image_id, row.title, row.record_id, row.source_url, row.attribution, tuple(tags))


async def _sure(desk: Desk, image_id: str, decided: set[str]) -> list[ExportedTag]:
    """Suggestions at or above their facet's threshold that nobody decided on, nor on a tag above them as wrong."""
    rejected = {tag for tag, stand in desk.store.annotation(image_id).stands.items() if stand == "rejected"}
    shown = await desk.show(image_id)
    return [
        ExportedTag(desk.vocabulary.terms[tag], "machine", model=shown.model.key, score=score)
        for found in shown.facets.values()
        if found.threshold is not None
        for tag, score in found.tags
        if score >= found.threshold and tag not in decided and not rejected & set(desk.vocabulary.ancestors(tag))
    ]


def _written(format: Format, images: list[ExportedImage], desk: Desk, language: str) -> str:
    if format == "csv":
        return exports.as_csv(images, desk.vocabulary, language)
    if format == "edm":
        return exports.as_edm(images)
    if format == "webannotation":
        return exports.as_web_annotations(images, language)
    return exports.as_lido(images, language)
