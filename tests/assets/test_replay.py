"""The answers that were recorded from the real APIs go through the whole graph under the full profile."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline import SPLITS
from pipeline.http import HttpClient
from pipeline.settings import HttpSettings, VocabularySettings
from pipeline.tables import CONCEPT_ALIGNMENTS, FETCHES, RECORDS, SPLIT_TABLE, TAGS, UNMAPPED_CONCEPTS
from pipeline.vocabulary.dump import DumpSource
from pipeline.vocabulary.getty import GettySource
from pipeline.vocabulary.source import DumpThenEndpoint
from tests.assets.recorded import Recorded, answering

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.shared, pytest.mark.long]


@pytest.fixture(scope="module")
def recorded(shared: Path) -> Recorded:
    """What was recorded."""
    return Recorded(shared)


@pytest.fixture(scope="module")
def storage(recorded: Recorded, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tables of the finished runs lie: from the harvest to the splits, by the command.

    Training needs the paper's weights, which nobody may need for a test; so few records also have few images a tag.
    """
    home = tmp_path_factory.mktemp("home")
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)
    changed = {
        "HARVEST__COLLECTIONS": ["art"],
        "CURATION__MIN_IMAGES_PER_TAG": 2,
        "IMAGES__SLICES": 1,
        "IMAGES__ALLOWED_ADDRESSES": ["127.0.0.0/8"],
        "FEATURES__EXTRACTORS": ["mobilenetv2"],
        "FEATURES__WEIGHTS": str(shared / "weights"),
        "FEATURES__IMAGE_SIZE": 96,
        "HTTP__REQUESTS_PER_SECOND": 1000,
    }
    with answering(recorded) as address:
        settings = {f"EUFCC__{name}": json.dumps(value) for name, value in changed.items()}
        given = {"DAGSTER_HOME": str(home), "EUFCC_PROFILE": "full", "EUROPEANA_API_KEY": "a-key-of-ours"}
        environment = os.environ | given | settings | {"EUFCC__HTTP__HOSTS": json.dumps({"*": address})}
        for job in ("dataset", "splits"):
            command = [Path(sys.executable).with_name("eufcc"), "run", job]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
            assert done.returncode == 0, done.stderr
    return home / "storage" / "full-europeana"


def test_every_recorded_item_is_a_record(storage: Path, recorded: Recorded):
    records = RECORDS.read(storage / "records.parquet")
    assert records.height == recorded.total == 78
    assert records["data_provider"].n_unique() == 28


def test_concepts_reach_the_real_aat_or_are_listed_for_a_curator(storage: Path):
    alignments = CONCEPT_ALIGNMENTS.read(storage / "concept_alignments.parquet")
    assert Counter(alignments["evidence"]) == {"direct": 19, "via_entity": 19}
    unmapped = UNMAPPED_CONCEPTS.read(storage / "unmapped_concepts.parquet")
    assert set(unmapped["reason"]) == {"not_found", "other_vocabulary", "outside_facets"}
    facets = dict(TAGS.read(storage / "tags.parquet").select("tag_id", "facet").iter_rows())
    assert facets["300015637"] == "subjects"  # portraits
    assert facets["300033973"] == "object_types"  # drawings (visual works)


def test_the_endpoint_and_the_whole_dump_say_the_same(recorded: Recorded, shared: Path, tmp_path: Path):
    dumps = tuple(shared / "aat" / name for name in ("aat_subset.nt.gz", "aat_types_inferred.nt.gz"))
    with answering(recorded) as address:
        http = HttpClient(HttpSettings(hosts={"*": address}, requests_per_second=1000))
        asked = GettySource(http, VocabularySettings(), tmp_path).concepts(recorded.ids)
        http.close()
    assert asked.height > len(recorded.ids) > 50
    assert_frame_equal(asked, DumpThenEndpoint(DumpSource(dumps), None).concepts(recorded.ids))


def test_each_request_is_made_once(storage: Path, recorded: Recorded):
    asked = Counter(recorded.asked)
    assert asked["/record/v2/search.json"] == 6  # three pages, and the counts around them
    assert asked["/entity/retrieve"] == 1
    entities = [count for path, count in asked.items() if path.startswith("/entity/concept/")]
    assert set(entities) == {1}  # what the batch did not bring, alone


def test_the_recorded_placeholder_is_told_from_a_picture(storage: Path):
    fetches = pl.concat(FETCHES.read(file) for file in sorted((storage / "fetches").rglob("fetches.parquet")))
    assert Counter(fetches["reason"].drop_nulls()) == {"placeholder": 1, "http_404": 1}


def test_the_splits_hold_every_image_with_a_tag(storage: Path):
    splits = SPLIT_TABLE.read(storage / "splits.parquet")
    assert splits.height == 13
    assert set(splits["split"]) <= set(SPLITS)
    assert (storage / "dataset").is_dir()
