"""What the documents say is what the code does."""

import re
from pathlib import Path

from pipeline.dictionary import data_dictionary

ROOT = Path(__file__).parents[1]


def test_the_data_dictionary_is_that_of_the_schemas():
    written = (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    assert written == data_dictionary(), "run `eufcc dictionary`"


def test_every_make_target_in_the_readme_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named
    assert named <= targets


def test_every_file_named_in_the_documents_exists():
    missing = []
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for path in re.findall(r"`((?:pipeline|ml|assets|docs|benchmarks)/[\w/.-]+)`", document.read_text("utf-8")):
            if not (ROOT / path).exists():
                missing.append(f"{document.name}: {path}")
    assert missing == []
