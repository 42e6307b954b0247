"""The local museum's server: Europeana's APIs, providers' media and Getty's SPARQL endpoint on one loopback address."""

import asyncio
import contextlib
import errno
import json
import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.sandbox.answers import Quota, Refusal, check_key, dumps, json_answer, key_of, too_many
from pipeline.sandbox.faults import Faults
from pipeline.sandbox.folder import Museum
from pipeline.sandbox.hosts import media_url
from pipeline.sandbox.images import ImageServer
from pipeline.sandbox.records import record_object, validators
from pipeline.sandbox.search import SearchApi
from pipeline.sandbox.synthetic import SyntheticMuseum
from pipeline.sandbox.thesaurus import sparql

HOST = "127.0.0.1"
CONTEXT = "http://www.europeana.eu/schemas/context/entity.jsonld"
START_S = 20.0
STOP_S = 5.0
MAX_URIS = 1000


class PortInUse(OSError):
    """Another program listens where the local museum should."""


def create_app(
    museum: Museum | SyntheticMuseum,
    *,
    api_key: str | None = None,
    faults: Faults | None = None,
    latency_s: float = 0.0,
    quota: Quota | None = None,
) -> ASGIApp:
    """The application that answers for a museum.

    `api_key`: the one key that is accepted; None accepts any and none. `faults`: what goes wrong, and how often.
    `latency_s`: how long every API answer takes at least. `quota`: requests per key and window.
    """
    images = ImageServer(museum.media)
    app: ASGIApp = _ByHost(Starlette(routes=_routes(museum, images, api_key, quota or Quota())), images)
    if latency_s > 0:
        app = _Latency(app, latency_s)
    return app if faults is None else faults.around(app)


