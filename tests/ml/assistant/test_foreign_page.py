"""A page of another origin, in a real browser, tries to use the desk that runs on the same machine."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from ml.assistant.refusals import Busy
from tests.ml.assistant.conftest import vase_picture
from tests.ml.assistant.pages import add, axe
from tests.ml.assistant.test_api import everything_kept
from tests.support.iiif_server import serving

pytestmark = pytest.mark.browser
EXPORT = "/api/export?machine=true&format=csv"
EVIL = Starlette(routes=[Route("/", lambda _: HTMLResponse("<!doctype html><title>evil</title><body>"))])
# Everything that a page can make a browser send without asking, and what it can send only after asking.
ATTACK = """async ([desk, exported, image]) => {
  const said = [];
  const load = (name, attributes) => new Promise((resolve) => {
    const element = Object.assign(document.createElement(name), attributes);
    element.onload = () => { said.push(`${name} loaded`); resolve(); };
    element.onerror = () => resolve();
    document.body.append(element);
  });
  const ask = async (name, path, options) => {
    try {
      const answer = await fetch(desk + path, options);
      if (answer.type !== "opaque") said.push(`${name} read ${answer.status}`);
    } catch { /* blocked by the browser */ }
  };
  await load("img", { src: desk + exported });
  await load("script", { src: `${desk}/api/queue` });
  await load("link", { rel: "stylesheet", href: `${desk}/page/style.css` });
  await ask("no-cors", exported, { mode: "no-cors", credentials: "include" });
  await ask("cors", exported, { credentials: "include" });
  await ask("text", `/api/images/${image}/state`, { method: "POST", mode: "no-cors", body: '{"kind": "done"}' });
  await ask("header", `/api/images/${image}/suggestions`, { method: "POST", headers: { "x-assistant": "1" } });
  await ask("suggest", "/api/suggest", { method: "POST", mode: "no-cors", body: new Blob([new Uint8Array(9)]) });
  const frame = document.createElement("iframe");
  frame.name = "hidden";
  document.body.append(frame);
  const form = Object.assign(document.createElement("form"), {
    action: `${desk}/api/images?who=evil`, method: "POST", enctype: "text/plain", target: "hidden",
  });
  document.body.append(form);
  form.submit();
  const desks = Object.assign(document.createElement("iframe"), { src: desk, id: "desk" });
  await new Promise((resolve) => { desks.onload = resolve; document.body.append(desks); setTimeout(resolve, 3000); });
  await new Promise((resolve) => setTimeout(resolve, 300));
  return said;
}"""


@pytest.fixture(params=["another site", "another port"])
def evil(request, browser: Browser) -> Iterator[Page]:
    """The attacker's page: on another host name, or on another port of the desk's own, which is the same site."""
    with serving(EVIL) as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address.replace("127.0.0.1", "localhost") if request.param == "another site" else address)
        yield page
        context.close()


def test_a_page_of_another_origin_gets_nothing_and_changes_nothing(evil, address, service, client):
    image = client.post("/api/images?who=anna", content=vase_picture()).json()["image"]["image_id"]
    before, refused = everything_kept(service), service.refusals.counts["foreign_page"]
    assert evil.evaluate(ATTACK, [address, EXPORT, image]) == []
    assert "EUFCC" not in [frame.title() for frame in evil.frames]
    evil.evaluate("address => { location = address }", address + EXPORT)
    expect(evil.locator("body")).to_contain_text("Pages of another origin may not use this one.")
    assert service.refusals.counts["foreign_page"] - refused >= 8
    assert service.in_work()["decoders"] == 0
    assert everything_kept(service) == before


def test_a_link_from_another_page_opens_the_desk(evil, address):
    evil.evaluate("address => { location = address }", address)
    evil.wait_for_selector("body[data-ready]")
    expect(evil.get_by_role("heading", name="No images yet")).to_be_visible()


def test_the_status_page_tells_what_was_refused(open_page, address, service):
    service.refusals.counts["busy"] += 321
    page = open_page(locale="ca-ES")
    page.goto(f"{address}/page/status.html")
    page.wait_for_selector("body[data-ready]")
    expect(page.locator("#refused")).to_contain_text("El servidor està ocupat")
    expect(page.locator("#refused")).to_contain_text("321")
    expect(page.locator("#work")).to_contain_text("Imatges que s'estan llegint")
    assert axe(page) == []


def test_the_status_page_has_the_theme_and_the_language_of_the_desk(open_page, address):
    page = open_page()
    page.click("#theme")
    page.select_option("#language", "nl")
    expect(page.locator("html")).to_have_attribute("lang", "nl")
    page.goto(f"{address}/page/status.html")
    page.wait_for_selector("body[data-ready]")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("lang", "nl")


def test_the_page_tries_again_when_the_server_is_busy(open_page, pictures, service, monkeypatch):
    take, refused = service.add, []

    async def busy_once(data: bytes, **values):
        if not refused:
            refused.append(data)
            raise Busy("Other pictures are being read. Try again in a moment.")
        return await take(data, **values)

    monkeypatch.setattr(service, "add", busy_once)
    page = open_page()
    add(page, pictures[:1])
    assert len(refused) == 1
    expect(page.locator("#queue .thumb")).to_have_count(1)
