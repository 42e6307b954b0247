"""The quick ways of redaction give what the plain expressions give, whatever the text is."""

import re

from hypothesis import given
from hypothesis import strategies as st

from pipeline.redaction import REDACTED, redact

PLAIN = (
    r'("apikey"\s*:\s*")(?!REDACTED)[^"]*',
    r"(wskey(?:=|%3D|%253D))(?!REDACTED)[^&\"'\s<>\\%]*",
    r"(europeana\.eu\\?/[^\s\"'<>]*?utm_campaign=)(?!REDACTED)[^&\"'\s<>\\]*",
    r"([Xx]-[Aa][Pp][Ii]-[Kk][Ee][Yy]['\"]?\s*[:=,]\s*b?['\"]?)[^'\"\s,}]+",
)
PIECES = (
    *("europeana.eu/", "europeana.eu\\/", "europeana.eu", "utm_campaign=", "utm_source=", "tm_campaign=", "u"),
    *('"apikey"', '"apikey" : "', ":", '"', "'", " ", "\n", "<", "&", "\\", "%", "item", "REDACTED", "abc"),
    *("wskey=", "wskey%3D", "wskey%253D", "x-api-key: ", "X-Api-Key', b'", "X-API-KEY=", "-api-key"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_echoes_are_found_as_by_the_plain_expressions(text: str):
    expected = text
    for echo in PLAIN:
        expected = re.sub(echo, lambda found: found[1] + REDACTED, expected)
    assert redact(text) == expected
