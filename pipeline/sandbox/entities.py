"""Europeana's concepts in the rendered museum: which AAT concept each matches, and how closely."""

from dataclasses import dataclass
from typing import Any

from pipeline.sandbox.catalogue import LANGUAGES, words

CONTEXT = "http://www.europeana.eu/schemas/context/entity.jsonld"
BASE = "http://data.europeana.eu/concept/"
AAT = "http://vocab.getty.edu/aat/"


@dataclass(frozen=True)
class Entity:
    """One Europeana concept. Numbers from 900001 are invented for this museum, the others are Europeana's own."""

    number: int
    exact: tuple[str, ...] = ()  # AAT ids
    close: tuple[str, ...] = ()
    labels_of: str | None = None  # the words of this AAT id, unless of the first match
    more_labels: tuple[tuple[str, str], ...] = ()  # alternative labels: language, text

    @property
    def uri(self) -> str:
        """The newer spelling."""
        return f"{BASE}{self.number}"

    @property
    def words(self) -> dict[str, str]:
        """Its preferred labels by language."""
        key = self.labels_of or next(iter((*self.exact, *self.close)), None)
        return words()[key] if key else {"en": "folk tradition", "ca": "tradició popular", "de": "Volksbrauch"}


GROUPS = {
    "furniture": Entity(37, ("300037680",)),
    "costume": Entity(33, ("300178802",)),
    "jewelry": Entity(41, ("300209286",), more_labels=(("en", "Jewellery"),)),
    "musical instruments": Entity(46, ("300041620",)),
    "toy": Entity(56, ("300211037",)),
    "art of sculpture": Entity(51, ("300047090",), more_labels=(("en", "Art of sculpture"),)),
    "art": Entity(190, ("300054138",)),
    "book": Entity(6, ("300028051",)),
    "map": Entity(43, ("300028094",)),
    "photograph": Entity(48, ("300046300",)),
    "ceramic": Entity(31, ("300151343",)),
    "textile": Entity(55, ("300231565",)),
    "vessel": Entity(900001, ("300193015",)),
    "weapon": Entity(900002, ("300036926",)),
    "numismatics": Entity(900003, ("300054419",)),
    "tool": Entity(900004, close=("300024841",)),  # close, not exact: reaches no tag by default
}
# AAT concepts that records may name by a Europeana concept; `ALWAYS` names those that they never name otherwise.
TWINS = {
    concept: Entity(number, (concept,))
    for concept, number in {
        "300205002": 54, "300015342": 45, "300015637": 106, "300015638": 215, "300054328": 80, "300054467": 163,
        "300054534": 139, "300054300": 84, "300037772": 900010, "300046012": 900011, "300033579": 900012,
        "300042215": 900013, "300211087": 900014, "300180400": 900015, "300133711": 900016, "300010797": 900017,
        "300011029": 900018, "300011021": 900019, "300012264": 900020, "300010957": 900021, "300014069": 900022,
        "300132254": 900023, "300046159": 900024, "300041575": 900025, "300015636": 900026, "300235692": 900027,
    }.items()
}  # fmt: skip
ALWAYS = ("300211087", "300180400", "300133711")
# Two AAT matches, of which one is newer than our excerpt; none in the four facets; none in the AAT at all.
MUSIC = Entity(62, ("300054146", "300417584"))
MIDDLE_AGES = Entity(81, ("300020756",))
FOLK_TRADITION = Entity(900501)


def all_entities() -> list[dict[str, Any]]:
    """Every entity as the Entity API gives it, by number."""
    entities = (*GROUPS.values(), *TWINS.values(), MUSIC, MIDDLE_AGES, FOLK_TRADITION)
    return [_json(entity) for entity in sorted(entities, key=lambda entity: entity.number)]


def _json(entity: Entity) -> dict[str, Any]:
    labels = {language: entity.words[language] for language in LANGUAGES if language in entity.words}
    body: dict[str, Any] = {
        "@context": CONTEXT,
        "id": entity.uri,
        "type": "Concept",
        "prefLabel": {language: text[0].upper() + text[1:] for language, text in sorted(labels.items())},
    }
    if entity.more_labels:
        body["altLabel"] = {language: [text] for language, text in entity.more_labels}
    if entity.exact:
        body["exactMatch"] = [AAT + concept for concept in entity.exact]
    if entity.close:
        body["closeMatch"] = [AAT + concept for concept in entity.close]
    return body
