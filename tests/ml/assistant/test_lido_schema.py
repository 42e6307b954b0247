"""The LIDO export holds to the schema of LIDO 1.1: the children of each element, their order, number and attributes."""

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.exports.lido import as_lido

NAMESPACE = "{http://www.lido-schema.org}"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
MANY = 10**9
CONCEPT = (("conceptID", 0, MANY), ("term", 0, MANY))
NAMED = (("appellationValue", 1, MANY), ("sourceAppellation", 0, MANY))
# Facts of lido-v1.1.xsd of 20 December 2021 (https://lido-schema.org/schema/v1.1): the children of each element in
# their order, each with the least and the greatest number. Optional ones that the export does not write are left out.
CHILDREN = {
    "lidoWrap": (("lido", 1, MANY),),
    "lido": (
        ("lidoRecID", 1, MANY),
        ("objectPublishedID", 0, MANY),
        ("category", 0, 1),
        ("applicationProfile", 0, 1),
        ("descriptiveMetadata", 1, MANY),
        ("administrativeMetadata", 1, MANY),
    ),
    "category": CONCEPT,
    "descriptiveMetadata": (
        ("objectClassificationWrap", 1, 1),
        ("objectIdentificationWrap", 1, 1),
        ("eventWrap", 0, 1),
        ("objectRelationWrap", 0, 1),
    ),
    "objectClassificationWrap": (("objectWorkTypeWrap", 1, 1), ("classificationWrap", 0, 1)),
    "objectWorkTypeWrap": (("objectWorkType", 1, MANY),),
    "objectWorkType": CONCEPT,
    "classificationWrap": (("classification", 0, MANY),),
    "classification": CONCEPT,
    "objectIdentificationWrap": (("titleWrap", 1, 1),),
    "titleWrap": (("titleSet", 1, MANY),),
    "titleSet": NAMED,
    "eventWrap": (("eventSet", 0, MANY),),
    "eventSet": (("displayEvent", 0, MANY), ("event", 0, 1)),
    "event": (("eventID", 0, MANY), ("eventType", 1, 1), ("eventMaterialsTech", 0, MANY)),
    "eventType": CONCEPT,
    "eventMaterialsTech": (("displayMaterialsTech", 0, MANY), ("materialsTech", 0, 1)),
    "materialsTech": (("termMaterialsTech", 0, MANY),),
    "termMaterialsTech": CONCEPT,
    "objectRelationWrap": (("subjectWrap", 0, 1), ("relatedWorksWrap", 0, 1)),
    "subjectWrap": (("subjectSet", 0, MANY),),
    "subjectSet": (("displaySubject", 0, MANY), ("subject", 0, 1)),
    "subject": (("extentSubject", 0, MANY), ("subjectConcept", 0, MANY)),
    "subjectConcept": CONCEPT,
    "administrativeMetadata": (("rightsWorkWrap", 0, 1), ("recordWrap", 1, 1), ("resourceWrap", 0, 1)),
    "recordWrap": (("recordID", 1, MANY), ("recordType", 1, 1), ("recordSource", 1, MANY)),
    "recordType": CONCEPT,
    "recordSource": (("legalBodyID", 0, MANY), ("legalBodyName", 0, MANY), ("legalBodyWeblink", 0, MANY)),
    "legalBodyName": NAMED,
    "resourceWrap": (("resourceSet", 0, MANY),),
    "resourceSet": (("resourceID", 0, MANY), ("resourceRepresentation", 0, MANY)),
    "resourceRepresentation": (("linkResource", 1, 1), ("resourceMeasurementsSet", 0, MANY)),
}
TEXTS = ("lidoRecID", "recordID", "conceptID", "term", "appellationValue", "linkResource")
IDENTIFIERS = ("lidoRecID", "recordID", "conceptID")
TYPED = frozenset({"type", "sortorder"})
OF_IDENTIFIER = frozenset({"type", "pref", "source", "encodinganalog", "label"})
ATTRIBUTES = {
    **dict.fromkeys(IDENTIFIERS, OF_IDENTIFIER),
    "term": {"pref", "addedSearchTerm", LANG, "encodinganalog", "label"},
    **dict.fromkeys(("descriptiveMetadata", "administrativeMetadata"), frozenset({LANG})),
    **dict.fromkeys(("objectWorkType", "classification", "termMaterialsTech", "recordSource"), TYPED),
    "titleSet": TYPED | {"pref"},
    "subjectConcept": {"sortorder"},
}


