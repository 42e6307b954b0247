"""Which rights count as open."""

import pytest

from pipeline.sandbox.rights import reusability


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("http://creativecommons.org/publicdomain/mark/1.0/", "open"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "open"),
        ("http://creativecommons.org/licenses/by/3.0/de/", "open"),
        ("http://creativecommons.org/licenses/by-sa/4.0/", "open"),
        ("http://creativecommons.org/licenses/by-nc/4.0/", "restricted"),
        ("http://creativecommons.org/licenses/by-nd/4.0/", "restricted"),
        ("http://rightsstatements.org/vocab/NoC-OKLR/1.0/", "restricted"),
        ("http://rightsstatements.org/vocab/InC/1.0/", "permission"),
        ("http://rightsstatements.org/vocab/InC-EDU/1.0/", "restricted"),
        ("https://opensource.org/license/mit", "uncategorized"),
    ],
)
def test_europeana_sorts_rights_by_prefix(uri, kind):
    assert reusability(uri) == kind


def test_a_museum_may_name_further_open_rights():
    assert reusability("https://opensource.org/license/mit", ("http://opensource.org/license/mit",)) == "open"
