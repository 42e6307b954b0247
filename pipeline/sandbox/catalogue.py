"""What the rendered museum collects: object types, materials, disciplines, subjects, with their AAT ids and looks."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.sandbox.data import read_csv, read_toml

_FILE = read_toml(Path(__file__).with_name("catalogue.toml"))
LANGUAGES = ("en", "ca", "es", "de", "nl", "fr")
COLLECTIONS: tuple[str, ...] = _FILE["collections"]
CERAMIC: tuple[str, ...] = _FILE["ceramic"]
TEXTILE: tuple[str, ...] = _FILE["textile"]
GROUPS: dict[str, tuple[str, ...]] = _FILE["groups"]  # what Europeana calls broad groups → domains of ours
# From the name of what is drawn to an AAT id, one table for each facet but the object types, which the kinds name.
MATERIALS: dict[str, str] = _FILE["materials"]
DISCIPLINES: dict[str, str] = _FILE["motifs"]
SUBJECTS: dict[str, str] = _FILE["scenes"]
ARCHAEOLOGY: str = _FILE["disciplines"]["archaeology"]


@dataclass(frozen=True)
class Kind:
    """An object type: its concept, its shape, how many of 1,500 there are about, what it is made of."""

    concept: str
    shape: str
    weight: float
    domain: str
    materials: dict[str, float]
    second: tuple[str, ...] = ()  # materials of its second part
    motif_at: tuple[float, float, float] | None = None  # where a motif is painted, if at all
    scenes: dict[str, float] | None = None
    technique: str = "painted"
    disciplines: tuple[tuple[str, float], ...] = ()  # stated with this probability
    stated_materials: tuple[str, ...] = ()  # instead of what the drawing is textured with


def _kind(row: dict[str, Any]) -> Kind:
    """A row of the file, in which disciplines and stated materials have names; here they are AAT ids."""
    disciplines = ((_FILE["disciplines"][name], share) for name, share in row.pop("disciplines", {}).items())
    stated = (MATERIALS[name] for name in row.pop("stated_materials", ()))
    return Kind(**row, disciplines=tuple(disciplines), stated_materials=tuple(stated))


KINDS = tuple(map(_kind, _FILE["kinds"]))


@lru_cache(maxsize=1)
def words() -> dict[str, dict[str, str]]:
    """AAT id → language → the word a cataloguer there would write (our translations, not the AAT's)."""
    return {row.pop("aat_id"): row for row in read_csv(Path(__file__).with_name("words.csv"))}
