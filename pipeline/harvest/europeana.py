"""A client of Europeana's APIs: Search by cursor, counts, facets, entities in batches, single records."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit

from pydantic_core import SchemaValidator

from pipeline.harvest.answers import OF_A_WALK, checked_search
from pipeline.harvest.entities import EntityConcept, europeana_concept, read_concept, read_concepts
from pipeline.http import HttpClient, Refused, Response, WrongKey, mapped
from pipeline.rate_limit import RatePolicy, read_rate_policy
from pipeline.settings import HarvestSettings

FIRST_CURSOR = "*"
SORT = "europeana_id asc"  # a custom sort must hold the unique key (dossier, section 1.4)
FACET_LIMIT = 750  # the server's maximum
MOST_ROWS = 100  # the server's maximum
ENTITIES_PER_REQUEST = 50
BAD_CURSOR = "400-SC"
JSON = {"Accept": "application/json"}
CONCEPT_PATH = re.compile(r"/concept/(?:base/)?(\d+)/?$")


@dataclass(frozen=True)
class Window:
    """A selection of a collection's records; without bounds, all of them. Times are in Solr's format."""

    created_from: str | None = None  # included
    created_before: str | None = None  # excluded
    updated_from: str | None = None  # included
    updated_before: str | None = None  # excluded
    provider: str | None = None  # only of this data provider
    without_providers: tuple[str, ...] = ()

    def refinements(self) -> list[str]:
        """The `qf` parameters."""
        refinements = [
            *_range("timestamp_created", self.created_from, self.created_before),
            *_range("timestamp_update", self.updated_from, self.updated_before),
        ]
        if self.provider is not None:
            refinements.append(f"DATA_PROVIDER:{_phrase(self.provider)}")
        return refinements


EVERYTHING = Window()
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Page:
    """One response of the Search API, with the key removed."""

    request: str  # the URL that was asked
    items: list[dict[str, Any]]  # of a walk no more is certain to be there than their ids; the body has the rest
    total: int  # what the server says the search finds in all; it may change from page to page
    next_cursor: str | None
    body: str = field(repr=False)

    @cached_property
    def ids(self) -> list[str]:
        """Europeana's ids of the items, in the page's order."""
        return [item["id"] for item in self.items if isinstance(item.get("id"), str)]


@dataclass(frozen=True)
class Record:
    """One response of the Record API: what the Search API does not give."""

    record_id: str
    rights_uri: str | None
    concepts: tuple[EntityConcept, ...]  # contextual entities of the record, with their matches
    terms: Mapping[str, tuple[str, ...]]  # by role (dcType, dcSubject, dcFormat, dctermsMedium, edmHasType), as written
    data: Mapping[str, Any] = field(repr=False)  # the `object`


AGENT_LABELS = ("label", "prefLabel", "name", "@value")
AGENT_URIS = ("about", "@id", "id")  # `id` is a language too (Indonesian), but no answer names a holder so
ROLES = ("dcType", "dcSubject", "dcFormat", "dctermsMedium", "edmHasType")


class EuropeanaClient:
    """Sends requests to Europeana; the key goes only to the host of `settings.api`, in the header X-Api-Key.

    `key` may be None only where the host map leads to a local museum. Threads may share it; as a context
    manager it closes its connections.
    """

    def __init__(self, http: HttpClient, settings: HarvestSettings, key: str | None) -> None:
        self.http = http
        self._settings = settings
        self._api = settings.api.rstrip("/")
        self._key = (key or "").strip() or None
        self.allowed: RatePolicy | None = None  # what the last answer said that the key may do

    def __enter__(self) -> "EuropeanaClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self.http.close()

    def search(
        self, collection: str, cursor: str = FIRST_CURSOR, window: Window | None = None, *, profile: str = "rich"
    ) -> Page:
        """One page of a keyword collection, ordered by id. Raises the errors of `pipeline.http`."""
        rows = str(self._settings.rows)
        asked = [("sort", SORT), ("rows", rows), ("profile", profile), ("cursor", cursor)]
        return self._page(self.question(collection, window) + asked, OF_A_WALK)

    def count(self, collection: str, window: Window | None = None) -> int:
        """How many records a search finds (`rows=0`)."""
        asked = [("rows", "0"), ("profile", "minimal")]
        return self._page(self.question(collection, window) + asked).total

    def bounds(self, collection: str, window: Window | None, name: str) -> tuple[str, str] | None:
        """The first and the last value of `timestamp_created` or `timestamp_update`; None when nothing is found."""
        ends = []
        for direction in ("asc", "desc"):
            asked = [("sort", f"{name} {direction},{SORT}"), ("rows", "1"), ("profile", "standard")]
            items = self._page(self.question(collection, window) + asked).items
            if not items or not isinstance(items[0].get(name), str):
                return None
            ends.append(items[0][name])
        return ends[0], ends[1]

    def providers(self, collection: str, window: Window | None = None) -> dict[str, int]:
        """Records per data provider, of the 750 with most."""
        asked = [
            ("rows", "0"),
            ("profile", "facets"),
            ("facet", "DATA_PROVIDER"),
            ("f.DATA_PROVIDER.facet.limit", str(FACET_LIMIT)),
        ]
        return self._read("/record/v2/search.json", self.question(collection, window) + asked, _provider_counts)

    def question(self, collection: str, window: Window | None = None) -> list[tuple[str, str]]:
        """The parameters that select the records, without paging."""
        window = window or EVERYTHING
        refinements = [f"TYPE:{self._settings.media_type}", *window.refinements()]
        return [
            ("query", self._query(collection, window)),
            *(("qf", refinement) for refinement in refinements),
            ("reusability", self._settings.reusability),
            ("thumbnail", "true"),
        ]

    def request(self, collection: str) -> str:
        """The URL of a collection's search, without paging and key: where its records come from."""
        return f"{self._api}/record/v2/search.json?{urlencode(self.question(collection))}"

    def concepts(self, uris: Iterable[str]) -> list[EntityConcept]:
        """Europeana's own concepts behind the URIs (either spelling), sorted; those it does not know are left out.

        Requested in batches; a concept that a batch does not return is requested alone. A concept that was merged
        into another is returned under the requested URI.
        """
        wanted = sorted({uri: None for given in uris if (uri := europeana_concept(given))})
        concepts: dict[str, EntityConcept] = {}
        for start in range(0, len(wanted), ENTITIES_PER_REQUEST):
            batch = wanted[start : start + ENTITIES_PER_REQUEST]
            concepts.update(self._retrieve(batch))
            for uri in batch:
                if uri not in concepts and (concept := self._concept(uri)) is not None:
                    concepts[uri] = concept
        return [concepts[uri] for uri in wanted if uri in concepts]

    def with_values(self, values: Mapping[str, Sequence[str]]) -> Page:
        """The first 100 records, of any rights, that have one of these values in a field; values by the field's name.

        Sent by POST, as a query of thirty addresses is longer than a URL may be (dossier, section 1.1).
        """
        anyof = (f"{name}:({' OR '.join(map(_exactly, given))})" for name, given in values.items() if given)
        body = {"query": " OR ".join(anyof), "rows": MOST_ROWS, "profile": ["standard"], "sort": [SORT]}
        read, headers = list[Page](), {**JSON, **self._key_header()}
        url = f"{self._api}/record/v2/search.json"
        try:
            self.http.post(url, json=body, headers=headers, check=lambda answer: read.append(self._page_of(answer)))
        except WrongKey as error:
            raise self._explained(error) from None
        return read[-1]

    @property
    def may_ask(self) -> bool:
        """Whether there is a key, or a local museum that needs none."""
        return self._key is not None or mapped(self._api, self.http.settings.hosts)[0] != self._api

    def record(self, record_id: str) -> Record | None:
        """One record by its id (`/dataset/local`), or None when Europeana does not have it."""
        if not re.fullmatch(r"/[^/\s]+/[^/\s]+", record_id):
            raise ValueError(f"{record_id!r} is not a Europeana id; `/dataset/local` is.")
        try:
            return self._read(f"/record/v2{quote(record_id)}.json", [], lambda response: read_record(response.json()))
        except Refused as refusal:
            if refusal.status in (404, 410):
                return None
            raise

    def _query(self, collection: str, window: Window) -> str:
        words = (collection, *self._settings.keyword_translations.get(collection, ()))
        query = collection if len(words) == 1 else " OR ".join(f"({word})" for word in words)
        if window.without_providers:
            others = " OR ".join(_phrase(name) for name in window.without_providers)
            everything = "*:*" if query == "*" else query
            query = f"({everything}) AND NOT DATA_PROVIDER:({others})"
        return query

    def _page(self, params: list[tuple[str, str]], form: SchemaValidator | None = None) -> Page:
        return self._read("/record/v2/search.json", params, lambda response: self._page_of(response, form))

    def _page_of(self, response: Response, form: SchemaValidator | None = None) -> Page:
        answer = checked_search(response.json(form))
        return Page(
            request=self.http.redact(response.url),
            items=answer.get("items") or [],
            total=answer["totalResults"],
            next_cursor=answer.get("nextCursor"),
            body=self.http.redact(response.text),
        )

    def _retrieve(self, uris: Sequence[str]) -> dict[str, EntityConcept]:
        """A batch by POST; empty when the server has no such endpoint or knows none of the URIs."""
        headers, read = {**JSON, **self._key_header()}, dict[str | None, EntityConcept]()

        def check(response: Response) -> None:
            read.update((europeana_concept(concept.uri), concept) for concept in read_concepts(response.json()))

        try:
            self.http.post(f"{self._api}/entity/retrieve", json=list(uris), headers=headers, check=check)
        except WrongKey as error:
            raise self._explained(error) from None
        except Refused:
            return {}
        return {uri: read[uri] for uri in uris if uri in read}

    def _concept(self, uri: str) -> EntityConcept | None:
        def read(response: Response) -> EntityConcept:
            return read_concept(response.json(), uri=uri)

        try:
            return self._read(f"/entity/concept/{uri.rpartition('/')[2]}", [], read)
        except Refused as refusal:
            merged = CONCEPT_PATH.search(urlsplit(refusal.location or "").path.removesuffix(".json"))
            if merged is not None:
                return self._read(f"/entity/concept/{merged.group(1)}", [], read)
            if refusal.status in (404, 410):
                return None
            raise

    def _read(self, path: str, params: list[tuple[str, str]], reader: Callable[[Response], Answer]) -> Answer:
        """What the reader makes of the answer; an answer that it cannot read is requested again, like a broken one."""
        headers, read = {**JSON, **self._key_header()}, list[Answer]()
        url = urljoin(self._api + "/", path.lstrip("/"))
        try:
            response = self.http.get(url, params, headers, check=lambda response: read.append(reader(response)))
        except WrongKey as error:
            raise self._explained(error) from None
        said = response.headers
        self.allowed = read_rate_policy(said.rate_limit_policy, said.rate_limit) or self.allowed
        return read[-1]

    def _key_header(self) -> dict[str, str]:
        if self._key is None:
            if not self.may_ask:
                raise WrongKey(
                    "EUROPEANA_API_KEY is not set: put your Europeana API key into that environment variable"
                    " (a key is free, see https://apis.europeana.eu)."
                )
            return {}
        if not re.fullmatch(r"[\x21-\x7e]+", self._key):
            raise WrongKey("EUROPEANA_API_KEY holds spaces or characters that no key has: copy the key again.")
        return {"X-Api-Key": self._key}

    def _explained(self, error: WrongKey) -> WrongKey:
        given = "the key in EUROPEANA_API_KEY" if self._key else "a request without key (EUROPEANA_API_KEY is not set)"
        return WrongKey(f"Europeana does not accept {given}: check it at https://apis.europeana.eu. {error}")


