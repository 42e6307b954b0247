"""Tags as W3C Web Annotations (https://www.w3.org/TR/annotation-model/), of pictures or of IIIF canvases."""

import json
from collections.abc import Iterable
from typing import Any

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.vocabulary import Vocabulary

# `taConfidence` of the W3C's ITS 2.0 ontology; the Web Annotation vocabulary has no confidence of its own.
CONFIDENCE = {
    "confidence": {
        "@id": "http://www.w3.org/2005/11/its/rdf#taConfidence",
        "@type": "http://www.w3.org/2001/XMLSchema#double",
    }
}


def as_web_annotations(images: Iterable[ExportedImage], vocabulary: Vocabulary, language: str) -> str:
    """An annotation page with one `tagging` annotation per tag; generator and confidence for a model's suggestions."""
    page = {
        "@context": ["http://www.w3.org/ns/anno.jsonld", CONFIDENCE],
        "id": "urn:eufcc:annotations",
        "type": "AnnotationPage",
        "items": [annotation_of(image, tag, language) for image in images for tag in image.tags],
    }
    return json.dumps(page, ensure_ascii=False, indent=1) + "\n"


def target_of(image: ExportedImage) -> dict[str, Any]:
    """What an annotation is about: the canvas in its manifest, otherwise the picture."""
    if image.canvas is None:
        return {"id": image.source_url or image.uri, "type": "Image"}
    canvas: dict[str, Any] = {"id": image.canvas, "type": "Canvas"}
    if image.manifest:
        canvas["partOf"] = [{"id": image.manifest, "type": "Manifest"}]
    return {"type": "SpecificResource", "source": canvas}


def annotation_of(image: ExportedImage, tag: ExportedTag, language: str) -> dict[str, Any]:
    """A tag as an annotation that says who or what assigned it."""
    label = tag.term.label(language)
    body: dict[str, Any] = {"type": "SpecificResource", "purpose": "tagging", "source": tag.term.uri}
    text: dict[str, Any] = {"type": "TextualBody", "purpose": "tagging", "value": label.text, "format": "text/plain"}
    if label.language:
        text["language"] = label.language
    annotation: dict[str, Any] = {
        "id": image.annotation_id(tag),
        "type": "Annotation",
        "motivation": "tagging",
        "body": [body, text],
        "target": target_of(image),
    }
    if tag.origin == "human":
        annotation["creator"] = {"type": "Person", "name": tag.who or ""}
    if tag.at is not None:
        annotation["created"] = tag.at.isoformat()
    if tag.model is not None and tag.score is not None:  # a tag that a person added has no score
        annotation["generator"] = {"id": f"urn:eufcc:model:{tag.model}", "type": "Software", "name": tag.model}
    if tag.score is not None:
        annotation["confidence"] = tag.score
    return annotation
