"""What was decided leaves the assistant in forms that others read, each tag with its URI and who says so."""

import csv
import io
import json
import re
import time
from xml.etree import ElementTree

import pytest
import rdflib
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.exports.published_csv import without_formulas
from ml.assistant.exports.system_csv import as_collectiveaccess, as_omeka_s
from ml.assistant.schema import images
from ml.assistant.vocabulary import AAT, Term

BRONZE, PORTRAITS, SIDE_CHAIRS = "300010957", "300015637", "300037896"
LIDO = {"lido": "http://www.lido-schema.org"}


@pytest.fixture
def decided(client, uploaded) -> str:
    """An image with an accepted suggestion, an added tag and a rejected one."""
    suggestions = client.post(f"/api/images/{uploaded}/suggestions").json()
    best = suggestions["facets"]["materials"]["tags"][0]["tag_id"]
    for version, (tag, action) in enumerate([(best, "accept"), (SIDE_CHAIRS, "accept"), (PORTRAITS, "reject")]):
        body = {
            "who": "Anna <a@b>",
            "version": version,
            "key": f"key-{version:08d}",
            "tag_id": tag,
            "action": action,
            "showing_id": suggestions["showing_id"],
        }
        assert client.post(f"/api/images/{uploaded}/decisions", json=body).status_code == 200
    return best


def test_csv_has_the_published_columns_with_paths_then_uris_and_origins(client, decided):
    answer = client.get("/api/export?format=csv&lang=en")
    assert answer.headers["content-disposition"] == 'attachment; filename="tags.csv"'
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert list(row)[:8] == [
        "idInSource",
        "objectTypes.hierarchy",
        "subjects.hierarchy",
        "materials.hierarchy",
        "#portraitMedia.original",
        "database",
        "repository.keeper",
        "classifications.hierarchy",
    ]
    assert row["objectTypes.hierarchy"] == (
        "furniture | seating furniture | single seating furniture | chairs (furniture forms) | side chairs"
    )
    assert row["objectTypes.aat"] == f"http://vocab.getty.edu/aat/{SIDE_CHAIRS}"
    assert (row["objectTypes.origin"], row["subjects.hierarchy"]) == ("human", "")


@pytest.mark.parametrize(
    ("credit", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        (" =1+1", " '=1+1"),
        ("\n\t=1", "\n\t'=1"),
        ("\u00a0\u200b@SUM(1)", "\u00a0\u200b'@SUM(1)"),
        ('"=1', "\"'=1"),
        ("＝1", "'＝1"),
        ("Museum;=cmd|'/C calc'!A0", "Museum;'=cmd|'/C calc'!A0"),
        ("Museum; \t+1", "Museum; \t'+1"),
        ("Museum\r\n-1", "Museum\r\n'-1"),
        ("Museu d'Art - Girona", "Museu d'Art - Girona"),
        ("https://m.example/a?b=c&d=-1,-2", "https://m.example/a?b=c&d=-1,-2"),
        ("", ""),
    ],
)
def test_csv_never_holds_a_formula(client, uploaded, service, credit, cell):
    with service.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE images SET attribution = ?", (credit,))
    text = client.get("/api/export?format=csv").text
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["repository.keeper"] == cell
    assert re.fullmatch(r'("([^"]|"")*"[,\n])+', text)


@settings(max_examples=200)
@given(st.text(alphabet="=+-@＝;,\t\r\n|\"' \u00a0\u200b\x00a1", max_size=30))
def test_no_text_becomes_a_formula_however_a_spreadsheet_splits_it(text):
    cells = [re.sub(r"[\s\"',|\x00-\x1f\u200b]", "", each) for each in re.split(r"[;\t\r\n]", without_formulas(text))]
    safe = without_formulas(text)
    assert without_formulas(safe) == safe
    for each, raw in zip(cells, re.split(r"[;\t\r\n]", safe), strict=True):
        assert not (each[:1] in tuple("=+-@＝") and "'" not in raw[: raw.index(each[0])])


