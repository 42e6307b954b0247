"""What the page is made of: files of others unchanged, and little to load before the picture."""

import hashlib
import re
from pathlib import Path

import ml.assistant

PAGE = Path(ml.assistant.__file__).parent / "page"


def test_openseadragon_is_the_published_file_with_its_licence():
    folder = PAGE / "openseadragon"
    recorded = dict(re.findall(r"\| ([\w.]+) \| ([0-9a-f]{64}) \|", (folder / "README.md").read_text()))
    assert set(recorded) == {file.name for file in folder.iterdir()} - {"README.md"}
    for name, sha256 in recorded.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256


def imported(module: str) -> set[str]:
    """The modules that a module of the page needs, directly or through others."""
    found, waiting = set[str](), {module}
    while waiting:
        source = (PAGE / waiting.pop()).read_text(encoding="utf-8")
        new = set(re.findall(r'from "\./([\w-]+\.js)"', source)) - found - {module}
        found, waiting = found | new, waiting | new
    return found


def test_the_page_asks_for_all_its_modules_at_once():
    preloaded = re.findall(r'rel="modulepreload" href="/page/([\w-]+\.js)"', (PAGE / "index.html").read_text())
    assert preloaded == sorted(imported("main.js"))


def test_the_page_and_its_files_are_sent_compressed_and_answers_with_data_are_not(client):
    sizes = {}
    for address in ("/", "/page/style.css", "/page/main.js", "/page/i18n/ca.json"):
        with client.stream("GET", address) as answer:
            assert answer.headers["content-encoding"] == "gzip"
            sizes[address] = len(b"".join(answer.iter_raw()))
        plain = client.get(address, headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert len(plain.content) > 2 * sizes[address]
    assert "content-encoding" not in client.get("/api/about").headers
