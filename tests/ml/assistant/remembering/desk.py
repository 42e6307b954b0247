"""A desk with the row `one`, trained in miniature on drawn vases whose colour tells their tags; none is of silver."""

import hashlib
import io
import json
import random
from collections import Counter
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from ml.assistant.limits import AssistantLimits
from ml.assistant.service import AssistantService
from ml.assistant.store import Store
from ml.assistant.trained import find_models, start_with
from ml.assistant.vocabulary import Vocabulary, read_tag_list
from ml.baselines import baseline
from ml.experiments.run import main
from pipeline import FACETS
from pipeline.release.folder import dataset_schema
from tests.ml.assistant.conftest import TAG_LIST

SILVER = "300011029"  # a tag of the list that no training image has
GOLD, COPPER = "300011021", "300011020"
COLOURS = {"gold": GOLD, "saddlebrown": COPPER, "navy": "300010662", "darkgreen": "300011914", "crimson": "300010439"}
NEW_COLOUR = "mediumorchid"  # of the pictures that are silver
SIZES = {"train": 30, "validation": 10, "inner_test": 5, "outer_test": 5}
RIGHTS = "http://creativecommons.org/publicdomain/zero/1.0/"


def drawn(colour: str, seed: int, size: tuple[int, int] = (160, 120)) -> bytes:
    """A vase as JPEG; its place and width are drawn."""
    rng = random.Random(f"{colour} {seed}")
    width, height = size
    picture = Image.new("RGB", size, "beige")
    draw = ImageDraw.Draw(picture)
    middle, half = width * rng.uniform(0.4, 0.6), width * rng.uniform(0.17, 0.25)
    draw.ellipse((middle - half, height * 0.3, middle + half, height * 0.95), fill=colour, outline="black")
    draw.rectangle((middle - half / 3, height * 0.1, middle + half / 3, height * 0.35), fill=colour)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95)
    return out.getvalue()


def write_storage(folder: Path) -> Path:
    """A storage folder with dataset, records and the row `one`."""
    listed = json.loads(TAG_LIST.read_text())
    paths = {tag["tag_id"]: tag["path"] for tags in listed["facets"].values() for tag in tags}
    rows = {split: [_row(split, number, paths) for number in range(n)] for split, n in SIZES.items()}
    counts = Counter(tag for row in rows["train"] for facet in FACETS for tag in row.get(facet, ()))
    for tags in listed["facets"].values():
        for tag in tags:
            tag["n_train"] = counts[tag["tag_id"]]
    dataset = folder / "dataset"
    dataset.mkdir(parents=True)
    (dataset / "tag_list.json").write_text(json.dumps(listed))
    schema = dataset_schema().with_metadata({name: listed[name] for name in ("split_hash", "tag_list_hash")})
    for split, each in rows.items():
        (dataset / split).mkdir()
        pq.write_table(pa.Table.from_pylist(each, schema=schema), dataset / split / "part-00000.parquet")
    records = [
        {
            "record_id": row["record_id"],
            "titles": [{"language": "en", "text": f"Vase {number}"}],
            "data_provider": row["data_provider"],
            "rights_uri": RIGHTS,
        }
        for number, row in enumerate(rows["train"])
    ]
    pl.DataFrame(records).write_parquet(folder / "records.parquet")
    options = ["--dataset", str(dataset), "--models", str(folder / "models"), "--device", "cpu"]
    options += ["--predictions", str(folder / "predictions"), "--override", "epochs=8", "warmup_steps=1", "batch=15"]
    options += ["image_size=64", "cache_px=none"]
    for key in (*baseline("one").needs, "one"):
        assert main(["--baseline", key, *options]) == 0
    return folder


def dataset_image(number: int, split: str = "train") -> str:
    """The id of an image of the dataset."""
    return hashlib.sha256(f"{split} {number}".encode()).hexdigest()


def _row(split: str, number: int, paths: dict[str, list[str]]) -> dict:
    colour = list(COLOURS)[number % len(COLOURS)]
    tag = COLOURS[colour]
    return {
        "record_id": f"/1/{split}_{number:03d}",
        "view": 0,
        "image_id": dataset_image(number, split),
        "image": {"bytes": drawn(colour, number), "path": f"{number}.jpg"},
        "data_provider": f"Museum {number % 2}",
        "group_id": f"/1/{split}_{number - number % 2:03d}#0",  # each with the one after it
        "materials": sorted(paths[tag]),
        "materials_stated": [tag],
    }


def remembering_desk(storage: Path, folder: Path, vocabulary: Vocabulary, store: Store) -> AssistantService:
    """A desk that shows `one` first. On a slow machine too, suggestions wait for all decided pictures."""
    order, _ = read_tag_list(storage / "dataset" / "tag_list.json")
    models = find_models(storage / "models", storage / "predictions", storage / "dataset", order)
    start_with(models, "one", storage)
    return AssistantService(
        vocabulary=vocabulary,
        models=models,
        store=store,
        folder=folder,
        dataset=storage / "dataset",
        records=storage / "records.parquet",
        limits=AssistantLimits(remembering_s=60),
    )
