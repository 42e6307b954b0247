"""Images over HTTP: the providers' media by their own URLs, and Europeana's thumbnails, v2 and v3."""

import hashlib
import io
import mimetypes
import re
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image, UnidentifiedImageError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.sandbox.answers import not_modified
from pipeline.sandbox.thumbnails import PLACEHOLDER

WIDTHS = {"w200": 200, "w400": 400}
MD5_NAME = re.compile(r"([0-9a-f]{32})(?:\.\w+)?")
THUMBNAILS = "https://api.europeana.eu/thumbnail/v3"
CACHE_CONTROL = "public, max-age=604800, must-revalidate"
THUMBNAILS_KEPT = 256
JPEG_QUALITY = 90


class ImageServer:
    """Answers for a museum's media files; thumbnails are made from the media file, never enlarged.

    `moved` leads from URLs to others; those, and their thumbnails, are answered by a redirect.
    """

    def __init__(self, media: Mapping[str, Path], moved: Mapping[str, str]) -> None:
        self.media, self.moved = media, moved
        self._by_md5 = {_md5(url): url for url in (*media, *moved)}
        self._thumbnail = lru_cache(maxsize=THUMBNAILS_KEPT)(thumbnail)

    async def original(self, request: Request, url: str) -> Response:
        """The file that answers a provider's URL, or 404."""
        if url in self.moved:
            return RedirectResponse(self.moved[url], 302)
        file = self.media.get(url)
        if file is None:
            return Response("Not Found", 404, media_type="text/plain")
        content_type = mimetypes.guess_type(urlsplit(url).path)[0] or "application/octet-stream"
        return _answer(request, file.read_bytes(), file, content_type, {})

    async def v2(self, request: Request) -> Response:
        """`/thumbnail/v2/url.json?uri=…&size=w400`: a missing thumbnail is a placeholder icon with status 200."""
        uri, size = request.query_params.get("uri"), request.query_params.get("size", "w400")
        if uri is None or not uri.startswith(("http://", "https://", "ftp://", "urn:")) or size not in WIDTHS:
            return _invalid_url()
        placeholder = Response(PLACEHOLDER, media_type="image/png", headers={"Cache-Control": CACHE_CONTROL})
        return await self._thumbnail_of(uri, WIDTHS[size], request) or placeholder

    async def v3(self, request: Request) -> Response:
        """`/thumbnail/v3/{200,400}/{md5 of the original URL}[.jpg]`: a missing thumbnail is a 404."""
        match, size = MD5_NAME.fullmatch(request.path_params["name"]), f"w{request.path_params['size']}"
        if match is None or size not in WIDTHS:
            return _invalid_url()
        return await self._thumbnail_of(self._by_md5.get(match[1], ""), WIDTHS[size], request) or Response("", 404)

    async def _thumbnail_of(self, url: str, width: int, request: Request) -> Response | None:
        """The thumbnail of a provider's URL; None where there is no file, or no image in it."""
        if url in self.moved:
            return RedirectResponse(f"{THUMBNAILS}/{width}/{_md5(self.moved[url])}", 302)
        file = self.media.get(url)
        made = None if file is None else await run_in_threadpool(self._thumbnail, file, width)
        if file is None or made is None:
            return None
        # The service guesses the type from the URL's extension and not from the bytes.
        content_type = "image/png" if urlsplit(url).path.lower().endswith((".png", ".pdf")) else "image/jpeg"
        return _answer(request, made, file, content_type, {"Cache-Control": CACHE_CONTROL})


def _md5(url: str) -> str:
    return hashlib.md5(url.encode(), usedforsecurity=False).hexdigest()


def thumbnail(file: Path, width: int) -> bytes | None:
    """The image at most `width` wide, as stored when it is a JPEG or PNG that fits; None when it is no image."""
    source = file.read_bytes()
    try:
        with Image.open(io.BytesIO(source)) as image:
            if image.width <= width and image.format in ("JPEG", "PNG"):
                return source
            height = max(1, round(image.height * width / image.width))
            small = image.convert("RGB").resize(
                (min(width, image.width), min(height, image.height)), Image.Resampling.LANCZOS
            )
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None
    target = io.BytesIO()
    small.save(target, "JPEG", quality=JPEG_QUALITY)
    return target.getvalue()


def _invalid_url() -> Response:
    return Response('{"error":"INVALID URL"}', 400, media_type="application/json")


def _answer(request: Request, body: bytes, file: Path, content_type: str, headers: Mapping[str, str]) -> Response:
    etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    headers = {**headers, "ETag": etag, "Last-Modified": formatdate(int(file.stat().st_mtime), usegmt=True)}
    if not_modified(request, headers):
        return Response(None, 304, headers=headers)
    return Response(body, media_type=content_type, headers=headers)
