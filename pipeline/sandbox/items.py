"""A holding as Europeana's Search API describes it: titles, concepts in their roles and spellings, URLs, dates."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import numpy as np

from pipeline.sandbox import entities
from pipeline.sandbox.catalogue import ARCHAEOLOGY, CERAMIC, DISCIPLINES, GROUPS, MATERIALS, SUBJECTS, TEXTILE, words
from pipeline.sandbox.entities import AAT, Entity
from pipeline.sandbox.plan import Holding
from pipeline.sandbox.providers import OVERTAGGED, PROVIDERS

ENRICHED = 0.96  # of records carry concepts; the rest only words in their own language
VIA_ENTITY = 0.25  # of links to an AAT concept that has a Europeana twin go through it
OLD_SPELLING = 0.3  # of Europeana URIs are written concept/base/N
ODD_SPELLING = 0.03  # of AAT URIs are written with https, /page/ or a slash at the end
PROXY_ONLY = 0.02  # of records name their object type in the provider's proxy alone
OBSOLETE = {"300039264": "300375205"}  # schranks ← shranks, Getty's own example of a replaced id
NEWER_THAN_EXCERPT = "300266399"
GUIDE_TERM, HIERARCHY = "300191098", "300179869"
OVERTAGS = 9
CREATED, UPDATED = datetime(2024, 1, 8, 9, tzinfo=UTC), datetime(2026, 1, 5, 6, tzinfo=UTC)
TITLE = {"en": "{thing} of {stuff}", "ca": "{thing} ({stuff})", "es": "{thing} ({stuff})", "de": "{thing}, {stuff}",
         "nl": "{thing}, {stuff}", "fr": "{thing} ({stuff})"}  # fmt: skip


@dataclass
class Links:
    """The concepts of one record, by the URI that they are written with, and their roles."""

    labels: dict[str, dict[str, str]] = field(default_factory=dict)  # URI → language → label
    types: list[str] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)

    def add(self, uri: str, concept: str | None = None) -> None:
        """Link to a URI with the labels of an AAT concept, or without any."""
        self.labels.setdefault(uri, words().get(concept or "", {}))

    def add_subject(self, uri: str, labels: dict[str, str]) -> None:
        """Link to a URI as the subject."""
        self.subjects.append(uri)
        self.labels.setdefault(uri, labels)


def item(holding: Holding, seed: int) -> dict[str, Any]:
    """The Search API item of a holding, profile rich."""
    rng = np.random.default_rng([seed, holding.number, 9])
    language = holding.provider.language
    links = _links(holding, rng) if rng.random() < ENRICHED else Links()
    title = _title(holding, language)
    record_id = record_id_of(holding)
    preview = thumbnail_source(holding)
    fields: dict[str, Any] = {
        "id": record_id,
        "type": holding.media_type,
        "title": [title],
        "dcTitleLangAware": {language: [title]},
        "dataProvider": [holding.provider.name],
        "provider": [holding.provider.aggregator],
        "country": [holding.provider.country],
        "language": [language],
        "rights": [holding.rights],
        "edmDatasetName": [_dataset_name(holding)],
        "edmIsShownAt": [f"https://{_host(holding)}/object/{holding.number:05d}"],
        "edmIsShownBy": [image_url(holding)] if holding.image != "none" else [],
        "edmPreview": [_thumbnail(preview)] if preview else [],
        "edmConcept": list(links.labels),
        "edmConceptLabel": _flat_labels(links),
        "edmConceptPrefLabelLangAware": _labels_by_language(links),
        "dcTypeLangAware": _values(links.types, language, [words()[holding.kind.concept][language]]),
        "dcSubjectLangAware": _values(links.subjects, language, _subject_words(holding, language)),
        "europeanaCompleteness": int(rng.integers(3, 11)),
        "timestamp_created": _stamp(CREATED + holding.number * timedelta(hours=5)),
        "timestamp_update": _stamp(UPDATED + int(rng.integers(0, 300)) * timedelta(days=1)),
    }
    return {name: value for name, value in fields.items() if value not in ([], {})}


def record_id_of(holding: Holding) -> str:
    """`/dataset/local`; one dataset a provider, some with a leading zero."""
    return f"/{_dataset(holding)}/{_code(holding)}_{holding.number:05d}{'ab'[holding.view % 2] if holding.view else ''}"


def image_url(holding: Holding) -> str:
    """edm:isShownBy; a third of the hosts still speak plain http."""
    scheme = "http" if PROVIDERS.index(holding.provider) % 3 == 2 else "https"
    return f"{scheme}://media.{_host(holding)}/{_code(holding)}/{holding.number:05d}.jpg"


def thumbnail_source(holding: Holding) -> str | None:
    """What the thumbnail is made from: edm:object where the provider gave one, else edm:isShownBy."""
    if holding.image == "none":
        return None
    if holding.image == "dead_original":
        return image_url(holding).replace(".jpg", "_preview.jpg")
    return image_url(holding)


def _links(holding: Holding, rng: np.random.Generator) -> Links:
    kind, thing, links = holding.kind, holding.thing, Links()
    uri = _written(OBSOLETE.get(kind.concept, kind.concept), rng)
    links.types.append(uri)
    if rng.random() >= PROXY_ONLY:
        links.add(uri, kind.concept)
    textures = [MATERIALS[name] for name in dict.fromkeys((thing.material, thing.second)) if name]
    for material in kind.stated_materials or textures:
        links.add(_written(material, rng), material)
    for concept in _disciplines(holding, rng):
        links.add_subject(_written(concept, rng), words()[concept])
    if thing.scene in SUBJECTS and rng.random() < 0.95:
        subject = SUBJECTS[thing.scene]
        links.add_subject(_written(subject, rng), words()[subject])
    for entity in _groups(holding, rng):
        links.add_subject(_entity_uri(entity, rng), entity.words)
    _add_oddities(links, holding, rng)
    return links


def _written(concept: str, rng: np.random.Generator) -> str:
    """A link to an AAT concept, directly or by its Europeana twin, in one of the spellings that occur."""
    twin = entities.TWINS.get(concept)
    if twin is not None and (concept in entities.ALWAYS_BY_TWIN or rng.random() < VIA_ENTITY):
        return _entity_uri(twin, rng)
    if rng.random() < ODD_SPELLING:
        page, secure = f"http://vocab.getty.edu/page/aat/{concept}", f"https://vocab.getty.edu/aat/{concept}"
        return (secure, page, f"{AAT}{concept}/")[int(rng.integers(3))]
    return AAT + concept


def _entity_uri(entity: Entity, rng: np.random.Generator) -> str:
    return f"{entities.BASE}{'base/' if rng.random() < OLD_SPELLING else ''}{entity.number}"


def _disciplines(holding: Holding, rng: np.random.Generator) -> list[str]:
    concepts = [concept for concept, probability in holding.kind.disciplines if rng.random() < probability]
    if holding.thing.motif is not None:
        concepts.append(DISCIPLINES[holding.thing.motif])
    if "scale_bar" in holding.provider.style.extras and rng.random() < 0.6:
        concepts.append(ARCHAEOLOGY)
    return list(dict.fromkeys(concepts))


def _groups(holding: Holding, rng: np.random.Generator) -> list[Entity]:
    """The broad concepts that Europeana's enrichment adds."""
    groups = [entities.GROUPS[name] for name, domains in GROUPS.items() if holding.kind.domain in domains]
    stuff = {holding.thing.material, holding.thing.second} if not holding.kind.stated_materials else set()
    if stuff & set(CERAMIC):
        groups.append(entities.GROUPS["ceramic"])
    if stuff & set(TEXTILE):
        groups.append(entities.GROUPS["textile"])
    if holding.kind.domain == "music" and rng.random() < 0.3:
        groups.append(entities.MUSIC)
    return groups


