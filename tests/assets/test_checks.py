"""Bad data in the storage: a blocking check stops what comes after it, a warning one does not."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pyarrow.parquet as pq
import pytest
from starlette.responses import Response

from assets.checks import CHECKS
from assets.engine.asset_factory import stage_asset
from assets.engine.asset_metadata import key_of
from assets.engine.builtin_checks import shrunken, unreadable
from assets.engine.notes import Made
from assets.engine.plan import AssetPlan
from assets.engine.project import Project
from ml.registry.champion import Contender, write_contender
from pipeline.settings import full
from pipeline.tables import TABLES, TOMBSTONES, features_table
from tests.pipeline.images.pictures import jpeg
from tests.pipeline.images.provider import Provider, serving

CHECK_OF = {next(iter(check.check_specs)).name: check for check in CHECKS}
BY_HASH = "000-of-001"
MANY_GROUPS = [
    {"record_id": f"/a/{n:02d}", "view": 0, "group_id": "/a/00#0", "reason": "near_duplicate"} for n in range(30)
]


def image(record: str, image_id: str = "i1") -> dict[str, Any]:
    return {"record_id": record, "view": 0, "image_id": image_id, "image": {"bytes": b"x", "path": "x.jpg"}}


def record(name: str, **known: Any) -> dict[str, Any]:
    return {"record_id": name, "data_provider": "A museum", "concept_uris": ["http://x"], **known}


def tag(name: str, **known: Any) -> dict[str, Any]:
    return {"tag_id": name, "facet": "materials", "depth": 1, "path": [name], "n_images": 10, **known}


def row(baseline: str, value: float) -> dict[str, Any]:
    where = {"run": "r", "seed": 0, "split": "inner_test", "facet": "materials", "metric": "r_precision"}
    return {**where, "baseline": baseline, "policy": "ignore_unseen", "value": value, "n": 10}


def told(split: str) -> dict[str, Any]:
    known = {"run": "r", "facet": "materials", "images": 20, "groups": 20, "providers": 2}
    return {**known, "split": split, "tells": "cannot tell", "missing": "2 providers, 6 are needed."}


def contender(score: float) -> Contender:
    return Contender("softmax", 0, "r", "inner_test", score, score - 0.02, score + 0.02)


def champions(new: float, used: float) -> Callable[[Path], None]:
    def write(storage: Path) -> None:
        write_contender(contender(new), storage / "challenger" / "challenger.json")
        write_contender(contender(used), storage / "champion" / "champion.json")

    return write


def vectors(*image_ids: str) -> Callable[[Path], None]:
    def write(storage: Path) -> None:
        table = features_table(2)
        rows = [{"image_id": name, "extractor": "e", "vector": [0.0, 1.0]} for name in image_ids]
        table.write(table.frame(rows), storage / "features" / BY_HASH / "part-00000.parquet")

    return write


def release(storage: Path) -> None:
    (storage / "release").mkdir()
    (storage / "release" / "SHA256SUMS").write_text("0" * 64 + "  README.md\n")
    (storage / "release" / "README.md").write_text("changed by hand")


def outage(storage: Path) -> None:
    told = {"endpoint_trouble": "Getty gives no usable answer.", "stale_answers": 3, "not_asked": 1}
    Project(full(), storage).remember("concepts", "made", told | {"oldest_answer": "2026-01-02"})


FETCHED = [{"url": f"http://m/{n}", "state": "rejected", "attempts": 1} for n in range(5)]
SELECTED = [{"record_id": f"/a/{n}", "thumbnail_url": f"http://m/{n}"} for n in range(5)]
PLACE = {"split": "inner_test", "facet": "materials"}
SPLIT = {"record_id": "/a/1", "view": 0, "split": "inner_test", "suite": "inner_test", "group_id": "/a/1#0"}
# What is in the storage when each check fails: rows of tables, and what is written otherwise.
BAD: dict[str, tuple[dict[str, list[dict[str, Any]]], Callable[[Path], None] | None]] = {
    "harvest_found_records": ({"records": []}, None),
    "records_link_to_concepts": ({"records": [record("/a/1", concept_uris=[])]}, None),
    "every_aligned_concept_is_known": (
        {"concepts": [], "concept_alignments": [{"uri": "u", "concept_id": "300011914", "evidence": "direct"}]},
        None,
    ),
    "the_thesaurus_is_whole": (
        {"concepts": [{"concept_id": "300011914", "kind": "concept", "parents": ["300011913"]}]},
        None,
    ),
    "getty_answered": ({"concepts": []}, outage),
    "every_rule_means_what_it_says": (
        {"rule_effects": [{"rule": "cut 300011914", "n_concepts": 0, "problem": "met nothing: another rule decides"}]},
        None,
    ),
    "every_correction_was_applied": (
        {"ignored_corrections": [{"record_id": "/a/1", "tag_id": "300011914", "problem": "was not harvested"}]},
        None,
    ),
    "every_tag_has_enough_images": ({"tags": [tag("300011914", n_images=9)]}, None),
    "every_facet_has_tags": ({"tags": [tag("300011914")]}, None),
    "no_excluded_provider_is_left": (
        {
            "records": [record("/a/1", data_provider="Mobilier National")],
            "record_tags": [{"record_id": "/a/1", "facet": "materials", "tag_id": "300011914", "stated": True}],
        },
        None,
    ),
    "images_were_fetched": ({"selected_records": SELECTED, "fetches": FETCHED, "images": [image("/a/1")]}, None),
    "every_image_is_in_one_group": ({"images": [image("/a/1")], "groups": []}, None),
    "no_group_is_large": ({"groups": MANY_GROUPS}, None),
    "splits_keep_their_promises": (
        {
            "images": [image("/a/1"), image("/a/2")],
            "records": [record("/a/1"), record("/a/2")],
            "record_tags": [
                {"record_id": name, "facet": "materials", "tag_id": "300011914", "stated": True}
                for name in ("/a/1", "/a/2")
            ],
            "tags": [tag("300011914")],
            "splits": [
                SPLIT,
                {**SPLIT, "record_id": "/a/2", "split": "train", "suite": "train"},
            ],  # two splits
            "split_tags": [],
            "provider_distances": [],
            "tombstones": [],
        },
        None,
    ),
    "mended_splits_do_not_leak": (
        {
            "images": [image("/a/1"), image("/a/2")],
            "record_tags": [
                {"record_id": name, "facet": "materials", "tag_id": "300011914", "stated": True}
                for name in ("/a/1", "/a/2")
            ],
            "splits_mended": [SPLIT, {**SPLIT, "record_id": "/a/2", "split": "train", "suite": "train"}],
        },
        None,
    ),
    "mended_splits_keep_their_sizes": (
        {"split_sizes": [{"split": "train", "rows": 120, "pictures": 100, "mended": 98}]},
        None,
    ),
    "the_inner_test_is_large_enough": ({"splits": [SPLIT]}, None),
    "the_outer_test_can_tell": ({"informativeness": [told("outer_test")]}, None),
    "the_inner_test_can_tell": ({"informativeness": [told("inner_test")]}, None),
    "the_oracle_is_above_every_row": ({"results": [row("oracle", 0.8), row("softmax", 0.9)]}, None),
    "no_control_is_better": (
        {"controls": [{"run": "r", "control": "untrained", "seed": 0, **PLACE, "verdict": "better", "tells": "tells"}]},
        None,
    ),
    "the_challenger_is_not_worse": ({}, champions(new=0.50, used=0.60)),
    "the_release_is_whole": ({}, release),
    "every_image_has_features": ({"images": [image("/a/1", "i1"), image("/a/2", "i2")]}, vectors("i1")),
}


OF_SOURCES = "images_are_what_their_sources_serve"  # needs a source: it has a test of its own


@pytest.fixture
def project(tmp_path: Path) -> Project:
    settings = full()
    one = settings.images.model_copy(update={"slices": 1})
    return Project(settings.model_copy(update={"images": one}), tmp_path)


def fill(project: Project, tables: dict[str, list[dict[str, Any]]], further: Callable[[Path], None] | None) -> None:
    """Write rows as the storage has them; columns that the check does not look at are null."""
    for name, rows in tables.items():
        folder = project.path(name) / BY_HASH if name in ("images", "fetches") else project.path(name)
        file = folder / "part-00000.parquet" if folder.suffix == "" else folder
        TABLES[name].write(TABLES[name].frame(rows), file)
    if further is not None:
        further(project.storage)


def run_with(check: dg.AssetChecksDefinition, project: Project) -> tuple[dg.ExecuteInProcessResult, set[str]]:
    """The check between an asset and what depends on it; which assets were made."""
    key = next(iter(check.check_specs)).asset_key

    @dg.asset(key=key)
    def checked() -> None: ...

    @dg.asset(key="what_comes_after", deps=[key])
    def after() -> None: ...

    result = dg.materialize([checked, after, check], resources={"project": project}, raise_on_error=False)
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    return result, made


def test_every_check_is_shown_bad_data():
    assert {*BAD, OF_SOURCES} == set(CHECK_OF)


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_found_and_blocks_where_it_must(name: str, project: Project):
    check = CHECK_OF[name]
    fill(project, *BAD[name])
    result, made = run_with(check, project)
    [evaluation] = result.get_asset_check_evaluations()
    assert evaluation.check_name == name
    assert not evaluation.passed, evaluation.description
    assert evaluation.description.endswith(".")
    blocking = next(iter(check.check_specs)).blocking
    assert ("what_comes_after" in made) is not blocking
    assert result.success is not blocking
    assert evaluation.severity is (dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN)


def test_pictures_that_the_sources_no_longer_serve_block(project: Project):
    fill(project, {"images": [{**image("/a/1"), "source_url": "http://museum.example/1.jpg"}]}, None)
    provider = Provider()
    provider.answers["/1.jpg"] = Response(jpeg())
    with serving(provider):
        images = project.settings.images.model_copy(update={"allowed_addresses": ("127.0.0.0/8",)})
        http = project.settings.http.model_copy(update={"hosts": {"*": provider.address}})
        there = Project(project.settings.model_copy(update={"images": images, "http": http}), project.storage)
        result, made = run_with(CHECK_OF[OF_SOURCES], there)
    [evaluation] = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert "1 of 1 images asked again are not what is stored" in evaluation.description
    assert "what_comes_after" not in made


def test_a_champion_is_replaced_by_a_row_that_is_as_good(project: Project):
    fill(project, {}, champions(new=0.59, used=0.60))
    result, made = run_with(CHECK_OF["the_challenger_is_not_worse"], project)
    assert result.success
    assert "what_comes_after" in made


# --- the two checks that every asset brings along

ROWS = [{"record_id": f"/a/{n}", "reason": "gone", "withdrawn_at": None} for n in range(10)]


def made_of(rows: list[dict[str, Any]], text: str = "") -> dg.AssetsDefinition:
    @stage_asset(AssetPlan("harvest", code=(), outside=lambda project: f"{text}{len(rows)}"))
    def tombstones() -> pl.DataFrame:
        """Withdrawn."""
        return TOMBSTONES.frame(rows)

    return tombstones


def downstream() -> dg.AssetsDefinition:
    @dg.asset(key="what_comes_after", deps=[key_of("tombstones")])
    def after() -> None: ...

    return after


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def damage(file: Path, how: str) -> None:
    if how == "cut off":
        file.write_bytes(file.read_bytes()[:-20])
    elif how == "another column":
        pq.write_table(pq.read_table(file).rename_columns(["record_id", "withdrawn_at", "why"]), file)
    elif how == "unsorted":
        table = pq.read_table(file)
        pq.write_table(table.take(list(range(table.num_rows))[::-1]), file)
    else:
        file.write_bytes(b"")


@pytest.mark.parametrize("how", ["cut off", "another column", "unsorted", "emptied"])
def test_a_table_damaged_since_it_was_made_stops_what_comes_after(how: str, project: Project):
    assets = [made_of(ROWS), downstream()]
    assert dg.materialize(assets, resources={"project": project}).success
    damage(project.path("tombstones"), how)
    result = dg.materialize(assets, resources={"project": project}, raise_on_error=False)
    assert not result.success
    assert checks_of(result)["can_be_read"] is False
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    assert "what_comes_after" not in made


def test_a_table_that_has_collapsed_is_a_warning(project: Project):
    dg.materialize([made_of(ROWS)], resources={"project": project})
    result = dg.materialize([made_of(ROWS[:7]), downstream()], resources={"project": project})
    assert result.success
    assert checks_of(result) == {"can_be_read": True, "keeps_its_size": False}
    assert shrunken(Made("", "", {"rows": 8, "rows_before": 10})) == []
    assert shrunken(Made("", "", {"bytes": 7, "bytes_before": 10})) == ["It has 7 bytes; the one before it had 10."]


def test_weights_that_are_cut_off_cannot_be_read(tmp_path: Path):
    import numpy as np
    from safetensors.numpy import save_file

    file = tmp_path / "model" / "weights.safetensors"
    file.parent.mkdir()
    save_file({"one": np.ones((4, 4), np.float32)}, file)
    assert unreadable("models/x", file.parent) == []
    file.write_bytes(file.read_bytes()[:-1])
    todo = f"Delete {file.parent}, then run the job again that makes it."
    cut = "weights.safetensors cannot be read: its {} cut off. {}"
    assert unreadable("models/x", file.parent) == [cut.format("tensors are", todo)]
    file.write_bytes(b"\xff" * 12)
    assert unreadable("models/x", file.parent) == [cut.format("header is", todo)]
    shutil.rmtree(file.parent)
    assert "has no file" in unreadable("models/x", file.parent)[0]
