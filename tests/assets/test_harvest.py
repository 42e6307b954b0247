"""Raw pages through Dagster: what is harvested again takes the old pages' place only when it is whole."""

from pathlib import Path

import dagster as dg
import pytest

from assets.engine.project import Project, current_project
from assets.harvest import PARTITIONS, pages
from pipeline.files import sha256_of
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