def _add_oddities(links: Links, holding: Holding, rng: np.random.Generator) -> None:
    """What real records also carry: other vocabularies, headings, unknown ids, and too many tags."""
    kind = holding.kind
    if kind.domain == "music" and rng.random() < 0.4:
        links.add(f"http://www.mimo-db.eu/InstrumentsKeywords/{900000 + len(kind.shape)}", kind.concept)
    if rng.random() < 0.03:
        links.add("http://d-nb.info/gnd/0000001-0", "300054319")
    if rng.random() < 0.03:
        links.add_subject(_entity_uri(entities.FOLK_TRADITION, rng), entities.FOLK_TRADITION.words)
    if rng.random() < 0.02:
        links.add_subject(_entity_uri(entities.MIDDLE_AGES, rng), entities.MIDDLE_AGES.words)
    if rng.random() < 0.01:
        links.add(AAT + NEWER_THAN_EXCERPT)
    if holding.thing.scene in SUBJECTS and rng.random() < 0.04:
        links.add(AAT + (GUIDE_TERM if rng.random() < 0.5 else HIERARCHY))
    if holding.provider.name == OVERTAGGED:
        others = [concept for concept in words() if concept != kind.concept]
        for at in rng.choice(len(others), OVERTAGS, replace=False):
            links.add(_written(others[int(at)], rng), others[int(at)])


def _title(holding: Holding, language: str) -> str:
    thing = words()[holding.kind.concept][language]
    if holding.thing.scene in SUBJECTS:
        stuff = words()[SUBJECTS[holding.thing.scene]][language]
        title = f"{thing}: {stuff}"
    else:
        stuff = words()[MATERIALS[holding.thing.material]][language]
        title = TITLE[language].format(thing=thing, stuff=stuff)
    number = f" [{holding.view + 1}]" if holding.view else ""
    return title[0].upper() + title[1:] + number


def _subject_words(holding: Holding, language: str) -> list[str]:
    """Subjects in words: what the picture shows, what is painted on it."""
    concepts = [SUBJECTS.get(holding.thing.scene or ""), DISCIPLINES.get(holding.thing.motif or "")]
    return [words()[concept][language] for concept in concepts if concept is not None]


def _values(uris: list[str], language: str, literals: list[str]) -> dict[str, list[str]]:
    """URIs stand under `def`, words under their language."""
    values = {"def": uris, language: literals}
    return {name: texts for name, texts in values.items() if texts}


def _labels_by_language(links: Links) -> dict[str, list[str]]:
    labels = links.labels.values()
    languages = sorted({language for by_language in labels for language in by_language})
    return {language: [each[language] for each in labels if language in each] for language in languages}


def _flat_labels(links: Links) -> list[dict[str, str]]:
    """Labels without a language; within each language block in the order of edmConcept, as Europeana gives them."""
    return [{"def": label} for labels in _labels_by_language(links).values() for label in labels]


def _thumbnail(url: str) -> str:
    return f"https://api.europeana.eu/thumbnail/v2/url.json?uri={quote(url, safe='')}&type=IMAGE"


def _dataset(holding: Holding) -> str:
    number = PROVIDERS.index(holding.provider)
    return f"0{9300 + number}" if number % 5 == 4 else str(9300100 + number)


def _dataset_name(holding: Holding) -> str:
    return f"{_dataset(holding)}_Demo_{_code(holding)}"


def _host(holding: Holding) -> str:
    return f"{_code(holding)}.example"


def _code(holding: Holding) -> str:
    """A provider's short name, as it stands in hosts, datasets and record ids."""
    return "".join(word[0].lower() for word in holding.provider.name.split()) + str(PROVIDERS.index(holding.provider))


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
