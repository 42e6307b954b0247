"""Keywords are found as whole words, without accents and whatever their case."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.harvest.keywords import Keywords, fold, words_of
from pipeline.settings import HarvestSettings


@given(st.text(max_size=60))
def test_folding_is_idempotent_and_finds_every_word_of_a_text(text: str):
    assert fold(fold(text).lower()) == fold(text).lower() or not text.isascii()
    found = words_of([text])
    if found and "".join(sorted(found)).isalnum():
        assert Keywords(" ".join(sorted(found)), HarvestSettings()).found_in(found)


def test_letters_that_are_written_small_as_capitals_are_folded_too():
    assert words_of(["Kodak™ № 5", "ᴬ"]) == {"kodaktm", "no", "5", "a"}


def test_keywords_are_whole_words_without_accents_in_any_order():
    settings = HarvestSettings(keyword_translations={"art of sculpture": ("escultura",)})
    keywords = Keywords("art of sculpture", settings)
    assert keywords.found_in(words_of(["SCULPTURE", "the art", "of it"]))
    assert keywords.found_in(words_of(["Escúltura"]))
    assert not keywords.found_in(words_of(["artist of sculptures"]))
