"""An item of a search answer becomes one row: rights in one spelling, roles told apart, nothing lost."""

import pytest

from pipeline.harvest.items import normalised_rights, rights_name, row_of_item


@pytest.mark.parametrize(
    ("given", "uri", "name"),
    [
        ("http://creativecommons.org/licenses/by/4.0/", "http://creativecommons.org/licenses/by/4.0/", "CC BY 4.0"),
        ("https://creativecommons.org/licenses/by/4.0", "http://creativecommons.org/licenses/by/4.0/", "CC BY 4.0"),
        (
            " http://creativecommons.org/licenses/by-sa/3.0/de/ ",
            "http://creativecommons.org/licenses/by-sa/3.0/",
            "CC BY-SA 3.0 DE",
        ),
        (
            "http://www.creativecommons.org/licenses/by-nc-nd/3.0/nl/deed.en",
            "http://creativecommons.org/licenses/by-nc-nd/3.0/",
            "CC BY-NC-ND 3.0 NL",
        ),
        (
            "https://creativecommons.org/publicdomain/zero/1.0/deed.de",
            "http://creativecommons.org/publicdomain/zero/1.0/",
            "CC0 1.0",
        ),
        (
            "http://creativecommons.org/publicdomain/mark/1.0/",
            "http://creativecommons.org/publicdomain/mark/1.0/",
            "Public Domain Mark 1.0",
        ),
        (
            "https://rightsstatements.org/page/InC-EDU/1.0/?language=de",
            "http://rightsstatements.org/vocab/InC-EDU/1.0/",
            "InC-EDU 1.0",
        ),
        (
            "http://www.europeana.eu/rights/rr-f.html",
            "http://www.europeana.eu/rights/rr-f/",
            "http://www.europeana.eu/rights/rr-f.html",
        ),
        (
            "https://opensource.org/license/mit",
            "https://opensource.org/license/mit",
            "https://opensource.org/license/mit",
        ),
    ],
)
def test_rights_have_one_spelling_and_a_name(given, uri, name):
    assert normalised_rights(given) == uri
    assert rights_name(given) == name


ITEM = {
    "id": "/15502/x",
    "title": ["Stol", "Chair"],
    "dcTitleLangAware": {"sv": ["Stol"], "en": ["Chair "], "": ["Stuhl"]},
    "dcCreator": ["http://data.europeana.eu/agent/1", "A. Maker."],
    "dataProvider": ["Nordiska museet", "another"],
    "provider": ["MUSEU"],
    "country": ["Sweden"],
    "rights": ["http://creativecommons.org/licenses/by/3.0/se/"],
    "edmConcept": ["http://vocab.getty.edu/aat/300037772", "http://data.europeana.eu/concept/base/47"],
    "edmIsShownBy": [" http://x.example/1.jpg "],
    "edmIsShownAt": ["http://x.example/1"],
    "edmPreview": ["https://api.europeana.eu/thumbnail/v2/url.json?uri=u&type=IMAGE"],
    "edmDatasetName": ["15502_Nordiska"],
    "dcTypeLangAware": {"def": ["http://vocab.getty.edu/aat/300037772", "chair"], "sv": ["stol"]},
    "dcSubjectLangAware": {"def": ["http://vocab.getty.edu/aat/300411614"], "en": ["seating: new"]},
    "timestamp_created": "2017-01-11T14:25:26.988Z",
    "timestamp_update_epoch": 1516099965548,
}


def test_an_item_becomes_a_row():
    assert row_of_item(ITEM) == {
        "record_id": "/15502/x",
        "dataset": "15502_Nordiska",
        "data_provider": "Nordiska museet",
        "provider": "MUSEU",
        "country": "Sweden",
        "rights_uri": "http://creativecommons.org/licenses/by/3.0/",
        "attribution": "Stol. A. Maker. Nordiska museet. CC BY 3.0 SE (http://creativecommons.org/licenses/by/3.0/se/)",
        "titles": [
            {"language": "def", "text": "Stuhl"},
            {"language": "en", "text": "Chair"},
            {"language": "sv", "text": "Stol"},
        ],
        "image_url": "http://x.example/1.jpg",
        "thumbnail_url": "https://api.europeana.eu/thumbnail/v2/url.json?uri=u&type=IMAGE",
        "landing_page": "http://x.example/1",
        "concept_uris": ["http://data.europeana.eu/concept/base/47", "http://vocab.getty.edu/aat/300037772"],
        "type_uris": ["http://vocab.getty.edu/aat/300037772"],
        "subject_uris": ["http://vocab.getty.edu/aat/300411614"],
        "literal_terms": [
            {"language": "def", "text": "chair"},
            {"language": "en", "text": "seating: new"},
            {"language": "sv", "text": "stol"},
        ],
        "created_at": 1484144726988000,
        "updated_at": 1516099965548000,
    }


def test_an_item_that_tells_nothing_but_its_id_is_a_row_too():
    row = row_of_item({"id": "/1/a"})
    assert row["attribution"] == "/1/a"
    assert {name for name, value in row.items() if value} == {"record_id", "attribution"}


def test_fields_of_older_answers_may_be_texts_in_place_of_lists():
    row = row_of_item({"id": "/1/a", "title": "Chair", "dataProvider": "Museum", "dcTypeLangAware": {"en": "chair"}})
    assert row["titles"] == [{"language": "def", "text": "Chair"}]
    assert row["data_provider"] == "Museum"
    assert row["literal_terms"] == [{"language": "en", "text": "chair"}]
