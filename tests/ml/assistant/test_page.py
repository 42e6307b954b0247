"""The page in a browser: what a cataloguer does, by mouse and by keyboard, in Catalan and in English."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.ml.assistant.conftest import served
from tests.ml.assistant.pages import COPPER, PORTRAITS, add, axe, item, saved

pytestmark = pytest.mark.browser
DIALOGS = {
    "add": ".queue .add",
    "queue": "#choose-queue",
    "grid": "#open-grid",
    "export": "#export",
    "shortcuts": "#shortcuts",
}


def test_uploaded_images_come_with_highlighted_trees_and_closed_branches(open_page, pictures):
    page = open_page()
    expect(page.get_by_role("heading", name="No images yet")).to_be_visible()
    add(page, pictures)
    expect(page.locator("#facet-materials .suggested")).to_have_count(10)
    copper = item(page, COPPER)
    assert copper.get_attribute("aria-label").startswith("copper, suggested, place 1, score 0.99")
    assert copper.get_attribute("aria-level") == "3"
    expect(page.locator("#progress-text")).to_have_text("0 of 2 done")
    expect(page.locator("#queue .thumb")).to_have_count(2)
    expect(page.locator("#facet-object_types .more").last).to_contain_text("10 more")


def test_more_opens_what_was_closed(open_page, pictures):
    page = open_page()
    add(page, pictures[:1])
    before = page.locator("#tree-object_types > [role=treeitem]").count()
    page.locator("#tree-object_types > .more").click()
    expect(page.locator("#tree-object_types > [role=treeitem]")).to_have_count(before + 9)
    assert item(page, "300041273").get_attribute("aria-setsize")  # prints, at the top


def test_the_tree_is_walked_by_keyboard_with_one_tab_stop(open_page, pictures):
    page = open_page()
    add(page, pictures[:1])
    for facet in ("object_types", "materials", "classifications", "subjects"):
        assert page.locator(f"#tree-{facet} [tabindex='0']").count() == 1
    page.keyboard.press("2")
    focused = lambda: page.evaluate("document.activeElement.dataset.key")  # noqa: E731
    assert focused() == COPPER
    page.keyboard.press("ArrowLeft")
    assert focused() == "300011014"  # nonferrous metal
    page.keyboard.press("ArrowLeft")  # closes it
    assert item(page, "300011014").get_attribute("aria-expanded") == "false"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert focused() == COPPER
    page.keyboard.press("Home")
    assert item(page, focused()).get_attribute("aria-posinset") == "1"
    page.keyboard.press("End")
    assert focused().startswith("more:")
    page.keyboard.press("Home")
    page.keyboard.type("Plant")  # with Shift: p alone is a shortcut
    assert focused() == "300124117"  # plant material
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert focused() == "300124117"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('[role=tree]')?.id") == "tree-classifications"


def test_accept_reject_and_undo_by_single_keys(open_page, pictures):
    page = open_page()
    add(page, pictures[:1])
    page.keyboard.press("2")
    page.keyboard.press("a")
    expect(item(page, COPPER)).to_have_class(re.compile("accepted"))
    assert item(page, COPPER).get_attribute("aria-selected") == "true"
    expect(item(page, "300010900")).to_have_class(re.compile("implied"))  # metal, above it
    expect(page.locator("#live")).to_have_text("copper accepted")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("r")  # rejects nonferrous metal: copper falls
    expect(item(page, COPPER)).to_have_class(re.compile("excluded"))
    expect(page.locator("#live")).to_have_text("nonferrous metal rejected; also taken back: copper")
    page.keyboard.press("u")
    expect(item(page, COPPER)).to_have_class(re.compile("accepted"))
    page.keyboard.press("u")
    expect(page.locator("#chosen")).to_contain_text("None yet")


def test_single_keys_can_be_switched_off(open_page, pictures):
    page = open_page()
    add(page, pictures[:1])
    page.keyboard.press("?")
    page.get_by_label("Single-key shortcuts").uncheck()
    page.keyboard.press("Escape")
    page.locator("#tree-materials [tabindex='0']").focus()
    page.keyboard.press("a")  # types ahead instead
    assert page.evaluate("document.activeElement.dataset.key") == "300011793"  # animal material
    page.keyboard.press("Space")
    expect(item(page, "300011793")).to_have_class(re.compile("accepted"))


def test_search_in_another_language_leads_to_the_tag_and_adds_it(open_page, pictures):
    page = open_page()
    add(page, pictures[:1])
    page.keyboard.press("/")
    page.keyboard.type("portretten")
    expect(page.locator("#hits [role=option]").first).to_contain_text("portraits")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.key") == PORTRAITS
    page.keyboard.press("/")
    page.keyboard.type("neckl")
    expect(page.locator("#hits [role=option]").first).to_contain_text("necklaces")
    page.keyboard.press("Shift+Enter")
    expect(page.locator("#chosen")).to_contain_text("necklaces")
    saved(page)


def test_the_language_changes_with_fallbacks_marked(open_page, pictures):
    page = open_page()
    add(page, pictures[:1])
    page.select_option("#language", "ca")
    expect(page.locator("#title-materials")).to_have_text("Materials")
    expect(page.locator("#done")).to_have_text("Fet, següent")
    assert page.locator("html").get_attribute("lang") == "ca"
    expect(item(page, PORTRAITS)).to_contain_text("retrat")
    fallback = item(page, COPPER).locator(".lang")
    expect(fallback).to_have_text("en")
    assert "es mostra en anglès" in item(page, COPPER).get_attribute("aria-label")
    page.reload()
    page.wait_for_selector("#trees:not([aria-busy]) .suggested")
    assert page.locator("#language").input_value() == "ca"


def test_a_reload_keeps_the_work(open_page, pictures):
    page = open_page("ca-ES")
    add(page, pictures)
    page.locator("#queue .thumb").nth(1).click()
    expect(page.locator("#picture-title")).to_have_text("vase navy.jpg")
    page.wait_for_selector("#trees:not([aria-busy]) .suggested")
    page.keyboard.press("2")
    page.keyboard.press("a")
    saved(page)
    chosen = page.locator("#chosen").inner_text()
    page.reload()
    page.wait_for_selector("#trees:not([aria-busy]) .suggested")
    expect(page.locator("#picture-title")).to_have_text("vase navy.jpg")
    assert page.locator("#chosen").inner_text() == chosen


def test_two_cataloguers_never_overwrite_each_other_silently(open_page, pictures):
    anna = open_page()
    add(anna, pictures[:1])
    berta = open_page()
    berta.wait_for_selector("#trees:not([aria-busy]) .suggested")
    anna.fill("#who", "Anna")
    item(anna, COPPER).locator(".yes").first.click()
    saved(anna)
    item(berta, PORTRAITS).locator(".no").first.click()
    expect(berta.locator("#notices")).to_contain_text(
        "Anna decided on this image meanwhile: accepted copper. Your last step was not saved."
    )
    expect(item(berta, COPPER)).to_have_class(re.compile("accepted"))
    expect(item(berta, PORTRAITS)).not_to_have_class(re.compile("rejected"))
    berta.get_by_role("button", name="Do it now").click()
    expect(item(berta, PORTRAITS)).to_have_class(re.compile("rejected"))


def test_done_goes_to_the_next_open_image(open_page, pictures):
    page = open_page()
    add(page, pictures)
    page.click("#done")
    expect(page.locator("#picture-title")).to_have_text("vase navy.jpg")
    expect(page.locator("#progress-text")).to_have_text("1 of 2 done")
    page.click("#done")
    expect(page.locator("#notices")).to_contain_text("All images are done")


def test_tags_are_exported(open_page, pictures):
    page = open_page()
    add(page, pictures[:1])
    item(page, COPPER).locator(".yes").first.click()
    saved(page)
    page.click("#export")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV, in the format").click()
    text = Path(download.value.path()).read_text()
    assert "metal | nonferrous metal | copper" in text
    assert f"http://vocab.getty.edu/aat/{COPPER}" in text


def test_a_tag_tells_its_path_and_its_address(open_page, pictures):
    page = open_page()
    add(page, pictures[:1])
    page.keyboard.press("2")
    page.keyboard.press("i")
    dialog = page.locator("#dialog-tag")
    expect(dialog.locator(".hierarchy li")).to_have_text(["Materials", "metal", "nonferrous metal", "copper"])
    assert dialog.get_by_role("link").get_attribute("href") == f"https://vocab.getty.edu/aat/{COPPER}"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.key") == COPPER


def test_the_link_past_the_header_leads_to_the_trees_and_keeps_the_place(open_page, pictures):
    page = open_page()
    add(page, pictures)
    place = page.url
    assert "#image=" in place
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#facets")).to_be_focused()
    assert page.url == place


def test_a_desk_on_another_machine_works_by_plain_http(browser, service, pictures):
    with served(service, hosts=["desk.example"]) as address:
        page = browser.new_page(locale="en-GB")
        page.goto(address.replace("127.0.0.1", "desk.example"))
        page.wait_for_selector("body[data-ready]")
        assert not page.evaluate("isSecureContext")
        add(page, pictures)
        item(page, COPPER).locator(".yes").first.click()
        saved(page)
        page.click("#choose-queue")
        expect(page.locator("#show-queue")).to_be_visible()
        expect(page.locator("#copy-link")).to_be_hidden()  # the browser offers no clipboard here
        page.close()


def test_another_model_gives_other_suggestions(open_page, pictures):
    page = open_page()
    add(page, pictures[:1])
    before = page.locator("#facet-materials .suggested").first.get_attribute("aria-label")
    page.select_option("#model", "softmax")
    expect(page.locator("#facet-materials .suggested").first).not_to_have_attribute("aria-label", before)


def test_a_decision_that_could_not_be_sent_is_sent_again(open_page, pictures):
    page = open_page()
    add(page, pictures[:1])
    page.context.set_offline(True)
    item(page, COPPER).locator(".yes").first.click()
    expect(page.locator("#notices")).to_contain_text("Not saved")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(item(page, COPPER)).to_have_class(re.compile("accepted"))


@pytest.mark.parametrize(("locale", "scheme"), [("ca-ES", "light"), ("en-GB", "dark")])
def test_axe_finds_no_violation(open_page, pictures, locale, scheme):
    page = open_page(locale, color_scheme=scheme)
    found = {"empty": axe(page)}
    add(page, pictures)
    page.keyboard.press("2")
    page.keyboard.press("a")
    saved(page)
    item(page, PORTRAITS).locator(".no").first.click()
    expect(item(page, PORTRAITS)).to_have_class(re.compile("rejected"))
    page.locator("#tree-object_types > .more").click()
    found["desk"] = axe(page)
    page.fill("#search", "ret")
    page.wait_for_selector("#hits [role=option]")
    found["search"] = axe(page)
    page.fill("#search", "")
    for button, dialog in (("#export", "export"), ("#shortcuts", "shortcuts"), (".queue [data-opens=add]", "add")):
        page.click(button)
        found[dialog] = axe(page)
        page.keyboard.press("Escape")
    item(page, COPPER).locator(".about").first.click()
    page.wait_for_selector("#dialog-tag[open] .gallery p")
    found["tag"] = axe(page)
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 768, "height": 1024})
    found["tablet"] = axe(page)
    assert {view: ids for view, ids in found.items() if ids} == {}


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_wider_than_a_small_screen(open_page, pictures, width):
    page = open_page("nl-NL", viewport={"width": width, "height": 800})
    add(page, pictures)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name, button in DIALOGS.items():
        page.click(button)
        dialog = page.locator(f"#dialog-{name}[open]")
        assert dialog.evaluate("each => each.scrollWidth - each.clientWidth") <= 0, name
        page.keyboard.press("Escape")
