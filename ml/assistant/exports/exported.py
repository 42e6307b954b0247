"""What every export format is made of: images with their tags, and who assigned each."""

from dataclasses import dataclass
from datetime import datetime

from ml.assistant.vocabulary import Term
from pipeline.facets import FACET_OF


@dataclass(frozen=True)
class ExportedTag:
    """A tag of an image, and who or what assigned it."""

    term: Term
    origin: str  # human or machine
    who: str | None = None
    at: datetime | None = None
    decision_id: str | None = None
    model: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class ExportedImage:
    """An image with its tags."""

    image_id: str
    title: str
    record_id: str | None
    source_url: str | None
    attribution: str | None
    tags: tuple[ExportedTag, ...]
    canvas: str | None = None
    manifest: str | None = None
    width: int = 0  # of the picture, in pixels
    height: int = 0
    canvas_size: tuple[int, int] | None = None
    collection: str | None = None

    @property
    def uri(self) -> str:
        """Europeana's item if the image has a record, otherwise a URN of the image's hash."""
        if self.record_id:
            return f"http://data.europeana.eu/item{self.record_id}"
        return f"urn:sha256:{self.image_id}"

    def tags_by_facet(self) -> dict[str, list[ExportedTag]]:
        """The tags of every facet, in the order of the facets."""
        return {facet: [tag for tag in self.tags if tag.term.facet == facet] for facet in FACET_OF}

    def annotation_id(self, tag: ExportedTag) -> str:
        """The URN of one assignment; it is the same in every export."""
        return f"urn:eufcc:annotation:{tag.decision_id or f'{self.image_id[:24]}-{tag.term.tag_id}-machine'}"
