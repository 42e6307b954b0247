"""The pictures of a IIIF manifest, of version 2 or 3 (iiif.io/api/presentation); nothing here asks a server."""

import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any
from urllib.parse import unquote, urlsplit

from ml.assistant.image_service import (
    INFO,
    ImageService,
    Json,
    address_in,
    address_of,
    base_of,
    image_service_in,
    listed,
    number_of,
    objects_in,
    service_of,
    sizes_of,
    texts_in,
)
from pipeline.harvest.europeana import names_of

MOST_ADDRESSES = 6  # of one picture
DEEPEST = 8  # bodies inside bodies
# Looked at, with or without a picture, and as many members of a Collection. Ours: 500 bytes for each in the 5 MB of a
# manifest, and a canvas with its ids, sizes and image service takes about as much.
MOST_CANVASES = 10_000
LONGEST_TEXT = 300  # characters of a title or an attribution
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
OTHER_MEDIA = frozenset(
    {"text", "textualbody", "contentastext", "sound", "audio", "video", "movingimage", "dataset", "model", "software"}
    | {"canvas", "range", "manifest", "annotation", "annotationpage"}
)
NESTED = frozenset(("choice", "specificresource", "composite", "list", "alternation"))
INSIDE = ("default", "item", "items", "source", "full")  # of version 2's Choice, of version 3's, of a SpecificResource
COLLECTED = ("collections", "manifests", "members", "items")


@dataclass(frozen=True)
class Place:
    """Where a picture stands: its canvas with its size, its manifest, and the Collection that lists the manifest."""

    canvas: str | None = None
    width: int | None = None
    height: int | None = None
    manifest: str | None = None
    collection: str | None = None  # its label


NOWHERE = Place()


@dataclass(frozen=True)
class Picture:
    """A picture of a canvas: its service, its own address, or both."""

    service: ImageService | None
    url: str | None
    title: str = ""
    attribution: str | None = None
    place: Place = NOWHERE

    def addresses(self, infos: Json | None = None) -> tuple[str, ...]:
        """Where the picture can be requested, the best address first; the others serve if that one is refused.

        `infos`: the info.json of image services, by the service's address.
        """
        own = [self.url] if self.url else []
        if self.service is None:
            return tuple(own)
        service = self.service.with_info((infos or {}).get(self.service.base))
        quality = "native" if service.version == 1 else "default"
        scaled = [f"{service.base}/full/{size}/0/{quality}.jpg" for size in sizes_of(service)]
        guessed = service.version is None and service.level is None
        return tuple(dict.fromkeys([*own, *scaled] if guessed else [*scaled, *own]))[:MOST_ADDRESSES]


def picture_of_info(info: Json, address: str) -> Picture:
    """The picture of an image service whose info.json was found at the address."""
    given = urlsplit(address)._replace(query="", fragment="").geturl()
    base = given if given.endswith(INFO) else address_in(info.get("@id") or info.get("id")) or given
    service = service_of(info, base_of(base))
    return Picture(service, None, _plain(unquote(service.base.rpartition("/")[2])))


def pictures_of(manifest: object) -> Iterator[Picture]:
    """The default picture of every canvas in a manifest, in its order. Raises ValueError if it is no object."""
    if not isinstance(manifest, dict):
        raise ValueError("not an object")
    title, holder = text_of(manifest.get("label"))[:LONGEST_TEXT], _holder(manifest)[:LONGEST_TEXT]
    for canvas in islice(_canvases(manifest), MOST_CANVASES):
        if picture := _picture_of_canvas(canvas):
            name = " · ".join(dict.fromkeys(filter(None, (title, text_of(canvas.get("label"))))))
            size = (number_of(canvas.get("width")), number_of(canvas.get("height")))
            place = Place(address_of(canvas), *size, address_of(manifest))
            yield replace(picture, title=name[:LONGEST_TEXT], attribution=holder or None, place=place)


def members_of(document: object) -> list[str | Json]:
    """What a Collection lists, in its order: addresses of manifests and collections, or manifests in full.

    Pages of a long collection (version 2's `first` and `next`) come last.
    """
    if not isinstance(document, dict):
        return []
    kinds = _kinds(document)
    if "manifest" in kinds or not ("collection" in kinds or "collectionpage" in kinds or _lists_manifests(document)):
        return []
    members: list[str | Json] = []
    for name in COLLECTED:
        for each in listed(document.get(name))[:MOST_CANVASES]:
            if isinstance(each, dict) and next(iter(_canvases(each)), None):
                members.append(each)
            elif address := address_of(each):
                members.append(address)
    return members + [address for name in ("first", "next") if (address := address_of(document.get(name)))]


