"""A queue from its choice to its end: once by keyboard alone, once by mouse, each in another language."""

import pytest
from playwright.sync_api import Page, expect

from ml.assistant.current_decisions import current_decisions
from tests.ml.assistant.pages import axe

pytestmark = pytest.mark.browser
COLOURS = ("saddlebrown", "navy", "darkgreen")
FOCUS = "document.activeElement?.id || document.activeElement?.textContent.trim()"


class Keyboard:
    """Someone without a mouse: everything is reached by Tab or by a key of its own."""

    def __init__(self, page: Page):
        self.page, self.press = page, page.keyboard.press

    def tab_to(self, name: str) -> None:
        """Tab on until the control with this id or text has the focus."""
        for _ in range(150):
            if self.page.evaluate(FOCUS) == name:
                return
            self.press("Tab")
        raise AssertionError(f"{name} is not reached by Tab")

    def choose(self, order: str) -> None:
        self.press("q")
        self.page.wait_for_selector("#dialog-queue[open]")
        assert axe(self.page) == []
        self.tab_to("queue-order")
        for _ in range(4):
            if self.page.input_value("#queue-order") != order:
                self.press("ArrowDown")
        self.tab_to("show-queue")
        self.press("Enter")

    def decide(self, verdict: str) -> None:
        self.press("1")  # the first tree
        self.press({"accepted": "a", "rejected": "Delete"}[verdict])

    def undo(self) -> None:
        self.press("u")

    def finish(self) -> None:
        self.press("d")

    def skip(self) -> None:
        self.tab_to("skip-image")
        self.press("Enter")

    def button(self, name: str) -> None:
        self.tab_to(name)
        self.press("Enter")


class Mouse:
    """Someone who only clicks."""

    def __init__(self, page: Page):
        self.page = page

    def choose(self, order: str) -> None:
        self.page.click("#choose-queue")
        self.page.wait_for_selector("#dialog-queue[open]")
        self.page.select_option("#queue-order", order)  # the list that the system draws is no part of the page
        self.page.click("#show-queue")

    def decide(self, verdict: str) -> None:
        button = {"accepted": ".yes", "rejected": ".no"}[verdict]
        self.page.locator(f"#trees .facet:first-child .suggested {button}").first.click()

    def undo(self) -> None:
        self.page.click("#undo")

    def finish(self) -> None:
        self.page.click("#done")

    def skip(self) -> None:
        self.page.click("#skip-image")

    def button(self, name: str) -> None:
        self.page.get_by_role("button", name=name).click()


@pytest.mark.parametrize(
    ("locale", "way", "queue", "rest", "back", "end"),
    [
        (
            "en-GB",
            Keyboard,
            "Queue: uncertain first",
            "Only skipped images are left",
            "Back to the skipped (1)",
            "All images are done",
        ),
        (
            "ca-ES",
            Mouse,
            "Cua: dubtoses primer",
            "Només queden imatges omeses",
            "Torna a les omeses (1)",
            "Totes les imatges estan fetes",
        ),
    ],
)
def test_a_queue_is_walked_to_its_end(open_page, service, drawn_vase, locale, way, queue, rest, back, end):
    page = open_page(locale)
    files = [{"name": f"{each}.jpg", "mimeType": "image/jpeg", "buffer": drawn_vase(each)} for each in COLOURS]
    page.set_input_files("#files", files)
    expect(page.locator("#queue .thumb")).to_have_count(3)
    page.wait_for_selector("#trees:not([aria-busy]) .suggested")
    person = way(page)
    person.choose("uncertain")
    expect(page.locator("#queue-name")).to_have_text(queue)

    walked = []

    def next_one() -> None:
        page.wait_for_selector("#trees:not([aria-busy]) .suggested")
        walked.append(page.inner_text("#picture-title"))

    def left() -> None:
        expect(page.locator("#picture-title")).not_to_have_text(walked[-1])

    next_one()
    person.decide("accepted")
    expect(page.locator("#chosen .chip")).to_have_count(1)
    person.finish()
    left()
    next_one()
    person.skip()
    left()
    next_one()
    person.decide("accepted")
    expect(page.locator("#chosen .chip")).to_have_count(1)
    person.undo()
    expect(page.locator("#chosen .chip")).to_have_count(0)
    person.decide("rejected")
    expect(page.locator("#chosen details")).to_be_visible()
    person.finish()
    expect(page.locator("#notices")).to_contain_text(rest)
    assert axe(page) == []
    assert sorted(walked) == sorted(f"{each}.jpg" for each in COLOURS)

    person.button(back)
    expect(page.locator("#picture-title")).to_have_text(walked[1])
    page.wait_for_selector("#trees:not([aria-busy]) .suggested")
    person.decide("accepted")
    expect(page.locator("#chosen .chip")).to_have_count(1)
    person.finish()
    expect(page.locator("#notices")).to_contain_text(end)
    rows = {row.title: row for row in service.store.queue()}
    assert [rows[title].state for title in walked] == ["done"] * 3
    made = current_decisions(service.store)
    verdicts = [[each.accepted for each in made[rows[title].image_id]] for title in walked]
    assert verdicts == [[True], [True], [False]]
