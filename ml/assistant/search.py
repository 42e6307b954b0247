"""Search while typing: in all languages at once, in labels and synonyms, ignoring accents and case."""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np

from ml.assistant.vocabulary import Term, Vocabulary

FOLDED = str.maketrans(
    {"·": "", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i"}
)
INSIDE_WORDS_FROM = 3  # letters of a query word that is also searched inside words (Dutch `stoel` in `leunstoel`)
LONGEST_QUERY = 100  # characters


@dataclass(frozen=True, slots=True)
class Hit:
    """A tag with one of its labels, as written and folded, its language, and whether it is a synonym."""

    term: Term
    text: str
    folded: str
    language: str
    is_synonym: bool


def fold(text: str) -> str:
    """The text without accents, case and punctuation: `L'Al·legoria` and `allegoria` share a word."""
    bare = unicodedata.normalize("NFKD", text.casefold().translate(FOLDED))
    return " ".join("".join(c if c.isalnum() else " " for c in bare if not unicodedata.combining(c)).split())


class SearchIndex:
    """An index of all labels. Words and labels are sorted, so that a prefix is found by bisection.

    Entries are numbered by priority (the models' tags first, preferred labels before synonyms, short before long), so
    that the first entries of a result are the best.
    """

    def __init__(self, vocabulary: Vocabulary):
        entries = sorted((entry for term in vocabulary.terms.values() for entry in _entries(term)), key=_priority)
        self.entries = entries
        self._facets = vocabulary.facets
        self._facet_of = np.array([self._facets.index(entry.term.facet) for entry in entries], dtype=np.int8)
        words: dict[str, list[int]] = {}
        for number, entry in enumerate(entries):
            for word in dict.fromkeys(entry.folded.split()):
                words.setdefault(word, []).append(number)
        self._words = sorted(words)
        self._entries_of = [np.array(words[word], dtype=np.int32) for word in self._words]
        self._all_words = "\n" + "\n".join(self._words) + "\n"
        self._starts = np.cumsum([1] + [len(word) + 1 for word in self._words])
        labels = sorted((entry.folded, number) for number, entry in enumerate(entries))
        self._labels = [label for label, _ in labels]
        self._label_entry = np.array([number for _, number in labels], dtype=np.int32)

    def search(
        self, query: str, language: str, *, facet: str | Collection[str] | None = None, limit: int = 20
    ) -> list[Hit]:
        """The tags with a label that has every word of the query, or a word that starts with it; the best first.

        A whole label is best, then the start of a label, the starts of words, and the insides of words. `facet`: only
        tags of this facet, or of any of these.
        """
        folded = fold(query[:LONGEST_QUERY])
        if not folded or limit < 1:
            return []
        wanted = [facet] if isinstance(facet, str) else facet or ()
        facets = [self._facets.index(each) for each in wanted]
        best: dict[str, Hit] = {}
        for candidates in self._tiers(folded):
            if facet is not None:
                candidates = candidates[np.isin(self._facet_of[candidates], facets)]
            for entry in self._first_per_tag(candidates, language, limit):
                best.setdefault(entry.term.tag_id, entry)
            if len(best) >= limit:
                break
        return list(best.values())[:limit]

    def _tiers(self, folded: str) -> Iterator[np.ndarray]:
        low, high = bisect_left(self._labels, folded), bisect_left(self._labels, folded + "\x00")
        yield np.sort(self._label_entry[low:high])
        high = bisect_left(self._labels, folded + "\U0010ffff")
        yield np.sort(self._label_entry[low:high])
        words = folded.split()
        yield _in_all([self._starting(word) for word in words])
        if any(len(word) >= INSIDE_WORDS_FROM for word in words):
            yield _in_all([self._containing(word) for word in words])

    def _first_per_tag(self, candidates: np.ndarray, language: str, limit: int) -> list[Hit]:
        """The first entry of every tag, or the tag's first entry in the requested language."""
        first: dict[str, Hit] = {}
        for number in candidates[: limit * 20]:
            entry = self.entries[number]
            known = first.get(entry.term.tag_id)
            if known is None and len(first) == limit:
                break
            if known is None or (known.language != language and entry.language == language):
                first[entry.term.tag_id] = entry
        return list(first.values())

    def _starting(self, word: str) -> np.ndarray:
        low, high = bisect_left(self._words, word), bisect_left(self._words, word + "\U0010ffff")
        return _union(self._entries_of[low:high])

    def _containing(self, word: str) -> np.ndarray:
        if len(word) < INSIDE_WORDS_FROM:
            return self._starting(word)
        positions = [match.start() for match in re.finditer(re.escape(word), self._all_words)]
        numbers = np.unique(np.searchsorted(self._starts, positions, side="right") - 1)
        return _union([self._entries_of[number] for number in numbers])


def _priority(entry: Hit) -> tuple:
    term = entry.term
    return (not term.in_model, entry.is_synonym, len(entry.folded), -term.n_train, entry.folded, term.tag_id)


def _entries(term: Term) -> list[Hit]:
    """The term's labels and synonyms, each text once per language, and its id."""
    texts = [(language, text, False) for language, text in sorted(term.labels.items())]
    texts += [(language, text, True) for language, several in sorted(term.alt_labels.items()) for text in several]
    first: dict[tuple[str, str], Hit] = {}
    for language, text, is_synonym in texts:
        if folded := fold(text):
            first.setdefault((language, folded), Hit(term, text, folded, language, is_synonym))
    return [*first.values(), Hit(term, f"aat:{term.tag_id}", term.tag_id, "", True)]


def _union(lists: list[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate([np.empty(0, dtype=np.int32), *lists]))


def _in_all(lists: list[np.ndarray]) -> np.ndarray:
    return reduce(partial(np.intersect1d, assume_unique=True), lists)
