"""The facets: one record each, and nothing about a facet anywhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

LidoElement = Literal["objectWorkType", "classification", "materialsTech", "subjectConcept"]


@dataclass(frozen=True)
class Facet:
    """A facet of the thesaurus, with all that the stages, the models and the pages need to know about it."""

    key: str  # the name in tables, files and addresses
    root: str  # AAT id below which the facet's concepts lie; the `[roots]` of a rules file may name another
    only_listed: bool  # True: a concept counts only where the rules list it, or one above it
    title: str  # in headings
    plural: str  # in sentences
    short: str  # in the terminal's columns
    labels: Mapping[str, str]  # the page's headings, by language
    colour: str  # of charts; Okabe and Ito's palette, told apart by colour-blind readers
    prompt: str  # the text of one tag for CLIP; `{tag}` stands for its label
    min_test_images: int  # images of every tag in the inner test (protocol, section 4)
    min_test_images_demo: int  # the same for the demo
    edm: str  # the property of EDM that takes its tags
    lido: LidoElement  # the element of LIDO 1.1 that takes its tags
    lido_attributes: Mapping[str, str] = field(default_factory=dict)  # of that element's term
    published: str | None = None  # its name in the published EUFCC-340K files; None: they do not have it
    published_column: int = -1  # the place of its column in these files, from 0
    published_flat: bool = False  # True: the levels of a published path are tags side by side
    in_means: bool = True  # whether means over facets count it


def _labels(en: str, ca: str, de: str, es: str, fr: str, nl: str) -> Mapping[str, str]:
    return {"en": en, "ca": ca, "de": de, "es": es, "fr": fr, "nl": nl}


# In the order of the paper's table 1. The paper also calls `classifications` "Disciplines".
ALL_FACETS = (
    Facet(
        key="object_types",
        root="300264092",  # Objects Facet
        only_listed=False,
        title="Object types",
        plural="object types",
        short="obj",
        labels=_labels(
            "Object types", "Tipus d'objecte", "Objektarten", "Tipos de objeto", "Types d'objet", "Objecttypen"
        ),
        colour="#0072B2",
        prompt="an image of a {tag}",  # ours, in the manner of the paper's
        min_test_images=5,  # paper
        min_test_images_demo=2,
        edm="dc:type",
        lido="objectWorkType",
        published="objectTypes",
        published_column=1,
    ),
    Facet(
        key="materials",
        root="300264091",  # Materials Facet
        only_listed=False,
        title="Materials",
        plural="materials",
        short="mat",
        labels=_labels("Materials", "Materials", "Materialien", "Materiales", "Matériaux", "Materialen"),
        colour="#E69F00",
        prompt="an image of an object made of {tag}",  # paper
        min_test_images=5,  # paper
        min_test_images_demo=2,
        edm="dcterms:medium",
        lido="materialsTech",
        lido_attributes={"type": "material"},
        published="materials",
        published_column=3,
    ),
    Facet(
        key="classifications",
        root="300054134",  # Disciplines (hierarchy), inside the Activities Facet
        only_listed=False,
        title="Disciplines",
        plural="disciplines",
        short="disc",
        labels=_labels("Disciplines", "Disciplines", "Disziplinen", "Disciplinas", "Disciplines", "Disciplines"),
        colour="#009E73",
        prompt="an image of an object in the field of {tag}",  # ours
        min_test_images=5,  # paper
        min_test_images_demo=2,
        edm="dc:subject",
        lido="classification",
        published="classifications",
        published_column=7,
        published_flat=True,
    ),
    Facet(
        key="subjects",
        root="300191098",  # <visual works by subject type>, a guide term inside the Objects Facet
        only_listed=True,
        title="Subjects",
        plural="subjects",
        short="subj",
        labels=_labels("Subjects", "Temes", "Bildthemen", "Temas", "Sujets", "Onderwerpen"),
        colour="#CC79A7",
        prompt="an image of an object whose subject is {tag}",  # ours
        min_test_images=20,  # paper
        min_test_images_demo=5,
        edm="dc:subject",
        lido="subjectConcept",
        published="subjects",
        published_column=2,
    ),
)

FACETS = tuple(facet.key for facet in ALL_FACETS)
FACET_OF = {facet.key: facet for facet in ALL_FACETS}
MEAN_FACETS = tuple(facet.key for facet in ALL_FACETS if facet.in_means)


def default_roots() -> dict[str, str]:
    """The AAT root of each facet, in the order in which they are tried: a later facet may lie inside an earlier one."""
    return {facet.key: facet.root for facet in reversed(ALL_FACETS)}
