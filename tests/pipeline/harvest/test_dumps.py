"""The weekly dumps give the records that the API gives, from a folder or a server, whatever is damaged or cut off."""

import errno
import os
import shutil
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.harvest.bulk import DumpHarvest, concepts_in_pages, dumps_are_read, harvest_dumps
from pipeline.harvest.dumps import Dataset, FolderPlace, place_of_dumps
from pipeline.harvest.edm import read_edm
from pipeline.harvest.errors import HarvestError
from pipeline.harvest.items import row_of_item
from pipeline.harvest.pages import harvest_collection
from pipeline.harvest.records import records_from_pages
from pipeline.harvest.store import generations, page_files, unbroken
from pipeline.sandbox.dumps import datasets, edm, zipped
from pipeline.sandbox.folder import MuseumFolder
from pipeline.sandbox.search import with_envelope
from pipeline.settings import OPEN_RIGHTS, HarvestSettings, HttpSettings
from tests.pipeline.harvest.conftest import client_at
from tests.support.ftp_server import ftp_server
from tests.support.museum_server import running

COLLECTIONS = ("furniture", "art", "tool", "*")
SETTINGS = HarvestSettings(collections=COLLECTIONS, as_of=datetime(2026, 8, 1, tzinfo=UTC), rows=20)
HTTP = HttpSettings(attempts=3, backoff_first_s=0.01)


@pytest.fixture(scope="module")
def museum(drawn_museum) -> MuseumFolder:
    return MuseumFolder(drawn_museum(120, seed=7))


@pytest.fixture(scope="module")
def address(museum: MuseumFolder) -> Iterator[str]:
    with running(museum) as url:
        yield url


