"""The limits of the assistant: sizes, rates and counts."""

from dataclasses import dataclass, field

from pipeline.images.decoders import Decoders
from pipeline.images.verify import Limits
from pipeline.settings import ImageSettings

_IMAGES = ImageSettings()


@dataclass(frozen=True)
class AssistantLimits:
    """The values are our choice unless noted. A request over a limit is refused with status 413 or 429."""

    max_upload_bytes: int = 25_000_000
    max_body_bytes: int = 256_000  # of any other request
    shown_short_side: int = 1_024  # px of the picture kept for the cataloguer; never enlarged
    thumbnail_short_side: int = 128  # px
    model_short_side: int = _IMAGES.short_side  # what the models were trained on
    suggested_per_facet: int = 10  # paper: top 10 highlighted
    most_examples: int = 6
    most_from_manifest: int = 200  # images of one IIIF manifest
    most_from_dataset: int = 500
    requests_per_second: float = 200.0  # per address
    request_burst: int = 400
    waiting_for_model: int = 64  # images; more are answered 429
    decoders: int = 2
    images: ImageSettings = field(default_factory=ImageSettings)

    def new_decoders(self) -> Decoders:
        """Processes that decode uploads: what an upload may be, and how it is kept."""
        images = self.images
        limits = Limits(self.shown_short_side, images.min_short_side, images.jpeg_quality, images.max_pixels)
        return Decoders(
            limits, count=self.decoders, timeout_s=images.decode_timeout_s, memory_mb=images.decode_memory_mb
        )
