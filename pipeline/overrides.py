"""Single values of the settings, from a TOML file and from the environment."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.text_files import read_text


class SettingsError(ValueError):
    """The environment or a settings file cannot be used; the message says what to do."""


def from_file(file: str | None) -> Iterator[tuple[str, str, str, Any]]:
    """Where each value stands, its section, name and value, in a TOML file with a table per section."""
    try:
        tables = tomllib.loads(read_text(Path(file), SettingsError)) if file else {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"EUFCC_SETTINGS is {file}, which cannot be read: {error}.") from None
    for section, table in tables.items():
        if not isinstance(table, dict):
            raise SettingsError(f"{file}: `{section}` stands in no section; write it below a line like [splits].")
        yield from ((str(file), section, name, value) for name, value in table.items())


def from_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str, Any]]:
    """The same of the variables EUFCC__SECTION__NAME, each as JSON or as text."""
    for variable in sorted(name for name in environ if name.startswith("EUFCC__")):
        section, _, name = variable.removeprefix("EUFCC__").lower().partition("__")
        try:
            yield variable, section, name, json.loads(environ[variable])
        except ValueError:
            yield variable, section, name, environ[variable]