@pytest.fixture(scope="module")
def mirror(museum: MuseumFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder XML, as `wget -m` leaves it."""
    folder = tmp_path_factory.mktemp("mirror") / "XML"
    folder.mkdir()
    for name, positions in datasets(museum).items():
        (folder / f"{name}.zip").write_bytes(zipped(museum, positions, "XML"))
    return folder


def bulk(place, folder: Path, settings: HarvestSettings = SETTINGS, **more) -> DumpHarvest:
    folders = {name: folder / f"c{number}" for number, name in enumerate(settings.collections)}
    return harvest_dumps(place, folders, settings, open_rights=OPEN_RIGHTS, **more)


def rows(folder: Path) -> pl.DataFrame:
    """The records, without where they were asked for."""
    return records_from_pages(folder).drop("request")


@pytest.fixture(scope="module")
def from_api(address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    with client_at(address, SETTINGS) as client:
        for number, name in enumerate(COLLECTIONS):
            harvest_collection(client, name, folder / f"c{number}", SETTINGS)
    return folder


@pytest.fixture(scope="module")
def from_dumps(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dumps")
    bulk(FolderPlace(mirror), folder)
    return folder


def test_the_dumps_give_the_records_that_the_api_gives(from_api: Path, from_dumps: Path):
    api, dumps = rows(from_api), rows(from_dumps)
    assert_frame_equal(dumps, api)
    assert api.height > 50
    assert 0 < api.filter(pl.col("collections").list.contains("furniture")).height < api.height


def test_n_triples_give_the_same(museum: MuseumFolder, from_dumps: Path, tmp_path: Path):
    (tmp_path / "NT").mkdir()
    for name, positions in datasets(museum).items():
        (tmp_path / "NT" / f"{name}.zip").write_bytes(zipped(museum, positions, "NT"))
    bulk(FolderPlace(tmp_path / "NT"), tmp_path / "pages")
    assert_frame_equal(rows(tmp_path / "pages"), rows(from_dumps))


@pytest.mark.shared
@pytest.mark.long
@pytest.mark.parametrize("name", ["museum", "museum2"])
def test_every_item_of_a_real_museum_comes_back(shared: Path, name: str):
    real = MuseumFolder(shared / name)
    for position in range(len(real)):
        item = real.item(position)
        assert row_of_item(read_edm(edm(real, item), ".xml").item()) == row_of_item(with_envelope(item))


def test_the_concepts_of_the_dumps_are_those_of_the_entity_api(address: str, from_dumps: Path):
    records = records_from_pages(from_dumps)
    uris = sorted({uri.replace("/base/", "/") for uri in records["concept_uris"].explode() if "data.europeana" in uri})
    with client_at(address, SETTINGS) as client:
        asked = client.concepts(uris)
    said = concepts_in_pages(from_dumps, COLLECTIONS)(uris)
    assert len(asked) > 5
    plain = [(one.uri, dict(one.labels), set(one.exact_match), set(one.close_match)) for one in asked]
    assert [(one.uri, dict(one.labels), set(one.exact_match), set(one.close_match)) for one in said] == plain


@pytest.mark.parametrize("form", ["XML", "NT"])
def test_a_web_server_gives_the_same(address: str, from_dumps: Path, tmp_path: Path, form: str):
    http = HTTP.model_copy(update={"hosts": {"*": address}})
    place = place_of_dumps(f"https://download.europeana.eu/dataset/{form}", http, tmp_path / "cache")
    done = bulk(place, tmp_path / "pages")
    assert {one.requests for one in done.summaries.values()} == {0}  # nothing was searched for
    assert_frame_equal(rows(tmp_path / "pages"), rows(from_dumps))
    assert list((tmp_path / "cache").iterdir()) == []  # no zip is kept
    request = records_from_pages(tmp_path / "pages")["request"][0]
    assert request.startswith(f"https://download.europeana.eu/dataset/{form}?query=")
    assert done.damaged == 0


@pytest.mark.parametrize("unknown", [(), ("MLSD",), ("MLSD", "SIZE")])
def test_an_ftp_server_gives_the_same(mirror: Path, from_dumps: Path, tmp_path: Path, unknown: tuple[str, ...]):
    with ftp_server(mirror.parent, unknown) as server:
        place = place_of_dumps(f"{server.address}/XML", HTTP, tmp_path / "cache")
        found = place.datasets()
        bulk(place, tmp_path / "pages")
    assert_frame_equal(rows(tmp_path / "pages"), rows(from_dumps))
    assert all(dataset.size for dataset in found) == (not unknown)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_download_that_was_cut_off_goes_on(mirror: Path, from_dumps: Path, tmp_path: Path):
    with ftp_server(mirror.parent, cut_after=1_000) as server:
        bulk(place_of_dumps(f"{server.address}/XML", HTTP, tmp_path / "cache"), tmp_path / "pages")
    assert "REST 1000" in server.commands
    assert_frame_equal(rows(tmp_path / "pages"), rows(from_dumps))


def test_a_zip_that_is_not_there_is_told(mirror: Path, tmp_path: Path):
    with ftp_server(mirror.parent) as server:
        place = place_of_dumps(f"{server.address}/XML", HTTP, tmp_path / "cache")
        with (
            pytest.raises(HarvestError, match=r"XML/gone\.zip was not had after 3 tries: 550"),
            place.opened(Dataset("gone")),
        ):
            pass


def test_a_server_that_is_not_there_is_told_and_may_come_back(tmp_path: Path):
    said: list[str] = []
    with pytest.raises(HarvestError, match=r"was not had after 3 tries") as error:
        bulk(place_of_dumps("ftp://127.0.0.1:9/XML", HTTP, tmp_path / "cache", said.append), tmp_path / "pages")
    assert error.value.transient
    assert [one.partition("; ")[2] for one in said] == ["try 2 of 3 in 0 s", "try 3 of 3 in 0 s"]


class Stopped(Exception):
    """Stands for a kill."""


class StoppingPlace(FolderPlace):
    """A mirror that is taken away after some zips."""

    def __init__(self, folder: Path, after: int) -> None:
        super().__init__(folder)
        self.left = after
        self.read: list[str] = []

    def opened(self, dataset):
        if self.left == 0:
            raise Stopped
        self.left -= 1
        self.read.append(dataset.name)
        return super().opened(dataset)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_stopped_harvest_goes_on_at_the_zip_it_was_at(mirror: Path, from_dumps: Path, tmp_path: Path, after: int):
    with pytest.raises(Stopped):
        bulk(StoppingPlace(mirror, after), tmp_path)
    with pytest.raises(HarvestError, match="not harvested to its end"):
        rows(tmp_path)
    for collection in tmp_path.iterdir():
        journal = collection / "000-whole" / "datasets.jsonl"
        with journal.open("a", encoding="utf-8") as stream:  # what a kill leaves of a line and of a dataset
            stream.write('{"dataset": "93')
        left_over = sorted(mirror.glob("*.zip"))[-1].stem
        (collection / "000-whole" / left_over).mkdir()
        (collection / "000-whole" / left_over / "page-000009.json.gz").write_bytes(b"half")
    rest = StoppingPlace(mirror, -1)
    bulk(rest, tmp_path)
    assert rest.read == [file.stem for file in sorted(mirror.glob("*.zip"))][after:]
    assert_frame_equal(rows(tmp_path), rows(from_dumps))


def test_a_zip_that_has_changed_while_a_harvest_was_stopped_is_read_again(
    mirror: Path, from_dumps: Path, tmp_path: Path
):
    copy = Path(shutil.copytree(mirror, tmp_path / "copy"))
    with pytest.raises(Stopped):
        bulk(StoppingPlace(copy, 2), tmp_path / "pages")
    names = [file.stem for file in sorted(copy.glob("*.zip"))]
    os.utime(copy / f"{names[0]}.zip", (1, 1))
    rest = StoppingPlace(copy, -1)
    bulk(rest, tmp_path / "pages")
    assert rest.read == [names[0], *names[2:]]
    assert_frame_equal(rows(tmp_path / "pages"), rows(from_dumps))
    assert dumps_are_read(rest.datasets(), tmp_path / "pages" / "c0")


def test_a_whole_harvest_reads_nothing_again_and_knows_when_a_zip_has_changed(mirror: Path, tmp_path: Path):
    copy = Path(shutil.copytree(mirror, tmp_path / "copy"))
    bulk(FolderPlace(copy), tmp_path / "pages")
    again = bulk(FolderPlace(copy), tmp_path / "pages")
    assert (again.zips, again.seen) == (0, 0)
    folder = tmp_path / "pages" / "c0"
    assert dumps_are_read(FolderPlace(copy).datasets(), folder)
    one = next(copy.glob("*.zip"))
    os.utime(one, (one.stat().st_mtime + 7, one.stat().st_mtime + 7))
    assert not dumps_are_read(FolderPlace(copy).datasets(), folder)


def test_pages_of_the_api_make_way_and_walks_go_on_over_pages_of_dumps(
    mirror: Path, address: str, from_dumps: Path, tmp_path: Path
):
    settings = SETTINGS.model_copy(update={"collections": ("furniture",)})
    with client_at(address, settings) as client:
        harvest_collection(client, "furniture", tmp_path / "c0", settings)
        bulk(FolderPlace(mirror), tmp_path, settings)
        [dumped] = generations(tmp_path / "c0")
        assert dumped.request.startswith("folder XML?query=furniture&")
        for chunk in dumped.chunks:
            files = page_files(dumped.folder / chunk.name)
            assert len(unbroken(files)) == len(files)
        harvest_collection(client, "furniture", tmp_path / "c0", settings)
    [asked] = generations(tmp_path / "c0")
    assert asked.request.startswith("https://api.europeana.eu/")


def damaged(mirror: Path, folder: Path, bad: dict[str, bytes]) -> Path:
    """A copy with further members in its first zip."""
    copy = Path(shutil.copytree(mirror, folder / "damaged"))
    with zipfile.ZipFile(next(iter(sorted(copy.glob("*.zip")))), "a") as archive:
        for name, content in bad.items():
            archive.writestr(name, content)
    return copy


def test_a_damaged_record_is_told_and_left_out(mirror: Path, from_dumps: Path, tmp_path: Path):
    said: list[str] = []
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "IMAGE creativecommons.org/licenses/by/">]><a>&b;&#65;</a>'
    copy = damaged(mirror, tmp_path, {"bad.xml": bomb, "README.txt": b"not a record"})
    done = bulk(FolderPlace(copy), tmp_path / "pages", say=said.append)
    assert done.damaged == 1
    [sentence] = said
    assert "bad.xml: it declares a document type" in sentence
    assert_frame_equal(rows(tmp_path / "pages"), rows(from_dumps))


def test_many_damaged_records_are_an_error(mirror: Path, tmp_path: Path):
    bad = {f"{number}.xml": b"<rdf>IMAGE &#65; creativecommons.org/licenses/by/" for number in range(5)}
    with pytest.raises(HarvestError, match=r"5 of \d+ files in .*zip are no records \(0.xml: it is no XML"):
        bulk(FolderPlace(damaged(mirror, tmp_path, bad)), tmp_path / "pages")


@pytest.mark.parametrize("cut", [0, 40, 4_000])
def test_a_damaged_zip_is_an_error(mirror: Path, tmp_path: Path, cut: int):
    copy = Path(shutil.copytree(mirror, tmp_path / "damaged"))
    first = min(copy.glob("*.zip"))
    first.write_bytes(first.read_bytes()[:cut])
    with pytest.raises(HarvestError, match=rf"{first.name} is damaged .*: fetch it again"):
        bulk(FolderPlace(copy), tmp_path / "pages")


@pytest.mark.parametrize("name", ["", ".", "..", "../../pages", "/etc", ".hidden"])
def test_a_dataset_is_not_named_as_a_folder_elsewhere(name: str):
    with pytest.raises(HarvestError, match="is no name of one"):
        Dataset(name)


@pytest.mark.parametrize("unknown", [(), ("MLSD",)])
def test_a_server_cannot_name_a_folder_that_is_emptied(mirror: Path, tmp_path: Path, unknown: tuple[str, ...]):
    """A dataset's folder is emptied before its zip is read: `..` would be that of all collections."""
    copy = Path(shutil.copytree(mirror, tmp_path / "served" / "XML"))
    shutil.copy(min(copy.glob("*.zip")), copy / "...zip")
    (tmp_path / "pages" / "c0" / "kept").mkdir(parents=True)
    with ftp_server(copy.parent, unknown) as server:
        for place in (place_of_dumps(f"{server.address}/XML", HTTP, tmp_path / "cache"), FolderPlace(copy)):
            with pytest.raises(HarvestError, match=r"a dataset '\.\.', which is no name of one"):
                bulk(place, tmp_path / "pages")
    assert (tmp_path / "pages" / "c0" / "kept").is_dir()


def test_a_full_disk_is_no_fault_of_the_server(mirror: Path, tmp_path: Path):
    """What is written to /dev/full finds no room; waiting for the server would not help."""
    said: list[str] = []
    (tmp_path / "cache").mkdir()
    for file in mirror.glob("*.zip"):
        (tmp_path / "cache" / f"{file.name}.part").symlink_to("/dev/full")
    with ftp_server(mirror.parent) as server, pytest.raises(OSError, match="No space left") as error:
        bulk(place_of_dumps(f"{server.address}/XML", HTTP, tmp_path / "cache", said.append), tmp_path / "pages")
    assert error.value.errno == errno.ENOSPC
    assert said == []


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"collections": ("no such thing at all",)}, "hold no open record with an image for the keyword"),
        ({"reusability": "restricted"}, "from dumps only `open` can be selected"),
        ({"collections": ('title:"a chair"',)}, "is more than words"),
        ({"collections": ("chair OR table",)}, "is more than words"),
    ],
)
def test_what_dumps_cannot_answer_is_said(mirror: Path, tmp_path: Path, update: dict, said: str):
    with pytest.raises(HarvestError, match=said):
        bulk(FolderPlace(mirror), tmp_path, SETTINGS.model_copy(update=update))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("gopher://a/b", "it must be a folder, or begin with"),
        ("sftp://me:secret@a/b", "it must be a folder, or begin with"),
        ("https://me:secret@a.example/XML", "holds a user name"),
        ("/no/such/folder", "There is no folder"),
    ],
)
def test_a_wrong_place_is_said(tmp_path: Path, address: str, said: str):
    with pytest.raises(HarvestError, match=said) as error:
        bulk(place_of_dumps(address, HTTP, tmp_path), tmp_path)
    assert "secret" not in str(error.value)
