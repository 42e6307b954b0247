"""The page's queues: chosen by mouse and by keyboard, left and opened again at the same place."""

import re

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from ml.assistant.schema import images
from tests.ml.assistant.pages import axe

pytestmark = pytest.mark.browser
COLOURS = ("saddlebrown", "navy", "darkgreen", "crimson")


@pytest.fixture
def filled(open_page, service, drawn_vase):
    """Opens the page with four pictures of two institutions in the queue."""

    def make(locale: str) -> Page:
        page = open_page(locale)
        files = [{"name": f"{each}.jpg", "mimeType": "image/jpeg", "buffer": drawn_vase(each)} for each in COLOURS]
        page.set_input_files("#files", files)
        expect(page.locator("#queue .thumb")).to_have_count(4)
        with service.store.writing() as connection:
            for name, titles in (("MNAC", COLOURS[:3]), ("Prado", COLOURS[3:])):
                chosen = images.c.title.in_([f"{each}.jpg" for each in titles])
                connection.execute(sa.update(images).where(chosen).values(attribution=name))
        return page

    return make


def titles(page: Page) -> list[str]:
    return [label.split(".")[0] for label in page.locator("#queue .thumb").evaluate_all("all => all.map(e => e.title)")]


def choose(page: Page, by_keyboard: bool, choices: dict[str, str]) -> None:
    if by_keyboard:
        page.keyboard.press("q")
    else:
        page.click("#choose-queue")
    page.wait_for_selector("#dialog-queue[open]")
    assert axe(page) == []
    for select, value in choices.items():
        page.select_option(f"#queue-{select}", value)
    if by_keyboard:
        page.locator("#show-queue").focus()
        page.keyboard.press("Enter")
    else:
        page.click("#show-queue")
    page.wait_for_selector("#trees:not([aria-busy])", state="attached")


@pytest.mark.parametrize(
    ("locale", "by_keyboard", "name", "back"),
    [
        ("en-GB", True, "Queue: MNAC · uncertain first", "Back to the skipped (2)"),
        ("ca-ES", False, "Cua: MNAC · dubtoses primer", "Torna a les omeses (2)"),
    ],
)
def test_a_queue_is_chosen_left_and_opened_at_the_same_place(filled, address, service, locale, by_keyboard, name, back):
    page = filled(locale)
    choose(page, by_keyboard, {"provider": "MNAC", "order": "uncertain"})
    expect(page.locator("#queue-name")).to_have_text(name)
    expect(page.locator("#queue .thumb")).to_have_count(3)
    expect(page.locator("#progress-text")).to_have_text(re.compile("^0 (of|de) 3"))
    choose(page, by_keyboard, {})  # again, when the model has ranked them
    order = [row.title.split(".")[0] for row in service.store.queue() if row.attribution == "MNAC"]
    assert sorted(titles(page)) == sorted(order)

    page.locator("#queue .thumb").nth(1).click()
    expect(page.locator("#picture-title")).to_have_text(page.locator("#queue .thumb").nth(1).get_attribute("title"))
    place, shown, kept = page.url, page.inner_text("#picture-title"), titles(page)
    page.goto("about:blank")
    page.goto(place)
    page.wait_for_selector("#trees:not([aria-busy]) .suggested")
    assert (page.inner_text("#picture-title"), titles(page)) == (shown, kept)
    expect(page.locator("#queue-name")).to_have_text(name)

    for button in ("#skip-image", "#skip-image", "#done"):
        before = page.inner_text("#picture-title")
        if by_keyboard and button == "#done":
            page.keyboard.press("d")
        else:
            page.click(button)
        if button != "#done":
            expect(page.locator("#picture-title")).not_to_have_text(before)
    page.get_by_role("button", name=back).click()
    expect(page.locator("#queue .thumb")).to_have_count(2)
    expect(page.locator("#queue .thumb[data-state=skipped]")).to_have_count(2)
    assert axe(page) == []

    choose(page, by_keyboard, {"provider": "Prado", "state": "done"})
    expect(page.locator("#empty-queue")).to_be_visible()
    assert axe(page) == []
    choose(page, by_keyboard, {"state": "", "provider": ""})  # also from a queue without images
    expect(page.locator("#queue .thumb")).to_have_count(4)
