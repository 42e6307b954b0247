"""IIIF image services: what manifests and their own info.json say of them, and the sizes that they offer.

Source: the Image API with its compliance levels (iiif.io/api/image/1.1, /2.1, /3.0). Nothing here asks a server.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

LONGER_SIDE = 1024  # px requested from an image service: the size that the assistant keeps
INFO = "/info.json"
VERSION = re.compile(r"ImageService([123])|api/image/([123])|image-api/([123])\.|image-api/(?:compliance|conformance)")
LEVEL = re.compile(r"level([012])(?!\d)", re.IGNORECASE)
IMAGE_SERVICE = re.compile(r"ImageService|api/image\b|image-api\b|iiif:Image|^level[012]$", re.IGNORECASE)
DESCRIBED_BY = ("type", "@type", "profile", "@context", "protocol", "dcterms:conformsTo")
LIMITS = ("maxWidth", "maxHeight", "maxArea")

Json = Mapping[str, Any]


@dataclass(frozen=True)
class ImageService:
    """A IIIF image service, as a manifest or the service's own info.json describes it; None is what neither says."""

    base: str  # its address, without a slash at the end
    version: int | None = None  # of the Image API: 1, 2, 3
    level: int | None = None  # of compliance: 0, 1, 2
    width: int | None = None
    height: int | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    most: tuple[int | None, int | None, int | None] = (None, None, None)  # width, height and area of an answer
    scales: bool = False  # to any width, whatever its level

    def needs_info(self) -> bool:
        """Whether the manifest leaves open which sizes can be requested."""
        lacks_sizes = self.level == 0 and not self.sizes
        return None in (self.version, self.level, self.width, self.height) or lacks_sizes

    def with_info(self, info: object) -> "ImageService":
        """The service with what its info.json says, which counts before the manifest."""
        if not isinstance(info, dict) or not (is_info(info) or number_of(info.get("width"))):
            return self
        said = service_of(info, self.base)
        known = {
            name: value for name, value in vars(said).items() if not (value is None or value is False or value == ())
        }
        return replace(self, **{**known, "base": self.base, "most": said.most})


def is_info(document: Json) -> bool:
    """Whether the document is the info.json of an image service."""
    texts = list(texts_in([document.get(name) for name in ("protocol", "type", "@type", "@context", "profile")]))
    return bool(number_of(document.get("width"))) and any(IMAGE_SERVICE.search(text) for text in texts)


