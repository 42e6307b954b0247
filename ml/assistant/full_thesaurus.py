"""The full AAT around the models' tags: every concept of every facet, from a table or from dumps."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from ml.assistant.vocabulary import Term
from pipeline.settings import RULES_FILE
from pipeline.vocabulary.dump import DumpSource
from pipeline.vocabulary.facets import assign_facets, load_rules
from pipeline.vocabulary.thesaurus import Thesaurus


def terms_of_dumps(paths: Sequence[Path]) -> list[Term]:
    """The terms of the full AAT in local dumps, in the facets that the rules file assigns.

    Raises DumpError, RulesError, CyclicThesaurus.
    """
    return list(terms_of(assign_facets(DumpSource(paths).all_concepts(), load_rules(RULES_FILE))))


def terms_of(concepts: pl.DataFrame) -> Iterator[Term]:
    """The concepts of a `concepts` table that may be tags, with the nearest such concepts of the same facet as parents.

    Guide terms, hierarchies, facets and concepts without a facet are skipped, as in the tags of the dataset.
    """
    thesaurus = Thesaurus(concepts)
    in_facets = concepts.filter(pl.col("kind") == "concept", pl.col("facet") != "")
    facets: dict[str, str] = dict(in_facets.select("concept_id", "facet").iter_rows())
    texts = concepts.sort("concept_id").select("concept_id", "labels", "alt_labels", "scope_note")
    for concept_id, labels, alt_labels, notes in texts.iter_rows():
        if concept_id in facets:
            yield Term(
                tag_id=concept_id,
                facet=facets[concept_id],
                parents=_parents(concept_id, thesaurus, facets),
                labels={language: texts[0] for language, texts in _by_language(labels).items()},
                alt_labels=_by_language(alt_labels),
                scope_notes={language: texts[0] for language, texts in _by_language(notes).items()},
            )


def _parents(concept_id: str, thesaurus: Thesaurus, facets: dict[str, str]) -> tuple[str, ...]:
    """The nearest terms above in the same facet: through the preferred parent first, then through the others, by id."""
    above = thesaurus.preferred.get(concept_id)
    nearest = [_nearest(above, facets[concept_id], thesaurus, facets)]
    others = [parent for parent in thesaurus.parents.get(concept_id, ()) if parent != above]
    nearest += [_nearest(parent, facets[concept_id], thesaurus, facets) for parent in sorted(others)]
    parents = dict.fromkeys(term for term in nearest if term is not None and term != concept_id)
    # Without a term above its preferred parent it is a top tag, even if other parents lead to terms.
    return tuple(parents) if nearest[0] is not None else ()


def _nearest(start: str | None, facet: str, thesaurus: Thesaurus, facets: dict[str, str]) -> str | None:
    if start is None or start not in thesaurus.kinds:
        return None
    upwards = (start, *thesaurus.preferred_ancestors(start))
    return next((concept for concept in upwards if facets.get(concept) == facet), None)


def _by_language(texts: list[dict[str, str]] | None) -> dict[str, tuple[str, ...]]:
    """The texts per language; a regional form (en-us) counts for its language if that has no text."""
    by_language: dict[str, list[str]] = {}
    for text in texts or []:
        by_language.setdefault(text["language"], []).append(text["text"])
    for language in sorted(by_language):
        by_language.setdefault(language.split("-")[0], by_language[language])
    return {language: tuple(texts) for language, texts in by_language.items()}
