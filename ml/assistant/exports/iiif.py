"""Tags for IIIF viewers: an annotation page of a manifest, and a manifest of pictures with their annotations.

Source: IIIF Presentation API 3.0 (https://iiif.io/api/presentation/3.0/).
"""

from collections.abc import Callable, Sequence
from typing import Any

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.exports.web_annotations import CONFIDENCE, annotation_of
from pipeline.facets import FACET_OF

CONTEXT = "http://iiif.io/api/presentation/3/context.json"
Canvas = Callable[[ExportedImage], str]
File = Callable[[ExportedImage, str], str]  # the name: picture or thumbnail


def annotation_page(images: Sequence[ExportedImage], language: str, address: str) -> dict[str, Any]:
    """The tags of all these images; each annotation targets the canvas of its image."""
    items = [_tagging(image, tag, language, image.canvas or image.uri) for image in images for tag in image.tags]
    return {"@context": ["http://www.w3.org/ns/anno.jsonld", CONFIDENCE, CONTEXT], "id": address} | _page(items)


def manifest(
    images: Sequence[ExportedImage], language: str, address: str, title: str, file: File, canvas: Canvas
) -> dict[str, Any]:
    """A manifest of these images with their tags, for any viewer.

    An image that came from a manifest keeps the id of its canvas; `canvas` gives the others one. `file`: the address
    of the picture that the desk keeps, and of its thumbnail.
    """
    return {
        "@context": CONTEXT,
        "id": address,
        "type": "Manifest",
        "label": {"none": [title]},
        "items": [_canvas(image, language, file, image.canvas or canvas(image)) for image in images],
    }


def _canvas(image: ExportedImage, language: str, file: File, canvas: str) -> dict[str, Any]:
    width, height = image.canvas_size or (image.width, image.height)
    jpeg = {"type": "Image", "format": "image/jpeg"}
    body = {"id": file(image, "picture"), **jpeg, "width": image.width, "height": image.height}
    painting = {
        "id": f"{canvas}#painting",
        "type": "Annotation",
        "motivation": "painting",
        "body": body,
        "target": canvas,
    }
    tags = [_tagging(image, tag, language, canvas) for tag in image.tags]
    described: dict[str, Any] = {
        "id": canvas,
        "type": "Canvas",
        "label": {"none": [image.title or image.image_id]},
        "width": width,
        "height": height,
        "thumbnail": [{"id": file(image, "thumbnail"), **jpeg}],
        "metadata": _metadata(image, language),
        "items": [{"id": f"{canvas}#page"} | _page([painting])],
        "annotations": [{"id": f"{canvas}#tags"} | _page(tags)],
    }
    if image.attribution:
        described["requiredStatement"] = {
            "label": {"en": ["Provider"]},
            "value": {"none": [image.attribution]},
        }
    return described


def _metadata(image: ExportedImage, language: str) -> list[dict[str, Any]]:
    """The tags once more, by facet: Universal Viewer shows no annotations that tag."""
    found = []
    for facet, tags in image.tags_by_facet().items():
        values: dict[str, list[str]] = {}
        for label in (tag.term.label(language) for tag in tags):
            values.setdefault(label.language or "none", []).append(label.text)
        if values:
            found.append({"label": {code: [text] for code, text in FACET_OF[facet].labels.items()}, "value": values})
    return found


def _tagging(image: ExportedImage, tag: ExportedTag, language: str, canvas: str) -> dict[str, Any]:
    """The annotation as viewers show it: the label is its only body, and the concept stands in `seeAlso`.

    Mirador 3 stops with an error where a body of a tag has no text.
    """
    annotation = annotation_of(image, tag, language)
    (text,) = [body for body in annotation["body"] if body["type"] == "TextualBody"]
    concept = {"id": tag.term.uri, "type": "Dataset", "format": "application/ld+json"}
    return annotation | {"body": text, "seeAlso": [concept], "target": canvas}


def _page(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "AnnotationPage", "items": items}
