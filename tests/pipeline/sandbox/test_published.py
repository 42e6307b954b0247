"""The museums behind published files: a picture per address, and every planted fault is what the lookup says it is."""

import csv
import shutil
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import httpx
import polars as pl
import pytest

from pipeline.files import sha256_of
from pipeline.harvest.europeana import EuropeanaClient
from pipeline.http import HttpClient
from pipeline.images.wanted import thumbnail_urls
from pipeline.published.dataset import read_folder
from pipeline.published.format import COLUMNS, PublishedError
from pipeline.published.lookup import Lookup
from pipeline.published.relinks import addresses_of, may_be_passed_on, relinks_of
from pipeline.published.tables import with_views
from pipeline.sandbox.folder import MuseumError, MuseumFolder
from pipeline.sandbox.published import world
from pipeline.sandbox.published.concepts import FIRST_INVENTED
from pipeline.sandbox.published.look import style_of, thing_of
from pipeline.sandbox.published.world import FAULTS, fault_of, holdings_of, render_published
from pipeline.sandbox.thumbnails import PLACEHOLDER
from pipeline.settings import OPEN_RIGHTS, HarvestSettings, HttpSettings
from pipeline.tables import FETCHES
from tests.support.museum_server import running
from tests.support.published import thumbnail

TAGS = [  # object types, subjects, materials, classifications
    ("moble | seient | cadira", "", "material vegetal | fusta $ metall | *niello", "arts decoratives"),
    ("obra d'art | pintura", "retrat", "", "art | belles arts"),
    ("eina | martell $ eina | destral", "", "metall | ferro", ""),
]
EXPECTED = {  # status, by, spelling, of the published keeper, may be passed on
    None: ("found", "isShownBy", "exact", True, True),
    "gone": ("gone", None, None, None, False),
    "moved": ("found", "object", "exact", True, True),
    "twice": ("several", "isShownBy", "exact", True, False),
    "view": ("found", "hasView", "exact", True, True),
    "scheme": ("found", "isShownBy", "normalised", True, True),
    "renamed": ("found", "isShownBy", "exact", False, True),
    "closed": ("found", "isShownBy", "exact", True, False),
    "lost": ("never_found", None, None, None, False),
}


def addresses(fault: str | None, n: int) -> list[str]:
    """Some addresses that have this fault."""
    found = (
        f"https://m.example/{number}.jpg" for number in count() if fault_of(f"https://m.example/{number}.jpg") == fault
    )
    return [*islice(found, n)]


def rows() -> list[list[str]]:
    listed = [address for fault in (None, *FAULTS) for address in addresses(fault, 2)]
    cells = [(f"art_{number:04d}", address, TAGS[number % len(TAGS)]) for number, address in enumerate(listed)]
    return [[name, *tags[:3], thumbnail(address), "EUROPEANA", "Museu", tags[3]] for name, address, tags in cells]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> tuple[Path, Path]:
    """The published folder, and the museum folder drawn for it."""
    folder = tmp_path_factory.mktemp("published")
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows(), ["x", *[""] * 3, "no-address", "", "", ""]])
    render_published(folder, folder.parent / "museum")
    return folder, folder.parent / "museum"


def fetched(address: str, urls: list[str]) -> pl.DataFrame:
    """What fetching these thumbnails gives."""
    told = []
    with httpx.Client(base_url=address, headers={"X-Original-Host": "https://api.europeana.eu"}) as client:
        for url in urls:
            answer = client.get(url.removeprefix("https://api.europeana.eu"))
            while answer.status_code == 302:
                answer = client.get(answer.headers["location"].removeprefix("https://api.europeana.eu"))
            reason = "placeholder" if answer.content == PLACEHOLDER else None
            told.append({"url": url, "reason": reason if answer.is_success else f"http_{answer.status_code}"})
    return FETCHES.frame(told)


