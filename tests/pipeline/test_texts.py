"""Text that enters: JSON with half surrogates, and the ids of Europeana's records in every spelling."""

import json
import random
import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.harvest.answers import OF_A_WALK
from pipeline.texts import DEEPEST, ORDINARY_DEPTH, REPLACEMENT, _ordinarily_deep, clean, loads, loads_only, record_id
from tests.pipeline.mutations import mutated_bytes, mutated_json, mutated_text

ITEM = {
    "id": "/17/teapot",
    "title": ["Tea pot \U0001fad6", "théière"],
    "dcTypeLangAware": {"def": ["http://vocab.getty.edu/aat/300010797"], "en": "pot"},
    "score": 1.5,
    "timestamp_created_epoch": 1700000000000,
}
ADDRESSES = (
    "https://www.europeana.eu/en/item/2051906/data_euscreenXL_1?lang=nl#media",
    "http://data.europeana.eu/item/2051906/data_euscreenXL_1",
    "https://api.europeana.eu/record/v2/2051906/data_euscreenXL_1.json?wskey=none",
    "/2051906/data_euscreenXL_1",
)


@pytest.mark.parametrize("text", ['"a\\ud83d"', '"a\\uDe00"', b'"a\\ud83d"', b'"a\xed\xa0\xbd"'])
def test_half_a_pair_is_replaced_however_it_is_written(text):
    loaded = loads(text)
    assert loaded.startswith("a" + REPLACEMENT)
    loaded.encode()


def test_whole_pairs_keys_and_all_else_stay():
    assert loads('{"a\\udc00": ["\\ud83e\\uded6", "b\\ud800", 7, null, true]}') == {
        f"a{REPLACEMENT}": ["\U0001fad6", f"b{REPLACEMENT}", 7, None, True]
    }
    assert loads('"an escaped backslash: \\\\ud800"') == "an escaped backslash: \\ud800"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_is_read_in_every_encoding_it_may_have(encoding):
    assert loads(json.dumps(ITEM, ensure_ascii=False).encode(encoding)) == ITEM


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "[" * 100_000, b'"\xe9"', ""])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r".+|^$"):
        loads(text)


@pytest.mark.parametrize(
    ("text", "record"),
    [
        *((address, "/2051906/data_euscreenXL_1") for address in ADDRESSES),
        ("https://www.europeana.eu/gle/item/90402/SK_A_3262", "/90402/SK_A_3262"),
        ("https://www.europeana.eu/pt-BR/item/90402/SK_A_3262/", "/90402/SK_A_3262"),
        ("https://www.europeana.eu/item/90402/SK_A_3262?query=night%20watch&page=3", "/90402/SK_A_3262"),
        ("europeana.eu/item/90402/SK_A_3262", "/90402/SK_A_3262"),
        ("//www.europeana.eu:443/de/item/90402/SK_A_3262", "/90402/SK_A_3262"),
        ("HTTP://WWW.EUROPEANA.EU/EN/ITEM/90402/SK_A_3262", "/90402/SK_A_3262"),
        ("https://www.europeana.eu/portal/de/record/90402/SK_A_3262.html?q=x", "/90402/SK_A_3262"),
        ("http://www.europeana.eu/portal/record/90402/SK_A_3262.html;jsessionid=1F", "/90402/SK_A_3262"),
        ("http://www.europeana.eu/resolve/record/90402/SK_A_3262", "/90402/SK_A_3262"),
        ("https://api.europeana.eu/record/90402/SK_A_3262.jsonld", "/90402/SK_A_3262"),
        ("https://api.europeana.eu/record/v2/90402/SK_A_3262.schema.jsonld", "/90402/SK_A_3262"),
        ("https://www.europeana.eu/api/v2/record/90402/SK_A_3262.json?profile=rich", "/90402/SK_A_3262"),
        ("http://data.europeana.eu/aggregation/provider/90402/SK_A_3262", "/90402/SK_A_3262"),
        ("https://www.europeana.eu/en/item/90402/caf%C3%A9_1", "/90402/café_1"),
        ("<https://www.europeana.eu/en/item/90402/SK_A_3262>", "/90402/SK_A_3262"),
        ("90402/SK_A_3262/", "/90402/SK_A_3262"),
        ("/a/1", "/a/1"),
        (" /90402/SK_A_3262 ", "/90402/SK_A_3262"),
        # What names no record:
        ("", None),
        ("vase", None),
        ("/90402", None),
        ("museum.example/1", None),
        ("https://museum.example/item/90402/SK_A_3262", None),
        ("https://www.europeana.eu.example/item/90402/SK_A_3262", None),
        ("https://www.europeana.eu@museum.example/item/90402/SK_A_3262", None),
        ("https://www.europeana.eu/en/collections/topic/80-modern-art", None),
        ("https://www.europeana.eu/en/item/90402/a/b", None),
        ("https://api.europeana.eu/record/v2/search.json?query=vase", None),
        ("https://api.europeana.eu/thumbnail/v2/url.json?uri=https://m.example/1/a", None),
        ("https://www.europeana.eu/en/item/90402/a%2Fb", None),
        ("https://www.europeana.eu/en/item/90402/a%20b", None),
        ("https://www.europeana.eu/en/item/90402/a%FF", None),
        ("https://www.europeana.eu/en/item/90\n402/a", None),
        ("https://[europeana.eu/item/1/a", None),
        ("/1/a\ud800", None),
        (f"/1/a{REPLACEMENT}", None),
    ],
)
def test_the_record_that_a_text_names(text, record):
    assert record_id(text) == record
    if record is not None:
        assert record_id(record) == record


