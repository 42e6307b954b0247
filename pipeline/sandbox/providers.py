"""The rendered museum's data providers: what they hold, where, in which language and style."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.sandbox.data import read_toml
from pipeline.sandbox.drawing.styles import Style

_FILE = read_toml(Path(__file__).with_name("providers.toml"))
OVERTAGGED: str = _FILE["overtagged"]


@dataclass(frozen=True)
class Provider:
    """One institution. `share` is of all images; `leaning` multiplies how likely it holds a domain's things."""

    name: str
    aggregator: str
    country: str
    language: str
    share: float
    style: Style
    rights: tuple[str, ...]
    leaning: dict[str, float] = field(default_factory=dict)
    others: float = 1.0  # the leaning towards domains not named
    closed: tuple[str, ...] = ()
    closed_share: float = 0.0


def _provider(row: dict[str, Any]) -> Provider:
    """A row of the file, in which rights have names."""
    rights, closed = (tuple(_FILE["rights"][name] for name in row.pop(key, ())) for key in ("rights", "closed"))
    return Provider(**row | {"style": Style(**row["style"])}, rights=rights, closed=closed)


PROVIDERS = tuple(map(_provider, _FILE["providers"]))
