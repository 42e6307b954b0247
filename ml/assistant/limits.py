"""The limits of the assistant: sizes, times, rates and counts."""

import resource
from dataclasses import dataclass, field

from pipeline.images.decoders import Decoders
from pipeline.images.verify import Limits
from pipeline.settings import ImageSettings

_IMAGES = ImageSettings()


@dataclass(frozen=True)
class AssistantLimits:
    """The values are our choice unless noted. What is over a limit is refused with status 408, 413, 429 or 503."""

    max_upload_bytes: int = 25_000_000
    max_body_bytes: int = 256_000  # of any other request
    body_pause_s: float = 10.0  # between two pieces of a body: a sender that is silent for longer is gone
    body_timeout_s: float = 120.0  # for a whole body: the largest upload at 1.7 Mbit/s
    max_bytes_in_flight: int = 200_000_000  # of all bodies together: eight of the largest uploads
    header_timeout_s: float = 10.0  # browsers send the headers at once; who does not, only holds a connection
    keep_alive_s: float = 5.0  # uvicorn's own value
    # A connection is a file, and a process usually may have 1,024; the database and the pictures need some too.
    max_connections: int = 512
    accepted_at_once: int = 64  # connections taken from the queue before those over the limit are closed
    shown_short_side: int = 1_024  # px of the picture kept for the cataloguer; never enlarged
    thumbnail_short_side: int = 128  # px
    tile_side: int = 512  # px of the tiles that a larger picture is cut into: a viewer shows about twelve at once
    kept_pixels: int = 100_000_000  # of that larger picture: 20,000 x 5,000 px take about 30 MB; 0 keeps none
    max_tile_bytes: int = 4_000_000  # of a tile from another server: 1,024 x 1,024 px in PNG
    tile_timeout_s: float = 20.0  # for a tile from another server: a person waits for it
    tiles_at_once: int = 4  # requested from other servers at the same time; others wait so long, then get a 503
    model_short_side: int = _IMAGES.short_side  # what the models were trained on
    suggested_per_facet: int = 10  # paper: top 10 highlighted
    most_examples: int = 6
    most_confirmed: int = 3  # pictures of a model's memory that speak for a tag: as many as fit beside each other
    most_from_manifest: int = 200  # images of one IIIF manifest
    max_manifest_bytes: int = 5_000_000  # decompressed
    max_manifest_values: int = 500_000  # as many as in 5 MB of a real one; `{},` takes 30 times its bytes when parsed
    addresses_at_once: int = 4  # requests that read manifests of other servers
    most_from_dataset: int = 500
    requests_per_second: float = 200.0  # per address
    request_burst: int = 400
    waiting_for_model: int = 64  # images; more are answered 503
    compared_per_tag: int = 64  # pictures with a tag, of each kind: at 30 ms each about two seconds, once per picture
    comparing_s: float = 1.5  # pictures are compared for so long, then the page shows what is known and asks again
    remembering_s: float = 0.3  # decided pictures are described for so long before a suggestion, the others after it
    waiting_for_decoder: int = 64  # uploads; more are answered 503
    decoder_patience_s: float = 5.0  # an upload that has waited so long for a decoder is answered 503
    decoders: int = 2
    images: ImageSettings = field(default_factory=ImageSettings)

    def new_decoders(self) -> Decoders:
        """Processes that decode uploads: what an upload may be, and how it is kept."""
        images = self.images
        limits = Limits(self.shown_short_side, images.min_short_side, images.jpeg_quality, images.max_pixels)
        return Decoders(
            limits, count=self.decoders, timeout_s=images.decode_timeout_s, memory_mb=images.decode_memory_mb
        )

    def connections(self) -> int:
        """How many connections may be open: at most half of the files that this process may open."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return self.max_connections if files == resource.RLIM_INFINITY else min(self.max_connections, files // 2)