@pytest.mark.parametrize("n", [200, pytest.param(2_000, marks=pytest.mark.long)])
def test_mutated_json_is_clean_or_a_value_error(n):
    rng = random.Random(17)
    for _ in range(n):
        content = mutated_bytes(json.dumps(mutated_json(ITEM, rng)).encode(), rng)
        try:
            loaded = loads(content)
        except ValueError:
            continue
        json.dumps(loaded, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("n", [200, pytest.param(2_000, marks=pytest.mark.long)])
def test_mutated_addresses_name_a_sound_record_or_none(n):
    rng = random.Random(18)
    for _ in range(n):
        given = mutated_text(rng.choice(ADDRESSES), rng)
        record = record_id(given)
        if record is not None:
            assert re.fullmatch(r"/[^/\s]+/[^/\s]+", record)
            assert clean(record) == record
            assert record.strip("/") in unquote(given)
            assert record_id(record) == record


@pytest.mark.parametrize("depth", [99, 100, 101, 5_000, 200_000])
def test_brackets_have_a_depth(depth: int):
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        text = opening * depth + "1" + closing * depth
        if depth <= 100:
            assert loads(text)
            continue
        with pytest.raises(ValueError, match="nested too deeply"):
            loads(text)


JSON_VALUES = st.recursive(
    st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(alphabet='[]{}"\\ué', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[}"\\', max_size=3), inner, max_size=3)
    ),
)


@given(JSON_VALUES, st.integers(min_value=80, max_value=100), st.booleans())
def test_the_depth_of_brackets_is_that_of_the_values(value: object, around: int, ascii_only: bool):
    def depth(part: object) -> int:
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    small = json.dumps(value, ensure_ascii=ascii_only)
    assert _ordinarily_deep(small) == (depth(value) <= ORDINARY_DEPTH)
    deep = "[" * around + small + "]" * around
    if around + depth(value) <= DEEPEST:
        assert loads(deep) == json.loads(deep)
        return
    with pytest.raises(ValueError, match="nested too deeply"):
        loads(deep)


ODD_JSON = (
    *("NaN", "-Infinity", "1e999", "-1E999", "1.5e3", "1" * 400, "1" * 400 + ".0", "1" * 5_000, "[" * 150 + "]" * 150),
    *('"\\ud83d"', '"a\\\\"', '"\\" NaN 1e9 ["', "true", "false", "null", "01", "1,", '"\t"', "\ufeff", "tru", "''"),
)
FIELDS = ("success", "totalResults", "itemsCount", "nextCursor", "items")


@given(
    st.lists(st.tuples(st.sampled_from((*FIELDS, "facets")), st.sampled_from(ODD_JSON) | JSON_VALUES), max_size=5),
    st.lists(st.dictionaries(st.sampled_from(["id", "title"]), JSON_VALUES), max_size=3),
    st.sampled_from(["utf-8", "utf-16"]),
)
def test_a_part_is_what_the_whole_has_there(fields: list, items: list, coding: str):
    written = [(name, value if value in ODD_JSON else json.dumps(value)) for name, value in fields]
    pairs = [*written, ("items", json.dumps(items, ensure_ascii=False))]
    text = "{" + ",".join(f'"{name}": {value}' for name, value in pairs) + "}"
    assert_part_of_whole(text.encode(coding, "surrogatepass"))


def test_of_an_ordinary_answer_only_a_part_is_made():
    answer = {
        "success": True,
        "hasMore": False,
        "items": [ITEM | {"title": ['A "cup" [NaN, 1e9', "\\"]}],
        "facets": None,
    }
    for written in (json.dumps(answer), json.dumps(answer, indent=1), json.dumps(answer, ensure_ascii=False)):
        assert loads_only(written.encode(), OF_A_WALK) == {"success": True, "items": [{"id": ITEM["id"]}]}
        assert loads_only(written.encode(), OF_A_WALK, 50) == answer


@pytest.mark.parametrize("value", ODD_JSON)
def test_odd_values_are_refused_in_a_part_as_in_the_whole(value: str):
    assert_part_of_whole(
        f'{{"success": true, "score": {value}, "items": [{{"id": "/1/a", "score": {value}}}]}}'.encode()
    )


def assert_part_of_whole(content: bytes) -> None:
    """What loads_only gives is of what loads gives, or both refuse the content."""
    try:
        whole = loads(content, 10_000)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011
            loads_only(content, OF_A_WALK, 10_000)
        return
    part = loads_only(content, OF_A_WALK, 10_000)
    if part != whole:
        slim = {name: value for name, value in whole.items() if name in FIELDS}
        if "items" in whole:
            slim["items"] = [{"id": item["id"]} if "id" in item else {} for item in whole["items"]]
        assert part == slim


@pytest.mark.parametrize("n", [300, pytest.param(3_000, marks=pytest.mark.long)])
def test_damaged_answers_are_read_in_part_as_whole(n: int):
    rng = random.Random(19)
    answer = {"success": True, "totalResults": 2, "nextCursor": "x", "items": [ITEM, {"id": "/1/b", "score": 1e-7}]}
    for _ in range(n):
        assert_part_of_whole(mutated_bytes(json.dumps(answer, ensure_ascii=False).encode(), rng))


def test_values_are_counted_before_they_are_read():
    assert len(loads("[" + "{}," * 99 + "{}]", 1_000)) == 100
    for text in ("[" + "{}," * 1_000 + "{}]", '{"a": ' + "[1," * 999):
        with pytest.raises(ValueError, match="more than 1000 values"):
            loads(text, 1_000)
