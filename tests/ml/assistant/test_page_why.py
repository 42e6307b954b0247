"""Why a tag: how often such suggestions were right, its place in the hierarchy, and the nearest pictures with it."""

import re

import pytest
from playwright.sync_api import expect

from ml.assistant.service import AssistantService
from tests.ml.assistant.copper_vases import COPPER, RIGHTS, copper_desk
from tests.ml.assistant.pages import PORTRAITS, add, axe, item, saved

pytestmark = pytest.mark.browser


@pytest.fixture
def service(tmp_path, vocabulary, store) -> AssistantService:
    """A service with a dataset of three copper vases, whose model was calibrated in two facets."""
    return copper_desk(tmp_path, vocabulary, store)


def test_why_is_asked_and_answered_by_keyboard_alone(open_page, pictures):
    page = open_page("de-DE")
    add(page, pictures[:1])
    page.keyboard.press("2")
    copper = item(page, COPPER)
    assert "vorgeschlagen, Platz 1, etwa 8 von zehn richtig" in copper.get_attribute("aria-label")
    expect(page.locator("#legend")).to_be_visible()
    page.keyboard.press("i")
    dialog = page.locator("#dialog-tag")
    expect(dialog.locator(".worth")).to_contain_text("8/10 Von zehn Vorschlägen mit dieser Sicherheit waren etwa 8")
    expect(dialog.locator(".hierarchy strong")).to_have_text("Kupfer")
    expect(dialog.locator(".gallery figure")).to_have_count(4)  # the image itself, then the nearest
    nearest = dialog.locator(".gallery figure").nth(1)
    expect(nearest).to_contain_text("Brown vase")
    expect(nearest).to_contain_text("City Museum")
    expect(nearest.get_by_role("link", name="CC BY-SA 4.0")).to_have_attribute(
        "href", RIGHTS.replace("http:", "https:")
    )
    expect(dialog.locator(".gallery figure").nth(2)).to_contain_text("Rechte nicht angegeben")
    assert axe(page) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # past close and the link to the AAT: accept
    expect(copper).to_have_class(re.compile("accepted"))


def test_why_is_asked_by_mouse_and_an_image_decided_here_counts(open_page, pictures):
    page = open_page()
    add(page, pictures)
    expect(item(page, COPPER).locator(".score").first).to_have_text("8/10")
    expect(item(page, COPPER).locator(".score").first).to_have_attribute("title", re.compile("about 8 were right"))
    expect(page.locator("#item-300011014 > .node .score")).to_have_count(0)  # the tag above was not counted
    expect(item(page, PORTRAITS).locator(".score").first).to_have_text(re.compile(r"0\.\d\d"))
    item(page, COPPER).locator(".yes").first.click()
    saved(page)
    page.click("#next")
    expect(page.locator("#picture-title")).to_have_text("vase navy.jpg")
    page.fill("#search", "copper")
    page.locator("#hits [role=option]").first.click()
    item(page, COPPER).locator(".about").first.click()
    dialog = page.locator("#dialog-tag")
    expect(dialog.locator(".gallery")).to_contain_text("vase saddlebrown.jpg")
    expect(dialog.locator(".gallery")).to_contain_text("decided at this desk")
    page.keyboard.press("Escape")
    page.route("**/evidence", lambda route: route.abort())
    item(page, COPPER).locator(".about").first.click()
    expect(dialog.locator(".gallery")).to_have_text("The server does not answer.")