def read_record(answer: Mapping[str, Any]) -> Record:
    """The Record API's answer, of today or of older versions. Raises ValueError when it is none."""
    data = answer.get("object", answer)
    proxies = data.get("proxies")
    if not isinstance(proxies, list):
        raise ValueError("not an answer of the Record API: it has no proxies.")
    about = data.get("about") or next((c.get("about", "") for c in data.get("providedCHOs") or []), "")
    aggregation: Mapping[str, Any] = next(iter(data.get("aggregations") or []), {})
    return Record(
        record_id=about.removeprefix("/item"),
        rights_uri=next(iter(values_of(aggregation.get("edmRights"))), None),
        concepts=tuple(read_concept(concept) for concept in data.get("concepts") or []),
        terms={role: _terms(proxies, role) for role in ROLES},
        data=data,
    )


def values_of(language_map: object) -> list[str]:
    """Every text of a language map, whose values may be texts or lists of them; older answers have bare lists."""
    if isinstance(language_map, str):
        return [language_map]
    if isinstance(language_map, Mapping):
        if "#value" in language_map:  # the database's own form, in legacy dumps
            return [str(language_map["#value"])]
        return [text for values in language_map.values() for text in values_of(values)]
    if isinstance(language_map, list):
        return [text for values in language_map for text in values_of(values)]
    return []


