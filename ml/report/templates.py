"""The report's Jinja templates in the folder `page`: HTML is escaped, Markdown and LaTeX are not."""

from pathlib import Path
from typing import Any

import jinja2

PAGE = Path(__file__).with_name("page")
TEX = str.maketrans({"\\": r"\textbackslash ", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "–": "--", "−": "$-$"})
ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(PAGE),
    autoescape=jinja2.select_autoescape(["html"]),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
ENVIRONMENT.filters["tex"] = lambda text: text.translate(TEX)
LATEX = ENVIRONMENT.overlay(variable_start_string="<<", variable_end_string=">>")


def render(name: str, **content: Any) -> str:
    """The text of a template."""
    environment = LATEX if name.endswith(".tex") else ENVIRONMENT
    return environment.get_template(name).render(content)
