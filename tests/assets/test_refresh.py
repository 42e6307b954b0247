"""A refresh after one record in a hundred has changed: only what depends on these records is worked on."""

import csv
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pipeline.files import sha256_of
from pipeline.sandbox.render import render_museum
from tests.assets.conftest import KEY, full
from tests.support.museum_server import running

IMAGES, CHANGED = 300, 3
SETTINGS = {
    "FEATURES__EXTRACTORS": ["random-inception"],
    "IMAGES__SLICES": 4,
    "IMAGES__ALLOWED_ADDRESSES": ["127.0.0.0/8"],
}


def refreshed(home: Path, address: str, mode: str) -> dict[str, dict[str, Any]]:
    """The figures of a harvest of that kind and of the dataset after it, by asset."""
    environ = os.environ | full({"*": address}, **SETTINGS) | {"DAGSTER_HOME": str(home)}
    command = [sys.executable, str(Path(__file__).with_name("refreshed.py")), mode]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    return json.loads(done.stdout.splitlines()[-1])


def change(museum: Path) -> list[str]:
    """Three records are updated today, with another title and another picture; their ids."""
    lines = (museum / "records.jsonl").read_text(encoding="utf-8").splitlines()
    now, ids = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"), []
    with (museum / "media.csv").open("a", newline="", encoding="utf-8") as file:
        media = csv.writer(file)
        for number in range(CHANGED):
            item = json.loads(lines[number * 50])
            url = f"https://media.new.example/{number}.jpg"
            preview = (
                f"https://api.europeana.eu/thumbnail/v2/url.json?uri=https%3A%2F%2Fmedia.new.example%2F{number}.jpg"
            )
            pixels = np.random.default_rng(number).integers(0, 256, (9, 7, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((480, 360)).save(museum / "media" / f"new{number}.jpg", quality=90)
            media.writerow([url, f"new{number}.jpg"])
            item |= {
                "dcTitleLangAware": {"en": ["Another title"]},
                "timestamp_update": now,
                "edmIsShownBy": [url],
                "edmPreview": [preview],
            }
            lines[number * 50] = json.dumps(item, ensure_ascii=False)
            ids.append(item["id"])
    (museum / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ids


@pytest.mark.long
def test_one_changed_record_in_a_hundred_costs_at_most_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    museum, home = tmp_path / "museum", tmp_path / "home"
    home.mkdir()
    render_museum(museum, images=IMAGES)
    with running(museum, api_key=KEY) as address:
        first = refreshed(home, address, "complete")
    (storage,) = (home / "storage").glob("full-*")
    vectors = {file.name: sha256_of(file) for file in sorted((storage / "features").iterdir())}
    before = pl.read_parquet(storage / "records.parquet")
    ids = change(museum)
    with running(museum, api_key=KEY) as address:
        second = refreshed(home, address, "refresh")
        third = refreshed(home, address, "refresh")
    after = pl.read_parquet(storage / "records.parquet")
    renamed = after.filter(pl.col("record_id").is_in(ids))
    assert renamed["titles"].to_list() != before.filter(pl.col("record_id").is_in(ids))["titles"].to_list()
    worked_on = {name: second[name]["recomputed"] for name in ("fetches", "images", "features")}
    with capsys.disabled():
        rows = {name: second[name]["rows"] for name in worked_on}
        print(f"\n{CHANGED} of {first['records']['rows']} records changed; worked on {worked_on} of {rows} rows")
    assert first["images"]["recomputed"] > 0.9 * first["images"]["rows"]
    for name in ("images", "features"):
        assert 0 < second[name]["recomputed"] <= 0.03 * second[name]["rows"], name
        assert third[name]["recomputed"] == 0, name
    changed = [name for name, sha256 in vectors.items() if sha256_of(storage / "features" / name) != sha256]
    assert changed  # a picture at another URL may leave one slice and enter another
