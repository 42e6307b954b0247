"""A small reverse proxy as docs/security.md asks for one: it keeps the Host, and appends the client's address."""

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "date", "server")


def reverse_proxy(target: str) -> Starlette:
    """A proxy before the server at `target`, which speaks TLS with the outside as far as its headers say."""

    async def pass_on(request: Request) -> Response:
        headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
        forwarded = [request.headers.get("x-forwarded-for"), request.headers.get("x-client", request.client.host)]
        headers |= {"x-forwarded-for": ", ".join(filter(None, forwarded)), "x-forwarded-proto": "https"}
        async with httpx.AsyncClient(base_url=target) as client:
            url = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            answer = await client.request(request.method, url, headers=headers, content=await request.body())
        kept = [(name, value) for name, value in answer.headers.multi_items() if name not in HOP_BY_HOP]
        response = Response(answer.content, answer.status_code)
        response.raw_headers += [(name.encode(), value.encode()) for name, value in kept]
        return response

    return Starlette(routes=[Route("/{path:path}", pass_on, methods=["GET", "POST", "OPTIONS"])])
