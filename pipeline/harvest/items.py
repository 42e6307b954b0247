"""One item of a search answer as one row of `records`."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.harvest.europeana import names_of, values_of
from pipeline.vocabulary.identifiers import AAT_ID, aat_id

URI = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.-]*://|urn:|aat:)\S+")
NO_LANGUAGE = "def"
LATEST_EPOCH = 253_402_300_800_000  # milliseconds until the year 10000, which no table can hold

_CREATIVE_COMMONS = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/(licenses|publicdomain)/([a-z+-]+)(?:/(\d(?:\.\d)?))?(?:/([a-z]{2,3}))?"
    r"(?:/(?:deed|legalcode)?(?:[._-][a-zA-Z_-]+)?)?/*",
    re.IGNORECASE,
)
_RIGHTS_STATEMENT = re.compile(
    r"https?://(?:www\.)?rightsstatements\.org/(?:vocab|page|data)/([A-Za-z-]+)/(\d\.\d)/*(?:\?.*)?"
)
_EUROPEANA_RIGHTS = re.compile(r"https?://(?:www\.)?europeana\.eu/rights/([a-z-]+)(?:\.html?)?/*")

_NAMES = {"mark": "Public Domain Mark", "zero": "CC0"}


def normalised_rights(uri: str) -> str:
    """A rights URI in one spelling: http, no spaces, a slash at the end, no language and no jurisdiction port.

    Only the families Europeana counts (Creative Commons, RightsStatements.org, its own) are rewritten.
    """
    text = uri.strip()
    if match := _CREATIVE_COMMONS.fullmatch(text):
        family, licence, version, _ = match.groups()
        return (
            "/".join(["http://creativecommons.org", family.lower(), licence.lower(), version or ""]).rstrip("/") + "/"
        )
    if match := _RIGHTS_STATEMENT.fullmatch(text):
        return f"http://rightsstatements.org/vocab/{match[1]}/{match[2]}/"
    if match := _EUROPEANA_RIGHTS.fullmatch(text):
        return f"http://www.europeana.eu/rights/{match[1]}/"
    return text


def rights_name(uri: str) -> str:
    """What people call the licence: `CC BY-SA 3.0 DE`, `CC0 1.0`; the URI itself where it has no such name."""
    text = uri.strip()
    if match := _CREATIVE_COMMONS.fullmatch(text):
        _, licence, version, port = match.groups()
        name = _NAMES.get(licence.lower(), f"CC {licence.upper()}")
        return " ".join(part for part in (name, version, port and port.upper()) if part)
    if match := _RIGHTS_STATEMENT.fullmatch(text):
        return f"{match[1]} {match[2]}"
    return text


def row_of_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of `records` that one item gives, timestamps in microseconds since 1970.

    Raises KeyError when it has no id.
    """
    rights = _first(item, "rights")
    types, subjects = (list(_pairs(item.get(name))) for name in ("dcTypeLangAware", "dcSubjectLangAware"))
    return {
        "record_id": item["id"],
        "dataset": _first(item, "edmDatasetName"),
        "data_provider": _name(item, "dataProvider"),
        "provider": _name(item, "provider"),
        "country": _first(item, "country"),
        "rights_uri": normalised_rights(rights) if rights else None,
        "attribution": attribution(item),
        "titles": _titles(item),
        "image_url": _first(item, "edmIsShownBy"),
        "thumbnail_url": _first(item, "edmPreview"),
        "landing_page": _first(item, "edmIsShownAt"),
        "concept_uris": sorted(set(values_of(item.get("edmConcept")))),
        "type_uris": _uris(types, bare=True),
        "subject_uris": _uris(subjects),
        "literal_terms": _by_language(pair for pair in (*types, *subjects) if not _is_uri(pair[1].strip())),
        "created_at": _microseconds(item, "timestamp_created"),
        "updated_at": _microseconds(item, "timestamp_update"),
    }


def attribution(item: Mapping[str, Any]) -> str:
    """What must be said beside the image: title, makers, holder, licence as the holder gave it, with its URI."""
    rights = _first(item, "rights")
    makers = [name for name in values_of(item.get("dcCreator")) if not URI.fullmatch(name.strip())]
    licence = None
    if rights:
        licence = rights_name(rights)
        licence = licence if licence == rights else f"{licence} ({rights})"
    said = (_first(item, "title") or item["id"], "; ".join(makers[:3]), _name(item, "dataProvider"), licence)
    return ". ".join(part.strip().rstrip(".") for part in said if part)


def _titles(item: Mapping[str, Any]) -> list[dict[str, str]]:
    titles = _by_language(_pairs(item.get("dcTitleLangAware")))
    return titles or _by_language((NO_LANGUAGE, text) for text in values_of(item.get("title")))


def _uris(pairs: Sequence[tuple[str, str]], *, bare: bool = False) -> list[str]:
    """The URIs among the texts as written; with `bare` nine digits that may be an AAT id are one, and a term too."""
    texts = {text.strip() for _, text in pairs}
    return sorted(text for text in texts if _is_uri(text) or (bare and AAT_ID.fullmatch(text)))


def _is_uri(text: str) -> bool:
    return URI.fullmatch(text) is not None or aat_id(text) is not None


def _pairs(language_map: object) -> Iterator[tuple[str, str]]:
    """(language, text) for every text; texts outside a language map have the language `def`."""
    by_language = language_map if isinstance(language_map, Mapping) else {NO_LANGUAGE: language_map}
    for language, texts in by_language.items():
        for text in values_of(texts):
            yield language or NO_LANGUAGE, text


def _by_language(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Distinct, sorted by language, then text."""
    distinct = sorted({(language, text.strip()) for language, text in pairs if text.strip()})
    return [{"language": language, "text": text} for language, text in distinct]


def _first(item: Mapping[str, Any], name: str) -> str | None:
    """The first value of a field, which may be a text or a list; None when empty."""
    return next((text.strip() for text in values_of(item.get(name)) if text.strip()), None)


def _name(item: Mapping[str, Any], name: str) -> str | None:
    """The first name of a holder or provider, who may be written as an agent; None when there is none."""
    return next((text.strip() for text in names_of(item.get(name)) if text.strip()), None)


def _microseconds(item: Mapping[str, Any], name: str) -> int | None:
    """A timestamp in microseconds since 1970, from its text, else from its epoch in milliseconds."""
    text, epoch = item.get(name), item.get(f"{name}_epoch")
    if isinstance(text, str):
        try:
            return microseconds(datetime.fromisoformat(text))
        except ValueError:
            pass  # the epoch beside it is the same moment
    return epoch * 1000 if isinstance(epoch, int) and abs(epoch) < LATEST_EPOCH else None


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970; a time without zone is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
