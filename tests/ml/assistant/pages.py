"""What the page tests share: a browser, and what a cataloguer does on the page."""

import os
import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FLAGS.append("--host-resolver-rules=MAP desk.example 127.0.0.1")  # plain HTTP to another machine
COPPER, PORTRAITS = "300011020", "300015637"


def add(page: Page, files: list[dict]) -> None:
    page.set_input_files("#files", files)
    page.wait_for_selector("#trees:not([aria-busy]) .suggested")


def item(page: Page, tag: str):
    return page.locator(f"#item-{tag}")


def saved(page: Page) -> None:
    expect(page.locator("#saved")).to_have_text(re.compile("Saved|Desat"))


def axe(page: Page) -> list[str]:
    """What axe-core objects to, by rule and place."""
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    options = {
        "runOnly": rules,
        "resultTypes": ["violations"],
    }  # what passed need not be described: a third of the time
    response = Axe().run(page, options=options).response
    return [f"{each['id']}: {node['html'][:160]}" for each in response["violations"] for node in each["nodes"]]
