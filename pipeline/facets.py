"""The facets: one record each in `facets.toml`, and nothing about a facet anywhere else."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
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


_RECORDS = tomllib.loads(Path(__file__).with_name("facets.toml").read_text(encoding="utf-8"))["facet"]
ALL_FACETS = tuple(Facet(**record) for record in _RECORDS)
FACETS = tuple(facet.key for facet in ALL_FACETS)
FACET_OF = {facet.key: facet for facet in ALL_FACETS}
MEAN_FACETS = tuple(facet.key for facet in ALL_FACETS if facet.in_means)


def default_roots() -> dict[str, str]:
    """The AAT root of each facet, in the order in which they are tried: a later facet may lie inside an earlier one."""
    return {facet.key: facet.root for facet in reversed(ALL_FACETS)}
