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
    asked = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert asked
    assert asked <= targets


DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)


def named(pattern: str) -> list[tuple[Path, str]]:
    """What the documents name in this manner, with the document."""
    texts = {document: document.read_text(encoding="utf-8") for document in DOCUMENTS}
    return [(document, name) for document, text in texts.items() for name in re.findall(pattern, text)]


def test_every_file_named_in_the_documents_exists():
    found = named(r"`((?:pipeline|ml|assets|docs|benchmarks|tests|deploy)/[\w/.-]+)`")
    assert len(found) > 20
    assert [f"{document.name}: {path}" for document, path in found if not (ROOT / path).exists()] == []


def test_every_module_named_in_the_documents_exists():
    found = named(r"(?:-m |`)((?:pipeline|ml|assets|benchmarks|tests)(?:\.\w+)+|benchmarks)\b")
    missing = []
    for document, name in found:
        path = ROOT.joinpath(*name.split("."))
        if not path.is_dir() and not path.with_suffix(".py").exists():
            missing.append(f"{document.name}: {name}")
    assert len(found) > 5
    assert missing == []


def test_every_link_between_the_documents_leads_somewhere():
    found = named(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
    assert len(found) > 20
    missing = [f"{document.name}: {link}" for document, link in found if not (document.parent / link).exists()]
    assert missing == []


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in (ROOT / "docs").glob("[a-z]*.md") if f"({page.name})" not in index] == []


def test_every_experiment_is_in_its_index():
    folder = ROOT / "docs" / "experiments"
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in folder.glob("[a-z]*.md") if f"({page.name})" not in index] == []


def test_the_pictures_are_small():
    pictures = sorted((ROOT / "docs" / "images").glob("*.png"))
    assert len(pictures) >= 3
    assert [picture.name for picture in pictures if picture.stat().st_size >= 200_000] == []