def test_a_long_row_of_separators_is_written_at_once():
    began = time.perf_counter()
    without_formulas(";" * 1_000_000)
    assert time.perf_counter() - began < 2


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # rdflib warns of its own use
def test_edm_reads_as_rdf_with_objects_concepts_and_creators(client, decided, uploaded):
    graph = rdflib.Graph().parse(data=client.get("/api/export?format=edm").text, format="json-ld")
    cho = rdflib.URIRef(f"urn:sha256:{uploaded}")
    dc, oa = rdflib.Namespace("http://purl.org/dc/elements/1.1/"), rdflib.Namespace("http://www.w3.org/ns/oa#")
    chairs = rdflib.URIRef(f"http://vocab.getty.edu/aat/{SIDE_CHAIRS}")
    assert list(graph.objects(cho, dc.type)) == [chairs]
    assert list(graph.objects(cho, rdflib.DCTERMS.medium)) == [rdflib.URIRef(f"http://vocab.getty.edu/aat/{decided}")]
    assert rdflib.Literal("side chairs", lang="en") in graph.objects(chairs, rdflib.SKOS.prefLabel)
    (assignment,) = graph.subjects(oa.hasBody, chairs)
    (creator,) = graph.objects(assignment, rdflib.DCTERMS.creator)
    assert (creator, rdflib.RDF.type, rdflib.PROV.Person) in graph


def test_edm_has_what_europeana_requires_as_far_as_the_desk_knows_it(client, decided, uploaded, service):
    """The mandatory properties of the EDM mapping guidelines; an institution adds edm:provider and edm:rights."""
    with service.store.writing() as connection:
        known = {"attribution": "City Museum", "source_url": "https://museum.example/chair.jpg"}
        connection.execute(sa.update(images).values(known))
    graph = json.loads(client.get("/api/export?format=edm").text)["@graph"]
    (cho,) = [node for node in graph if node["@type"] == "edm:ProvidedCHO"]
    assert (cho["dc:title"], cho["edm:type"]) == ("vase.jpg", "IMAGE")
    assert cho["dc:type"] == [{"@id": f"{AAT}{SIDE_CHAIRS}"}]
    (aggregation,) = [node for node in graph if node["@type"] == "ore:Aggregation"]
    assert aggregation["edm:aggregatedCHO"] == {"@id": cho["@id"]}
    assert aggregation["edm:dataProvider"] == "City Museum"
    assert aggregation["edm:isShownBy"] == {"@id": "https://museum.example/chair.jpg"}


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # rdflib warns of its own use
def test_web_annotations_round_trip_with_generator_and_confidence(client, decided):
    page = client.get("/api/export?format=webannotation&lang=ca").json()
    assert page["@context"][0] == "http://www.w3.org/ns/anno.jsonld"
    by_source = {item["body"][0]["source"].rsplit("/", 1)[1]: item for item in page["items"]}
    suggested, added = by_source[decided], by_source[SIDE_CHAIRS]
    assert suggested["motivation"] == "tagging"
    assert suggested["generator"]["name"] == "multilabel@abc123"
    assert 0 < suggested["confidence"] < 1
    assert suggested["creator"] == {"type": "Person", "name": "Anna <a@b>"}
    assert "confidence" not in added
    assert "generator" not in added
    context = {"@vocab": "http://www.w3.org/ns/oa#", "id": "@id", "type": "@type", **page["@context"][1]}
    context["source"] = {"@id": "http://www.w3.org/ns/oa#hasSource", "@type": "@id"}
    graph = rdflib.Graph().parse(data=json.dumps({**page, "@context": context}), format="json-ld")
    confidence = rdflib.URIRef("http://www.w3.org/2005/11/its/rdf#taConfidence")
    assert [float(value) for value in graph.objects(None, confidence)] == [suggested["confidence"]]


def test_lido_is_well_formed_and_says_human_with_uri(client, decided):
    root = ElementTree.fromstring(client.get("/api/export?format=lido&lang=en").text)
    (kind,) = root.iterfind(".//lido:objectWorkType", LIDO)
    assert kind.findtext("lido:conceptID", namespaces=LIDO) == f"http://vocab.getty.edu/aat/{SIDE_CHAIRS}"
    term = kind.find("lido:term", LIDO)
    assert (term.text, term.get(f"{{{LIDO['lido']}}}label")) == ("side chairs", "human")
    (material,) = root.iterfind(".//lido:termMaterialsTech/lido:term", LIDO)
    assert material.get(f"{{{LIDO['lido']}}}label").startswith("human; multilabel@abc123 0.")


def test_machine_tags_are_marked_and_leave_out_what_was_decided(client, decided):
    (row,) = csv.DictReader(io.StringIO(client.get("/api/export?format=csv&lang=en&machine=true").text))
    origins = dict(zip(row["materials.aat"].split(" $ "), row["materials.origin"].split(" $ "), strict=True))
    assert origins.pop(f"http://vocab.getty.edu/aat/{decided}") == "human"
    assert origins
    assert set(origins.values()) == {"machine"}
    assert PORTRAITS not in row["subjects.aat"]


