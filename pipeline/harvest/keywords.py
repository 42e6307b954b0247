"""Keyword collections in texts: which records a search for words finds, decided without a search engine."""

import re
import unicodedata
from collections.abc import Iterable, Set

from pipeline.harvest.errors import HarvestError
from pipeline.settings import HarvestSettings

WORD = re.compile(r"\w+")
ACCENTS = re.compile("[\u0300-\u036f]+")  # what NFKD takes off Latin, Greek and Cyrillic letters
EVERYTHING = ("*", "*:*")
# What the Search API reads as more than words: fields, phrases, brackets, wildcards, and its operators.
OPERATOR = re.compile(r'[:"()\[\]{}*?~^]|\b(?:AND|OR|NOT)\b|&&|\|\||(?<!\w)[-+!](?=\w)')


def fold(text: str) -> str:
    """Lower case without accents, as the search engine compares words."""
    if text.isascii():
        return text.lower()
    # Folded once more at the end: NFKD makes capitals of ™, ᴬ and the like, which have no small form themselves.
    return ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold())).casefold()


def words(text: str) -> list[str]:
    """The words of a text, folded."""
    return WORD.findall(fold(text))


class Keywords:
    """What a keyword collection asks for: all words of its name, or all words of one of its translations."""

    def __init__(self, collection: str, settings: HarvestSettings) -> None:
        """Raises HarvestError for a query that holds more than words."""
        self.collection = collection
        queries = (collection, *settings.keyword_translations.get(collection, ()))
        if odd := [query for query in queries if query not in EVERYTHING and OPERATOR.search(query)]:
            raise HarvestError(
                f"The collection {odd[0]!r} is more than words: in dumps, fields, phrases and operators cannot be"
                " searched for. Take it out of the collections in settings, or harvest with the API."
            )
        self._sets = [None if query in EVERYTHING else frozenset(words(query)) for query in queries]

    def found_in(self, record: Set[str]) -> bool:
        """Whether a record with these folded words belongs to the collection."""
        return any(wanted is None or (bool(wanted) and wanted <= record) for wanted in self._sets)


def words_of(texts: Iterable[str]) -> set[str]:
    """The distinct folded words of several texts."""
    return set(WORD.findall(fold("\n".join(texts))))
