"""The first visit to the assistant's page over a slow line: when something shows, and how much is loaded for it."""

from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.served import CHROMIUM, FLAGS

# The profile "3G" of WebPageTest: 1.6 Mbit/s down, 768 kbit/s up, 300 ms for a request and its answer.
THIRD_GENERATION = {"downloadThroughput": 1_600_000 / 8, "uploadThroughput": 768_000 / 8, "latency": 300}
PAINTS = "() => Object.fromEntries(performance.getEntriesByType('paint').map((each) => [each.name, each.startTime]))"
PICTURE = """() => new Promise((resolve) => {
  const picture = document.getElementById('picture');
  const shown = () => resolve(performance.now());
  if (picture.complete) shown(); else picture.addEventListener('load', shown);
})"""
NOW = "() => performance.now()"


def first_paint(address: str, locale: str = "ca-ES") -> dict[str, Any]:
    """Milliseconds until the page's first paint, until it can be worked with, and until its picture is there.

    `bytes_before_picture` is everything that had arrived when the picture was asked for, with the headers.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(locale=locale, viewport={"width": 1280, "height": 800}).new_page()
        loaded = _listen(page)
        page.goto(address, wait_until="commit")
        page.wait_for_selector("#picture[src]", state="attached", timeout=60_000)
        picture = page.evaluate(PICTURE)
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        ready = page.evaluate(NOW)
        paints = page.evaluate(PAINTS)
        browser.close()
    return {
        "first_contentful_paint_ms": round(paints["first-contentful-paint"]),
        "picture_ms": round(picture),
        "ready_ms": round(ready),
        "requests_before_picture": loaded["requests"],
        "bytes_before_picture": loaded["bytes"],
    }


def _listen(page: Page) -> dict[str, int]:
    """Slow the line down, and count what arrives until the picture is asked for."""
    loaded, asked = {"requests": 0, "bytes": 0}, []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", {"offline": False, **THIRD_GENERATION})

    def arrived(event: dict[str, Any]) -> None:
        if not asked:
            loaded["requests"] += 1
            loaded["bytes"] += round(event["encodedDataLength"])

    def requested(event: dict[str, Any]) -> None:
        if event["request"]["url"].endswith("/picture"):
            asked.append(event["requestId"])

    session.on("Network.requestWillBeSent", requested)
    session.on("Network.loadingFinished", arrived)
    return loaded
