"""`eufcc publish` against a hub on this machine: nothing is sent unasked, what was withdrawn goes, no token shows."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from assets.cli import publish
from assets.cli.app import app
from pipeline.allow_list import ALLOWED_HOSTS, NotAllowed
from pipeline.release.pack import write_checksums
from tests.support.hub_server import Hub
from tests.support.iiif_server import serving

# huggingface_hub 2.4 sends files as httpx used to take them
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
KEY = "hf_secretOfTheTests"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub's API on loopback, allowed, with a token that may write."""
    made = Hub(KEY)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv(publish.TOKEN, KEY)
    with serving(made.app) as address:
        monkeypatch.setenv(publish.ENDPOINT, address)
        monkeypatch.setenv(ALLOWED_HOSTS, "127.0.0.1")
        yield made


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A folder with what `publish` looks at in a release."""
    folder = tmp_path / "release"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: other\n---\n# Drawn museum\n")
    for number in (0, 1):
        (folder / "data" / f"train-{number}.parquet").write_bytes(bytes([number]) * 1000)
    write_checksums(folder)
    return folder


def published(*arguments: str | Path):
    return CliRunner().invoke(app, ["publish", *map(str, arguments)])


def test_without_upload_nothing_is_sent(hub: Hub, release: Path):
    done = published(release, "museum/drawn")
    assert done.exit_code == 0
    assert "Nothing was sent" in done.stdout
    assert "data/train-1.parquet" in done.stdout
    assert hub.repositories == {}


def test_a_release_arrives_whole_and_what_was_withdrawn_goes(hub: Hub, release: Path):
    done = published(release, "museum/drawn", "--upload", "--json")
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout)["address"].endswith("/datasets/museum/drawn")
    there = hub.repositories["datasets/museum/drawn"]
    ours = {p.relative_to(release).as_posix(): p.read_bytes() for p in release.rglob("*") if p.is_file()}
    assert {name: data for name, data in there.items() if name != ".gitattributes"} == ours
    assert hub.private == {"datasets/museum/drawn": True}
    (release / "data" / "train-1.parquet").unlink()
    write_checksums(release)
    assert published(release, "museum/drawn", "--upload", "--message", "Withdrawn").exit_code == 0
    assert "data/train-1.parquet" not in there
    assert hub.commits[-1] == ("datasets/museum/drawn", "Withdrawn")


def test_a_model_is_a_model(hub: Hub, tmp_path: Path):
    (tmp_path / "model.json").write_text("{}")
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    done = published(tmp_path, "museum/model", "--upload", "--public")
    assert done.exit_code == 0, done.exception
    assert hub.private == {"models/museum/model": False}
    assert hub.repositories["models/museum/model"]["model.safetensors"] == b"x" * 100


def test_a_token_that_may_not_write_is_one_sentence_without_it(hub: Hub, release: Path, monkeypatch):
    monkeypatch.setenv(publish.TOKEN, "hf_otherSecret")
    done = published(release, "museum/drawn", "--upload")
    assert isinstance(done.exception, publish.PublishError)
    assert "status 401" in str(done.exception)
    assert "HF_TOKEN may write there" in str(done.exception)
    assert "hf_otherSecret" not in done.output + str(done.exception)
    assert hub.refused == 1


def test_a_hub_that_is_not_there_is_one_sentence(hub: Hub, release: Path, monkeypatch):
    monkeypatch.setenv(publish.ENDPOINT, "http://127.0.0.1:9")
    done = published(release, "museum/drawn", "--upload")
    assert isinstance(done.exception, publish.PublishError)
    assert "did not take the upload (ConnectError): try again later" in str(done.exception)


def test_a_card_that_the_hub_objects_to_is_told_in_its_words(hub: Hub, release: Path):
    hub.card_errors.append('"license" must be one of the known ones')
    done = published(release, "museum/drawn", "--upload")
    assert isinstance(done.exception, publish.PublishError)
    assert '"license" must be one of the known ones' in str(done.exception)
    assert "try again later" not in str(done.exception)


def test_a_file_that_may_not_be_stored_is_told_by_its_status(hub: Hub, release: Path):
    hub.blob_status = 403
    done = published(release, "museum/drawn", "--upload")
    assert "did not take the upload (status 403): check that HF_TOKEN may write there." in str(done.exception)


@pytest.mark.parametrize(
    ("repository", "changed", "said"),
    [
        ("name", False, "write owner/name"),
        ("museum/../other", False, "write owner/name"),
        ("museum/drawn..again", False, "Cannot have -- or .. in repo_id"),
        ("museum/drawn", True, "data/train-0.parquet has changed"),
    ],
)
def test_what_is_not_published(hub: Hub, release: Path, repository: str, changed: bool, said: str):
    if changed:
        (release / "data" / "train-0.parquet").write_bytes(b"other")
    done = published(release, repository, "--upload")
    assert said in str(done.exception)
    assert hub.repositories == {}


def test_a_folder_of_something_else_is_told(hub: Hub, tmp_path: Path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    assert "neither a release nor an exported model" in str(published(tmp_path, "museum/drawn").exception)


def test_another_hub_has_to_be_allowed(release: Path, monkeypatch):
    monkeypatch.setenv(publish.ENDPOINT, "https://hub.example")
    assert isinstance(published(release, "museum/drawn").exception, NotAllowed)


def test_without_a_token_nothing_is_asked(hub: Hub, release: Path, monkeypatch):
    monkeypatch.delenv(publish.TOKEN)
    assert "Set HF_TOKEN" in str(published(release, "museum/drawn", "--upload").exception)
    assert hub.repositories == {}
