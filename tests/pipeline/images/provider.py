"""A provider of images for the tests: answers by path as it is told, counts what it is asked."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Answer = Response | Callable[[Request, int], Response]


class Provider:
    """`answers[path]` is a response, or a function of the request and how often the path was asked before."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: Counter[str] = Counter()
        self.headers: dict[str, dict[str, str]] = {}
        self.address = ""
        self.at_once = self.most_at_once = 0
        self.delay_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        import asyncio

        request = Request(scope, receive)
        path = request.url.path
        before = self.asked[path]
        self.asked[path] += 1
        self.headers[path] = dict(request.headers)
        answer = self.answers.get(path, Response(status_code=404))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.delay_s)
        self.at_once -= 1
        await (answer if isinstance(answer, Response) else answer(request, before))(scope, receive, send)


@contextmanager
def serving(provider: Provider, port: int = 0) -> Iterator[Provider]:
    """The provider on that port of the loopback, or a free one, while the context lasts."""
    server = uvicorn.Server(uvicorn.Config(provider, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    provider.address = f"http://127.0.0.1:{port}"
    try:
        yield provider
    finally:
        server.should_exit = True
        thread.join(10)
