"""Kappa and alpha equal what their definitions say, worked out slowly; intervals are of images."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.assistant.agreement import Table, agreement, agreement_of, alpha, kappa
from ml.assistant.opinions import Rating

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def slow_kappa(pairs: list[tuple[bool, bool]]) -> float:
    """Cohen (1960): (p_o - p_c) / (1 - p_c), with p_c from each person's own frequencies."""
    n = len(pairs)
    observed = sum(first == second for first, second in pairs) / n
    chance = 0.0
    for value in (True, False):
        chance += (sum(first == value for first, _ in pairs) / n) * (sum(second == value for _, second in pairs) / n)
    return math.nan if math.isclose(chance, 1) else (observed - chance) / (1 - chance)


def slow_alpha(units: list[tuple[bool, ...]]) -> float:
    """Krippendorff (2004): 1 - D_o / D_e over all pairs of values inside of units, and of all values there are."""
    values = [value for unit in units for value in unit]
    n = len(values)
    within = sum(2 * sum(one != other for one, other in combinations(unit, 2)) / (len(unit) - 1) for unit in units)
    among = 2 * sum(one != other for one, other in combinations(values, 2)) / (n - 1)
    return math.nan if among == 0 else 1 - within / among


def table_of(pairs: list[tuple[bool, bool]]) -> Table:
    counts = [float(pairs.count(cell)) for cell in ((True, True), (True, False), (False, True), (False, False))]
    return Table(*map(np.asarray, counts))


@settings(max_examples=300)
@given(PAIRS)
def test_the_measures_are_those_of_the_slow_references(pairs):
    table = table_of(pairs)
    assert float(agreement(table)) == pytest.approx(sum(one == other for one, other in pairs) / len(pairs))
    assert float(kappa(table)) == pytest.approx(slow_kappa(pairs), nan_ok=True)
    assert float(alpha(table)) == pytest.approx(slow_alpha(pairs), nan_ok=True)


def test_the_figures_of_the_textbooks():
    """Krippendorff's example of two observers and ten binary units; the 50 grant proposals of Cohen's kappa."""
    first, second = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    binary = [(bool(a), bool(b)) for a, b in zip(first, second, strict=True)]
    assert float(alpha(table_of(binary))) == pytest.approx(0.095, abs=5e-4)
    assert float(kappa(Table(*map(np.asarray, (20.0, 5.0, 10.0, 15.0))))) == pytest.approx(0.4)


def ratings(cells: list[tuple[int, str, bool, bool]]) -> list[Rating]:
    return [Rating(f"{image:064x}", "", tag, "materials", first, second) for image, tag, first, second in cells]


def test_rows_are_for_all_for_each_facet_and_for_each_tag():
    found = agreement_of(
        [
            *ratings([(1, "1", True, True), (1, "2", False, True), (2, "1", False, False), (2, "2", True, True)]),
            Rating("f" * 64, "", "9", "subjects", True, True),
        ]
    )
    keys = [("all", "all"), ("materials", "all"), ("subjects", "all"), ("materials", "1"), ("materials", "2")]
    assert found.select("facet", "tag_id").rows() == [*keys, ("subjects", "9")]
    whole = found.row(0, named=True)
    assert [whole[name] for name in ("images", "tags", "both", "only_first", "only_second", "neither")] == [
        3, 5, 3, 0, 1, 1,
    ]  # fmt: skip
    assert whole["agreement"] == 0.8
    alone = found.row(5, named=True)
    assert [alone[name] for name in ("agreement", "agreement_low", "kappa", "alpha")] == [1.0, None, None, None]


def test_an_interval_is_of_images_and_holds_the_figure():
    cells = [
        (image, str(tag), image % 3 > 0, image % 3 > 0 or image % 2 > 0) for image in range(40) for tag in range(5)
    ]
    row = agreement_of(ratings(cells)).row(0, named=True)
    for name in ("agreement", "kappa", "alpha"):
        assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
    of_many_images = [(number, *cell[1:]) for number, cell in enumerate(cells)]  # as if each tag were on its own
    wide = agreement_of(ratings(of_many_images)).row(0, named=True)
    width = row["agreement_high"] - row["agreement_low"]
    assert width > 1.5 * (wide["agreement_high"] - wide["agreement_low"])  # tags of one image are not independent
    assert agreement_of(ratings(cells)).equals(agreement_of(ratings(cells)))
    assert agreement_of([]).is_empty()
