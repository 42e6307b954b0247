"""A fifth facet appears everywhere from its record alone, and a dataset with fewer facets still loads."""

import csv
import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from playwright.sync_api import expect

from ml.assistant.vocabulary import Term, Vocabulary, read_tag_list
from pipeline.facets import FACET_OF, FACETS
from tests.ml.assistant.conftest import TAG_LIST
from tests.ml.assistant.pages import add

LIDO = "{http://www.lido-schema.org}"
BAROQUE, SILK = "300021147", "300243428"
STYLES = replace(
    FACET_OF["subjects"],
    key="styles",
    labels={"en": "Styles", "ca": "Estils"},
    edm="dcterms:temporal",
    lido="classification",
    lido_attributes={"type": "style"},
    published=None,
)


@pytest.fixture
def vocabulary(monkeypatch) -> Vocabulary:
    """The tags of the small list, and a tag of a fifth facet."""
    monkeypatch.setitem(FACET_OF, "styles", STYLES)
    baroque = Term(BAROQUE, "styles", labels={"en": "Baroque", "ca": "barroc"})
    return Vocabulary([*read_tag_list(TAG_LIST)[1], baroque], (*FACETS, "styles"))


@pytest.fixture
def accepted(client, uploaded) -> str:
    """An image with the tag of the fifth facet."""
    body = {"who": "anna", "version": 0, "key": "key-00000000", "tag_id": BAROQUE, "action": "accept"}
    assert client.post(f"/api/images/{uploaded}/decisions", json=body).status_code == 200
    return uploaded


def test_every_route_knows_the_fifth_facet(client):
    assert client.get("/api/about").json()["facet_labels"]["styles"] == {"en": "Styles", "ca": "Estils"}
    assert [node["tag_id"] for node in client.get("/api/tree/styles").json()["nodes"]] == [BAROQUE]
    assert [hit["tag_id"] for hit in client.get("/api/search?q=bar&facet=styles").json()["hits"]] == [BAROQUE]
    assert "multilabel.styles" in [each["project_id"] for each in client.get("/v1/projects").json()["projects"]]
    assert client.get("/reconcile").json()["defaultTypes"][-1] == {"id": "styles", "name": "styles"}


def test_an_unknown_facet_is_refused_with_the_known_ones(client):
    for address in ("/api/tree/colours", "/api/search?q=a&facet=colours"):
        answer = client.get(address)
        assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
        assert "materials, classifications, subjects, styles" in answer.json()["message"]


def test_no_export_loses_the_fifth_facets_tag(client, accepted):
    uri = f"http://vocab.getty.edu/aat/{BAROQUE}"
    (row,) = csv.DictReader(io.StringIO(client.get("/api/export?format=csv").text))
    assert (row["styles.aat"], row["styles.origin"]) == (uri, "human")
    assert "styles.hierarchy" not in row
    (cho, *_) = client.get("/api/export?format=edm").json()["@graph"]
    assert cho["dcterms:temporal"] == [{"@id": uri}]
    (item,) = client.get("/api/export?format=webannotation").json()["items"]
    assert item["body"][0]["source"] == uri
    root = ElementTree.fromstring(client.get("/api/export?format=lido&lang=ca").text)
    (classification,) = root.iter(f"{LIDO}classification")
    assert (classification.get(f"{LIDO}type"), classification.findtext(f"{LIDO}term")) == ("style", "barroc")
    (made,) = client.get("/api/export?format=linkedart").json()
    assert [each["id"] for each in made["classified_as"]] == [uri]
    (row,) = csv.DictReader(io.StringIO(client.get("/api/export?format=omeka&lang=ca").text))
    assert row["dcterms:temporal"] == f"{uri} barroc"
    (row,) = csv.DictReader(io.StringIO(client.get("/api/export?format=collectiveaccess").text))
    assert row["styles_aat"] == uri


def test_a_tag_list_with_fewer_facets_gives_fewer_trees(tmp_path):
    content = json.loads(TAG_LIST.read_text())
    del content["facets"]["subjects"]
    (tmp_path / "tag_list.json").write_text(json.dumps(content))
    order, terms = read_tag_list(tmp_path / "tag_list.json")
    assert list(order) == ["object_types", "materials", "classifications"]
    assert Vocabulary(terms, list(order)).facets == ("object_types", "materials", "classifications")


@pytest.mark.browser
def test_the_page_shows_five_trees_and_goes_to_the_fifth_by_its_key(open_page, pictures):
    page = open_page()
    add(page, pictures[:1])
    expect(page.locator("#trees .facet h3")).to_have_text(
        ["Object types", "Materials", "Disciplines", "Subjects", "Styles"]
    )
    page.locator("#tree-styles .more").click()
    expect(page.locator(f"#item-{BAROQUE}")).to_be_visible()
    page.keyboard.press("5")
    assert page.evaluate("document.activeElement.closest('[role=tree]').id") == "tree-styles"
    expect(page.locator(f"#item-{BAROQUE}")).to_be_focused()
    page.keyboard.press("a")
    expect(page.locator(f"#item-{BAROQUE}")).to_have_class(re.compile("accepted"))
    expect(page.locator("#chosen h4")).to_have_text("Styles")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("1 2 3 4 5")
