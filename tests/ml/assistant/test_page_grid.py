"""Many images at once, by keyboard alone and by mouse."""

import re

import pytest
from playwright.sync_api import Page, expect

from ml.assistant.store import NewImage
from tests.ml.assistant.conftest import vase_picture
from tests.ml.assistant.pages import COPPER, axe, item

pytestmark = pytest.mark.browser
COLOURS = ("saddlebrown", "navy", "gold", "orange")
FILES = [{"name": f"{colour}.jpg", "mimeType": "image/jpeg", "buffer": vase_picture(colour)} for colour in COLOURS]

SMALL = vase_picture(size=(64, 64))


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


def test_pictures_keep_their_height_where_the_window_does_not_hold_them(open_page):
    page = with_images(open_page(viewport={"width": 390, "height": 560}))
    page.click("#open-grid")
    expect(page.locator("#grid [role=option]")).to_have_count(4)
    heights = page.locator("#grid [role=option]").evaluate_all("all => all.map((each) => each.offsetHeight)")
    assert min(heights) > 105  # the picture's own height


def test_the_grid_says_that_it_needs_a_tag(service, request):
    service.blind_share = 1.0
    page = request.getfixturevalue("open_page")()
    expect(page.locator("#open-grid")).to_be_hidden()  # there is no image
    page.set_input_files("#files", FILES[:1])
    expect(page.locator("#model-note")).to_contain_text("No suggestions")
    page.click("#open-grid")
    expect(page.locator("#notices")).to_contain_text("Accept a tag for this image first")


def test_the_place_in_a_long_queue_stays_when_the_grid_is_left_and_when_images_are_added(open_page, address, service):
    ids = [service.store.add_image(NewImage(f"{n:064x}", 64, 64, batch="all")).image_id for n in range(205)]
    for each in ids:
        service.pictures.keep(each, SMALL)
    page = open_page()
    page.goto(f"{address}/#image={ids[203]}")
    here = page.locator(f"#queue [aria-current=true]:has(img[src*='{ids[203]}'])")
    expect(here).to_have_count(1)
    page.keyboard.press("/")
    page.keyboard.type("copper")
    page.wait_for_selector("#hits [role=option]")
    page.keyboard.press("Enter")
    page.keyboard.press("g")
    expect(page.locator("#grid [role=option]").first).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("a")
    expect(page.locator("#grid .accepted")).to_have_count(1)
    with page.expect_response("**/api/queue?**"):
        page.keyboard.press("Escape")
    page.wait_for_selector("#trees:not([aria-busy])")
    expect(here).to_have_count(1)
    page.set_input_files("#files", FILES[:1])
    expect(page.locator("#progress-text")).to_have_text("0 of 206 done")
    expect(here).to_have_count(1)
    expect(page.locator("#previous")).to_be_enabled()
