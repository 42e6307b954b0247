"""The report without script, as it is printed, saved as PDF, or read where script is switched off."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from pypdf import PdfReader

from tests.ml.assistant.pages import CHROMIUM, FLAGS

pytestmark = pytest.mark.browser
# Of a chart each: what is written along its axes, or the names of its rows, terms or museums.
WORDS = (
    "R-Precision, mean over facets",
    "R-Precision among tags of that depth",
    "training images of the tag",
    "lost to the pictures",
    "inner test images",
    "rank of the tag in its facet",
    "images of the tag",
    "Museum's name",
)
BLUE = (0, 114, 178)


@pytest.fixture(scope="module")
def page(report: Path) -> Iterator[Page]:
    """The report on a phone's screen in the dark, with script switched off."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(
            viewport={"width": 390, "height": 844}, color_scheme="dark", java_script_enabled=False, offline=True
        )
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.goto((report / "report.html").as_uri())
        yield page
        browser.close()


def test_a_saved_pdf_has_the_words_of_every_chart(page: Page):
    text = "\n".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(page.pdf(format="A4"))).pages)
    assert [words for words in WORDS if words not in text] == []
    assert "Support: the share of the right tags" in text.replace("\n", " ")  # what is folded away on the screen


def test_charts_are_seen_without_script_on_screen_and_paper(page: Page):
    for media in ("screen", "print"):
        page.emulate_media(media=media, color_scheme="dark" if media == "screen" else "light")
        chart = page.locator("figure .static").first
        picture = Image.open(io.BytesIO(chart.screenshot())).convert("RGB")
        colours = {colour: n for n, colour in picture.getcolors(maxcolors=1 << 20)}
        assert colours.get(BLUE, 0) > 50  # the points of the inner test
        assert max(colours, key=colours.get) == ((21, 23, 26) if media == "screen" else (255, 255, 255))
        assert page.locator("figure .chart").first.is_hidden()


def test_on_a_phone_a_chart_scrolls_and_the_page_does_not(page: Page):
    page.emulate_media(media="screen")
    box = page.locator("figure .static svg").first.bounding_box()
    assert box["width"] >= 500  # a chart shrunk to a phone's width could not be read
    assert page.locator("main").bounding_box()["width"] <= 390
