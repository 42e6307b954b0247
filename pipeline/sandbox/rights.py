"""Europeana's four kinds of reusability, by prefixes of the rights URI (RightReusabilityCategorizer of corelib)."""

KINDS = ("open", "restricted", "permission", "uncategorized")

PREFIXES = {
    "open": (
        "creativecommons.org/publicdomain/mark/",
        "creativecommons.org/publicdomain/zero/1.0/",
        "creativecommons.org/licenses/by/",
        "creativecommons.org/licenses/by-sa/",
    ),
    "restricted": (
        "creativecommons.org/licenses/by-nc/",
        "creativecommons.org/licenses/by-nc-sa/",
        "creativecommons.org/licenses/by-nc-nd/",
        "creativecommons.org/licenses/by-nd/",
        "www.europeana.eu/rights/out-of-copyright-non-commercial",
        "rightsstatements.org/vocab/InC-EDU/1.0/",
        "rightsstatements.org/vocab/NoC-NC",
        "rightsstatements.org/vocab/NoC-OKLR",
    ),
    "permission": (
        "www.europeana.eu/rights/rr-f",
        "www.europeana.eu/rights/rr-p",
        "www.europeana.eu/rights/rr-r",
        "www.europeana.eu/rights/unknown",
        "www.europeana.eu/rights/test-orphan",
        "rightsstatements.org/vocab/InC/",
        "rightsstatements.org/vocab/InC-OW-EU/",
        "rightsstatements.org/vocab/CNE/",
    ),
}


def reusability(rights_uri: str, more_open: tuple[str, ...] = ()) -> str:
    """Which kind of reuse a rights URI allows; `more_open` are further prefixes that this museum counts as open."""
    right = _bare(rights_uri)
    if right.startswith(tuple(_bare(prefix) for prefix in more_open)):
        return "open"
    for kind, prefixes in PREFIXES.items():
        if right.startswith(prefixes):
            return kind
    return "uncategorized"


def _bare(uri: str) -> str:
    return uri.strip().removeprefix("https://").removeprefix("http://")
