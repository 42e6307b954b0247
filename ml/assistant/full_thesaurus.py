"""The wider AAT around the models' tags: every concept of the four facets, from a table or from a dump."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from ml.assistant.vocabulary import Term
from pipeline.settings import RULES_FILE
from pipeline.tables import CONCEPTS
from pipeline.vocabulary.dump import DumpSource
from pipeline.vocabulary.facets import assign_facets, load_rules
from pipeline.vocabulary.thesaurus import Thesaurus


def terms_of_table(file: Path) -> list[Term]:
    """The terms of a `concepts` table, whose facets are assigned already."""
    return list(terms_of(CONCEPTS.read(file)))


def terms_of_dumps(paths: Sequence[Path], rules_file: Path = RULES_FILE) -> list[Term]:
    """The terms of the whole AAT in local dumps, under the facets that the experts' rules give.

    Raises DumpError, RulesError, CyclicThesaurus.
    """
    return list(terms_of(assign_facets(DumpSource(paths).all_concepts(), load_rules(rules_file))))


def terms_of(concepts: pl.DataFrame) -> Iterator[Term]:
    """The concepts that may be tags, each below the nearest such concept of its facet.

    Guide terms, hierarchies, facets and cut concepts (facet null) are passed over, as in the tags of the dataset.
    """
    thesaurus = Thesaurus(concepts)
    facets = {
        row["concept_id"]: row["facet"]
        for row in concepts.select("concept_id", "kind", "facet").iter_rows(named=True)
        if row["kind"] == "concept" and row["facet"]
    }
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
    """The nearest terms of the same facet above: by the preferred parent first, then by the others, by id."""
    above = thesaurus.preferred.get(concept_id)
    nearest = [_nearest(above, facets[concept_id], thesaurus, facets)]
    others = [parent for parent in thesaurus.parents.get(concept_id, ()) if parent != above]
    nearest += [_nearest(parent, facets[concept_id], thesaurus, facets) for parent in sorted(others)]
    found = dict.fromkeys(term for term in nearest if term is not None and term != concept_id)
    # Without a preferred parent among the terms it is a top of the tree, whatever else stands above it.
    return tuple(found) if nearest[0] is not None else ()


def _nearest(start: str | None, facet: str, thesaurus: Thesaurus, facets: dict[str, str]) -> str | None:
    if start is None or start not in thesaurus.kinds:
        return None
    for candidate in (start, *thesaurus.preferred_ancestors(start)):
        if facets.get(candidate) == facet:
            return candidate
    return None


def _by_language(texts: list[dict[str, str]] | None) -> dict[str, tuple[str, ...]]:
    """The texts per language; a regional form (en-us) counts as its language where that has none."""
    found: dict[str, list[str]] = {}
    for text in texts or []:
        found.setdefault(text["language"], []).append(text["text"])
    for language in sorted(found):
        found.setdefault(language.split("-")[0], found[language])
    return {language: tuple(texts) for language, texts in found.items()}
