"""The report in a browser: on a phone, by keyboard, in the dark, and to a screen reader."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from ml.report.write import write_report
from tests.ml.assistant.pages import CHROMIUM, FLAGS, axe
from tests.ml.published_run import write_published_storage
from tests.ml.scored import FAST

pytestmark = pytest.mark.browser
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def open_report(report: Path) -> Iterator[Callable[..., Page]]:
    """Opens report.html from the disk, without a network; what it asks for elsewhere, or breaks on, fails the test."""
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

        def make(viewport: dict[str, int], scheme: str = "light", folder: Path = report) -> Page:
            context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce", offline=True)
            context.set_default_timeout(120_000)  # a loaded machine draws slowly
            page = context.new_page()
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("request", lambda request: problems.append(request.url) if "://" in request.url[5:] else None)
            page.goto((folder / "report.html").as_uri())
            return page

        yield make
        browser.close()
    assert [url for url in problems if not url.startswith("file://")] == []


def draw_all(page: Page) -> None:
    """Charts draw when they come near the screen."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    for chart in page.locator("figure:has(.chart)").all():
        chart.scroll_into_view_if_needed()
        chart.locator(".chart svg.main-svg").first.wait_for()


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.long), "dark"])
def test_nothing_is_objected_to_by_axe(open_report, scheme):
    page = open_report(DESKTOP, scheme)  # a chart is one image to a screen reader: those below are not drawn
    assert axe(page) == []


def test_the_paper_s_tables_and_the_leaks_are_readable_too(open_report, museum, once, tmp_path):
    storage = once("published_storage", lambda folder: write_published_storage(museum, folder))
    write_report(storage, tmp_path, FAST)
    assert axe(open_report(DESKTOP, "dark", tmp_path)) == []
    page = open_report(PHONE, folder=tmp_path)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    [difference, *_] = page.locator("#table-published_1 + .scroll tr.change td.ahead").all()
    assert difference.inner_text()[0] in "+−"
    assert page.locator(".leak img").evaluate_all("all => all.every((one) => one.naturalWidth > 0)")


def test_a_phone_scrolls_tables_not_the_page(open_report):
    page = open_report(PHONE)
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    wide = page.locator(".scroll").evaluate_all("parts => parts.filter((p) => p.scrollWidth > p.clientWidth).length")
    assert wide > 0
    page.locator(".scroll").first.evaluate("part => { part.scrollLeft = 500; }")
    name = page.locator(".scroll tbody tr:not(.head) th").first.bounding_box()
    assert name["x"] >= 0  # the row's name stays in sight


def test_it_is_read_by_keyboard(open_report):
    page = open_report(DESKTOP)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#results"
    page.keyboard.press("Enter")
    assert page.locator("#results").bounding_box()["y"] < 200
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.className || document.activeElement.tagName"))
    assert {"scroll", "SUMMARY"} <= seen


def test_the_dark_page_is_dark_and_its_charts_follow(open_report):
    page = open_report(DESKTOP, "dark")
    page.locator("figure:has(.chart)").first.scroll_into_view_if_needed()
    page.wait_for_selector(".chart .xtick text")
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 26)"
    label = page.locator(".chart .xtick text").first
    assert label.evaluate("text => getComputedStyle(text).fill") == ink
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"getComputedStyle(document.querySelector('.chart .xtick text')).fill !== '{ink}'")
