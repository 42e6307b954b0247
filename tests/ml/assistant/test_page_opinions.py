"""Two people and a reviewer on the page: a second opinion that does not see the first, and what they differ on."""

import re

import pytest
from playwright.sync_api import Page, expect

from ml.assistant.decisions import read_decisions
from ml.assistant.people import make_token
from tests.ml.assistant.pages import COPPER, PORTRAITS, axe, item

pytestmark = pytest.mark.browser


def enter(browser, address: str, token: str, locale: str) -> Page:
    page = browser.new_context(locale=locale, reduced_motion="reduce").new_page()
    page.set_default_timeout(8_000)
    page.goto(f"{address}/?token={token}")
    page.wait_for_selector("body[data-ready]")
    return page


def press(page: Page, by_keyboard: bool, target) -> None:
    target.wait_for()  # what is hidden takes no focus
    if by_keyboard:
        target.focus()
        page.keyboard.press("Enter")
    else:
        target.click()


@pytest.mark.parametrize(
    ("locale", "by_keyboard", "verdict", "away"),
    [
        ("en-GB", True, "does not apply", "The server does not answer."),
        ("fr-FR", False, "ne s'applique pas", "Le serveur ne répond pas."),
    ],
)
def test_two_people_decide_apart_and_a_reviewer_settles(
    browser, address, service, drawn_vase, locale, by_keyboard, verdict, away
):
    roles = {"Anna": "cataloguer", "Berta": "cataloguer", "Carla": "reviewer"}
    tokens = {name: make_token(service.store, name, role) for name, role in roles.items()}
    service.people.read()
    anna = enter(browser, address, tokens["Anna"], locale)
    anna.set_input_files("#files", [{"name": "vase.jpg", "mimeType": "image/jpeg", "buffer": drawn_vase()}])
    anna.wait_for_selector("#trees:not([aria-busy]) .suggested")
    item(anna, COPPER).locator(".yes").first.click()
    expect(item(anna, COPPER)).to_have_class(re.compile("accepted"))
    anna.keyboard.press("d")
    expect(anna.locator("#progress-text")).to_contain_text(re.compile("^1"))
    anna.context.close()

    berta = enter(browser, address, tokens["Berta"], locale)
    press(berta, by_keyboard, berta.locator("#choose-queue"))
    berta.wait_for_selector("#dialog-queue[open]")
    expect(berta.locator("#review-link")).to_be_hidden()
    assert axe(berta) == []
    press(berta, by_keyboard, berta.locator("#second-begin"))
    expect(berta.locator("#picture-note")).to_contain_text(re.compile("second"))
    berta.wait_for_selector("#trees:not([aria-busy]) .suggested")
    expect(item(berta, COPPER)).not_to_have_class(re.compile("accepted"))
    item(berta, PORTRAITS).locator(".yes").first.click()
    expect(item(berta, PORTRAITS)).to_have_class(re.compile("accepted"))
    berta.reload()  # the address holds the place in the queue of second opinions
    berta.wait_for_selector("#trees:not([aria-busy]) .suggested")
    expect(item(berta, PORTRAITS)).to_have_class(re.compile("accepted"))
    press(berta, by_keyboard, berta.locator("#done"))
    expect(berta.locator("#progress-text")).to_contain_text(re.compile("^1"))
    berta.context.close()

    carla = enter(browser, address, tokens["Carla"], locale)
    press(carla, by_keyboard, carla.locator("#choose-queue"))
    press(carla, by_keyboard, carla.locator("#review-link"))
    carla.wait_for_selector("body[data-ready] .conflict")
    expect(carla.locator(".conflict").first).to_contain_text("Anna")
    expect(carla.locator("#open")).to_contain_text(re.compile("[2-9]"))
    assert axe(carla) == []
    before = carla.locator(".conflict:not(.is-settled)").count()
    copper = carla.locator(".conflict", has_text=re.compile("^copper"))
    press(carla, by_keyboard, copper.get_by_role("button", name=verdict))
    expect(carla.locator(".conflict:not(.is-settled)")).to_have_count(before - 1)
    expect(copper).to_contain_text("Carla")
    assert axe(carla) == []
    found = read_decisions(str(service.store.engine.url)).select("tag_id", "accepted", "who").rows()
    assert found == [(COPPER, False, "Carla")]
    carla.context.set_offline(True)
    carla.locator("#settled").check()
    expect(carla.locator("#trouble")).to_have_text(away)
    carla.set_viewport_size({"width": 320, "height": 700})
    assert carla.evaluate("document.documentElement.scrollWidth") <= 320
    carla.context.close()
