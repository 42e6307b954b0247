"""The local museum's server on loopback: Europeana's APIs and dumps, providers' media, Getty's SPARQL endpoint."""

import contextlib
import errno
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.sandbox.answers import KeyedCalls, Quota
from pipeline.sandbox.dumps import DumpServer
from pipeline.sandbox.entity_api import EntityApi
from pipeline.sandbox.hosts import media_url
from pipeline.sandbox.images import ImageServer
from pipeline.sandbox.museum import Museum
from pipeline.sandbox.records import RecordApi
from pipeline.sandbox.search import ITEMS_KEPT, SearchApi
from pipeline.sandbox.thesaurus import SparqlApi
from pipeline.web_gate import PageGate

HOST = "127.0.0.1"


class PortInUse(OSError):
    """Another program listens where the local museum should."""


def create_app(
    museum: Museum, *, api_key: str | None = None, quota: Quota | None = None, items_kept: int | None = ITEMS_KEPT
) -> ASGIApp:
    """The application that answers for a museum.

    `api_key`: the one key that is accepted; None accepts any and none. `quota`: requests per key and window.
    `items_kept`: how many search items stay serialised in memory; None keeps all. Only loopback's own names are
    answered, and no page of another origin.
    """
    keyed = KeyedCalls(api_key, quota or Quota())
    searches, records, entities = SearchApi(museum, items_kept), RecordApi(museum), EntityApi(museum)
    images, thesaurus = ImageServer(museum.media, museum.moved), SparqlApi(museum.thesaurus)
    dumps = DumpServer(museum)
    routes = [
        Route("/record/v2/search.json", keyed(searches.search), methods=["GET", "POST"]),
        Route("/record/search.json", keyed(searches.search), methods=["GET", "POST"]),
        Route("/api/v2/search.json", keyed(searches.search), methods=["GET", "POST"]),
        Route("/record/v2/{dataset}/{local}", keyed(records.record)),
        Route("/record/{dataset}/{local}", keyed(records.record)),
        Route("/entity/retrieve", keyed(entities.retrieve), methods=["POST"]),
        Route("/entity/resolve", keyed(entities.resolve)),
        Route("/entity/concept/{base:path}/{number}", keyed(entities.entity)),
        Route("/entity/concept/{number}", keyed(entities.entity)),
        Route("/thumbnail/v2/url.json", images.v2),
        Route("/api/v2/thumbnail-by-url.json", images.v2),
        Route("/thumbnail/v3/{size}/{name}", images.v3),
        Route("/dataset/{form}/", dumps.listing),
        Route("/dataset/{form}/{name}", dumps.dataset),
        Route("/sparql", thesaurus.query, methods=["GET", "POST"]),
    ]
    return PageGate(_ByHost(Starlette(routes=routes), images))


class _ByHost:
    """Sends a request to the APIs or to the media, by the host it was meant for."""

    def __init__(self, api: ASGIApp, images: ImageServer) -> None:
        self.api, self.images = api, images

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        url = media_url(scope) if scope["type"] == "http" else None
        if url is None:
            await self.api(scope, receive, send)
            return
        response = await self.images.original(Request(scope, receive), url)
        await response(scope, receive, send)


def serve(app: ASGIApp, port: int, ready: Callable[[str], None]) -> None:
    """Serve on loopback until interrupted; `ready` is told the base URL. `port` 0 is any free one. Raises PortInUse."""
    with listening(port) as (listener, address):
        ready(address)
        server(app).run(sockets=[listener])


@contextlib.contextmanager
def listening(port: int) -> Iterator[tuple[socket.socket, str]]:
    """A socket on loopback and its base URL. Raises PortInUse with one sentence."""
    # asyncio turns Nagle's delay off, 40 ms an answer, only for sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with contextlib.closing(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(2048)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            in_use = f"Port {port} is in use; stop the program on it, or choose another with --port."
            raise PortInUse(errno.EADDRINUSE, in_use) from error
        yield listener, f"http://{HOST}:{listener.getsockname()[1]}"


def server(app: ASGIApp) -> uvicorn.Server:
    """A quiet server that stops within a second."""
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        ws="none",
        loop="asyncio",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)