def test_annif_clients_get_their_shape(client, drawn_vase):
    projects = client.get("/v1/projects").json()["projects"]
    assert "softmax.materials" in [project["project_id"] for project in projects]
    answer = client.post(
        "/v1/projects/softmax.materials/suggest?limit=3&language=es",
        content=drawn_vase(),
        headers={"content-type": "image/jpeg"},
    ).json()
    assert len(answer["results"]) == 3
    assert set(answer["results"][0]) == {"uri", "label", "notation", "score"}


def test_annif_form_with_a_data_url_gives_the_same(client, drawn_vase):
    import base64

    url = "data:image/jpeg;base64," + base64.b64encode(drawn_vase()).decode()
    address = "/v1/projects/softmax.materials/suggest"
    by_form = client.post(address, data={"text": url, "limit": "2"}).json()
    by_body = client.post(f"{address}?limit=2", content=drawn_vase()).json()
    assert by_form == by_body
    assert client.post(address, data={"text": "a bronze vase"}).status_code == 415


def test_openrefine_finds_concepts_and_tells_homographs_apart(client):
    manifest = client.get("/reconcile").json()
    assert manifest["identifierSpace"] == "http://vocab.getty.edu/aat/"
    queries = {"q0": {"query": "Bronze (metal)", "type": "materials"}, "q1": {"query": "silk", "limit": 3}}
    answer = client.post("/reconcile", data={"queries": json.dumps(queries)}).json()
    assert (answer["q0"]["result"][0]["id"], answer["q0"]["result"][0]["match"]) == (BRONZE, True)
    silk = [(found["match"], found["description"]) for found in answer["q1"]["result"]]
    assert silk == [(False, "animal material"), (False, "animal material › fibroinous material")] or silk == [
        (False, "animal material › fibroinous material"),
        (False, "animal material"),
    ]


def test_openrefine_gets_suggestions_as_one_types(client):
    answer = client.get("/reconcile/suggest/entity?prefix=ret&lang=ca")
    assert answer.json()["result"][0]["name"] == "retrat"
    assert answer.headers["access-control-allow-origin"] == "*"


def test_annotations_target_the_canvas_and_a_page_of_the_manifest_has_them(client, decided, uploaded, service):
    manifest, canvas = "https://iiif.example/manifest", "https://iiif.example/canvas/1"
    assert client.get("/iiif/annotations", params={"manifest": manifest}).status_code == 404
    with service.store.writing() as connection:
        place = {"manifest": manifest, "canvas": canvas, "canvas_width": 4000, "canvas_height": 3000}
        connection.execute(sa.update(images).values(place))
    exported = client.get("/api/export?format=webannotation").json()["items"]
    source = {"id": canvas, "type": "Canvas", "partOf": [{"id": manifest, "type": "Manifest"}]}
    assert {json.dumps(item["target"]) for item in exported} == {
        json.dumps({"type": "SpecificResource", "source": source})
    }
    answer = client.get("/iiif/annotations", params={"manifest": manifest})
    page = answer.json()
    assert answer.headers["content-type"].startswith("application/ld+json;profile=")
    assert page["@context"][-1] == "http://iiif.io/api/presentation/3/context.json"
    assert (page["type"], page["id"]) == ("AnnotationPage", str(answer.url))
    assert [item["id"] for item in page["items"]] == [item["id"] for item in exported]
    assert {item["target"] for item in page["items"]} == {canvas}
    assert {item["body"]["type"] for item in page["items"]} == {"TextualBody"}  # Mirador shows nothing else
    assert [item["seeAlso"][0]["id"] for item in page["items"]] == [item["body"][0]["source"] for item in exported]


@pytest.mark.parametrize("by", ["manifest", "batch"])
def test_a_manifest_of_a_batch_shows_pictures_with_their_tags(client, decided, uploaded, service, by):
    with service.store.writing() as connection:
        place = {"canvas": "https://iiif.example/canvas/1", "canvas_width": 4000, "canvas_height": 3000}
        connection.execute(
            sa.update(images).values({by: "https://iiif.example/m", **(place if by == "manifest" else {})})
        )
    made = client.get("/iiif/manifest", params={by: "https://iiif.example/m", "lang": "en"}).json()
    (canvas,) = made["items"]
    body = canvas["items"][0]["items"][0]["body"]
    assert client.get(body["id"]).headers["content-type"] == "image/jpeg"
    assert body["id"].endswith(f"/api/images/{uploaded}/picture")
    expected = ("https://iiif.example/canvas/1", 4000, 3000)
    if by == "batch":
        expected = (f"http://127.0.0.1:8760/iiif/canvas/{uploaded}", 640, 480)
    assert (canvas["id"], canvas["width"], canvas["height"]) == expected
    tags = canvas["annotations"][0]["items"]
    assert {each["body"]["value"] for each in tags} > {"side chairs"}
    assert {each["target"] for each in tags} == {canvas["id"]}
    assert client.get(canvas["thumbnail"][0]["id"]).headers["content-type"] == "image/jpeg"
    by_facet = {each["label"]["ca"][0]: each["value"]["en"] for each in canvas["metadata"]}
    assert by_facet["Tipus d'objecte"] == ["side chairs"]
    assert client.get("/iiif/manifest").status_code == 422