def text_of(label: Any, depth: int = DEEPEST) -> str:
    """The first text of a IIIF label (a string, a list, `{"@value": …}`, a language map) that is not empty."""
    if isinstance(label, str):
        return _plain(label)
    if depth == 0 or not isinstance(label, dict | list):
        return ""
    if isinstance(label, dict):
        label = [label["@value"]] if "@value" in label else list(label.values())
    return next(filter(None, (text_of(each, depth - 1) for each in label)), "")


def _plain(text: str) -> str:
    return CONTROL.sub(" ", text).strip()


def _holder(manifest: Json) -> str:
    statements = [each.get("value") for each in objects_in(manifest.get("requiredStatement"))]
    said = text_of(manifest.get("attribution")) or text_of(statements)
    return said or next(filter(None, map(_plain, names_of(manifest.get("provider")))), "")


def _lists_manifests(document: Json) -> bool:
    listed = any(document.get(name) for name in ("manifests", "collections", "members"))
    return listed or any(_kinds(each) & {"manifest", "collection"} for each in objects_in(document.get("items")))


def _canvases(manifest: Json) -> Iterator[Json]:
    """The canvases of the sequences (version 2); without any, the items (version 3)."""
    if "canvas" in _kinds(manifest):
        return iter([manifest])
    sequences = objects_in(manifest.get("sequences"))
    sequences += [each for each in objects_in(manifest.get("items")) if "sequence" in _kinds(each)]
    in_sequences = [canvas for each in [*sequences, manifest] for canvas in objects_in(each.get("canvases"))]
    in_sequences += [canvas for each in sequences for canvas in objects_in(each.get("items"))]
    others = {"manifest", "collection", "range", "sequence"}
    return iter(in_sequences or [each for each in objects_in(manifest.get("items")) if not _kinds(each) & others])


def _picture_of_canvas(canvas: Json) -> Picture | None:
    """The first picture that is painted on the canvas, otherwise its thumbnail."""
    entries = [*objects_in(canvas.get("images")), *objects_in(canvas.get("items"))]
    for annotation in (each for entry in entries for each in _annotations(entry)):
        if _is_painting(annotation) and (picture := _picture(_body(annotation))):
            return picture
    return _picture(canvas.get("thumbnail"))


def _annotations(entry: Json) -> list[Json]:
    """The annotations of a page, or the annotation that stands there without one."""
    if _body(entry) is not None:
        return [entry]
    return [*objects_in(entry.get("items")), *objects_in(entry.get("resources"))]


def _body(annotation: Json) -> Any:
    if "image" in _kinds(annotation):
        return annotation
    return next((annotation[name] for name in ("body", "resource") if annotation.get(name)), None)


def _is_painting(annotation: Json) -> bool:
    motivations = list(texts_in(annotation.get("motivation")))
    return not motivations or any(each.endswith("painting") for each in motivations)


def _picture(resource: Any, depth: int = DEEPEST) -> Picture | None:
    """The picture that a body, a list of bodies or a thumbnail is; of a Choice the default, or the first item."""
    if depth == 0:
        return None
    if isinstance(resource, list):
        return next(filter(None, (_picture(each, depth - 1) for each in resource)), None)
    if isinstance(resource, str):
        url = address_in(resource)
        return Picture(None, url) if url and _may_be_picture(url) else None
    if not isinstance(resource, dict):
        return None
    kinds, url, service = _kinds(resource), address_of(resource), image_service_in(resource.get("service"))
    if kinds & NESTED or not (url or service):
        inside = [resource[name] for name in INSIDE if name in resource]
        return _picture(inside, depth - 1) if inside else None
    if kinds & OTHER_MEDIA or not _is_image(resource, kinds, url, service):
        return None
    return Picture(service, url)


def _is_image(resource: Json, kinds: frozenset[str], url: str | None, service: ImageService | None) -> bool:
    media_type = resource.get("format")
    if "image" in kinds or service is not None:
        return True
    if isinstance(media_type, str) and "/" in media_type:
        return media_type.strip().lower().startswith("image/")
    return url is not None and _may_be_picture(url)


def _may_be_picture(url: str) -> bool:
    try:
        media_type = mimetypes.guess_type(urlsplit(url).path, strict=False)[0]
    except ValueError:
        return False
    return media_type is None or media_type.startswith("image/")


def _kinds(resource: Json) -> frozenset[str]:
    """The types of a resource without their prefixes, in small letters: `dctypes:Image` is `image`."""
    texts = texts_in([resource.get("@type"), resource.get("type")])
    return frozenset(re.split(r"[:/#]", text)[-1].lower() for text in texts)
