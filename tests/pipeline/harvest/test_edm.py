"""EDM as the dumps have it is read as the Record API tells it; other bytes are an error."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.harvest.bulk import is_open
from pipeline.harvest.edm import EdmError, read_edm
from pipeline.harvest.keywords import words_of
from pipeline.settings import OPEN_RIGHTS


@pytest.mark.shared
def test_the_recorded_records_are_read_as_the_record_api_gives_them(payloads: Path):
    """The JSON was derived from the RDF by other means: ids, holders and concepts must agree."""
    compared = 0
    for file in sorted((payloads / "record_json_derived").glob("*.json")):
        found = list((payloads / "record_rdf").glob(f"{file.stem}.*"))
        if not found:
            continue
        record, answer = read_edm(found[0].read_bytes(), ".xml"), json.loads(file.read_text(encoding="utf-8"))["object"]
        assert record.record_id == answer["about"].removeprefix("/item")
        assert record.item().get("edmConcept", []) == [concept["about"] for concept in answer.get("concepts", [])]
        assert [record.rights] == answer["aggregations"][0]["edmRights"]["def"][:1]
        compared += 1
    assert compared >= 8


@pytest.mark.shared
def test_a_recorded_record_of_2019_in_full(payloads: Path):
    record = read_edm((payloads / "record_rdf" / "api2_TopFoto_EU017407.rdf").read_bytes(), ".rdf")
    item = record.item()
    assert item["id"] == "/2024904/photography_ProvidedCHO_TopFoto_co_uk_EU017407"
    assert (item["dataProvider"], item["provider"]) == (["TopFoto.co.uk"], ["Photoconsortium"])
    assert item["timestamp_created"] == "2013-11-21T15:47:51.794Z"
    assert item["edmPreview"] == [
        "https://api.europeana.eu/thumbnail/v2/url.json"
        "?uri=http%3A%2F%2Fwww.topfoto.co.uk%2Fimageflows%2Fimagepreview%2Ff%3DEU017407&type=IMAGE"
    ]
    assert item["dcTypeLangAware"]["def"] == [
        "http://bib.arts.kuleuven.be/photoVocabulary/24000",
        "http://data.europeana.eu/concept/base/1711",  # of Europeana's proxy
    ]
    assert not is_open(record.rights or "", OPEN_RIGHTS)
    assert {"aerial", "schwarz", "негатив"} <= words_of(record.texts())


@given(st.binary(max_size=200))
def test_bytes_are_a_record_or_an_error(content: bytes):
    for suffix in (".xml", ".nt", ".ttl", ".exe"):
        with pytest.raises(EdmError):
            read_edm(content, suffix)
