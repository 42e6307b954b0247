"""Jinja templates, each in a file beside the module that fills it."""

from pathlib import Path

import jinja2

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def in_words(number: int) -> str:
    """A small number as a word, a larger one in digits."""
    return _WORDS[number] if number < len(_WORDS) else str(number)


def render(template: Path, **values: object) -> str:
    """The template with these values; in HTML they are escaped, and a name without a value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=jinja2.select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = "{:,}".format
    return environment.get_template(template.name).render(values)
