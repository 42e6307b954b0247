"""Many images at once, by keyboard alone and by mouse."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.ml.assistant.conftest import vase_picture
from tests.ml.assistant.pages import COPPER, axe, item

pytestmark = pytest.mark.browser
COLOURS = ("saddlebrown", "navy", "gold", "orange")
FILES = [{"name": f"{colour}.jpg", "mimeType": "image/jpeg", "buffer": vase_picture(colour)} for colour in COLOURS]


def with_images(page: Page) -> Page:
    """The page with four images that were added together."""
    page.set_input_files("#files", FILES)
    expect(page.locator("#queue .thumb")).to_have_count(4)
    page.wait_for_selector("#trees:not([aria-busy]) .suggested")
    return page


def test_a_tag_is_accepted_for_many_by_keyboard_alone_and_undone_as_one_step(open_page):
    page = with_images(open_page("ca-ES"))
    page.keyboard.press("2")
    page.keyboard.press("g")
    entries = page.locator("#grid [role=option]")
    expect(entries).to_have_count(4)
    expect(page.locator("#grid-accept")).to_be_disabled()
    expect(entries.first).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#grid-count")).to_have_text("3 de 4 triades")
    assert axe(page) == []
    page.keyboard.press("a")
    expect(page.locator("#grid-state")).to_contain_text("«copper» acceptat per a 3 imatges.")
    expect(page.locator("#grid .accepted")).to_have_count(3)
    expect(entries.nth(2)).to_be_focused()
    page.keyboard.press("u")
    expect(page.locator("#grid-state")).to_contain_text("desfet per a 3 imatges")
    expect(page.locator("#grid .accepted")).to_have_count(0)
    page.keyboard.press("r")
    expect(page.locator("#grid .rejected")).to_have_count(3)
    page.keyboard.press("Enter")  # opens the last one that was chosen
    expect(page.locator("#picture-title")).to_have_text("gold.jpg")
    expect(item(page, COPPER)).to_have_class(re.compile("rejected"))


def test_pictures_like_this_one_are_decided_by_mouse_and_a_colleagues_decision_is_told(open_page):
    page = with_images(open_page())
    page.click("#open-grid")
    page.select_option("#grid-tag", COPPER)
    page.select_option("#grid-of", "like")
    entries = page.locator("#grid [role=option]")
    expect(entries.first).to_have_attribute("title", "saddlebrown.jpg, the image that was open")
    expect(entries.nth(1)).to_have_attribute("title", "orange.jpg")
    colleague = open_page()
    colleague.click("#queue [title='orange.jpg']")
    colleague.wait_for_selector("#trees:not([aria-busy]) .suggested")
    item(colleague, "300010900").locator(".no").first.click()
    expect(colleague.locator("#saved")).to_have_text("Saved")
    entries.first.click()
    entries.nth(2).click(modifiers=["Shift"])
    page.click("#grid-accept")
    expect(page.locator("#grid-state")).to_contain_text("“copper” accepted for 2 images. Not saved for 1")
    expect(page.locator("#grid-state")).to_contain_text("orange.jpg")
    page.click("#grid-undo")
    expect(page.locator("#grid .accepted")).to_have_count(0)
    page.click("#grid-all")
    expect(page.locator("#grid-count")).to_have_text("4 of 4 chosen")
    assert axe(page) == []
    page.click("#grid-accept")
    expect(page.locator("#grid .accepted")).to_have_count(4)
    page.click("#dialog-grid .close")
    expect(item(page, COPPER)).to_have_class(re.compile("accepted"))
