"""Access control: rates, tokens, host names."""

import httpx
import pytest
from starlette.responses import PlainTextResponse

from ml.assistant.limits import AssistantLimits
from ml.assistant.middleware import AccessMiddleware


async def answer(scope, receive, send):
    """An application behind the middleware."""
    await PlainTextResponse("in")(scope, receive, send)


@pytest.fixture
def anyio_backend():
    return "asyncio"


def asking(middleware: AccessMiddleware) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(middleware), base_url="http://127.0.0.1:8760")


@pytest.mark.anyio
async def test_a_burst_is_taken_then_429_until_time_has_passed():
    now = [0.0]
    middleware = AccessMiddleware(
        answer, limits=AssistantLimits(requests_per_second=2, request_burst=3), clock=lambda: now[0]
    )
    async with asking(middleware) as client:
        assert [(await client.get("/")).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
        now[0] = 0.5
        refused = [await client.get("/") for _ in range(2)]
    assert [response.status_code for response in refused] == [200, 429]
    assert refused[1].headers["retry-after"] == "1"


@pytest.mark.anyio
async def test_with_a_token_nobody_enters_without_it():
    middleware = AccessMiddleware(answer, limits=AssistantLimits(), token="s3cret")
    async with asking(middleware) as client:
        assert (await client.get("/api/about")).status_code == 401
        assert (await client.get("/api/about?token=s3cret")).status_code == 401  # not in any other address
        assert (await client.get("/?token=wrong")).status_code == 401
        let_in = await client.get("/?token=s3cret")
        assert (let_in.status_code, let_in.headers["location"]) == (303, "/")
        assert "HttpOnly; SameSite=Strict" in let_in.headers["set-cookie"]
        assert (await client.get("/api/about")).text == "in"  # by the cookie
    async with asking(middleware) as other:
        assert (await other.get("/", headers={"authorization": "Bearer s3cret"})).text == "in"


@pytest.mark.anyio
async def test_on_loopback_only_loopback_names_are_answered():
    middleware = AccessMiddleware(answer, limits=AssistantLimits())
    async with asking(middleware) as client:
        names = ("localhost:8760", "127.0.0.1", "[::1]:8760", "rebound.example:8760", "127.0.0.1.example", "")
        codes = [(await client.get("/", headers={"host": name})).status_code for name in names]
    assert codes == [200, 200, 200, 421, 421, 421]


@pytest.mark.anyio
async def test_another_program_may_ask_for_suggestions_but_change_nothing():
    middleware = AccessMiddleware(answer, limits=AssistantLimits())
    async with asking(middleware) as client:
        assert (await client.post("/api/suggest", content=b"x")).status_code == 200
        assert (await client.post("/api/images", content=b"x")).status_code == 403
        assert (await client.post("/api/suggest", headers={"origin": "http://evil.example"})).status_code == 403
