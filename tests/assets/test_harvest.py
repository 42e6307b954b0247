"""Pages and records through Dagster: new pages replace old ones when they are whole; settings say which count."""

import os
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assets.checks import CHECKS
from assets.engine.project import Project, current_project
from assets.engine.retention import OTHERS, delete_other_pages
from assets.harvest import PARTITIONS, europeana, pages, records, source_version, told_of_others, tombstones
from assets.partitions import collection_key
from assets.vocabulary import aligned_concepts
from pipeline.files import sha256_of
from pipeline.harvest.pages import harvest_collection
from pipeline.sandbox.dumps import datasets, zipped
from pipeline.sandbox.folder import MuseumFolder
from pipeline.settings import Settings, full
from tests.assets.conftest import KEY, WRONG_KEY

pytestmark = pytest.mark.xdist_group("runs")  # whose museum is used here too


@pytest.fixture
def settings(address: str) -> Settings:
    """The full profile, with the museum in the place of Europeana and the collections that Dagster knows."""
    http = {"hosts": {"*": address}, "requests_per_second": 1e6, "backoff_first_s": 0.01, "step_retries": 0}
    harvest = {"collections": current_project().settings.harvest.collections}
    given = full()
    return given.model_copy(
        update={"http": given.http.model_copy(update=http), "harvest": given.harvest.model_copy(update=harvest)}
    )


def harvest(project: Project, mode: str) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [pages],
        partition_key=PARTITIONS.get_partition_keys()[0],
        resources={"project": project},
        run_config={"ops": {"pages": {"config": {"mode": mode}}}},
        raise_on_error=False,
    )


