"""A desk with a dataset of three copper vases, of which the records know one."""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ml.assistant.calibration import Calibration
from ml.assistant.service import AssistantService
from ml.assistant.store import Store
from ml.assistant.vocabulary import Vocabulary, read_tag_list
from pipeline.release.folder import dataset_schema
from tests.ml.assistant.conftest import TAG_LIST, colour_models, vase_picture

COPPER = "300011020"
TRAINED = ("gold", "navy", "brown")
RIGHTS = "http://creativecommons.org/licenses/by-sa/4.0/"
# Scores of 0.5 were never right, those of 1 were right eight times of ten.
WORTH = Calibration(np.array([0.5, 1.0]), np.array([0.0, 0.8]))


def copper_desk(folder: Path, vocabulary: Vocabulary, store: Store) -> AssistantService:
    """The desk, with the calibration of its first model in two facets."""
    rows = [
        {
            "record_id": f"/1/{colour}",
            "view": 0,
            "image_id": hashlib.sha256(colour.encode()).hexdigest(),
            "image": {"bytes": vase_picture(colour, (256, 192)), "path": f"{colour}.jpg"},
            "data_provider": f"Museum of {colour}",
            "group_id": f"/1/{colour}#0",
            "materials": [COPPER],
        }
        for colour in TRAINED
    ]
    train = folder / "dataset" / "train"
    train.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=dataset_schema()), train / "part-00000.parquet")
    title = [{"language": "en", "text": "Brown vase"}]
    record = {"record_id": "/1/brown", "titles": title, "data_provider": "City Museum", "rights_uri": RIGHTS}
    pl.DataFrame([record]).write_parquet(folder / "records.parquet")
    models = colour_models(read_tag_list(TAG_LIST)[0])
    models.calibrations = {"multilabel": {"materials": WORTH, "object_types": WORTH}}
    return AssistantService(
        vocabulary=vocabulary,
        models=models,
        store=store,
        folder=folder / "service",
        dataset=folder / "dataset",
        records=folder / "records.parquet",
    )
