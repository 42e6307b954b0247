"""The page for people with tokens: signing in, what carries their name, and a token that expires in between."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from ml.assistant.people import make_token
from tests.ml.assistant.pages import COPPER, axe, item
from tests.ml.assistant.test_people import store  # noqa: F401 - a clock that the test sets

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("locale", "by_keyboard", "words"),
    [
        ("en-GB", True, ("Sign in", "Anna", "reviewer", "has expired", "Try again", "Sign out")),
        ("de-DE", False, ("Anmelden", "Anna", "Redaktion", "abgelaufen", "Noch einmal", "Abmelden")),
    ],
)
def test_a_person_signs_in_decides_under_their_name_and_loses_nothing_when_the_token_expires(
    browser, address, service, pictures, locale, by_keyboard, words
):
    sign_in, name, role, expired, again, sign_out = words
    token = make_token(service.store, "Anna", "reviewer", days=1)
    service.people.read()
    context = browser.new_context(locale=locale, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(8_000)
    page.goto(address)
    assert axe(page) == []
    if by_keyboard:
        page.keyboard.type(token)  # the field has the focus
        page.keyboard.press("Enter")
    else:
        page.fill("input[name=token]", token)
        page.get_by_role("button", name=sign_in).click()
    page.wait_for_selector("body[data-ready]")
    expect(page.locator("#person")).to_contain_text(name)
    expect(page.locator("#person-role")).to_have_text(role)
    expect(page.locator("#who-field")).to_be_hidden()
    assert axe(page) == []
    page.set_input_files("#files", pictures[:1])
    page.wait_for_selector("#trees:not([aria-busy]) .suggested")

    service.store.clock.now += timedelta(days=1)
    if by_keyboard:
        page.keyboard.press("q")
    else:
        page.click("#choose-queue")
    expect(page.locator("#notices")).to_contain_text(expired)  # also where nothing is saved
    page.locator("#notices button").last.click()
    page.keyboard.press("2")
    if by_keyboard:
        page.keyboard.press("a")
    else:
        item(page, COPPER).locator(".yes").first.click()
    expect(page.locator("#notices")).to_contain_text(expired)
    assert axe(page) == []
    other = context.new_page()
    with_new = make_token(service.store, "Anna", "reviewer")
    service.people.read()
    other.goto(f"{address}/?token={with_new}")
    other.close()
    retry = page.locator("#notices").get_by_role("button", name=again)
    if by_keyboard:
        retry.focus()
        page.keyboard.press("Enter")
    else:
        retry.click()
    expect(item(page, COPPER)).to_have_class(re.compile("accepted"))
    (step,) = service.store.log(service.store.queue()[0].image_id)
    assert step.who == "Anna"
    page.get_by_role("button", name=sign_out).click()
    expect(page.get_by_role("button", name=sign_in)).to_be_visible()
    context.close()


@pytest.mark.parametrize(
    ("locale", "said"),
    [("en-GB", "This page is for the admins of this desk."), ("nl-NL", "Deze pagina is voor de beheerder.")],
)
def test_the_status_page_says_who_may_see_it(browser, address, service, locale, said):
    token = make_token(service.store, "Anna", "reviewer")
    service.people.read()
    context = browser.new_context(locale=locale)
    context.add_cookies([{"name": "assistant_token", "value": token, "url": address}])
    page = context.new_page()
    page.goto(f"{address}/page/status.html")
    expect(page.locator("#status-note")).to_contain_text(said)
    expect(page.locator("#counts")).to_be_hidden()
    expect(page.get_by_role("link")).to_be_visible()  # back to the desk
    assert axe(page) == []
    context.close()
