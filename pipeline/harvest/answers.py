"""Answers of the Search API: their form, and what a walk reads of each page."""

from typing import Any

from pydantic_core import SchemaValidator
from pydantic_core.core_schema import any_schema, list_schema, typed_dict_field, typed_dict_schema

_ANYTHING = typed_dict_field(any_schema(), required=False)
_ITEMS = typed_dict_field(list_schema(typed_dict_schema({"id": _ANYTHING})), required=False)
# As pages come whole into the files, a walk reads what it needs to go on, and leaves the rest of the items to those who
# read the files: to make all of it would take a third of a walk's time.
OF_A_WALK = SchemaValidator(
    typed_dict_schema(
        dict.fromkeys(("success", "totalResults", "itemsCount", "nextCursor"), _ANYTHING) | {"items": _ITEMS}
    )
)


def checked_search(answer: Any) -> dict[str, Any]:
    """The answer. Raises ValueError, or TypeError, for JSON that is not a search answer."""
    if not isinstance(answer, dict) or answer.get("success") is not True:
        raise ValueError("not a search answer that says success")
    if not isinstance(answer.get("totalResults"), int):
        raise ValueError("a search answer without totalResults")
    items = answer.get("items") or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("a search answer whose items are no list of objects")
    if answer.get("itemsCount", 0) > len(items):
        raise ValueError(f"a search answer with {len(items)} items that says {answer['itemsCount']}")
    if not isinstance(answer.get("nextCursor"), str | None):
        raise ValueError("a search answer whose nextCursor is no text")
    return answer