def test_linked_art_is_what_the_library_of_its_editors_reads_and_writes(client, decided, service):
    """Cromulent refuses classes, properties and ranges that Linked Art's profile does not have."""
    from cromulent import vocab
    from cromulent.model import DataError, factory
    from cromulent.reader import Reader

    vocab.add_attribute_assignment_check()
    with service.store.writing() as connection:
        connection.execute(
            sa.update(images).values(record_id="/1/a", manifest="https://m.example/1", attribution="MNAC")
        )
    (made,) = client.get("/api/export?format=linkedart&lang=en").json()
    read = json.loads(factory.toString(Reader().read(json.loads(json.dumps(made)))))
    assert {**read, "@context": None} == {**made, "@context": None}
    assert made["id"] == "http://data.europeana.eu/item/1/a"
    (kind,) = made["classified_as"]
    assert (kind["id"], kind["classified_as"][0]["_label"]) == (f"{AAT}{SIDE_CHAIRS}", "Type of Work")
    assert [each["id"] for each in made["made_of"]] == [f"{AAT}{decided}"]
    people = [assignment["carried_out_by"][0]["_label"] for assignment in made["attributed_by"]]
    assert people == ["Anna <a@b>", "Anna <a@b>"]
    with pytest.raises(DataError):
        Reader().read(made | {"made_of": [{"type": "Person"}]})


def test_linked_art_says_what_a_picture_shows_and_that_a_model_said_so(client, uploaded):
    (made,) = client.get("/api/export?format=linkedart&lang=en&machine=true").json()
    (shown,) = made["shows"]
    assert shown["type"] == "VisualItem"
    assert {each["type"] for each in shown["represents_instance_of_type"]} == {"Type"}
    assert all("carried_out_by" not in assignment for assignment in made["attributed_by"])
    assert "suggested by multilabel with the score 0." in made["attributed_by"][0]["referred_to_by"][0]["content"]


def as_the_module_reads(cell: str) -> list[tuple[str, str]]:
    """URI and label of each value, as Omeka S's CSV Import splits them."""
    values = [each.strip() for each in cell.split("|") if each.strip()]
    return [(each.split(" ", 1)[0], each.split(" ", 1)[1]) for each in values]


def test_omeka_s_finds_its_properties_and_uris_with_labels(client, decided, uploaded):
    (row,) = csv.DictReader(io.StringIO(client.get("/api/export?format=omeka&lang=en").text))
    assert row["dcterms:title"] == "vase.jpg"
    assert as_the_module_reads(row["dcterms:type"]) == [(f"{AAT}{SIDE_CHAIRS}", "side chairs")]
    assert [uri for uri, _ in as_the_module_reads(row["dcterms:medium"])] == [f"{AAT}{decided}"]
    assert all(name.startswith("dcterms:") for name in row if name != "media_source")
    assert re.search(r"side chairs: Anna <a@b>, 2026-\d\d-\d\d", row["dcterms:provenance"])


def test_collectiveaccess_gets_uris_for_its_information_service_and_labels(client, decided, uploaded):
    (row,) = csv.DictReader(io.StringIO(client.get("/api/export?format=collectiveaccess&lang=en").text))
    assert (row["idno"], row["title"]) == (uploaded, "vase.jpg")
    assert row["object_types_aat"].split(";") == [f"{AAT}{SIDE_CHAIRS}"]
    assert row["object_types_labels"].split(";") == ["side chairs"]
    assert row["subjects_aat"] == ""


@pytest.mark.parametrize(("name", "separator"), [("omeka", "|"), ("collectiveaccess", ";")])
def test_a_separator_in_a_label_does_not_make_two_values(vocabulary, name, separator):
    term = Term("300010957", "materials", labels={"en": f"bronze{separator} tin"})
    image = ExportedImage("a" * 64, "t", None, None, None, (ExportedTag(term, "human", f"A{separator}B"),))
    write = as_omeka_s if name == "omeka" else as_collectiveaccess
    (row,) = csv.DictReader(io.StringIO(write([image], vocabulary, "en")))
    cell = row["dcterms:medium"] if name == "omeka" else row["materials_labels"]
    assert len(cell.split(separator)) == 1
    assert len(row["dcterms:provenance" if name == "omeka" else "assigned_by"].split(separator)) == 1
