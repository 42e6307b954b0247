"""The settings that a step declares, and no others: what it does not declare it cannot read."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from pipeline.contents import by_content
from pipeline.settings import Section, Settings


def declared(settings: Settings, names: Iterable[str]) -> Settings:
    """The settings of these names: sections, or single ones as `curation.open_rights`.

    Reading another one is an AttributeError. So no setting decides a result without being in its fingerprint.
    """
    values: dict[str, Any] = {}
    single: dict[str, dict[str, Any]] = {}
    for name in names:
        section, _, key = name.partition(".")
        if key:
            single.setdefault(section, {})[key] = attrgetter(name)(settings)
        else:
            values[section] = getattr(settings, section)
    sections = {name: _with_only(type(getattr(settings, name)), some) for name, some in single.items()}
    return _with_only(Settings, {**sections, **values})


def values_of(settings: Settings, names: Iterable[str]) -> dict[str, Any]:
    """The values of these settings as JSON, with the bytes of files in place of their paths."""
    return {name: by_content(attrgetter(name)(settings), name) for name in names}


def _with_only(kind: type[Section], values: dict[str, Any]) -> Any:
    made = kind.model_construct(**values)
    for name in kind.model_fields.keys() - values.keys():
        made.__dict__.pop(name, None)
    return made
