"""Hooks of mkdocs.yml: files outside docs/ that the pages link to become pages or files of the site."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PROJECT = "project"  # the folder of the site for what lies outside docs/
OUTSIDE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=(?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents of the project's root, and every file of the code that a page links to."""
    for name in OUTSIDE:
        files.append(File.generated(config, f"{PROJECT}/{name}", abs_src_path=str(ROOT / name)))
    for page in [file for file in files if file.is_documentation_page()]:
        for link in LINK.findall(page.content_string):
            target = in_project(page.src_uri, link)
            code = ROOT / target
            outside = not target.startswith(("docs/", "../")) and code.is_file() and target not in OUTSIDE
            if outside and files.get_file_from_path(site_path(target)) is None:
                files.append(File.generated(config, site_path(target), content=code.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links between docs/ and the rest of the project, as they lead on the site."""
    here = page.file.src_uri

    def moved(link: re.Match[str]) -> str:
        return posixpath.relpath(site_path(in_project(here, link[0])), posixpath.dirname(here) or ".")

    return LINK.sub(moved, markdown)


def in_project(page: str, link: str) -> str:
    """The path in the project that a link of a page means; the page is named by its place on the site."""
    source = page.removeprefix(f"{PROJECT}/") if page.startswith(f"{PROJECT}/") else f"docs/{page}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def site_path(path: str) -> str:
    """Where a file of the project lies on the site."""
    if path == "docs" or path.startswith("docs/"):
        return posixpath.relpath(path, "docs")
    return f"{PROJECT}/{path}" if path in OUTSIDE else f"{PROJECT}/{path}.txt"
