"""A server that stands for a IIIF museum; its image services refuse what their level does not offer."""

import contextlib
import hashlib
import io
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import uvicorn
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

QUALITY = {"1.1": "native"}
CONTEXTS = {
    "1.1": "http://library.stanford.edu/iiif/image-api/1.1/context.json",
    "2": "http://iiif.io/api/image/2/context.json",
    "3": "http://iiif.io/api/image/3/context.json",
}
PROFILES = {
    "1.1": "http://library.stanford.edu/iiif/image-api/1.1/compliance.html#level",
    "2": "http://iiif.io/api/image/2/level",
    "3": "level",
}


@dataclass(frozen=True)
class Offered:
    """An image service: its version, its level, the size of its picture, the sizes it lists."""

    api: str
    level: int
    width: int
    height: int
    sizes: Sequence[Sequence[int]] = ()
    without: tuple[str, ...] = ()  # forms of a size that it lacks although its level has them

    def info(self, base: str) -> dict[str, Any]:
        """Its info.json."""
        suffix = ".json" if self.api == "2" else ""
        said = {"@context": CONTEXTS[self.api], "profile": f"{PROFILES[self.api]}{self.level}{suffix}"}
        named = {"id": base, "type": "ImageService3"} if self.api == "3" else {"@id": base}
        sizes = [{"width": width, "height": height} for width, height in self.sizes]
        return {**said, **named, "width": self.width, "height": self.height, **({"sizes": sizes} if sizes else {})}

    def offers(self, region: str, size: str, rotation: str, file: str) -> bool:
        """Whether this request is among what the service's level has; nothing is enlarged."""
        if region != "full" or rotation != "0" or file != f"{QUALITY.get(self.api, 'default')}.jpg":
            return False
        if size == ("max" if self.api == "3" else "full"):
            return True
        form, width, height = _form(size)
        if form in self.without or (width or 1) > self.width or (height or 1) > self.height:
            return False
        if form == "w,h" and self.api != "1.1" and [width, height] in [list(each) for each in self.sizes]:
            return True
        return form in {0: (), 1: ("w,", ",h"), 2: ("w,", ",h", "w,h", "!w,h")}[self.level]


def _form(size: str) -> tuple[str, int | None, int | None]:
    found = re.fullmatch(r"(!?)(\d*),(\d*)", size)
    if not found or not (found[2] or found[3]):
        return "", None, None
    form = found[1] + ("w" if found[2] else "") + "," + ("h" if found[3] else "")
    return form, int(found[2]) if found[2] else None, int(found[3]) if found[3] else None


@dataclass
class Museum:
    """What is served: documents and pictures by address, services by their base, and what was asked."""

    documents: Mapping[str, bytes] = field(default_factory=dict)
    static: Sequence[str] = ()
    services: Mapping[str, Offered] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def source_of(self, image_id: str) -> str:
        """The picture or the service from which the bytes with this sha256 came."""
        pictures = {hashlib.sha256(drawn(each)).hexdigest(): each for each in [*self.static, *self.services]}
        return pictures[image_id]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application; the original host stands in a header (see `pipeline.http.mapped`)."""
        if scope["type"] == "http":
            await self._response(Request(scope))(scope, receive, send)

    def _response(self, request: Request) -> Response:
        raw = request.scope["raw_path"].decode("ascii")
        query = request.scope["query_string"].decode("ascii")
        url = request.headers.get("x-original-host", "") + raw + (f"?{query}" if query else "")
        self.asked.append(url)
        if url in self.documents:
            return Response(self.documents[url], media_type="application/json")
        if found := next((each for each in self.static if unquote(each) == unquote(url)), None):
            return Response(drawn(found), media_type="image/jpeg")
        for base, service in self.services.items():
            if url == f"{base}/info.json":
                return JSONResponse(service.info(base))
            parts = url.removeprefix(f"{base}/").split("/") if url.startswith(f"{base}/") else []
            if len(parts) == 4:
                return Response(drawn(base), media_type="image/jpeg") if service.offers(*parts) else Response(None, 400)
        return Response(None, 404)


def drawn(source: str) -> bytes:
    """A picture whose colours depend on where it comes from."""
    colour = hashlib.sha256(source.encode()).digest()
    out = io.BytesIO()
    Image.frombytes("RGB", (4, 2), colour[:24]).resize((96, 64)).save(out, "JPEG")
    return out.getvalue()


def as_bytes(documents: Mapping[str, Any]) -> dict[str, bytes]:
    """JSON documents as they are sent."""
    return {address: json.dumps(content).encode() for address, content in documents.items()}


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """The address of an ASGI application that runs in a thread while the context lasts."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()
