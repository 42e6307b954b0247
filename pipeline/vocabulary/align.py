"""Concept URIs of the records to AAT ids: stated directly, or through Europeana's own concepts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.harvest.entities import EntityConcept, europeana_concept
from pipeline.settings import VocabularySettings
from pipeline.tables import CONCEPT_ALIGNMENTS, UNMAPPED_CONCEPTS
from pipeline.vocabulary.cache import DatedCache
from pipeline.vocabulary.facets import Rules, assign_facets
from pipeline.vocabulary.identifiers import aat_id
from pipeline.vocabulary.labels import LABELS_SCHEMA, add_labels, read_label_files
from pipeline.vocabulary.source import ConceptSource
from pipeline.vocabulary.thesaurus import Thesaurus


@dataclass(frozen=True)
class Alignment:
    """What the concepts of the records stand for.

    `concepts` are the rows of the AAT behind them with everything above; further labels are added, from the files in
    settings and from Europeana's concepts that match exactly one AAT id (CC0).
    """

    concept_alignments: pl.DataFrame
    unmapped_concepts: pl.DataFrame
    concepts: pl.DataFrame


_Matches = Mapping[str, str]  # of a URI: AAT id to `exact` or `close`, sorted by id


def align_concepts(
    records: pl.DataFrame,
    entities: Callable[[list[str]], Iterable[EntityConcept]],
    vocabulary: ConceptSource,
    settings: VocabularySettings,
    cache: Path,
    rules: Rules | None = None,
) -> Alignment:
    """Every concept URI of the records with the AAT ids it stands for, and those that stand for none.

    `entities` answers Europeana's concepts for a batch of URIs in the newer spelling; answers are cached in the
    folder `cache`. Obsolete ids are followed to what replaces them. With `rules`, URIs whose ids all fall outside the
    facets are listed among the unmapped ones too (they keep their rows), and `concepts` carry their facets.
    """
    seen = uris_of_records(records)
    known = _entities(seen["uri"].to_list(), entities, settings, cache)
    matches = {uri: _matches(uri, known, settings.follow_close_matches) for uri in seen["uri"]}
    ids = sorted({concept_id for of_uri in matches.values() for concept_id in of_uri})
    concepts = _labelled(vocabulary.concepts(ids), known, settings)
    if rules is not None:
        concepts = assign_facets(concepts, rules)
    alignments, unmapped = _resolve(seen, matches, known, concepts, with_facets=rules is not None)
    return Alignment(
        concept_alignments=CONCEPT_ALIGNMENTS.frame(alignments).sort("uri", "concept_id"),
        unmapped_concepts=UNMAPPED_CONCEPTS.frame(unmapped).sort("n_records", "uri", descending=[True, False]),
        concepts=concepts,
    )


def uris_of_records(records: pl.DataFrame) -> pl.DataFrame:
    """One row per concept URI: uri, n_records, linked (false: only the provider's proxy states it); sorted by uri."""
    stated = pl.concat(
        records.select("record_id", uri=pl.col(column), linked=pl.lit(column == "concept_uris")).explode("uri")
        for column in ("concept_uris", "type_uris", "subject_uris")
    )
    return (
        stated.drop_nulls("uri")
        .group_by("uri")
        .agg(n_records=pl.col("record_id").n_unique().cast(pl.Int64), linked=pl.col("linked").any())
        .sort("uri")
    )


# Europeana's concepts by their newer spelling; None for those that the Entity API does not know.
_Entities = Mapping[str, EntityConcept | None]


def _entities(
    uris: Sequence[str], ask: Callable[[list[str]], Iterable[EntityConcept]], settings: VocabularySettings, cache: Path
) -> _Entities:
    """Europeana's concepts behind the URIs, by their newer spelling, asked for in batches and cached."""
    wanted = sorted({concept for uri in uris if (concept := europeana_concept(uri)) is not None})
    stored = DatedCache(cache / "entities.jsonl", settings.cache_days)
    missing = [uri for uri in wanted if uri not in stored]
    for start in range(0, len(missing), settings.batch_size):
        batch = missing[start : start + settings.batch_size]
        answered = {europeana_concept(entity.uri): entity for entity in ask(batch)}
        stored.add({uri: _to_json(answered.get(uri)) for uri in batch})
    return {uri: _from_json(uri, stored[uri]) for uri in wanted}


def _to_json(entity: EntityConcept | None) -> dict[str, object] | None:
    if entity is None:
        return None
    return {
        "labels": dict(sorted(entity.labels.items())),
        "exact": sorted(entity.exact_match),
        "close": sorted(entity.close_match),
    }


def _from_json(uri: str, stored: Any) -> EntityConcept | None:
    if stored is None:
        return None
    return EntityConcept(uri, stored["labels"], tuple(stored["exact"]), tuple(stored["close"]))


def _matches(uri: str, known: _Entities, follow_close: bool) -> _Matches:
    """The AAT ids that a URI stands for, as stated, obsolete ones too; an exact match hides a close one."""
    if direct := aat_id(uri, bare=True):
        return {direct: "exact"}
    entity = known.get(europeana_concept(uri) or "")
    if entity is None:
        return {}
    match_of = {concept_id: "close" for each in entity.close_match if (concept_id := aat_id(each)) and follow_close}
    match_of |= {concept_id: "exact" for each in entity.exact_match if (concept_id := aat_id(each))}
    return dict(sorted(match_of.items()))


def _labelled(concepts: pl.DataFrame, known: _Entities, settings: VocabularySettings) -> pl.DataFrame:
    """The concepts with labels of the files in settings, then of Europeana's concepts that match one AAT id alone."""
    rows = []
    for uri, entity in sorted(known.items()):
        exact = entity.exact_match if entity is not None else ()
        ids = sorted({concept_id for each in exact if (concept_id := aat_id(each))})
        if entity is not None and len(ids) == 1:
            rows += [(ids[0], language.lower(), text, uri) for language, text in sorted(entity.labels.items())]
    of_europeana = pl.DataFrame(rows, schema=LABELS_SCHEMA, orient="row")
    return add_labels(concepts, pl.concat([read_label_files(settings.label_files), of_europeana]))


def _resolve(
    seen: pl.DataFrame,
    matches: Mapping[str, _Matches],
    known: _Entities,
    concepts: pl.DataFrame,
    *,
    with_facets: bool,
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Rows of `concept_alignments` and of `unmapped_concepts`."""
    thesaurus = Thesaurus(concepts)
    facets = dict(concepts.select("concept_id", "facet").iter_rows())
    alignments: list[dict[str, object]] = []
    unmapped: list[dict[str, object]] = []
    for uri, n_records, linked in seen.select("uri", "n_records", "linked").iter_rows():
        concept = europeana_concept(uri)
        entity = known.get(concept or "")
        current: dict[str, str] = {}
        for concept_id, match in matches[uri].items():
            if target := thesaurus.current(concept_id):
                current[target] = "exact" if "exact" in (match, current.get(target)) else match
        evidence = "via_entity" if concept is not None else "direct" if linked else "proxy_only"
        alignments += [
            {"uri": uri, "concept_id": each, "evidence": evidence, "match": match} for each, match in current.items()
        ]
        reason = None if current else _unmapped_because(concept, entity, matches[uri], thesaurus)
        if reason is None and with_facets and not any(facets.get(each) for each in current):
            reason = "outside_facets"
        if reason is not None:
            label = _label(entity, matches[uri], thesaurus)
            unmapped.append({"uri": uri, "label": label, "reason": reason, "n_records": n_records})
    return alignments, unmapped


def _unmapped_because(
    concept: str | None, entity: EntityConcept | None, matches: _Matches, thesaurus: Thesaurus
) -> str:
    if concept is not None and entity is None:
        return "not_found"
    if not matches:
        return "no_match" if concept is not None else "other_vocabulary"
    if any(concept_id in thesaurus.kinds for concept_id in matches):
        return "obsolete_without_replacement"
    return "not_found"


def _label(entity: EntityConcept | None, matches: _Matches, thesaurus: Thesaurus) -> str | None:
    if entity is not None and entity.labels:
        return entity.labels.get("en") or entity.labels[min(entity.labels)]
    for concept_id in matches:
        label = thesaurus.label(concept_id, "en")
        if label.fallback != "id":
            return label.text
    return None
