"""A museum with its files, settings, code and storages, in which any of these can change.

The steps run without Dagster, on the museum's real answers. Training and evaluation are left out, and the history,
which holds more than today; the features are short random vectors.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assets.engine import code_units, versions
from assets.engine.plan import AssetPlan, Step
from assets.engine.project import Project
from assets.harvest import europeana
from assets.steps import steps_in_order
from pipeline.harvest.pages import harvest_collection
from pipeline.parquet import write_parquet
from pipeline.settings import RULES_FILE, Settings, demo
from pipeline.tables import FETCHES, IMAGES, TABLES, features_table

COLLECTIONS = ("furniture", "costume", "vessel")
SLICE = "000-of-001"
LEFT_OUT_STAGES = {"training", "evaluation", "suites", "promotion"}
LEFT_OUT = {"history"}
SLOW = {"statistics"}  # left out of the short test
# A setting, its values, and the steps that read it; all others may run only because a table that they read has changed.
SETTINGS: dict[str, tuple[tuple[Any, ...], set[str]]] = {
    "curation.min_images_per_tag": ((2, 3, 4), {"selected_records", "tags"}),
    "curation.excluded_providers": ((("Mobilier National",), ()), {"selected_records"}),
    "curation.max_records_per_provider": ((None, 5, 20), {"selected_records"}),
    "vocabulary.languages": ((("ca", "en"), ("ca", "es", "en", "de", "nl", "fr")), {"concept_alignments", "release"}),
    "vocabulary.follow_close_matches": ((False, True), {"concept_alignments"}),
    "harvest.max_records_per_collection": ((None, 12), {"records", "tombstones"}),
    "harvest.collections": ((COLLECTIONS, COLLECTIONS[:2], COLLECTIONS[1:]), {"records", "tombstones"}),
    "images.near_duplicate_likeness": ((0.7, 0.6), {"groups"}),
    "images.connections": ((32, 4), set()),
    "http.backoff_first_s": ((0.1, 0.2), set()),
    "splits.seed": ((340, 1, 2), {"provider_distances", "splits"}),
    "splits.outer_providers": ((2, 1), {"provider_distances"}),
    "splits.second_rule": (("farthest", "nearest"), {"provider_distances"}),
    "splits.test_share": ((0.1, 0.2), {"splits"}),
    "splits.objective": (("balanced", "proportional"), {"splits"}),
    "release.version": (("0.1.0", "0.2.0"), {"release"}),
}
FILES = {
    "corrections.csv": {"corrections"},
    "rules.toml": {"selected_records", "concept_alignments"},
    "labels.csv": {"concept_alignments"},
    "down.txt": {"fetches"},
    "previous.parquet": {"provider_distances", "splits"},
}


class World:
    """The museum, the files that the settings name, and the storages."""

    def __init__(
        self, folder: Path, museum: Path, address: str, monkeypatch: pytest.MonkeyPatch, left_out: set[str]
    ) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        steps = [step for step in steps_in_order() if step.plan.stage not in LEFT_OUT_STAGES]
        steps = [step for step in steps if step.plan.writes[0] not in left_out]
        self.steps = [FEATURES if step.plan.writes == ("features",) else step for step in steps]
        self.files = {name: folder / "files" / name for name in FILES}
        self.values = demo(museum, address).model_dump()
        self.values["images"] |= {"slices": 1, "takedown_file": self.files["down.txt"]}
        self.values["curation"]["corrections_file"] = self.files["corrections.csv"]
        self.values["vocabulary"] |= {
            "rules_file": self.files["rules.toml"],
            "label_files": (self.files["labels.csv"],),
        }
        self.values["splits"] |= {"previous": self.files["previous.parquet"], "reselect": True}
        self.values["splits"] |= {"outer_min_share": 0.01, "outer_max_share": 0.9}
        self.values["evaluation"]["resamples"] = 200
        for name, (values, _) in SETTINGS.items():
            self.give(name, values[0])
        self.sources: dict[str, bytes] = {}  # changed source files
        self._write_files()
        self._make_given()

    def give(self, name: str, value: Any) -> None:
        section, key = name.split(".")
        self.values[section][key] = value

    def project(self, storage: Path) -> Project:
        return Project(Settings.model_validate(self.values), storage)

    def fresh(self, name: str) -> Project:
        """A storage with nothing but what is given."""
        storage = self.folder / name
        shutil.copytree(self.folder / "given", storage)
        project = self.project(storage)
        project.remember("pages", "given", {})
        return project

    def run(self, project: Project) -> set[str]:
        """Run every step in its order; the first names of those that did something."""
        return {step.plan.writes[0] for step in self.steps if run_step(step, project)}

    def hashes(self, project: Project) -> dict[str, str]:
        """The sha256 of everything that the steps write, but for the fetches: these are a log, and note times."""
        names = [one for step in self.steps for one in step.plan.outputs(SLICE if step.sliced else "")]
        found = {name: project.made(name) for name in names}
        assert None not in found.values(), found
        return {name: made.sha256 for name, made in found.items() if made and not name.startswith("fetches")}

    def fetched(self, project: Project) -> set[tuple[Any, ...]]:
        """What came of every URL."""
        return {*FETCHES.read(project.path("fetches"), ["url", "state", "reason", "content_sha256"]).iter_rows()}

    def _write_files(self) -> None:
        (self.folder / "files").mkdir()
        self.files["corrections.csv"].write_text("record_id,tag_id,action,reason,who,date\n")
        self.files["rules.toml"].write_text(RULES_FILE.read_text(encoding="utf-8"), encoding="utf-8")
        self.files["labels.csv"].write_text("aat_id,lang,label,source\n")
        self.files["down.txt"].write_text("# nothing\n")
        TABLES["splits"].write(TABLES["splits"].empty(), self.files["previous.parquet"])

    def _make_given(self) -> None:
        given = Project(Settings.model_validate(self.values), self.folder / "given")
        with europeana(given) as client:
            for name in COLLECTIONS:
                harvest_collection(client, name, given.path("pages") / name, given.settings.harvest)
        shutil.rmtree(given.storage / "cache")


def features(images: Path, storage: Path, slice_name: str) -> None:
    """A short vector for every image, drawn from its id, in place of a network's."""
    ids = IMAGES.read(images, ["image_id"])["image_id"].unique().sort()
    vectors = [np.random.default_rng(int(one[:16], 16)).standard_normal(8).astype(np.float16) for one in ids]
    flat = np.concatenate([np.zeros(0, np.float16), *vectors])
    columns = [pa.array(ids, pa.string()), pa.array(["random-inception"] * len(ids), pa.string())]
    columns.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), 8))
    rows = features_table(8).conform(pa.table(columns, ["image_id", "extractor", "vector"]))
    write_parquet(rows, storage / "features" / slice_name / "part-00000.parquet", row_group_size=1_000)


FEATURES = Step(AssetPlan("features").for_function(features), features, None, sliced=True)


def run_step(step: Step, project: Project) -> bool:
    config = step.config() if step.config else None
    return step.plan.run(step.function, project, SLICE if step.sliced else "", config=config)


def read_code_again(world: World) -> None:
    """Forget what is known of the code: this process has read it before the change, or under another test's changes."""
    for cached in (code_units.module, versions._code_units):
        cached.cache_clear()
    for step in world.steps:
        step.plan.__dict__.pop("version", None)
