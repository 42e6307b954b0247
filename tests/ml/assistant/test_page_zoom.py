"""The picture seen closely, by keyboard alone and by mouse; it stays where it is while the tree is used."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.ml.assistant.image_servers import other_museums, red
from tests.ml.assistant.pages import add, axe

pytestmark = pytest.mark.browser
COUNT = """() => {
  window.told = 0; // how often the note, which is read aloud, is written
  const count = new MutationObserver((all) => { told += all.length; });
  count.observe(document.querySelector("#zoom-note"), { childList: true });
}"""
PART = """() => {
  const viewer = globalThis.OpenSeadragon?.getViewer("viewer");
  const item = viewer?.world.getItemAt(viewer.world.getItemCount() - 1);
  if (!item) return null;
  const { x, y, width, height } = item.viewportToImageRectangle(viewer.viewport.getBounds());
  return { x, y, width, height, degrees: viewer.viewport.getRotation() };
}"""
LARGE = {"name": "scroll.jpg", "mimeType": "image/jpeg", "buffer": red(0, 6_000, 2_000)}


def part(page: Page) -> dict:
    """The part of the picture in view, in its pixels."""
    return page.evaluate(PART)


def part_when(page: Page, holds: Callable[[dict], bool]) -> dict:
    """The part in view once this holds for it, after at most five seconds."""
    for _ in range(100):
        if holds(found := part(page)):
            return found
        page.wait_for_timeout(50)
    raise AssertionError(found)


def seen(page: Page, size: str = r"6.000 × 2.000 px") -> None:
    """Wait until the closer view is there, with the tiles of the largest picture, which has this size."""
    expect(page.locator("#zoom-level")).to_have_text(re.compile(r"\d"))
    expect(page.locator("#zoom-note")).to_have_text(re.compile(size or "^$"))


def test_a_picture_is_seen_closely_by_keyboard_alone(open_page):
    page = open_page("ca-ES")
    add(page, [LARGE])
    page.keyboard.press("z")
    seen(page)
    expect(page.locator("#zoom-note")).to_contain_text("Es mostra a 6.000 × 2.000 px")
    whole = part(page)
    assert whole["width"] >= 5_999
    page.evaluate(COUNT)
    for _ in range(3):
        page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    close = part(page)
    page.wait_for_timeout(100)  # some frames
    assert page.evaluate("told") == 0
    assert close["width"] == pytest.approx(whole["width"] / 1.5**3, rel=0.01)
    assert close["x"] > whole["x"]
    page.keyboard.press("r")
    assert part(page)["degrees"] == 90
    page.keyboard.press("r")
    turned = part(page)
    page.keyboard.press("2")  # the tree is used, in another language too, and the picture stays
    page.keyboard.press("a")
    expect(page.locator("#tree-materials .accepted")).to_have_count(1)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.select_option("#language", "en")
    expect(page.locator("#zoom-note")).to_contain_text("Shown at 6,000 × 2,000 px")
    assert part(page) == turned
    page.keyboard.press("Escape")
    page.locator("#tree-materials [tabindex='0']").focus()
    page.keyboard.press("0")
    assert part(page)["degrees"] == 0
    assert part(page)["width"] == pytest.approx(whole["width"])
    page.keyboard.press("z")
    page.keyboard.press("l")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert (
        page.locator("#viewer canvas")
        .first.evaluate("(each) => getComputedStyle(each).filter")
        .startswith("brightness(1.2)")
    )
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#light")).to_be_focused()
    page.keyboard.press("z")
    page.keyboard.press("f")
    expect(page.locator("#figure")).to_have_class("full")
    assert axe(page) == []
    page.keyboard.press("Tab")
    expect(page.locator("#smaller")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#figure")).not_to_have_class("full")


def test_a_picture_is_seen_closely_by_mouse(open_page, pictures):
    page = open_page()
    add(page, [LARGE, pictures[0]])
    frame = page.locator("#frame").bounding_box()
    page.mouse.move(frame["x"] + frame["width"] * 0.75, frame["y"] + frame["height"] / 2)
    page.mouse.wheel(0, 50)  # nothing can become smaller: the page scrolls
    page.wait_for_timeout(100)
    assert page.evaluate("scrollY") > 0
    page.evaluate("scrollTo(0, 0)")
    page.mouse.wheel(0, -200)
    seen(page)
    for _ in range(4):
        page.mouse.wheel(0, -200)
    before = part_when(page, lambda each: each["width"] < 3_000)
    assert before["x"] + before["width"] / 2 > 3_000  # towards the pointer
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.5, frame["y"] + frame["height"] / 2, steps=3)
    page.mouse.up()
    part_when(page, lambda each: each["x"] > before["x"] + 50)
    page.locator("#tree-materials .suggested > .node .yes").first.click()
    expect(page.locator("#tree-materials .accepted")).to_have_count(1)
    page.click("#turn")
    assert part(page)["degrees"] == 90
    page.click("#light")
    page.locator("#contrast").fill("150")
    page.click("#light-reset")
    expect(page.locator("#contrast")).to_have_value("100")
    page.click("#full")
    expect(page.locator("#figure")).to_have_class("full")
    page.click("#full")
    page.click("#next")
    expect(page.locator("#picture-title")).to_have_text(pictures[0]["name"])
    expect(page.locator("#zoom-level")).to_be_empty()  # another picture begins as a whole
    page.click("#larger")
    seen(page, "")  # it has no more pixels than are told above


def test_a_picture_is_seen_closely_by_two_fingers(open_page):
    page = open_page(viewport={"width": 768, "height": 1_024}, has_touch=True)
    add(page, [LARGE])
    box = page.locator("#frame").bounding_box()
    screen = page.context.new_cdp_session(page)

    def touch(kind: str, apart: int | None = None) -> None:
        middle, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        points = [] if apart is None else [{"x": middle + each * apart, "y": y, "id": each} for each in (-1, 1)]
        screen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def pinch() -> None:
        touch("touchStart", 40)
        for apart in range(48, 121, 8):
            touch("touchMove", apart)
        touch("touchEnd")

    pinch()
    seen(page)
    before = part(page)
    pinch()
    part_when(page, lambda each: each["width"] < before["width"] / 2)


def test_the_library_is_not_loaded_before_it_is_used_and_the_page_is_small(open_page):
    page = open_page()
    names = page.evaluate("performance.getEntriesByType('resource').map((entry) => [entry.name, entry.transferSize])")
    assert not [name for name, _ in names if "openseadragon" in name]
    page.reload()
    page.wait_for_selector("body[data-ready]")
    sizes = "performance.getEntriesByType('resource').map((entry) => entry.decodedBodySize)"
    assert sum(page.evaluate(sizes)) + len(page.content()) < 300_000


def test_an_image_left_and_opened_again_while_the_library_loads_has_one_viewer(open_page, pictures):
    page, held = open_page(), []
    add(page, pictures)
    page.route("**/openseadragon.min.js", lambda route: held.append(route))
    page.keyboard.press("z")
    page.keyboard.press("n")
    expect(page.locator("#picture-title")).to_have_text(pictures[1]["name"])
    page.keyboard.press("p")
    expect(page.locator("#picture-title")).to_have_text(pictures[0]["name"])
    page.keyboard.press("z")
    held[0].continue_()
    seen(page, "")
    page.keyboard.press("+")
    part_when(page, lambda each: each["width"] < 600)
    expect(page.locator("#viewer .openseadragon-container")).to_have_count(1)


def test_an_image_service_that_lies_leaves_the_kept_picture_and_a_sentence(service, request, tmp_path):
    with other_museums(tmp_path) as (_, remote):
        service.remote_images = remote
        page = request.getfixturevalue("open_page")()
        page.click(".queue .add")
        page.fill("#address", "http://iiif.example/iiif/liar/info.json")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#picture-title")).to_have_text("liar")
        page.keyboard.press("z")
        expect(page.locator("#zoom-note")).to_contain_text("The image service sends wrong parts of the picture.")
        expect(page.locator("#zoom-note")).to_contain_text("Shown at 1,024 × 82 px.")
        page.keyboard.press("+")
        seen(page, "1,024")
