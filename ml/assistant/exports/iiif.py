"""Tags for IIIF viewers: an annotation page of a manifest, and a manifest of pictures with their annotations.

Source: IIIF Presentation API 3.0 (https://iiif.io/api/presentation/3.0/).
"""

from collections.abc import Callable, Sequence
from typing import Any

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.exports.web_annotations import CONFIDENCE, annotation_of

CONTEXT = "http://iiif.io/api/presentation/3/context.json"
Address = Callable[[ExportedImage], str]


def annotation_page(images: Sequence[ExportedImage], language: str, address: str) -> dict[str, Any]:
    """The tags of all these images; each annotation targets the canvas of its image."""
    items = [_tagging(image, tag, language, image.canvas or image.uri) for image in images for tag in image.tags]
    return {"@context": ["http://www.w3.org/ns/anno.jsonld", CONFIDENCE, CONTEXT], "id": address} | _page(items)


def manifest(
    images: Sequence[ExportedImage], language: str, address: str, title: str, picture: Address, canvas: Address
) -> dict[str, Any]:
    """A manifest of these images with their tags, for any viewer.

    An image that came from a manifest keeps the id of its canvas; `canvas` gives the others one. `picture`: the address
    of the picture that the desk keeps.
    """
    return {
        "@context": CONTEXT,
        "id": address,
        "type": "Manifest",
        "label": {"none": [title]},
        "items": [_canvas(image, language, picture(image), image.canvas or canvas(image)) for image in images],
    }


def _canvas(image: ExportedImage, language: str, picture: str, canvas: str) -> dict[str, Any]:
    width, height = image.canvas_size or (image.width, image.height)
    body = {"id": picture, "type": "Image", "format": "image/jpeg", "width": image.width, "height": image.height}
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
        "items": [{"id": f"{canvas}#page"} | _page([painting])],
        "annotations": [{"id": f"{canvas}#tags"} | _page(tags)],
    }
    if image.attribution:
        described["requiredStatement"] = {
            "label": {"en": ["Provider"]},
            "value": {"none": [image.attribution]},
        }
    return described


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