def image_service_in(services: Any) -> ImageService | None:
    """The first service that says it is an image service; one that says nothing about itself counts after those."""
    candidates: list[tuple[bool, ImageService]] = []
    for each in listed(services):
        base = address_of(each)
        claims = list(_claims(each)) if is_object(each) else []
        if base and (not claims or any(IMAGE_SERVICE.search(claim) for claim in claims)):
            candidates.append((not claims, service_of(each if is_object(each) else {}, base_of(base))))
    return min(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


def _claims(service: Json) -> Iterator[str]:
    return texts_in([service.get(name) for name in DESCRIBED_BY])


def service_of(described: Json, base: str) -> ImageService:
    """The service that a manifest or an info.json describes."""
    claims = list(_claims(described))
    versions = [next(filter(None, found.groups()), "1") for claim in claims if (found := VERSION.search(claim))]
    levels = [found[1] for claim in claims if (found := LEVEL.search(claim))]
    version = int(versions[0]) if versions else None
    if version is None and levels and any(LEVEL.fullmatch(claim) for claim in claims):
        version = 3  # which alone writes a level without an address
    more = [described, *objects_in(described.get("profile"))]  # version 2 lists features in the profile
    features = list(texts_in([each.get(name) for each in more for name in ("supports", "extraFeatures")]))
    limits = [next(filter(None, (number_of(each.get(name)) for each in more)), None) for name in LIMITS]
    sizes = [
        (number_of(each.get("width")), number_of(each.get("height"))) for each in objects_in(described.get("sizes"))
    ]
    return ImageService(
        base,
        version,
        int(levels[0]) if levels else None,
        number_of(described.get("width")),
        number_of(described.get("height")),
        tuple((width, height) for width, height in sizes if width and height),
        (limits[0], limits[1] or limits[0], limits[2]),
        "sizeByW" in features,
    )


def sizes_of(service: ImageService) -> list[str]:
    """The sizes to request, the best first: what the level offers, then the whole picture, which every level has."""
    whole = {1: ["full"], 3: ["max"]}.get(service.version or 0, ["full", "max"])
    confined, by_width = f"!{LONGER_SIDE},{LONGER_SIDE}", f"{LONGER_SIDE},"
    if service.level == 0 and not service.scales:
        return [*_listed_sizes(service, whole[0]), *whole]
    may_confine = [] if service.level == 1 else [confined]
    if service.width is None or service.height is None:
        return [*may_confine, by_width, *whole] if service.level != 1 else [by_width, *whole]
    width = _scaled_width(service.width, service.height, service.most)
    return whole if width >= service.width else [f"{width},", *may_confine, *whole]


def _scaled_width(width: int, height: int, most: tuple[int | None, int | None, int | None]) -> int:
    """The width of the picture with its longer side at the requested size, never enlarged, within the limits."""
    most_width, most_height, most_area = most
    scale = min(
        LONGER_SIDE / max(width, height),
        (most_width or width) / width,
        (most_height or height) / height,
        sqrt((most_area or width * height) / (width * height)),
    )
    return width if scale >= 1 else max(1, int(width * scale))


def _listed_sizes(service: ImageService, whole: str) -> list[str]:
    """Of the listed sizes the smallest that is large enough, then the largest of the others, as they are requested."""
    by_size = sorted(service.sizes, key=max)
    enough = [size for size in by_size if max(size) >= LONGER_SIDE]
    smaller = [size for size in by_size if max(size) < LONGER_SIDE]
    spelled: list[str] = []
    for width, height in enough[:1] + smaller[-1:]:
        spelled += [whole] if (width, height) == (service.width, service.height) else []
        spelled += [f"{width},{height}"] if service.version == 3 else [f"{width},{height}", f"{width},"]
    return spelled


def base_of(address: str) -> str:
    """The address of a service, without a slash or `/info.json` at its end."""
    return address.rstrip("/").removesuffix(INFO).rstrip("/")


def address_of(value: Any) -> str | None:
    """The address of a resource that is an object, or the address alone."""
    return address_in((value.get("@id") or value.get("id")) if is_object(value) else value)


def address_in(value: Any) -> str | None:
    """The text if it is an address of the web."""
    if not isinstance(value, str):
        return None
    address = f"https:{value.strip()}" if value.strip().startswith("//") else value.strip()
    return address if re.match(r"https?://.", address, re.IGNORECASE) else None


def texts_in(value: Any) -> Iterator[str]:
    """The texts in a value, its lists and the ids of its objects."""
    for each in listed(value):
        if isinstance(each, list):
            yield from (inner for inner in each if isinstance(inner, str))
            yield from (
                found for inner in objects_in(each) if isinstance(found := inner.get("@id") or inner.get("id"), str)
            )
        elif isinstance(text := (each.get("@id") or each.get("id")) if is_object(each) else each, str):
            yield text


def number_of(value: Any) -> int | None:
    """A positive whole number, which may be written as text; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII):
        value = int(value)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value < 1e9
    return int(value) if usable else None


def is_object(value: Any) -> bool:
    """Whether the value is a JSON object."""
    return isinstance(value, dict)


def listed(value: Any) -> list[Any]:
    """The value as a list, as JSON-LD may leave out the brackets around a single one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def objects_in(value: Any) -> list[Json]:
    """The objects in a list, or the object alone."""
    return [each for each in listed(value) if isinstance(each, dict)]
