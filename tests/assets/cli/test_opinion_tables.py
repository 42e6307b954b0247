"""What `eufcc decisions` prints of first and second opinions."""

import polars as pl

from assets.cli.opinions import MOST_CONFLICTS, opinion_tables
from ml.assistant.agreement import agreement_of
from ml.assistant.decisions import CONFLICTS
from ml.assistant.opinions import Rating

BRONZE, SILVER = "300010957", "300011029"


def test_tags_have_names_measures_have_intervals_and_what_is_unknown_has_a_dash():
    judged = [(number, BRONZE, number < 6, number < 4) for number in range(10)] + [(0, SILVER, True, True)]
    ratings = [Rating(f"{image:064x}", "", tag, "materials", first, second) for image, tag, first, second in judged]
    conflict = {"image_id": "ab" * 32, "tag_id": BRONZE, "facet": "materials", "first": True, "second": False}
    conflict |= {"first_by": "anna", "second_by": "berta", "settled": None, "settled_by": None}
    differences = pl.DataFrame([conflict] * (MOST_CONFLICTS + 1), schema=CONFLICTS)
    (_, measures), (title, listed) = opinion_tables({BRONZE: "bronze"}, agreement_of(ratings), differences)
    rows = {(row["facet"], row["tag"]): row for row in measures.to_dicts()}
    assert rows["materials", "bronze"]["agreement"].startswith("0.8 [")
    assert rows["materials", SILVER] == {
        "facet": "materials", "tag": SILVER, "images": 1, "tags": 1, "agreement": "1.0", "kappa": "–", "alpha": "–",
    }  # fmt: skip
    assert title == f"{MOST_CONFLICTS + 1} differences, the first {MOST_CONFLICTS}"
    assert listed.row(0) == ("abababababab", "materials", "bronze", "applies", "does not", "", "anna", "berta", "")