def names_of(value: object, organisations: Mapping[str, str] | None = None) -> list[str]:
    """The names of holders or providers: texts, language maps, and agents with a label.

    `organisations` are names by URI; a URI that has none there comes last.
    """
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str) and not organisations:
        return [value[0]]  # as nearly every item has it
    names: list[str] = []
    for each in value if isinstance(value, list) else [value]:
        label = _label_of_agent(each) if isinstance(each, Mapping) else each
        names += [(organisations or {}).get(text.strip(), text) for text in values_of(label)]
    return sorted(names, key=lambda name: "://" in name)


def _label_of_agent(agent: Mapping[str, Any]) -> object:
    """The label of an agent, else its URI; what is no agent is a language map, and stays."""
    label = next((agent[name] for name in AGENT_LABELS if agent.get(name)), None)
    return label or next((agent[name] for name in AGENT_URIS if name in agent), agent)


def organisations_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The names of the organisations that an answer of the Record API describes, by URI."""
    listed = [
        each
        for name in ("organizations", "agents")
        if isinstance(record.get(name), list)
        for each in record[name]
        if isinstance(each, Mapping)
    ]
    named = {str(each.get("about") or each.get("id")): values_of(each.get("prefLabel")) for each in listed}
    return {uri: names[0] for uri, names in named.items() if names}


def _terms(proxies: Sequence[Mapping[str, Any]], role: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for proxy in proxies for text in values_of(proxy.get(role))))


def _provider_counts(response: Response) -> dict[str, int]:
    answer = checked_search(response.json())
    facets = [facet for facet in answer.get("facets") or [] if facet.get("name") == "DATA_PROVIDER"]
    return {str(entry["label"]): int(entry["count"]) for facet in facets for entry in facet.get("fields") or []}


def _range(name: str, begin: str | None, before: str | None) -> list[str]:
    if begin is None and before is None:
        return []
    return [f"{name}:[{begin or '*'} TO {'*]' if before is None else before + '}'}"]


def _exactly(text: str) -> str:
    """A phrase that the API leaves as it is: it writes `:https://` in a query as `:http://`."""
    return _phrase(text).replace(":https://", ":\\https://")


def _phrase(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