def problems(element: ElementTree.Element) -> list[str]:
    """What the schema does not allow of an element and all in it."""
    name = element.tag.removeprefix(NAMESPACE)
    given = {key.removeprefix(NAMESPACE) for key in element.attrib}
    found = [f"{name} has the attribute {key}" for key in given - ATTRIBUTES.get(name, set())]
    if name in IDENTIFIERS and "type" not in given:
        found.append(f"{name} has no type")
    if name in ("descriptiveMetadata", "administrativeMetadata") and LANG not in given:
        found.append(f"{name} has no language")
    names = [child.tag.removeprefix(NAMESPACE) for child in element]
    if name in TEXTS:
        return found + ([f"{name} has children"] if names else [])
    places = [place for place, _, _ in CHILDREN[name]]
    found += [f"{name} has the child {child}" for child in names if child not in places]
    known = [child for child in names if child in places]
    found += [f"the children of {name} are in another order"] if known != sorted(known, key=places.index) else []
    for each, least, most in CHILDREN[name]:
        if not least <= names.count(each) <= most:
            found.append(f"{name} has {names.count(each)} {each}")
    return found + [problem for child in element for problem in problems(child)]


def image(tags: list[ExportedTag], **more) -> ExportedImage:
    return ExportedImage(
        "a" * 64, "A chair & a vase", "/1/chair", more.pop("source_url", None), None, tuple(tags), **more
    )


def tags_of(vocabulary, facets: list[str]) -> list[ExportedTag]:
    """Two tags of each facet: one by a person, one by a model."""
    found = []
    for facet in facets:
        first, second = [term for term in vocabulary.terms.values() if term.facet == facet][:2]
        found.append(ExportedTag(first, "human", "Anna", datetime(2026, 1, 1, tzinfo=UTC), "d"))
        found.append(ExportedTag(second, "machine", model="softmax", score=0.9))
    return found


@pytest.mark.parametrize("facets", [[], ["materials"], ["object_types", "subjects"], None])
@pytest.mark.parametrize("source_url", [None, "https://museum.example/chair.jpg"])
def test_every_record_holds_to_the_schema(vocabulary, facets, source_url):
    chosen = [facet for facet in vocabulary.facets if facets is None or facet in facets]
    images = [image(tags_of(vocabulary, chosen), source_url=source_url), image([])]
    assert problems(ElementTree.fromstring(as_lido(images, vocabulary, "ca"))) == []


@pytest.mark.parametrize(
    ("written", "instead", "expected"),
    [
        (
            "<lido:recordType>",
            "<lido:recordSource/><lido:recordType>",
            "the children of recordWrap are in another order",
        ),
        (' lido:type="local"', "", "recordID has no type"),
        ("<lido:titleWrap>", "<lido:eventWrap/><lido:titleWrap>", "objectIdentificationWrap has the child eventWrap"),
        ("<lido:titleSet>", '<lido:titleSet lido:kind="x">', "titleSet has the attribute kind"),
        ('xml:lang="en"', "", "descriptiveMetadata has no language"),
    ],
)
def test_what_the_schema_does_not_allow_is_found(vocabulary, written, instead, expected):
    text = as_lido([image(tags_of(vocabulary, ["materials"]))], vocabulary, "en")
    assert expected in problems(ElementTree.fromstring(text.replace(written, instead)))
