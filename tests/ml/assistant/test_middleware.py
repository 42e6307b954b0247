"""Access control: rates, tokens, host names."""

import httpx
import pytest
from starlette.responses import PlainTextResponse

from ml.assistant.access import Access
from ml.assistant.limits import AssistantLimits
from ml.assistant.middleware import AccessMiddleware
from ml.assistant.refusals import Refusals


async def answer(scope, receive, send):
    """An application behind the middleware."""
    await PlainTextResponse("in")(scope, receive, send)


@pytest.fixture
def anyio_backend():
    return "asyncio"


def guarded(app=answer, *, limits=None, **options) -> AccessMiddleware:
    return AccessMiddleware(app, limits=limits or AssistantLimits(), refusals=Refusals(), **options)


def asking(middleware: AccessMiddleware) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(middleware), base_url="http://127.0.0.1:8760")


@pytest.mark.anyio
async def test_a_burst_is_taken_then_429_until_time_has_passed():
    now = [0.0]
    middleware = guarded(limits=AssistantLimits(requests_per_second=2, request_burst=3), clock=lambda: now[0])
    async with asking(middleware) as client:
        assert [(await client.get("/")).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
        now[0] = 0.5
        refused = [await client.get("/") for _ in range(2)]
    assert [response.status_code for response in refused] == [200, 429]
    assert refused[1].headers["retry-after"] == "1"


@pytest.mark.anyio
async def test_with_a_token_nobody_enters_without_it():
    middleware = guarded(access=Access("s3cret"))
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
    middleware = guarded()
    async with asking(middleware) as client:
        names = ("localhost:8760", "127.0.0.1", "[::1]:8760", "rebound.example:8760", "127.0.0.1.example", "")
        codes = [(await client.get("/", headers={"host": name})).status_code for name in names]
    assert codes == [200, 200, 200, 421, 421, 421]


@pytest.mark.anyio
async def test_another_program_may_ask_for_suggestions_but_change_nothing():
    middleware = guarded()
    async with asking(middleware) as client:
        assert (await client.post("/api/suggest", content=b"x")).status_code == 200
        assert (await client.post("/api/images", content=b"x")).status_code == 403
        assert (await client.post("/api/suggest", headers={"origin": "http://evil.example"})).status_code == 403


@pytest.mark.anyio
async def test_a_page_of_another_site_reads_and_asks_for_nothing():
    async with asking(guarded()) as client:
        by = {"sec-fetch-site": "cross-site"}
        link = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
        assert (await client.get("/", headers=by | link)).status_code == 200  # a link to the desk
        assert (await client.get("/", headers=by | link | {"sec-fetch-dest": "iframe"})).status_code == 403
        for site in ("cross-site", "same-site"):
            asked = {"sec-fetch-site": site}
            assert (await client.get("/api/export?machine=true", headers=asked | link)).status_code == 403
            assert (await client.get("/api/export?machine=true", headers=asked)).status_code == 403
        assert (await client.get("/api/queue", headers={"origin": "http://evil.example"})).status_code == 403
        assert (await client.get("/api/queue", headers={"sec-fetch-site": "same-origin"})).status_code == 200
        assert (await client.get("/reconcile", headers=by | {"origin": "http://127.0.0.1:3333"})).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize(
    "origin", ["http://[", "http://]", "null", "", "http://", "://", "http://127.0.0.1:8760:1", "\xff"]
)
async def test_an_origin_that_cannot_be_read_is_another_origin(origin):
    async with asking(guarded()) as client:
        answer = await client.post("/api/images", headers={"origin": origin.encode("latin-1"), "x-assistant": "1"})
    assert answer.status_code == 403


@pytest.mark.anyio
async def test_with_names_given_only_these_are_answered():
    async with asking(guarded(access=Access("s3cret"), hosts=["desk.example"])) as client:
        bearer = {"authorization": "Bearer s3cret"}
        names = ("desk.example", "DESK.example:443", "127.0.0.1", "other.example")
        codes = [(await client.get("/", headers=bearer | {"host": name})).status_code for name in names]
    assert codes == [200, 200, 200, 421]


@pytest.mark.anyio
async def test_a_visitor_reads_a_refusal_in_their_language():
    async with asking(guarded(access=Access("s3cret"))) as client:
        browser = {"accept": "text/html,*/*;q=0.8", "accept-language": "ca-ES,ca;q=0.9,en;q=0.5"}
        answer = await client.get("/", headers=browser)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert "o obriu l&#x27;adreça amb el testimoni" in answer.text
        assert "open the address" in (await client.get("/", headers=browser | {"accept-language": "ja"})).text
        assert (await client.get("/")).json()["error"] == "no_token"
