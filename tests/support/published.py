"""Rows in the shape of the published dataset, as many as are asked for: paths, keepers, thumbnails of Europeana."""

import csv
import json
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import numpy as np

from pipeline.published.format import BETWEEN_LEVELS, BETWEEN_TAGS, COLUMNS, RECORD_COLUMNS, SPLIT_FILES

ROWS = {"train": 269_500, "validation": 26_600, "inner_test": 29_224, "outer_test": 21_000}  # 346,324 in all
TAGS = {"object_types": 894, "subjects": 7, "materials": 269, "classifications": 33}  # nodes of the published trees
ANNOTATED = {"object_types": (0.95, 3), "subjects": (0.1, 1), "materials": (0.7, 3), "classifications": (0.6, 2)}
LEVELS = 5


def write_rows(folder: Path, rows: dict[str, int] | None = None, seed: int = 0) -> None:
    """The four CSV files with these numbers of rows. A share of the rows has tags in a facet, up to some of them."""
    generator = np.random.default_rng(seed)
    paths = {facet: _paths(facet, n, generator) for facet, n in TAGS.items()}
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for split, n in (rows or ROWS).items():
        cells = {facet: _cells(paths[facet], n, *ANNOTATED[facet], generator) for facet in paths}
        with (folder / SPLIT_FILES[split]).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            for row in range(n):
                number += 1
                keeper = f"Museu d'art, núm. {number % 358}"
                object_types, subjects, materials, classifications = (cells[facet][row] for facet in TAGS)
                own = (thumbnail(f"https://museu{number % 358}.example/picture/{number:08d}"), "EUROPEANA", keeper)
                writer.writerow([f"art_{number:06d}", object_types, subjects, materials, *own, classifications])


def thumbnail(picture: str) -> str:
    """The address of Europeana's thumbnail of a picture."""
    return f"https://api.europeana.eu/thumbnail/v2/url.json?uri={quote(picture, safe='')}&type=IMAGE"


def _paths(facet: str, n: int, generator: np.random.Generator) -> list[str]:
    """`n` nodes of a tree of up to five levels, each as its path."""
    nodes: list[tuple[str, ...]] = []
    for number in range(n):
        above = nodes[int(generator.integers(len(nodes)))] if nodes and generator.random() < 0.8 else ()
        nodes.append((*above[: LEVELS - 1], f"{facet} terme {number}"))
    return [BETWEEN_LEVELS.join(node) for node in nodes]


def _cells(paths: list[str], n: int, share: float, most: int, generator: np.random.Generator) -> list[str]:
    counts = np.where(generator.random(n) < share, generator.integers(1, most + 1, n), 0)
    drawn = generator.zipf(1.5, (n, most)) % len(paths)
    return [BETWEEN_TAGS.join(paths[at] for at in row[:count]) for row, count in zip(drawn, counts, strict=True)]


def write_museum(museum: Path, folder: Path, gone: int = 2) -> dict[str, int]:
    """The records of a museum folder as published files; returns the rows per split.

    The pictures of `gone` further rows of the training are nowhere. The first two providers are the outer test.
    """
    records = [json.loads(line) for line in (museum / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    outer = sorted({record["dataProvider"][0] for record in records})[:2]
    rows: dict[str, list[list[str]]] = {split: [] for split in SPLIT_FILES}
    for number, record in enumerate(record for record in records if "edmPreview" in record):
        names = record.get("edmConceptPrefLabelLangAware", {}).get("ca", ["cosa"])
        thing, material, discipline = names[0], names[min(1, len(names) - 1)], names[-1]
        keeper, inner = record["dataProvider"][0], ("train", "train", "train", "validation", "inner_test")[number % 5]
        tags = (f"objecte | {thing}", "", f"matèria | {material}")
        row = [f"art_{number:05d}", *tags, record["edmPreview"][0], "EUROPEANA", keeper, discipline]
        rows["outer_test" if keeper in outer else inner].append(row)
    for number in range(gone):
        rows["train"].append([f"gone_{number}", *rows["train"][0][1:]])
        rows["train"][-1][4] = thumbnail(f"http://media.example/gone/{number}.jpg")
    folder.mkdir(parents=True, exist_ok=True)
    for split, of_split in rows.items():
        with (folder / SPLIT_FILES[split]).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *of_split])
    return {split: len(of_split) for split, of_split in rows.items()}


def write_cut(sample: Path, folder: Path, copies: int = 8) -> dict[str, int]:
    """The rows of a published file cut into the four files; returns the rows per split.

    Two keepers are the outer test. `copies` rows of inner test and validation show the picture of one in training.
    """
    with sample.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    keepers = Counter(row["repository.keeper"] for row in rows)
    outer = [keeper for keeper, _ in keepers.most_common(6)][4:]
    cut: dict[str, list[dict[str, str]]] = {split: [] for split in SPLIT_FILES}
    for number, row in enumerate(rows):
        inner = ("train", "train", "train", "validation" if number % 10 == 3 else "train", "inner_test")[number % 5]
        cut["outer_test" if row["repository.keeper"] in outer else inner].append(row)
    url = RECORD_COLUMNS[4]
    for number in range(copies):
        cut[("inner_test", "validation")[number % 2]][number // 2][url] = cut["train"][number][url]
    folder.mkdir(parents=True, exist_ok=True)
    for split, of_split in cut.items():
        with (folder / SPLIT_FILES[split]).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(of_split)
    return {split: len(of_split) for split, of_split in cut.items()}
