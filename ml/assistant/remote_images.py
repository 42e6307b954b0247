"""Images from other servers, fetched only at a cataloguer's request: from a IIIF manifest or a Europeana record."""

import asyncio
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.harvest.europeana import EuropeanaClient, Record, values_of
from pipeline.http import HttpClient, HttpError
from pipeline.images.download import Downloaded, Downloader, Refusal, Trouble
from pipeline.images.guard import GuardedTransport
from pipeline.settings import HarvestSettings, HttpSettings, ImageSettings

MANIFEST_TYPES = "application/ld+json,application/json;q=0.9"
RECORD = re.compile(
    r"(?:https?://(?:www\.europeana\.eu/(?:[a-z]{2}/)?item|data\.europeana\.eu/item))?(/\d+/[\w.~-]+)/?"
)
WIDTH = 1024  # px requested from a IIIF image service: the size that the assistant keeps


class NotFetched(Exception):
    """An image could not be fetched: a code for programs, a message for people."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class RemoteImage:
    """An image on another server, with what `NewImage` keeps of it."""

    source_url: str
    title: str = ""
    source: str = "iiif"  # or europeana
    record_id: str | None = None
    attribution: str | None = None


class RemoteImages:
    """Fetches from other servers. Addresses are checked, resolved once and pinned; size and time are limited."""

    def __init__(
        self,
        folder: Path,
        *,
        images: ImageSettings,
        http: HttpSettings,
        harvest: HarvestSettings,
        max_bytes: int,
        max_images: int,
    ):
        # Private addresses are allowed only with a host map, which leads to a local museum.
        allowed = images.allowed_addresses if http.hosts else ()
        self._images = replace_section(images, max_bytes=max_bytes, allowed_addresses=allowed)
        self._http, self._harvest, self._folder, self._max_images = http, harvest, folder, max_images

    async def __aenter__(self) -> "RemoteImages":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._transport = GuardedTransport(
            connections=2, allowed=self._images.allowed_addresses, hosts=self._http.hosts
        )
        self._stack = AsyncExitStack()
        self._stack.push_async_callback(self._transport.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def find(self, address: str) -> list[RemoteImage]:
        """The images behind a Europeana id or a IIIF manifest. Raises NotFetched."""
        if record := RECORD.fullmatch(address):
            return [await asyncio.to_thread(self._of_record, record.group(1))]
        content = await self.fetch(address, accept=MANIFEST_TYPES)
        try:
            images = list(images_of(json.loads(content)))
        except (ValueError, RecursionError) as error:
            raise NotFetched("no_manifest", "There is no IIIF manifest at this address.") from error
        if not images:
            raise NotFetched("no_manifest", "There is no IIIF manifest with images at this address.")
        if len(images) > self._max_images:
            message = f"The manifest has {len(images)} images; the limit is {self._max_images}."
            raise NotFetched("too_many", message)
        return list(dict.fromkeys(images))

    async def fetch(self, url: str, **options: str) -> bytes:
        """The bytes at this address. Raises NotFetched."""
        downloader = Downloader(self._transport, self._images, self._http, self._folder, **options)
        try:
            downloaded = await downloader.download(url)
        except (Refusal, Trouble) as error:
            reason = error.reason.replace("_", " ")
            raise NotFetched(error.reason, f"{url[:200]} could not be fetched: {reason}.") from error
        return await asyncio.to_thread(_bytes_of, downloaded)

    def _of_record(self, record_id: str) -> RemoteImage:
        http = HttpClient(replace_section(self._http, attempts=2))
        try:
            with EuropeanaClient(http, self._harvest, os.environ.get("EUROPEANA_API_KEY")) as client:
                record = client.record(record_id)
        except (HttpError, ValueError) as error:
            raise NotFetched("europeana", str(error)) from error
        if record is None:
            raise NotFetched("no_such_record", f"Europeana has no record {record_id}.")
        return image_of_record(record)


def image_of_record(record: Record) -> RemoteImage:
    """The record's main image. Raises NotFetched if it has none."""
    aggregation: Mapping[str, Any] = next(iter(record.data.get("aggregations") or []), {})
    preview = (record.data.get("europeanaAggregation") or {}).get("edmPreview")
    url = next((u for u in (aggregation.get("edmIsShownBy"), aggregation.get("edmObject"), preview) if u), None)
    if not isinstance(url, str):
        raise NotFetched("no_image", f"The record {record.record_id} has no image.")
    titles = [text for proxy in record.data.get("proxies") or [] for text in values_of(proxy.get("dcTitle"))]
    holders = values_of(aggregation.get("edmDataProvider"))
    return RemoteImage(
        url, next(iter(titles), record.record_id), "europeana", record.record_id, next(iter(holders), None)
    )


def images_of(manifest: Any) -> Iterator[RemoteImage]:
    """The images of a IIIF Presentation manifest, version 2 or 3 (iiif.io/api/presentation), in its order."""
    if not isinstance(manifest, dict):
        raise ValueError("not an object")
    title = _text(manifest.get("label"))
    holder = _text(manifest.get("attribution")) or _text((_dict(manifest.get("requiredStatement"))).get("value"))
    canvases = [each for sequence in _dicts(manifest.get("sequences")) for each in _dicts(sequence.get("canvases"))]
    for canvas in canvases or _dicts(manifest.get("items")):
        resources = [_dict(image.get("resource")) for image in _dicts(canvas.get("images"))]
        pages = _dicts(canvas.get("items"))
        resources += [body for page in pages for a in _dicts(page.get("items")) for body in _dicts(a.get("body"))]
        for resource in resources[:1]:
            if url := _url_of(resource):
                name = " · ".join(dict.fromkeys(filter(None, (title, _text(canvas.get("label"))))))
                yield RemoteImage(url, name[:300], "iiif", None, holder[:300] or None)


def _url_of(resource: Mapping[str, Any]) -> str | None:
    """The image at the size that the assistant keeps if a service can scale it, otherwise the image as it is."""
    for service in _dicts(resource.get("service")):
        base = service.get("@id") or service.get("id")
        if isinstance(base, str) and base:
            return f"{base.rstrip('/')}/full/!{WIDTH},{WIDTH}/0/default.jpg"
    url = resource.get("@id") or resource.get("id")
    return url if isinstance(url, str) else None


def _text(label: Any) -> str:
    """A IIIF label (a string, a list, `{"@value": …}` or a language map) as text without control characters."""
    if isinstance(label, dict):
        label = label.get("@value") or next(iter(label.values()), "")
    if isinstance(label, list):
        label = _text(label[0]) if label else ""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", label).strip() if isinstance(label, str) else ""


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, dict)]


def _bytes_of(downloaded: Downloaded) -> bytes:
    content = downloaded.content
    if content is None or content.file is None:
        return (content and content.data) or b""
    data = content.file.read_bytes()
    content.file.unlink()
    return data


def replace_section(section: Any, **changes: Any) -> Any:
    """A settings section with other values, validated again."""
    return type(section).model_validate(section.model_dump() | changes)
