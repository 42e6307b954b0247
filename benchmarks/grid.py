"""One tag for forty pictures of a museum: image by image, through a queue, and in the grid; by the real command."""

import argparse
import hashlib
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

from benchmarks.served import CHROMIUM, FLAGS, ROOT, serving
from pipeline import FACETS
from pipeline.files import write_json

MUSEUM = ROOT.parent / "shared" / "museum" / "media"
COPPER = "300011020"
PATH = {"300010900": "metal", "300011014": "nonferrous metal", COPPER: "copper"}


def storage_of(folder: Path) -> Path:
    """A storage with a small tree and no model: what is compared is the page, and no suggestions."""
    tags, path = [], []
    for tag, label in PATH.items():
        path = [*path, tag]
        place = {"parent": path[-2] if len(path) > 1 else None, "path": path, "n_train": 9}
        tags.append({"tag_id": tag, "label": label, "labels": {"en": label}} | place)
    facets = {facet: tags if facet == "materials" else [] for facet in FACETS}
    write_json({"tag_list_hash": "0" * 64, "facets": facets}, folder / "dataset" / "tag_list.json")
    return folder


def pictures_of(museum: Path, n: int) -> list[Path]:
    """Pictures of the museum, drawn by the hash of their names."""
    return sorted(museum.glob("*.jpg"), key=lambda file: hashlib.sha256(file.name.encode()).digest())[:n]


class Cataloguer:
    """Someone at the page whose clicks and keys are counted; typed letters count too."""

    def __init__(self, page: Page):
        self.page, self.acts = page, 0

    def click(self, selector: str) -> None:
        """A click."""
        self.page.click(selector)
        self.acts += 1

    def keys(self, *keys: str) -> None:
        """Keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
        self.acts += len(keys)

    def search(self, word: str, *then: str) -> None:
        """Find a tag by the search, and press a key on the first hit."""
        self.keys("/", *word)
        self.page.wait_for_selector("#hits [role=option]")
        self.keys(*then)


def one_by_one(person: Cataloguer, n: int) -> None:
    """The tag on every image of the queue, by the search, and a click to the next image."""
    for number in range(n):
        person.search("cop", "Shift+Enter")
        person.page.wait_for_selector(f"#item-{COPPER}.accepted")
        if number < n - 1:
            person.click("#next")
            person.page.wait_for_selector(f"#queue li:nth-child({number + 2}) [aria-current=true]")
            person.page.wait_for_selector("#trees:not([aria-busy])")


def in_queue(person: Cataloguer, n: int) -> None:
    """The open images as a queue, chosen in its dialog: the tag, and done, which opens the next one."""
    person.keys("q")
    person.page.wait_for_selector("#dialog-queue[open]")
    person.page.select_option("#queue-state", "open")
    person.acts += 2  # the list, and the line in it
    person.click("#show-queue")
    for number in range(n):
        person.page.wait_for_selector("#trees:not([aria-busy])")
        title = person.page.inner_text("#picture-title")
        person.search("cop", "Shift+Enter")
        person.page.wait_for_selector(f"#item-{COPPER}.accepted")
        person.click("#done")
        if number < n - 1:
            person.page.wait_for_selector(f'#picture-title:not(:text-is("{title}"))')


def at_once(person: Cataloguer, n: int) -> None:
    """The tag on all images of the batch, in the grid."""
    person.search("cop", "Enter")
    person.page.wait_for_selector(f"#item-{COPPER}:focus")
    person.keys("g")
    person.page.wait_for_selector(f"#grid li:nth-child({n})")
    person.click("#grid-all")
    person.click("#grid-accept")
    person.page.wait_for_selector(f"#grid li:nth-child({n}).accepted")


def walk(way: Callable[[Cataloguer, int], None], files: list[Path], folder: Path) -> tuple[float, int, int]:
    """Seconds, clicks and keys of one way, and how many images have the tag then."""
    with serving(storage_of(folder), "--no-fetch") as assistant, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(locale="en-GB").new_page()
        page.goto(assistant.address)
        page.wait_for_selector("body[data-ready]")
        page.set_input_files("#files", files)
        page.wait_for_selector(f"#queue li:nth-child({len(files)}) .thumb", timeout=120_000)
        page.wait_for_selector("#trees:not([aria-busy])")
        person, started = Cataloguer(page), time.perf_counter()
        way(person, len(files))
        seconds = time.perf_counter() - started
        browser.close()
        queue = httpx.get(f"{assistant.address}/api/queue").json()["images"]
        annotations = [httpx.get(f"{assistant.address}/api/images/{each['image_id']}").json() for each in queue]
    return seconds, person.acts, sum(COPPER in each["annotation"]["accepted"] for each in annotations)


def main() -> None:
    """Print one JSON line: the grid against the page for one image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, default=MUSEUM, help="a folder of JPEG files")
    parser.add_argument("--n", type=int, default=40)
    asked = parser.parse_args()
    files = pictures_of(asked.pictures, asked.n)
    found = {}
    for way in (one_by_one, in_queue, at_once):
        with tempfile.TemporaryDirectory() as folder:
            found[way.__name__] = walk(way, files, Path(folder))
    if any(tagged != len(files) for _, _, tagged in found.values()):
        raise SystemExit(f"Not all {len(files)} images have the tag: {found}.")
    (slow_s, slow_acts, _), (queue_s, queue_acts, _), (fast_s, fast_acts, _) = found.values()
    row = {"name": "grid", "n": len(files), "ours_s": round(fast_s, 2), "peer": "image by image", "peer_version": None}
    row |= {"peer_s": round(slow_s, 2), "ratio": round(slow_s / fast_s, 1), "peer_rss_mb": None}
    rss = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    note = (
        f"{fast_acts} clicks and keys at once, {slow_acts} image by image, {queue_acts} and {queue_s:.1f} s through a"
    )
    note += " queue, where each is marked as done too; scripted, so without a person's thinking"
    print(json.dumps(row | {"ours_rss_mb": round(rss / 2**10), "note": note}))


if __name__ == "__main__":
    main()
