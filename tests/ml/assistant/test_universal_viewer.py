"""Universal Viewer, which libraries and museums use, shows the pictures of a batch with their tags."""

import json
import mimetypes
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.ml.assistant.pages import COPPER, add, item
from tests.ml.assistant.viewers import npm_package

pytestmark = [pytest.mark.browser, pytest.mark.long]
VIEWER = "universalviewer@4.4.0"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """The viewer's files from the package index."""
    return npm_package(VIEWER, tmp_path_factory.mktemp("universalviewer")) / "dist"


def test_universal_viewer_shows_the_canvas_and_its_tags(open_page, address, service, pictures, files):
    page = open_page()
    add(page, pictures)
    item(page, COPPER).locator(".yes").first.click()
    expect(page.locator("#saved")).to_have_text("Saved")
    manifest = f"{address}/iiif/manifest?batch={service.store.queue()[0].batch}"
    start = f"UV.init('uv', {{manifest: {json.dumps(manifest)}}})"
    viewer = (
        '<!doctype html><link rel="stylesheet" href="/uv/uv.css"><body style="margin:0">'
        '<div id="uv" class="uv" style="width:1200px;height:700px"></div>'
        f'<script src="/uv/umd/UV.js"></script><script>{start}</script>'
    )

    def answer(route: Route) -> None:
        name = route.request.url.split("/uv/")[1].split("?")[0]
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        route.fulfill(body=(files / name).read_bytes(), content_type=kind)

    page.route("**/uv/**", answer)
    page.route("**/viewer.html", lambda route: route.fulfill(body=viewer, content_type="text/html"))
    page.goto(f"{address}/viewer.html")
    expect(page.locator("#uv canvas").first).to_be_visible(timeout=60_000)
    expect(page.locator("#uv .centerPanel")).to_contain_text("vase saddlebrown.jpg")
    thumbnails = page.locator("#uv .thumb img")
    expect(thumbnails).to_have_count(2)
    for thumbnail in thumbnails.all():
        expect(thumbnail).to_have_js_property("naturalWidth", 171)  # of the desk's own thumbnail
    page.locator("#uv .rightPanel .expandButton").click()
    expect(page.locator("#uv .rightPanel")).to_contain_text("copper")
