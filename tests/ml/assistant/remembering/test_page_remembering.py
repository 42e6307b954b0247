"""A cataloguer teaches the model a tag: ten decisions, the suggestions change, the pictures say why, undo undoes."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.ml.assistant.pages import axe, item
from tests.ml.assistant.remembering.desk import (
    GOLD,
    NEW_COLOUR,
    RIGHTS,
    SILVER,
    drawn,
)
from tests.ml.torch_threads import one_thread  # noqa: F401

pytestmark = [pytest.mark.browser, pytest.mark.long]
TAUGHT = 10


def shown(page: Page, number: int) -> None:
    """Go to an image, and wait for its suggestions."""
    with page.expect_response(re.compile("suggestions")):
        page.locator("#queue .thumb").nth(number).click()
    page.wait_for_selector("#trees:not([aria-busy]) .suggested")


def place(page: Page, tag: str) -> int:
    """The place of a tag among the suggestions of its facet; 11 where it is not suggested."""
    label = item(page, tag).get_attribute("aria-label") if item(page, tag).count() else None
    said = re.search(r"place (\d+)", label or "")
    return int(said[1]) if said else 11


def why(page: Page, tag: str):
    """The dialog about a tag, with its pictures."""
    item(page, tag).locator(".about").first.click()
    dialog = page.locator("#dialog-tag")
    expect(dialog.locator(".gallery")).not_to_contain_text("Comparing")
    return dialog


def test_ten_decisions_teach_a_tag_and_the_page_shows_what_was_learned(open_page):
    page = open_page()
    names = [f"orchid {number}.jpg" for number in range(TAUGHT + 1)]
    files = [
        {"name": name, "mimeType": "image/jpeg", "buffer": drawn(NEW_COLOUR, number, (640, 480))}
        for number, name in enumerate(names)
    ]
    page.set_input_files("#files", files)
    expect(page.locator("#queue .thumb")).to_have_count(len(files))
    shown(page, TAUGHT)
    before = place(page, SILVER)
    assert before > 5
    for number in range(TAUGHT):
        shown(page, number)
        page.fill("#search", "silver")
        page.locator("#hits [role=option]").first.click()
        with page.expect_response(re.compile("decisions")):
            item(page, SILVER).locator(".yes").first.click()
    shown(page, TAUGHT)
    assert place(page, SILVER) <= 5
    dialog = why(page, SILVER)
    expect(dialog.locator("#evidence-title")).to_have_text("The most similar confirmed pictures with this tag")
    expect(dialog.locator(".gallery figure")).to_have_count(4)  # the image itself, and three
    expect(dialog.locator(".gallery figure").nth(1)).to_contain_text("decided at this desk")
    expect(dialog.locator(".gallery figure").nth(1)).to_contain_text("rights not stated")
    assert axe(page) == []
    page.keyboard.press("Escape")
    dialog = why(page, GOLD)
    expect(dialog.locator(".gallery figure").nth(1)).to_contain_text("training image")
    expect(dialog.locator(".gallery figure").nth(1).get_by_role("link", name="CC0 1.0")).to_have_attribute(
        "href", RIGHTS.replace("http:", "https:")
    )
    page.keyboard.press("Escape")
    for number in range(TAUGHT):
        shown(page, number)
        with page.expect_response(re.compile("undo")):
            page.click("#undo")
    shown(page, TAUGHT)
    assert place(page, SILVER) == before
