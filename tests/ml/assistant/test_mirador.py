"""Mirador, a viewer that museums use, shows the pictures of a batch with the tags as annotations."""

import json

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from ml.assistant.schema import images
from tests.ml.assistant.pages import COPPER, add, item
from tests.ml.assistant.viewers import npm_package

pytestmark = [pytest.mark.browser, pytest.mark.long]
MIRADOR = "mirador@3.4.3"
WINDOW = {"defaultSideBarPanel": "annotations", "sideBarOpenByDefault": True, "thumbnailNavigationPosition": "off"}


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> str:
    """Mirador's script from the package index."""
    package = npm_package(MIRADOR, tmp_path_factory.mktemp("mirador"))
    return (package / "dist" / "mirador.min.js").read_text(encoding="utf-8")


def test_mirador_shows_the_canvas_and_its_tags(open_page, address, service, pictures, script):
    page = open_page()
    add(page, pictures[:1])
    item(page, COPPER).locator(".yes").first.click()
    expect(page.locator("#saved")).to_have_text("Saved")
    canvas = {"manifest": "https://iiif.example/m", "canvas": "https://iiif.example/canvas/1", "canvas_width": 4000}
    with service.store.writing() as connection:
        connection.execute(sa.update(images).values(canvas | {"canvas_height": 3000}))
    config = {"id": "viewer", "windows": [{"manifestId": f"{address}/iiif/manifest?manifest={canvas['manifest']}"}]}
    config |= {"window": WINDOW}
    start = f"<script>Mirador.viewer({json.dumps(config)})</script>"
    viewer = f'<!doctype html><div id="viewer"></div><script src="/mirador.js"></script>{start}'
    page.route("**/mirador.html", lambda route: route.fulfill(body=viewer, content_type="text/html"))
    page.route("**/mirador.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    page.goto(f"{address}/mirador.html")
    expect(page.locator(".mirador-window")).to_contain_text("vase saddlebrown.jpg")
    expect(page.get_by_text("copper").first).to_be_visible()
    expect(page.locator(".mirador-window canvas").first).to_be_visible()
