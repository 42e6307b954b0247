"""Tags as Linked Art 1.0 (https://linked.art): one HumanMadeObject per image, with who assigned each tag."""

import json
from collections.abc import Iterable
from typing import Any

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.vocabulary import AAT, Vocabulary
from pipeline.facets import FACET_OF, LidoElement

CONTEXT = "https://linked.art/ns/v1/linked-art.json"
# Concepts of the AAT that Linked Art itself uses to say what a statement is (https://linked.art/model/).
TYPE_OF_WORK, PRIMARY_NAME, DIGITAL_IMAGE = "300435443", "300404670", "300215302"
CREDIT, BRIEF_TEXT, OWN_ID = "300435418", "300418049", "300404626"
# Where the tags of a facet stand, by the element of LIDO that takes them.
PROPERTY: dict[LidoElement, str] = {
    "objectWorkType": "classified_as",
    "classification": "classified_as",
    "materialsTech": "made_of",
    "subjectConcept": "shows",
}

Json = dict[str, Any]


def as_linked_art(images: Iterable[ExportedImage], vocabulary: Vocabulary, language: str) -> str:
    """A list of objects, each a document of its own in Linked Art's profile of JSON-LD."""
    objects = [_object(image, language) for image in images]
    return json.dumps(objects, ensure_ascii=False, indent=1) + "\n"


def _object(image: ExportedImage, language: str) -> Json:
    title, number = image.title or image.image_id, image.record_id or image.image_id
    described: Json = {"@context": CONTEXT, "id": image.uri, "type": "HumanMadeObject", "_label": title}
    described["identified_by"] = [
        {"type": "Name", "classified_as": [_type(PRIMARY_NAME, "Primary Name")], "content": title},
        {
            "type": "Identifier",
            "classified_as": [_type(OWN_ID, "Identification Number")],
            "content": number,
        },
    ]
    for tag in image.tags:
        name = PROPERTY[FACET_OF[tag.term.facet].lido]
        described.setdefault(name, []).append(_concept(tag, language))
    if "shows" in described:
        subjects = described["shows"]
        described["shows"] = [{"type": "VisualItem", "represents_instance_of_type": subjects}]
    if image.attribution:
        described["referred_to_by"] = [_statement(CREDIT, "Credit", image.attribution)]
    if image.source_url:
        described["representation"] = [_picture(image.source_url)]
    if image.manifest:
        described["subject_of"] = [_manifest(image.manifest)]
    if image.tags:
        described["attributed_by"] = [_assignment(tag, language) for tag in image.tags]
    return described


def _type(aat: str, label: str) -> Json:
    return {"id": f"{AAT}{aat}", "type": "Type", "_label": label}


def _concept(tag: ExportedTag, language: str) -> Json:
    """The concept; a type of work is marked as such, as Linked Art asks for one with this mark."""
    element = FACET_OF[tag.term.facet].lido
    kind = "Material" if element == "materialsTech" else "Type"
    concept: Json = {"id": tag.term.uri, "type": kind, "_label": tag.term.label(language).text}
    if element == "objectWorkType":
        concept["classified_as"] = [_type(TYPE_OF_WORK, "Type of Work")]
    return concept


def _statement(aat: str, label: str, content: str) -> Json:
    classified = [_type(aat, label) | {"classified_as": [_type(BRIEF_TEXT, "Brief Text")]}]
    return {"type": "LinguisticObject", "classified_as": classified, "content": content}


def _picture(url: str) -> Json:
    shown = {
        "type": "DigitalObject",
        "classified_as": [_type(DIGITAL_IMAGE, "Digital Image")],
        "access_point": [{"id": url, "type": "DigitalObject"}],
    }
    return {"type": "VisualItem", "digitally_shown_by": [shown]}


def _manifest(url: str) -> Json:
    carrier = {
        "type": "DigitalObject",
        "conforms_to": [{"id": "http://iiif.io/api/presentation", "type": "InformationObject"}],
        "access_point": [{"id": url, "type": "DigitalObject"}],
    }
    return {"type": "LinguisticObject", "digitally_carried_by": [carrier]}


def _assignment(tag: ExportedTag, language: str) -> Json:
    """Who assigned the tag and when; of a suggestion, the model with its score."""
    name = PROPERTY[FACET_OF[tag.term.facet].lido]
    concept: Json = {"id": tag.term.uri, "type": "Material" if name == "made_of" else "Type"}
    concept["_label"] = label = tag.term.label(language).text
    assigned = {"type": "VisualItem", "represents_instance_of_type": [concept]} if name == "shows" else concept
    described: Json = {"type": "AttributeAssignment", "_label": f"{tag.origin}: {label}"}
    described |= {"assigned_property": name, "assigned": [assigned]}
    if tag.who:
        described["carried_out_by"] = [{"type": "Person", "_label": tag.who}]
    if tag.at is not None:
        moment = f"{tag.at:%Y-%m-%dT%H:%M:%SZ}"
        described["timespan"] = {"type": "TimeSpan", "begin_of_the_begin": moment, "end_of_the_end": moment}
    if tag.model is not None and tag.score is not None:
        text = f"suggested by {tag.model} with the score {tag.score:.3g}"
        described["referred_to_by"] = [{"type": "LinguisticObject", "content": text}]
    return described
