"""Code versions: a hash over the source files that an asset's result depends on, those they import included."""

import hashlib
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Read by expression: parsing every module takes a second, each time that Dagster loads the graph.
OURS = r"(?:pipeline|ml)(?:\.\w+)*"
IMPORT = re.compile(rf"^[ \t]*(?:from ({OURS}) import (\([^)]*\)|[^\n]*)|import ({OURS}))", re.MULTILINE)
NAME = re.compile(r"\b[A-Za-z_]\w*")
SOURCES = {".py", ".toml", ".rq", ".csv", ".html", ".css", ".js", ".json", ".md"}
# Their content reaches an asset by another way: settings by section, schemas by table (`assets.stage`).
KNOWN_OTHERWISE = {"pipeline/settings.py", "pipeline/tables.py"}


def code_version(paths: tuple[str, ...]) -> str:
    """A hash over the files and folders, and over every module of ours that they import, directly or not."""
    digest = hashlib.sha256()
    for file in code_files(paths):
        digest.update(f"{file}\0".encode() + _content(file))
    return digest.hexdigest()[:16]


def code_files(paths: tuple[str, ...]) -> list[str]:
    """The files behind a code version, by their place in the repository, sorted."""
    waiting = [file for path in paths for file in _files_at(path)]
    found: set[str] = set()
    while waiting:
        file = waiting.pop()
        if file not in found and file not in KNOWN_OTHERWISE:
            found.add(file)
            waiting += _imports(file) if file.endswith(".py") else ()
    return sorted(found)


def _files_at(path: str) -> list[str]:
    place = ROOT / path
    if place.is_file():
        return [path]
    files = sorted(file for file in place.rglob("*.*") if file.suffix in SOURCES)
    if not files:
        raise FileNotFoundError(f"{path} is no source file or folder: a code version would miss it.")
    return [file.relative_to(ROOT).as_posix() for file in files]


@cache
def _content(file: str) -> bytes:
    return (ROOT / file).read_bytes()


@cache
def _imports(file: str) -> tuple[str, ...]:
    """The files of our own modules that a module imports, also inside its functions."""
    names: list[str] = []
    for module, listed, alone in IMPORT.findall(_content(file).decode()):
        names += [module, *(f"{module}.{name}" for name in NAME.findall(listed))] if module else [alone]
    return tuple(file for name in names for file in _module_files(name))


def _module_files(name: str) -> list[str]:
    """The file of a module, or of a package's own code; none for a name that is no module."""
    path = name.replace(".", "/")
    return [file for file in (f"{path}.py", f"{path}/__init__.py") if (ROOT / file).is_file()]
