"""Europeana's record and search items as far as a lookup by address reads them, and a museum that answers for them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.published import thumbnail

OPEN, CLOSED = "http://creativecommons.org/licenses/by/4.0/", "http://rightsstatements.org/vocab/InC/1.0/"


def record(number: int, shown_by: str, **fields: Any) -> dict[str, Any]:
    """A line of records.jsonl."""
    return {
        "id": f"/9/r{number:05d}",
        "type": "IMAGE",
        "title": [f"Thing {number}"],
        "dataProvider": ["Museum A"],
        "rights": [OPEN],
        "edmIsShownBy": [shown_by],
        "edmPreview": [thumbnail(shown_by)],
        "timestamp_created": "2020-01-01T00:00:00.000Z",
        "timestamp_update": "2024-01-01T00:00:00.000Z",
        **fields,
    }


@pytest.fixture
def museum_of(tmp_path: Path):
    """Writes records as a museum folder."""

    def write(records: list[dict[str, Any]]) -> Path:
        folder = tmp_path / "museum"
        (folder / "media").mkdir(parents=True)
        lines = "".join(json.dumps(each) + "\n" for each in records)
        (folder / "records.jsonl").write_text(lines, encoding="utf-8")
        (folder / "media.csv").write_text("url,file\n", encoding="utf-8")
        return folder

    return write
