"""Code versions: hashes of the source files that an asset's result depends on, with all that they import."""

import hashlib
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Regular expressions, because parsing every module would add a second to each start of Dagster.
OURS = r"(?:pipeline|ml)(?:\.\w+)*"
IMPORT = re.compile(rf"^[ \t]*(?:from ({OURS}) import (\([^)]*\)|[^\n]*)|import ({OURS}))", re.MULTILINE)
NAME = re.compile(r"\b[A-Za-z_]\w*")
QUOTED = re.compile(r"[\"']([\w./-]+\.\w+)[\"']")
SOURCES = {".py", ".toml", ".rq", ".csv", ".html", ".css", ".js", ".json", ".md"}
# Part of the fingerprint in another way: the sections of the settings, and the schemas of the tables (`AssetPlan`).
KNOWN_OTHERWISE = {"pipeline/settings.py", "pipeline/tables.py"}


def code_version(paths: tuple[str, ...]) -> str:
    """A hash of the files and folders, of our own modules that they import, and of data files beside these modules."""
    digest = hashlib.sha256()
    for file in code_files(paths):
        digest.update(f"{file}\0".encode() + _content(file))
    return digest.hexdigest()[:16]


def code_files(paths: tuple[str, ...]) -> list[str]:
    """The files behind a code version: paths in the repository, sorted."""
    waiting = [file for path in paths for file in _files_at(path)]
    files: set[str] = set()
    while waiting:
        file = waiting.pop()
        if file not in files and file not in KNOWN_OTHERWISE:
            files.add(file)
            waiting += (*_imports(file), *_data_files(file)) if file.endswith(".py") else ()
    return sorted(files)


def _files_at(path: str) -> list[str]:
    place = ROOT / path
    if place.is_file():
        return [path]
    files = sorted(file for file in place.rglob("*.*") if file.suffix in SOURCES)
    if not files:
        raise FileNotFoundError(f"{path} is not a source file or folder, and cannot be part of a code version.")
    return [file.relative_to(ROOT).as_posix() for file in files]


@cache
def _content(file: str) -> bytes:
    return (ROOT / file).read_bytes()


@cache
def _imports(file: str) -> tuple[str, ...]:
    """The files of our own modules that a module imports, at its top or inside functions."""
    names: list[str] = []
    for module, listed, alone in IMPORT.findall(_content(file).decode()):
        names += [module, *(f"{module}.{name}" for name in NAME.findall(listed))] if module else [alone]
    return tuple(file for name in names for file in _module_files(name))


@cache
def _data_files(file: str) -> tuple[str, ...]:
    """The templates and other data files in a module's folder that the module names."""
    named = sorted(set(QUOTED.findall(_content(file).decode())))
    paths = [(Path(file).parent / name).as_posix() for name in named if Path(name).suffix in SOURCES - {".py"}]
    return tuple(path for path in paths if (ROOT / path).is_file())


def _module_files(name: str) -> list[str]:
    """The file of a module or package; nothing when the name is not a module."""
    path = name.replace(".", "/")
    return [file for file in (f"{path}.py", f"{path}/__init__.py") if (ROOT / file).is_file()]
