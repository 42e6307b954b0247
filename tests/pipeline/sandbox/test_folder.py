"""Museum folders that can and cannot be served."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.sandbox.folder import MuseumError, MuseumFolder
from pipeline.sandbox.query import Search


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The smallest museum: two records, one entity, one image."""
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "media.csv").write_text("url,file\nhttps://m.example/a.jpg,a.jpg\n")
    records = [
        {"id": "/1/a", "type": "IMAGE", "title": ["A chair"], "rights": ["https://opensource.org/license/mit"]},
        {
            "id": "/1/b",
            "type": "IMAGE",
            "title": ["A table"],
            "edmConcept": ["http://data.europeana.eu/concept/base/9"],
        },
    ]
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    entity = {
        "id": "http://data.europeana.eu/concept/9",
        "prefLabel": {"de": "Möbel"},
        "altLabel": {"en": ["Furnishing"]},
    }
    (tmp_path / "entities.jsonl").write_text(json.dumps(entity) + "\n")
    return tmp_path


def test_a_small_folder_is_searched_by_titles_and_by_labels_of_linked_concepts(folder):
    museum = MuseumFolder(folder)
    assert [museum.record_id(at) for at in museum.find(Search("chair"))] == ["/1/a"]
    assert [museum.record_id(at) for at in museum.find(Search("mobel"))] == ["/1/b"]
    assert [museum.record_id(at) for at in museum.find(Search("furnishing"))] == ["/1/b"]
    assert museum.item(museum.position("/1/b"))["title"] == ["A table"]


def test_open_rights_of_the_museum_hold_for_its_search(folder):
    assert MuseumFolder(folder).find(Search(reusability=("open",))) == ()
    (folder / "open_rights.txt").write_text("https://opensource.org/license/mit\n")
    assert len(MuseumFolder(folder).find(Search(reusability=("open",)))) == 1


def test_a_missing_folder_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(MuseumError, match=r"no museum folder.*python -m pipeline.sandbox render"):
        MuseumFolder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("records.jsonl", "{broken", r"records.jsonl, line 3: not JSON"),
        ("records.jsonl", "[]", r"records.jsonl, line 3: not a JSON object"),
        ("records.jsonl", '{"id": "no slash"}', r"records.jsonl, line 3: its `id` is 'no slash'"),
        ("records.jsonl", '{"id": "/1/a"}', r"records.jsonl, line 3: a second record /1/a"),
        ("records.jsonl", '{"id": "/1/c", "title": 7}', r"records.jsonl, line 3: `title` must be a list of strings"),
        ("records.jsonl", '{"id": "/1/c", "timestamp_update": "soon"}', r"records.jsonl, line 3: 'soon' is not a date"),
        ("entities.jsonl", '{"id": "x"}', r"entities.jsonl, line 2: its `id` is 'x'"),
        ("entities.jsonl", '{"id": "http://data.europeana.eu/concept/9"}', r"entities.jsonl, line 2: a second entity"),
        ("media.csv", "https://m.example/b.jpg,b.jpg", r"media.csv, line 3: there is no file media/b.jpg"),
        ("media.csv", "https://m.example/b.jpg,../records.jsonl", r"media.csv, line 3: there is no file"),
        ("media.csv", "ftp://m.example/b.jpg,a.jpg", r"media.csv, line 3: expected an http\(s\) URL"),
        ("media.csv", "https://m.example/a.jpg,a.jpg", r"media.csv, line 3: a second row"),
    ],
)
def test_a_broken_line_is_named_with_its_number(folder, file, line, said):
    with (folder / file).open("a") as lines:
        lines.write(line + "\n")
    with pytest.raises(MuseumError, match=said):
        MuseumFolder(folder)


def test_broken_triples_and_an_empty_museum_are_refused(folder):
    (folder / "x.nt.gz").write_bytes(b"not gzip")
    with pytest.raises(MuseumError, match=r"x.nt.gz is not N-Triples"):
        MuseumFolder(folder)
    (folder / "x.nt.gz").unlink()
    (folder / "records.jsonl").write_text("\n")
    with pytest.raises(MuseumError, match="holds no record"):
        MuseumFolder(folder)


@pytest.mark.parametrize("file", ["records.jsonl", "media.csv"])
def test_a_folder_without_its_main_files_is_refused(folder, file):
    (folder / file).unlink()
    with pytest.raises(MuseumError, match=f"{file} is missing"):
        MuseumFolder(folder)


def test_a_folder_without_entities_thesaurus_and_images_is_a_museum_too(folder):
    (folder / "entities.jsonl").unlink()
    (folder / "media.csv").write_text("url,file\n")
    shutil.rmtree(folder / "media")
    assert len(MuseumFolder(folder)) == 2


@pytest.mark.shared
def test_the_real_museum_loads_and_its_open_records_are_found(shared):
    museum = MuseumFolder(shared / "museum")
    assert len(museum) == 4149
    assert len(museum.find(Search(reusability=("open",)))) == 3882
    assert len(museum.thesaurus) > 988_100
