"""The words of the interface are there in all six languages."""

import json
import re
from pathlib import Path

import ml.assistant
from ml.assistant.vocabulary import LANGUAGES

PAGE = Path(ml.assistant.__file__).parent / "page"
WORDS = {language: json.loads((PAGE / "i18n" / f"{language}.json").read_text()) for language in LANGUAGES}


def test_every_language_has_every_word_with_the_same_blanks():
    for language, words in WORDS.items():
        assert set(words) == set(WORDS["en"]), language
        for key, text in words.items():
            assert text.strip(), (language, key)
            assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", WORDS["en"][key])), (language, key)


def test_every_word_the_page_asks_for_is_there_and_none_is_left_over():
    files = [*sorted(PAGE.glob("*.js")), *sorted(PAGE.glob("*.html")), PAGE.parent / "refusals.py"]
    code = "\n".join(file.read_text() for file in files)
    asked = set(re.findall(r"\bt\(\s*\"([\w.]+)\"", code)) | set(re.findall(r'data-(?:text|label)="([\w.]+)"', code))
    built = set(re.findall(r"`(\w+)\.?\$\{", code))
    assert asked <= set(WORDS["en"])
    loose = {key for key in WORDS["en"] if key not in asked and key.split(".")[0] not in built}
    assert {key for key in loose if f'"{key}"' not in code and not key.endswith("_mark")} == set()