def test_again_replaces_the_pages_once_it_is_whole(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    project = Project(settings, tmp_path)
    monkeypatch.setenv("EUROPEANA_API_KEY", KEY)
    assert harvest(project, "complete").success
    first = sha256_of(tmp_path / "pages")
    monkeypatch.setenv("EUROPEANA_API_KEY", WRONG_KEY)
    assert not harvest(project, "again").success
    assert sha256_of(tmp_path / "pages") == first
    monkeypatch.setenv("EUROPEANA_API_KEY", KEY)
    assert harvest(project, "again").success
    assert len(list((tmp_path / "pages").rglob("page-*.json.gz"))) >= 1
    assert list((tmp_path / "cache" / "pages_again").iterdir()) == []


def of_collections(settings: Settings, *names: str) -> Settings:
    return settings.model_copy(update={"harvest": settings.harvest.model_copy(update={"collections": names})})


def harvested(settings: Settings, storage: Path) -> Project:
    """A storage with the pages of these collections: Dagster's partitions are those of the environment."""
    project = Project(settings, storage)
    with europeana(project) as client:
        for name in settings.harvest.collections:
            harvest_collection(client, name, storage / "pages" / collection_key(name), settings.harvest)
    project.remember("pages", "europeana", {"records": 1, **told_of_others(storage / "pages", settings)})
    return project


def records_of(project: Project) -> tuple[bytes, object]:
    """The bytes of the table `records`, and what its metadata says of other collections."""
    done = dg.materialize([records], resources={"project": project}, raise_on_error=False)
    assert done.success
    [event] = done.get_asset_materialization_events()
    told = event.materialization.metadata.get(OTHERS)
    return project.path("records").read_bytes(), told and told.value


def test_a_collection_taken_out_of_the_settings_leaves_no_trace(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The result is that of a storage which never knew it; its pages stay until somebody tidies."""
    monkeypatch.setenv("EUROPEANA_API_KEY", KEY)
    day = {"as_of": datetime(2026, 1, 1, tzinfo=UTC)}
    settings = settings.model_copy(update={"harvest": settings.harvest.model_copy(update=day)})
    both, one = of_collections(settings, "furniture", "wood"), of_collections(settings, "wood")
    first, _ = records_of(harvested(both, tmp_path / "stored"))
    fresh, said = records_of(harvested(one, tmp_path / "fresh"))
    assert said is None
    project = harvested(one, tmp_path / "stored")
    kept, said = records_of(project)
    assert kept == fresh
    assert kept != first
    assert said == (
        "Pages of collections that are not in the settings are kept and not read: furniture. `eufcc tidy` deletes them."
    )
    assert (tmp_path / "stored" / "pages" / "furniture").is_dir()
    assert delete_other_pages(project) == ["furniture"]
    assert [place.name for place in (tmp_path / "stored" / "pages").iterdir()] == ["wood"]
    made = project.made("pages")
    assert made is not None
    assert OTHERS not in made.metadata
    assert records_of(project) == (fresh, None)
    assert delete_other_pages(project) == []


def test_a_collection_put_into_the_settings_is_asked_for(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("EUROPEANA_API_KEY", KEY)
    harvested(of_collections(settings, "wood"), tmp_path)
    project = Project(of_collections(settings, "furniture", "wood"), tmp_path)
    done = dg.materialize([records], resources={"project": project}, raise_on_error=False)
    [failed] = [event for event in done.all_events if event.is_step_failure]
    assert failed.step_failure_data.user_failure_data.description.startswith(
        "1 of 2 collections are not harvested: furniture."
    )


@pytest.fixture
def of_dumps(settings: Settings, museum: Path, tmp_path: Path) -> Project:
    """The full profile without a key, on a mirror of the weekly zips."""
    mirror, folder = tmp_path / "XML", MuseumFolder(museum)
    mirror.mkdir()
    for name, positions in datasets(folder).items():
        (mirror / f"{name}.zip").write_bytes(zipped(folder, positions, "XML"))
    harvest = settings.harvest.model_copy(update={"dumps": str(mirror)})
    return Project(settings.model_copy(update={"harvest": harvest}), tmp_path / "storage")


def collections_of(result: dg.ExecuteInProcessResult) -> dict:
    [event] = result.get_asset_materialization_events()
    return event.materialization.metadata["collections"].value


def test_the_dumps_take_the_place_of_the_api(
    settings: Settings, of_dumps: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Without a key: the same records and alignments; a refresh reads again what has changed, and nothing else."""
    monkeypatch.setenv("EUROPEANA_API_KEY", KEY)
    api = Project(settings, tmp_path / "api")
    for project in (api, of_dumps):
        assert harvest(project, "complete").success
        assert dg.materialize([records, aligned_concepts], resources={"project": project}).success
        monkeypatch.delenv("EUROPEANA_API_KEY", raising=False)
    for name in ("records", "concept_alignments", "unmapped_concepts", "concepts"):
        tables = [pl.read_parquet(project.path(name)) for project in (of_dumps, api)]
        assert_frame_equal(*(one.drop("request", "harvested_at", strict=False) for one in tables))

    [unchanged] = collections_of(harvest(of_dumps, "refresh")).values()
    assert unchanged["zips_read"] == 0
    mirror = Path(of_dumps.settings.harvest.dumps)
    one, *others = sorted(mirror.glob("*.zip"))
    os.utime(one, (1, 1))
    [changed] = collections_of(harvest(of_dumps, "refresh")).values()
    assert changed["zips_read"] == len(others) + 1
    assert list((of_dumps.storage / "cache" / "pages_again").iterdir()) == []
    done = dg.materialize(
        [tombstones],
        resources={"project": of_dumps},
        run_config={"ops": {"make_tombstones": {"config": {"compare": True}}}},
    )
    assert done.success
    assert pl.read_parquet(of_dumps.path("tombstones")).is_empty()


@pytest.mark.parametrize("name", ["further.nt.gz", "further.nt"])
def test_another_thesaurus_in_the_museum_is_another_source(settings: Settings, tmp_path: Path, name: str):
    (tmp_path / "museum").mkdir()
    project = Project(settings.model_copy(update={"museum": tmp_path / "museum"}), tmp_path / "storage")
    before = source_version(project)
    (tmp_path / "museum" / name).write_bytes(b"1")
    assert source_version(project) != before


def test_getty_away_is_a_warning_and_getty_back_is_asked_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What was answered before is used, a check warns, and the next run asks although nothing else has changed."""
    monkeypatch.setenv("EUROPEANA_API_KEY", KEY)
    check = next(one for one in CHECKS if "getty_answered" in str(one.check_specs))
    address = settings.http.hosts["*"]

    def aligned(getty: str) -> tuple[str, dg.AssetCheckEvaluation, bool]:
        http = {"hosts": {"*": address, "https://vocab.getty.edu": getty}, "attempts": 1}
        given = settings.model_copy(update={"http": settings.http.model_copy(update=http)})
        done = dg.materialize([aligned_concepts, check], resources={"project": Project(given, tmp_path)})
        [said] = [one for one in done.get_asset_check_evaluations() if one.check_name == "getty_answered"]
        [event] = [one for one in done.get_asset_materialization_events() if one.asset_key.path == ["concepts"]]
        reused = bool(event.materialization.metadata["reused"].value)
        return sha256_of(tmp_path / "concepts.parquet"), said, reused

    harvested(settings, tmp_path)
    assert dg.materialize([records], resources={"project": Project(settings, tmp_path)}).success
    first, said, _ = aligned(address)
    assert said.passed
    cache = tmp_path / "cache" / "getty" / "aat.jsonl"
    today = datetime.now(UTC).date().isoformat()
    cache.write_text(cache.read_text(encoding="utf-8").replace(today, "2020-02-29"), encoding="utf-8")
    (tmp_path / ".made" / "concept_alignments.json").unlink()

    away, said, _ = aligned("http://127.0.0.1:9")
    assert away == first
    assert (said.passed, said.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "concepts are as Getty answered before, the oldest on 2020-02-29." in (said.description or "")
    back, said, reused = aligned(address)
    assert (back, said.passed, reused) == (first, True, False)
    assert aligned(address)[2]
