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
