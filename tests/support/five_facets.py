"""`python -m tests.support.five_facets STORAGE`: a run on drawn objects, from records to report and release.

Its thesaurus has terms for five facets, the fifth being `techniques`; tests/test_fifth_facet.py runs it in a copy of
the tree that has this facet. The calls are those of the stages in `assets/`.
"""

import hashlib
import io
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import torch
from PIL import Image, ImageDraw
from rich.console import Console

from assets.definitions import defs
from ml.evaluation.score_run import evaluate_benchmark
from ml.experiments.run import main as train
from ml.report.write import console_table, write_report
from pipeline.curation.curate import curate_usable, select_records
from pipeline.curation.statistics import figures
from pipeline.curation.statistics_page import small_tables, write_page
from pipeline.dictionary import data_dictionary
from pipeline.facets import ALL_FACETS
from pipeline.release.folder import write_dataset
from pipeline.release.pack import ReleaseTables, write_release
from pipeline.settings import RULES_FILE, EvaluationSettings, Settings, SplitSettings
from pipeline.splits.inner import make_splits
from pipeline.splits.outer import provider_distances
from pipeline.tables import CONCEPT_ALIGNMENTS, CONCEPTS, CORRECTIONS, GROUPS, IMAGES, RECORDS, TABLES, TOMBSTONES
from pipeline.vocabulary.facets import assign_facets, load_rules, rule_effects

OBJECTS, ACTIVITIES, MATERIALS = "300264092", "300264090", "300264091"
DISCIPLINES, SUBJECTS, TECHNIQUES = "300054134", "300191098", "300053001"
# id: (kind, English label, id above). Facets, hierarchies, portraits and landscapes are the AAT's, the rest is made up.
THESAURUS = {
    OBJECTS: ("facet", "Objects Facet", None),
    SUBJECTS: ("guide_term", "visual works by subject type", OBJECTS),
    MATERIALS: ("facet", "Materials Facet", None),
    ACTIVITIES: ("facet", "Activities Facet", None),
    DISCIPLINES: ("hierarchy", "Disciplines", ACTIVITIES),
    TECHNIQUES: ("hierarchy", "Processes and Techniques", ACTIVITIES),
    "300900001": ("concept", "vessels", OBJECTS),
    "300900002": ("concept", "bowls", "300900001"),
    "300900003": ("concept", "jars", "300900001"),
    "300900004": ("concept", "plaques", OBJECTS),
    "300900011": ("concept", "metal", MATERIALS),
    "300900012": ("concept", "gold", "300900011"),
    "300900013": ("concept", "copper", "300900011"),
    "300900014": ("concept", "glass", MATERIALS),
    "300900021": ("concept", "ceramics", DISCIPLINES),
    "300900022": ("concept", "goldsmithing", DISCIPLINES),
    "300015637": ("concept", "portraits", SUBJECTS),
    "300015636": ("concept", "landscapes", SUBJECTS),
    "300900041": ("concept", "engraving", TECHNIQUES),
    "300900042": ("concept", "line engraving", "300900041"),
    "300900043": ("concept", "stipple engraving", "300900041"),
    "300900044": ("concept", "inlaying", OBJECTS),  # a rule of the test gives it to the techniques
}
SHAPES = ("300900002", "300900003", "300900004")
COLOURS = {"300900012": "goldenrod", "300900013": "sienna", "300900014": "steelblue"}
GROUNDS = {"300900021": "black", "300900022": "whitesmoke"}
FRAMES = {"300015637": "red", "300015636": "green"}
PATTERNS = ("300900042", "300900043", "300900044")
PROVIDERS = ("A", "B", "C", "D") * 8 + ("E", "F", "G")  # the last three may be an outer test
N_RECORDS = 210
AAT = "http://vocab.getty.edu/aat/"
FAST = EvaluationSettings(resamples=200, example_images=4)


def concepts() -> pl.DataFrame:
    """The thesaurus, without facets."""
    rows = [
        {
            "concept_id": concept_id,
            "kind": kind,
            "preferred_parent": parent,
            "parents": [parent] if parent else [],
            "labels": [
                {"language": language, "text": text} for language, text in (("ca", f"{label} (ca)"), ("en", label))
            ],
        }
        for concept_id, (kind, label, parent) in THESAURUS.items()
    ]
    return CONCEPTS.frame(rows)


