"""How images come to the assistant in a browser: chosen, dropped, from another server; and images decided blind."""

import base64
import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from ml.assistant.iiif import Place
from ml.assistant.remote_images import Found, NotFetched, RemoteImage
from tests.ml.assistant.pages import add, axe

pytestmark = pytest.mark.browser
DROP = """files => {
  const carried = new DataTransfer();
  for (const { name, data } of files) {
    carried.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type: "image/jpeg" }));
  }
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
  }
}"""


def test_what_is_no_picture_is_named_with_a_reason(open_page, pictures):
    page = open_page()
    bad = {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"not a picture at all"}
    page.set_input_files("#files", [bad, *pictures])
    expect(page.locator("#add-problems")).to_contain_text("Not added: notes.jpg. This is not a picture of a kind")
    expect(page.locator("#queue .thumb")).to_have_count(2)


def test_many_images_are_dropped_anywhere_on_the_page(open_page, drawn_vase):
    page = open_page()
    colours = ["saddlebrown", "navy", "crimson", "gold", "gray"]
    files = [{"name": f"{c}.jpg", "data": base64.b64encode(drawn_vase(c)).decode()} for c in colours]
    page.evaluate(DROP, files)
    expect(page.locator("#queue .thumb")).to_have_count(5)
    names = page.locator("#queue .thumb").evaluate_all("all => all.map((each) => each.title)")
    assert names == [file["name"] for file in files]  # in the order they were dropped
    expect(page.locator("#picture-title")).to_have_text("saddlebrown.jpg")
    expect(page.locator("#drop")).to_be_hidden()


class Shelf:
    """Stands in for servers remote_images: a manifest of two images, of which one cannot be had."""

    def __init__(self, picture: bytes):
        self.picture = picture
        self.pictures: dict[str, bytes] = {}

    async def __aenter__(self):
        """Nothing to open."""
        return self

    async def __aexit__(self, *_: object):
        """Nothing to close."""

    async def find(self, address: str, start: int = 0) -> Found:
        """What lies behind the address."""
        if address.endswith("/long"):
            place = Place(f"{address}/canvas/{start}", 4000, 3000, address)
            return Found([RemoteImage(f"https://iiif.example/{start}.jpg", f"f. {start}", place=place)], 2 - start)
        if not address.endswith("/manifest"):
            raise NotFetched("no_manifest", "This address gives no IIIF manifest.")
        one = RemoteImage("https://iiif.example/one.jpg", "Album · f. 1")
        return Found([one, RemoteImage("https://iiif.example/two.jpg", "Album · f. 2")])

    async def fetch(self, url: str) -> bytes:
        """The first image."""
        if url.endswith("two.jpg"):
            raise NotFetched("http_404", "It is gone.")
        return self.pictures.get(url, self.picture)


def test_an_address_of_another_server_fills_the_queue_and_says_what_is_missing(service, request, drawn_vase):
    service.remote_images = Shelf(drawn_vase())
    page = request.getfixturevalue("open_page")()
    page.locator(".queue [data-opens=add]").click()
    page.fill("#address", "https://iiif.example/nothing")
    page.click("#add-address")
    expect(page.locator("#add-problems")).to_contain_text("https://iiif.example/nothing")
    page.fill("#address", "https://iiif.example/manifest")
    page.click("#add-address")
    expect(page.locator("#queue .thumb")).to_have_count(1)
    expect(page.locator("#picture-title")).to_have_text("Album · f. 1")
    expect(page.locator("#add-problems")).to_contain_text("https://iiif.example/two.jpg")
    expect(page.locator("#dialog-add")).to_be_visible()  # until what is missing has been read


@pytest.mark.parametrize(
    ("locale", "by_keyboard", "left", "next_images"),
    [("en-GB", True, "At least 2 more", "Add the next"), ("nl-NL", False, "minstens nog 2", "De volgende")],
)
def test_a_long_manifest_is_added_in_parts_and_its_annotations_are_for_its_canvases(
    service, request, drawn_vase, locale, by_keyboard, left, next_images
):
    service.remote_images = shelf = Shelf(drawn_vase())
    shelf.pictures = {
        f"https://iiif.example/{n}.jpg": drawn_vase(colour) for n, colour in enumerate(["red", "navy", "gold"])
    }
    page = request.getfixturevalue("open_page")(locale)

    def press(target) -> None:
        target.wait_for()  # what is hidden takes no focus
        if by_keyboard:
            target.focus()
            page.keyboard.press("Enter")
        else:
            target.click()

    press(page.locator(".queue [data-opens=add]"))
    page.fill("#address", "https://iiif.example/long")
    press(page.locator("#add-address"))
    expect(page.locator("#add-state")).to_contain_text(left)
    expect(page.locator("#add-next")).to_contain_text(next_images)
    assert axe(page) == []
    press(page.locator("#add-next"))
    expect(page.locator("#queue .thumb")).to_have_count(2)
    press(page.locator("#add-next"))
    expect(page.locator("#queue .thumb")).to_have_count(3)
    expect(page.locator("#dialog-add")).to_be_hidden()
    press(page.locator("#export"))
    assert axe(page) == []
    with page.expect_download() as download:
        press(page.locator("#formats a[href^='/iiif/annotations']"))
    assert json.loads(Path(download.value.path()).read_text())["type"] == "AnnotationPage"


def test_an_image_of_the_blind_share_comes_without_suggestions(service, request, pictures):
    service.blind_share = 1.0
    page = request.getfixturevalue("open_page")()
    page.set_input_files("#files", pictures[:1])
    expect(page.locator("#model-note")).to_contain_text("No suggestions for this image")
    expect(page.locator(".suggested")).to_have_count(0)
    page.locator("#tree-materials > .more").click()
    page.locator("#tree-materials > [role=treeitem] .yes").first.click()
    expect(page.locator("#saved")).to_have_text("Saved")
    assert json.loads(page.request.get(f"{page.url.split('#')[0]}api/queue").text())["images"][0]["blind"] is True


def test_the_path_says_where_the_model_stops_being_sure(open_page, pictures):
    page = open_page()
    add(page, pictures[:1])
    expect(page.locator("#facet-materials header")).to_contain_text("bold: taken together, eight of ten were right")
    marked = page.locator("#facet-object_types .unsure").first
    expect(marked).to_have_text("less sure from here")
    turning = marked.locator("xpath=ancestor::li[1]")
    scores = [
        float(text) for text in turning.locator("xpath=ancestor-or-self::li/div/*[@class='score']").all_inner_texts()
    ]
    assert scores[-1] < 0.7 <= scores[-2]