def _routes(museum: Museum | SyntheticMuseum, images: ImageServer, api_key: str | None, quota: Quota) -> list[Route]:
    search = SearchApi(museum)
    if isinstance(museum, SyntheticMuseum) and museum.preserialised:
        search.warm()

    def api(answer: Callable[[Request, str], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """A keyed API call: the key is checked, the request counted, a refusal written as Europeana writes it."""

        async def endpoint(request: Request) -> Response:
            key = key_of(request)
            headers: dict[str, str] = {}
            try:
                key = check_key(key, api_key)
                allowed, headers = quota.count(key)
                if not allowed:
                    raise too_many(quota)
                response = await answer(request, key)
            except Refusal as refusal:
                echoed = None if refusal.status in (401, 429) else key
                return json_answer(refusal.body(echoed), status=refusal.status, headers=headers)
            response.headers.update(headers)
            return response

        return endpoint

    async def search_json(request: Request, key: str) -> Response:
        params = request.query_params
        if request.method == "POST":
            params = await _params_of_body(request)
        body = search.answer(params, key, past_the_end=request.scope.get("past_the_end", False))
        return json_answer(body, media_type="application/json;charset=UTF-8")

    async def record_json(request: Request, key: str) -> Response:
        record_id = f"/{request.path_params['dataset']}/{request.path_params['local'].removesuffix('.json')}"
        position = museum.position(record_id)
        if position is None:
            raise Refusal(404, f"Invalid record identifier: {record_id}")
        item = museum.item(position)
        headers = validators(item)
        if request.headers.get("if-none-match") == headers["ETag"] or (
            "if-none-match" not in request.headers
            and "Last-Modified" in headers
            and request.headers.get("if-modified-since") == headers["Last-Modified"]
        ):
            return Response(None, 304, headers=headers)
        body = {"apikey": key, "success": True, "statsDuration": 1, "requestNumber": 999}
        return json_answer(body | {"object": record_object(museum, item)}, headers=headers)

    async def entity(request: Request, key: str) -> Response:
        number = re.sub(r"\.(json|jsonld)$", "", request.path_params["number"])
        base = "base/" if request.path_params.get("base") else ""
        uri = f"http://data.europeana.eu/concept/{base}{number}"
        found = museum.entity(uri)
        if found is None:
            return json_answer(_no_entity(key, "/entity", f"No entity found for ID : {uri}"), status=404)
        return _ld_json({"@context": CONTEXT} | found)

    async def retrieve(request: Request, key: str) -> Response:
        try:
            uris = json.loads(await request.body())
        except ValueError:
            uris = None
        if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris) or len(uris) > MAX_URIS:
            raise Refusal(400, f"The body must be a JSON list of at most {MAX_URIS} entity URIs")
        items = [found for uri in dict.fromkeys(uris) if (found := museum.entity(uri)) is not None]
        page: dict[str, Any] = {"@context": CONTEXT, "type": "ResultPage", "total": len(items)}
        return _ld_json(page | ({"items": items} if items else {}))

    async def resolve(request: Request, key: str) -> Response:
        uri = request.query_params.get("uri", "")
        for found in museum.entities.values():
            if uri in found.get("exactMatch", []):
                path = found["id"].removeprefix("http://data.europeana.eu/")
                return RedirectResponse(f"https://api.europeana.eu/entity/{path}.json", 301)
        error = f"No entity found for sameAs/exactMatch URI : {uri}"
        return json_answer(_no_entity(key, "/entity/resolve", error), status=404)

    async def thesaurus(request: Request) -> Response:
        return await sparql(request, museum.thesaurus)

    searches = ("/record/v2/search.json", "/record/search.json", "/api/v2/search.json")
    return [
        *(Route(path, api(search_json), methods=["GET", "POST"]) for path in searches),
        Route("/record/v2/{dataset}/{local}", api(record_json)),
        Route("/record/{dataset}/{local}", api(record_json)),
        Route("/entity/retrieve", api(retrieve), methods=["POST"]),
        Route("/entity/resolve", api(resolve)),
        Route("/entity/concept/{base:path}/{number}", api(entity)),
        Route("/entity/concept/{number}", api(entity)),
        Route("/thumbnail/v2/url.json", images.v2),
        Route("/api/v2/thumbnail-by-url.json", images.v2),
        Route("/thumbnail/v3/{size}/{name}", images.v3),
        Route("/sparql", thesaurus, methods=["GET", "POST"]),
    ]


async def _params_of_body(request: Request) -> QueryParams:
    """The parameters of a search by POST: a JSON object whose lists are repeated parameters."""
    try:
        body = json.loads(await request.body())
        pairs = [
            (name, str(value).lower() if isinstance(value, bool) else str(value))
            for name, values in body.items()
            for value in (values if isinstance(values, list) else [values])
        ]
    except (ValueError, AttributeError) as error:
        raise Refusal(400, "The body must be a JSON object") from error
    return QueryParams(pairs)


def _no_entity(key: str, action: str, error: str) -> dict[str, Any]:
    return {"apikey": key, "action": action, "success": False, "error": error}


def _ld_json(body: dict[str, Any]) -> Response:
    return Response(dumps(body), media_type="application/ld+json;charset=utf-8")


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


class _Latency:
    """Makes every API answer wait, as answers over the ocean do; images are not delayed."""

    def __init__(self, app: ASGIApp, latency_s: float) -> None:
        self.app, self.latency_s = app, latency_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and media_url(scope) is None and not scope["path"].startswith("/thumbnail/"):
            await asyncio.sleep(self.latency_s)
        await self.app(scope, receive, send)


@contextlib.contextmanager
def running(
    museum: Museum | SyntheticMuseum | Path,
    *,
    port: int = 0,
    api_key: str | None = None,
    faults: Faults | None = None,
    latency_s: float = 0.0,
    quota: Quota | None = None,
) -> Iterator[str]:
    """A museum, or the folder of one, served from a thread while the context lasts; gives the base URL.

    Raises MuseumError for a bad folder and PortInUse when `port` (0: any free one) is taken.
    """
    loaded = Museum.load(museum) if isinstance(museum, Path) else museum
    app = create_app(loaded, api_key=api_key, faults=faults, latency_s=latency_s, quota=quota)
    with listening(port) as listener:
        server = uvicorn.Server(_config(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            _wait(server, thread)
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(STOP_S)
            server.force_exit = True
            thread.join(STOP_S)


def serve(app: ASGIApp, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted; `ready` is told the base URL. Raises PortInUse."""
    with listening(port) as listener:
        ready(f"http://{HOST}:{listener.getsockname()[1]}")
        uvicorn.Server(_config(app)).run(sockets=[listener])


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket on loopback. Raises PortInUse with one sentence."""
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
            raise PortInUse(
                errno.EADDRINUSE, f"Port {port} is in use; stop the program on it, or choose another with --port."
            ) from error
        yield listener


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
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


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    until = time.monotonic() + START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise RuntimeError("The local museum's server did not start.")
        time.sleep(0.01)
