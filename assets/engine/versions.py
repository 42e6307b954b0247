"""Code versions: a hash of the code that a result can depend on, followed from one function to all that it names.

What is reached brings what it names, by any name in it. A change elsewhere in the same file does not count, and nothing
that is called can be missed: `tests/assets/test_called_code.py` watches a run, and finds in the code version every
function that is called and every file that is opened.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from assets.engine.code_units import OURS, REST, ROOT, Unit, content, keep, module

EVERYTHING = "*"
# Code that no result depends on, or that is part of the fingerprint in another way. What it calls elsewhere counts.
LEFT_OUT = {
    "pipeline/settings.py": "the values of the settings count",
    "pipeline/tables.py": "the schemas of the written tables count",
    "pipeline/tables.toml": "the schemas of the written tables count",
    "pipeline/contents.py": "it makes fingerprints",
    "pipeline/files.py": "how files are written, not what",
    "pipeline/http.py": "how answers get here, not what they say",
    "pipeline/rate_limit.py": "when we ask",
    "pipeline/allow_list.py": "whom we ask",
    "pipeline/redaction.py": "what is told of errors",
    "pipeline/bucket.py": "where tables lie",
}
LEFT_OUT_ROOMS = ("assets/engine/", "assets/cli/")
Reached = tuple[str, str]  # a file, and a unit in it


def entry_of(function: Callable[..., Any]) -> list[str]:
    """The entry of a function of ours; of one that stands in another function, the outer one."""
    file = _file_of(getattr(function, "__module__", ""))
    return [f"{file}:{function.__qualname__.partition('.')[0]}"] if file else []


def code_version(entries: Iterable[str]) -> str:
    """A hash of the code behind the entries: a file, or `file.py:name` for one definition in it."""
    said = "".join(f"{unit} {digest}\n" for unit, digest in code_units(entries).items())
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def code_files(entries: Iterable[str]) -> dict[str, str]:
    """The files behind a code version, each with a hash of the units in it that count."""
    lines: dict[str, list[str]] = {}
    for unit, digest in code_units(entries).items():
        lines.setdefault(unit.partition(":")[0], []).append(f"{unit} {digest}\n")
    return {file: hashlib.sha256("".join(said).encode()).hexdigest()[:16] for file, said in lines.items()}


def code_units(entries: Iterable[str]) -> dict[str, str]:
    """Every unit and data file behind the entries with its hash, sorted. Raises FileNotFoundError."""
    return _code_units(tuple(entries))


@cache
def _code_units(entries: tuple[str, ...]) -> dict[str, str]:
    waiting = [target for entry in entries for target in _entry(entry)]
    found: dict[Reached, str] = {}
    seen: set[Reached] = set()
    while waiting:
        file, name = waiting.pop()
        if (file, name) in seen or file.startswith(LEFT_OUT_ROOMS):
            continue
        seen.add((file, name))
        if not file.endswith(".py"):
            found[file, name] = hashlib.sha256(content(file)).hexdigest()[:16]
        elif name == EVERYTHING:
            waiting += [(file, one) for one in module(file).units]
        elif unit := module(file).units.get(name):
            found[file, name] = unit.digest
            waiting += [(file, REST), *_named(file, unit)]
        else:
            waiting += _imported(file, name)
    keep()
    return {f"{file}:{name}": digest for (file, name), digest in sorted(found.items()) if file not in LEFT_OUT}


def _entry(entry: str) -> list[Reached]:
    file, _, name = entry.partition(":")
    if (ROOT / file).is_file():
        return [(file, name or EVERYTHING)]
    raise FileNotFoundError(f"{entry} is not a source file, and cannot be part of a code version.")


def _named(file: str, unit: Unit) -> Iterator[Reached]:
    """What a unit names: units of its module, what the module imports, and modules and data files by their names."""
    known = module(file)
    for name in unit.names:
        yield from [(file, name)] if name in known.units else _imported(file, name)
    for name, attribute in unit.attributes:
        modules = [one for dotted in known.imports.get(name, ()) if (one := _file_of(dotted))]
        if name in known.units:
            yield file, name
        elif modules:  # `import a.b` gives `a`, whose attribute is a module and not a unit
            yield from ((one, attribute if attribute in module(one).units else EVERYTHING) for one in modules)
        else:
            yield from _imported(file, name)
    for text in unit.texts:
        if one := _file_of(text):  # started with `python -m`
            yield one, EVERYTHING
        yield from ((data, EVERYTHING) for data in _data_files(str(Path(file).parent), text))


def _imported(file: str, name: str) -> Iterator[Reached]:
    """The definition, or the whole module, that a module imports under this name."""
    for dotted in module(file).imports.get(name, ()):
        whole, (parent, _, last) = _file_of(dotted), dotted.rpartition(".")
        if whole:
            yield whole, EVERYTHING
        elif one := _file_of(parent):
            yield one, last


@cache
def _data_files(folder: str, name: str) -> tuple[str, ...]:
    """The data files beside the one of that name below a module's folder, because templates include each other."""
    folders = {file.parent for file in _data_below(folder) if f"/{file}".endswith(f"/{name}")}
    return tuple(sorted(file.as_posix() for file in _data_below(folder) if file.parent in folders))


@cache
def _data_below(folder: str) -> tuple[Path, ...]:
    files = (file.relative_to(ROOT) for file in (ROOT / folder).rglob("*.*") if file.is_file())
    return tuple(file for file in files if file.suffix not in (".py", ".pyc") and "__pycache__" not in file.parts)


@cache
def _file_of(dotted: str) -> str | None:
    """The file of a module or package of ours; None when the name is neither."""
    if dotted.partition(".")[0] not in OURS or not dotted.replace(".", "").isidentifier():
        return None
    path = dotted.replace(".", "/")
    return next((file for file in (f"{path}.py", f"{path}/__init__.py") if (ROOT / file).is_file()), None)