def test_every_fault_is_what_the_lookup_says_it_is(drawn, tmp_path: Path):
    published, museum = drawn
    table_rows = addresses_of(with_views(read_folder(published)[0])).filter(pl.col("address").is_not_null())
    listed = table_rows["address"].to_list()
    with running(museum) as address:
        urls = [url for preview in table_rows["image_url"] for url in thumbnail_urls(preview)]
        fetches = fetched(address, urls)
        http = HttpClient(HttpSettings(hosts={"*": address}, requests_per_second=1000.0))
        with EuropeanaClient(http, HarvestSettings(), None) as client:
            lookup = Lookup(client, tmp_path / "answers.jsonl", HarvestSettings())
            lookup.run(listed)
            table = relinks_of(table_rows, lookup.answers(listed), fetches)
    may = set(may_be_passed_on(table, OPEN_RIGHTS)["record_id"])
    told = table.select("address", "status", "by", "spelling", "same_provider", "record_id").iter_rows()
    found = {address: (*of_row, name in may) for address, *of_row, name in told}
    assert found == {address: EXPECTED[fault_of(address)] for address in listed}
    assert fetches["reason"].is_null().sum() == 2 * (len(listed) - 2)  # both thumbnails of all but two
    with (museum / "planted.csv").open(encoding="utf-8", newline="") as file:
        planted = {row["address"]: row["fault"] for row in csv.DictReader(file)}
    assert planted == {address: fault_of(address) for address in listed if fault_of(address) is not None}


def test_the_same_files_give_the_same_bytes_and_a_drawn_folder_is_kept(drawn, tmp_path: Path):
    published, museum = drawn
    before = (museum / "records.jsonl").stat().st_mtime_ns
    render_published(published, museum)
    assert (museum / "records.jsonl").stat().st_mtime_ns == before
    render_published(published, tmp_path / "again")
    assert sha256_of(tmp_path / "again") == sha256_of(museum)


def test_the_same_tags_look_the_same(drawn):
    found, _ = holdings_of(read_folder(drawn[0])[0])
    things = [replace(thing_of(holding.labels, 1), seed=0) for holding in found]
    assert things[0] == things[3] != things[1]
    assert things[0].shape == "chair"
    assert things[1].scene == "portrait" or things[1].scene is None
    assert things[2].material == "iron"
    assert style_of("Museu") == style_of("Museu")
    assert len({style_of(f"Museu {number}").background for number in range(40)}) > 3


def test_records_link_to_the_concepts_of_their_tags(drawn):
    museum, (_, concepts) = MuseumFolder(drawn[1]), holdings_of(read_folder(drawn[0])[0])
    assert concepts.ids["object_types", ("moble", "seient", "cadira")] == "300037772"
    assert int(concepts.ids["object_types", ("moble", "seient")]) >= FIRST_INVENTED
    linked = {uri for position in range(len(museum)) for uri in museum.item(position).get("edmConcept", [])}
    stated = {("object_types", ("moble", "seient", "cadira")), ("materials", ("metall", "*niello"))}
    assert {concepts.uri(*each) for each in stated} <= linked
    query = "PREFIX s: <http://www.w3.org/2004/02/skos/core#> SELECT ?l { ?x s:prefLabel ?l FILTER(lang(?l) = 'en') }"
    labels = {row["l"].value for row in museum.thesaurus.query(query)}
    assert {"fusta in English", "niello"} <= labels


def test_too_many_rows_and_other_files_are_one_sentence(drawn, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(world, "MOST_ROWS", 3)
    with pytest.raises(
        MuseumError, match=r"has 19 rows, and pictures are drawn for at most 3: take a part of the rows\.$"
    ):
        render_published(drawn[0], tmp_path / "museum")
    with pytest.raises(PublishedError, match=r"has no train\.csv"):
        render_published(tmp_path, tmp_path / "museum")


def test_a_moved_address_that_is_none_names_its_line(drawn, tmp_path: Path):
    museum = shutil.copytree(drawn[1], tmp_path / "museum")
    (museum / "moved.csv").write_text("url,to\nhttps://a.example,ftp://b.example\n", encoding="utf-8")
    with pytest.raises(MuseumError, match=r"moved\.csv, line 2: expected two http\(s\) URLs"):
        MuseumFolder(museum)
