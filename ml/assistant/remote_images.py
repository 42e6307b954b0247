"""Images from other servers, fetched only at a cataloguer's request: from a IIIF manifest or a Europeana record."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ml.assistant.iiif import LONGEST_TEXT, NOWHERE, Picture, Place, members_of, picture_of_info, pictures_of, text_of
from ml.assistant.image_service import INFO, ImageService, is_info
from ml.assistant.limits import AssistantLimits
from pipeline.harvest.europeana import EuropeanaClient, Record, names_of, organisations_of, values_of
from pipeline.http import HttpClient, HttpError
from pipeline.images.download import Downloaded, Downloader, Refusal, Trouble
from pipeline.images.guard import guarded_client
from pipeline.settings import HarvestSettings, HttpSettings, ImageSettings
from pipeline.texts import loads, record_id

MANIFEST_TYPES = "application/ld+json,application/json;q=0.9"
MOST_DOCUMENTS = 100  # manifests and collections read for one address
DEEPEST_COLLECTION = 4  # collections inside collections
CONNECTIONS = 6  # to other servers: two for documents and pictures, four for tiles
AT_ONCE = 4  # info.json files requested at the same time
FINDING_S = 120  # seconds to find what an address lists
# Another size may be there where one was refused for these reasons; not after an opt-out or a rate limit.
OTHER_SIZE = ("http_400", "http_403", "http_404", "http_410", "http_422", "http_500", "http_501", "too_large")


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
    others: tuple[str, ...] = ()  # addresses of the same image at other sizes, if the server refuses the first
    place: Place = NOWHERE

    def kept(self, url: str) -> dict[str, Any]:
        """What the queue keeps of the image that was fetched from this address, by the names of NewImage."""
        names = ("title", "source", "record_id", "attribution")
        place = {"canvas_width": self.place.width, "canvas_height": self.place.height}
        place |= {name: getattr(self.place, name) for name in ("canvas", "manifest", "collection")}
        return {"source_url": url, **{name: getattr(self, name) for name in names}, **place}


@dataclass(frozen=True)
class Found:
    """Images behind an address, and how many more there are at least."""

    images: list[RemoteImage]
    left: int = 0


class RemoteImages:
    """Fetches from other servers. Addresses are checked, resolved once and pinned; size and time are limited."""

    def __init__(
        self,
        folder: Path,
        *,
        limits: AssistantLimits,
        images: ImageSettings,
        http: HttpSettings,
        harvest: HarvestSettings,
    ):
        # Private addresses are allowed only with a host map, which leads to a local museum.
        allowed = images.allowed_addresses if http.hosts else ()
        self._images = replace_section(images, max_bytes=limits.max_upload_bytes, allowed_addresses=allowed)
        self._documents = replace_section(self._images, max_bytes=limits.max_manifest_bytes)
        self._tiles = replace_section(self._images, max_bytes=limits.max_tile_bytes, timeout_s=limits.tile_timeout_s)
        self._http, self._harvest, self._folder = http, harvest, folder
        self._max_images, self._max_values = limits.most_from_manifest, limits.max_manifest_values

    async def __aenter__(self) -> "RemoteImages":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._client = guarded_client(
            connections=CONNECTIONS, allowed=self._images.allowed_addresses, hosts=self._http.hosts
        )
        self._one_parser = asyncio.Lock()  # parsing holds Python's lock, and with it up all other visitors
        self._stack = AsyncExitStack()
        self._stack.push_async_callback(self._client.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def find(self, address: str, start: int = 0) -> Found:
        """The images behind a Europeana id, a IIIF manifest or Collection, an image service, or a list of these.

        A list has one address a line. Of many images those from `start` on, as many as one request may add. A manifest
        of a list or Collection that cannot be read is among them under its own address, so that the attempt to add it
        says why. Raises NotFetched.
        """
        addresses = list(dict.fromkeys(filter(None, map(str.strip, address.splitlines()))))
        if len(addresses) > MOST_DOCUMENTS:
            raise NotFetched("too_many", f"These are more than {MOST_DOCUMENTS} addresses. Add them in parts.")
        try:
            async with asyncio.timeout(FINDING_S):
                if addresses and all(map(record_id, addresses)):
                    return Found([await asyncio.to_thread(self._of_record, str(record_id(each))) for each in addresses])
                pictures = list(dict.fromkeys(await self._pictures_at(addresses, start + self._max_images)))
                chosen = pictures[start : start + self._max_images]
                if not chosen:
                    raise NotFetched("no_manifest", "There is no IIIF manifest with images at this address.")
                infos = await self._infos(picture.service for picture in chosen)
        except TimeoutError as error:
            raise NotFetched("timeout", f"Reading the address took more than {FINDING_S} seconds.") from error
        left = max(0, len(pictures) - start - self._max_images)
        return Found([_remote_image(picture, infos) for picture in chosen], left)

    async def _pictures_at(self, addresses: list[str], most: int) -> list[Picture]:
        """The pictures of the manifests, and of those that Collections list, in their order, until there are `most`."""
        found: list[Picture] = []
        ahead: list[tuple[str | Mapping[str, Any], int, str | None]] = [(each, 0, None) for each in addresses]
        read: set[str] = set()
        while ahead and len(found) <= most:
            member, depth, collection = ahead.pop(0)
            if isinstance(member, str):
                if member in read:
                    continue
                if len(read) == MOST_DOCUMENTS:
                    raise NotFetched("too_many", f"The collection lists more than {MOST_DOCUMENTS} manifests.")
                read.add(member)
            try:
                document = await self._document(member) if isinstance(member, str) else member
                async with self._one_parser:
                    pictures, members = await asyncio.to_thread(_read, document, member)
            except NotFetched:
                if [member] == addresses:
                    raise
                pictures, members = [Picture(None, str(member))], []
            found += [_placed(picture, member, collection) for picture in pictures]
            label = text_of(document.get("label"))[:LONGEST_TEXT] if members else None
            ahead[:0] = [(each, depth + 1, label or collection) for each in members if depth < DEEPEST_COLLECTION]
        return found

    async def _document(self, address: str) -> Any:
        content = await self._download(address, self._documents, accept=MANIFEST_TYPES)
        try:
            async with self._one_parser:
                return await asyncio.to_thread(loads, content, self._max_values)
        except ValueError as error:
            raise NotFetched("no_manifest", "There is no IIIF manifest at this address, or it is too large.") from error

    async def _infos(self, services: Iterable[ImageService | None]) -> dict[str, Any]:
        """The info.json of the services whose description in the manifest is not enough, by the service's address.

        A host that fails to send one is not asked for others.
        """
        infos: dict[str, Any] = {}
        silent: set[str] = set()
        places = asyncio.Semaphore(AT_ONCE)

        async def ask(base: str) -> None:
            async with places:
                host = _host(base)
                if host in silent:
                    return
                try:
                    infos[base] = await self._document(base + INFO)
                except NotFetched as error:
                    if not error.code.startswith("http_4"):
                        silent.add(host)

        wanted = dict.fromkeys(service.base for service in services if service is not None and service.needs_info())
        async with asyncio.TaskGroup() as group:
            for base in wanted:
                group.create_task(ask(base))
        return infos

    async def fetch(self, url: str) -> bytes:
        """The bytes of the image at this address. Raises NotFetched."""
        return await self._download(url, self._images)

    async def info(self, base: str) -> Any:
        """The info.json of an image service. Raises NotFetched."""
        return await self._document(base + INFO)

    async def fetch_tile(self, url: str) -> bytes:
        """The bytes of a tile of an image service, of which less is taken than of an image. Raises NotFetched."""
        return await self._download(url, self._tiles)

    async def _download(self, url: str, limits: ImageSettings, **options: str) -> bytes:
        downloader = Downloader(self._client, limits, self._http, self._folder, **options)
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
    titles = [text_of(values_of(proxy.get("dcTitle"))) for proxy in record.data.get("proxies") or []]
    title = next(filter(None, titles), record.record_id)
    holder = text_of(names_of(aggregation.get("edmDataProvider"), organisations_of(record.data)))
    return RemoteImage(url, title[:LONGEST_TEXT], "europeana", record.record_id, holder[:LONGEST_TEXT] or None)


def _read(document: Any, address: str | Mapping[str, Any]) -> tuple[list[Picture], list[Any]]:
    """The pictures of a manifest or an info.json, or what a Collection lists. Raises NotFetched."""
    try:
        if members := members_of(document):
            return [], list(members)
        if isinstance(document, dict) and isinstance(address, str) and is_info(document):
            return [picture_of_info(document, address)], []
        return list(pictures_of(document)), []
    except (ValueError, RecursionError) as error:
        raise NotFetched("no_manifest", "There is no IIIF manifest at this address.") from error


def _remote_image(picture: Picture, infos: Mapping[str, Any]) -> RemoteImage:
    first, *others = picture.addresses(infos)
    return RemoteImage(first, picture.title, "iiif", None, picture.attribution, tuple(others), picture.place)


def _placed(picture: Picture, member: str | Mapping[str, Any], collection: str | None) -> Picture:
    """The picture with its Collection, and with the address of a manifest that does not name itself."""
    read_from = member if isinstance(member, str) and picture.place.canvas else None
    place = replace(picture.place, manifest=picture.place.manifest or read_from, collection=collection)
    return replace(picture, place=place)


def _host(address: str) -> str:
    try:
        return urlsplit(address).netloc
    except ValueError:
        return address


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
