"""Tags as LIDO 1.1 (https://lido-schema.org): one record per image, written by the template `lido.xml`."""

import re
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.vocabulary import Vocabulary
from pipeline.facets import FACET_OF, LidoElement

NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_lido(images: Iterable[ExportedImage], vocabulary: Vocabulary, language: str) -> str:
    """One record per image. Every term has its AAT id, and a `lido:label` that says human or machine."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["in_quotes"] = lambda text: Markup(str(_escaped(text)).replace('"', "&quot;"))  # noqa: S704 - escaped
    template = environment.get_template("lido.xml")
    return template.render(images=images, language=language, tags_of=_tags_of, facet_of=FACET_OF)


def _escaped(text: str) -> Markup:
    """The text as XML, with U+FFFD for characters that XML cannot contain."""
    return text if isinstance(text, Markup) else Markup(escape(NOT_IN_XML.sub("\ufffd", text)))  # noqa: S704 - escaped


def _tags_of(image: ExportedImage, element: LidoElement) -> list[ExportedTag]:
    """The tags of the facets whose records name this element."""
    by_facet = image.tags_by_facet()
    return [tag for facet, record in FACET_OF.items() if record.lido == element for tag in by_facet[facet]]