def records_and_images() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every record states a shape, a colour and mostly more; its picture shows all of them."""
    rng, records, images = random.Random(5), [], []
    for number in range(N_RECORDS):
        record_id = f"/1/{number:04d}"
        stated = [rng.choice(group) for group in (SHAPES, list(COLOURS), list(GROUNDS), list(FRAMES), PATTERNS)]
        data = _picture(*stated, rng)
        image_id = hashlib.sha256(data).hexdigest()
        left_out = {3} if number % 3 == 0 else {4} if number % 5 == 0 else set()
        records.append(_record(record_id, number, [tag for at, tag in enumerate(stated) if at not in left_out]))
        images.append(
            {
                "record_id": record_id,
                "view": 0,
                "image_id": image_id,
                "image": {"bytes": data, "path": f"{image_id}.jpg"},
                "width": 64,
                "height": 64,
                "source_url": f"https://museum.example/{number}.jpg",
                "perceptual_hash": number,
            }
        )
    return RECORDS.frame(records), IMAGES.frame(images)


def _record(record_id: str, number: int, stated: list[str]) -> dict[str, object]:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "record_id": record_id,
        "collections": ["drawn"],
        "dataset": "drawn",
        "data_provider": f"Museum {PROVIDERS[number % len(PROVIDERS)]}",
        "provider": "Aggregator",
        "country": "Spain",
        "rights_uri": "http://creativecommons.org/publicdomain/mark/1.0/",
        "attribution": f"Object {number}",
        "titles": [{"language": "en", "text": f"Object {number}"}],
        "image_url": f"https://museum.example/{number}.jpg",
        "thumbnail_url": f"https://museum.example/small/{number}.jpg",
        "landing_page": f"https://museum.example/{number}",
        "concept_uris": [AAT + concept_id for concept_id in sorted(stated)],
        "created_at": when,
        "updated_at": when,
        "harvested_at": when,
        "request": "https://museum.example/search",
    }


def _picture(shape: str, colour: str, ground: str, frame: str, pattern: str, rng: random.Random) -> bytes:
    picture = Image.new("RGB", (64, 64), GROUNDS[ground])
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 63, 63), outline=FRAMES[frame], width=4)
    x, y = rng.randint(8, 16), rng.randint(8, 16)
    box = (x, y, x + 40, y + 40)
    draws = (
        draw.ellipse,
        draw.rectangle,
        lambda box, fill: draw.polygon([(x, y + 40), (x + 40, y + 40), (x + 20, y)], fill),
    )
    draws[SHAPES.index(shape)](box, fill=COLOURS[colour])
    for at in range(4, 40, 8):
        if pattern == PATTERNS[0]:
            draw.line((x, y + at, x + 40, y + at), fill="white", width=2)
        elif pattern == PATTERNS[1]:
            draw.line((x + at, y, x + at, y + 40), fill="black", width=3)
    out = io.BytesIO()
    picture.save(out, "JPEG")
    return out.getvalue()


def features_of(images: pl.DataFrame) -> pl.DataFrame:
    """Each picture's mean colour, as the features of an extractor."""
    pictures = [Image.open(io.BytesIO(image["bytes"])).resize((1, 1)) for image in images["image"]]
    vectors = [[value / 255 for value in picture.getpixel((0, 0))] for picture in pictures]
    return images.select("image_id", extractor=pl.lit("colour"), vector=pl.Series(vectors, dtype=pl.List(pl.Float32)))


def main(storage: Path) -> None:
    """Every stage in turn; each writes what the pipeline stores under the same names."""
    assert defs is not None  # the graph of the tree can be built
    minimums = {facet.key: facet.min_test_images_demo for facet in ALL_FACETS}
    splitting = SplitSettings(test_share=0.25, kid_subset=20, bootstrap=2, min_test_images=minimums)
    settings = Settings(profile="demo", source="drawn", splits=splitting, evaluation=FAST)
    curate(storage, settings)
    release(storage, settings)
    places = [f"--{name}={storage / name}" for name in ("dataset", "models", "predictions")]
    small = ["--override", "epochs=2", "image_size=32", "cache_px=40", "warmup_steps=2"]
    assert train(["--baseline", "multilabel", "clip_1_tag_prompt", *places, *small]) == 0
    report(storage)
    (storage / "data-dictionary.md").write_text(data_dictionary())


def curate(storage: Path, settings: Settings) -> None:
    """Tables, splits, statistics page and dataset folder."""
    rules = load_rules(RULES_FILE)
    assigned = assign_facets(concepts(), rules)
    records, images = records_and_images()
    uris = [{"uri": AAT + each, "concept_id": each, "evidence": "direct", "match": "exact"} for each in THESAURUS]
    alignments, nothing = CONCEPT_ALIGNMENTS.frame(uris), (TOMBSTONES.empty(), CORRECTIONS.empty())
    chosen = select_records(records, alignments, assigned, *nothing, rules, settings.curation)
    curated = curate_usable(chosen.record_tags, images, assigned, settings.curation)
    groups = GROUPS.frame(
        images.select("record_id", "view", reason=pl.lit("alone"), group_id=pl.col("record_id") + "#0").to_dicts()
    )
    keys = images.select("record_id", "view", "image_id")
    distances = provider_distances(features_of(images), keys, records, curated.record_tags, settings.splits)
    made = make_splits(keys, groups, records, curated.record_tags, curated.tags, distances, settings.splits)
    tables = {
        "concepts": assigned,
        "records": records,
        "tags": curated.tags,
        "record_tags": curated.record_tags,
        "curation_report": curated.report,
        "rule_effects": rule_effects(assigned, rules),
        "provider_distances": distances,
        "splits": made.splits,
        "split_tags": made.split_tags,
    }
    for name, table in tables.items():
        TABLES[name].write(table, storage / f"{name}.parquet")
    IMAGES.write(images, storage / "images" / "part-00000.parquet")
    shown = (curated.tags, curated.record_tags, keys, records)
    write_page(storage / "statistics.html", figures(*shown), "Statistics", str(small_tables(*shown)))
    written = [tables[name] for name in ("records", "record_tags", "tags", "splits", "split_tags")]
    write_dataset(storage / "images", *written, storage / "dataset")


def release(storage: Path, settings: Settings) -> None:
    """The release with its card and its published CSV files."""
    read = {
        name: TABLES[name].read(storage / f"{name}.parquet")
        for name in ("records", "record_tags", "tags", "split_tags")
    }
    tables = ReleaseTables(**read, tombstones=TOMBSTONES.empty())
    write_release(storage / "dataset", tables, storage / "release", settings)


def report(storage: Path) -> None:
    """Figures, report and the table of the terminal."""
    benchmark = evaluate_benchmark(storage, FAST)
    write_report(storage, storage / "report", FAST, benchmark)
    with (storage / "console.txt").open("w") as file:
        Console(file=file, width=80).print(console_table(benchmark.results, benchmark.comparisons, storage))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
