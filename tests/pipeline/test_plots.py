"""Figures as SVG: values stand where the axes say, and every kind of figure that the pages have is drawn."""

import math
from xml.etree import ElementTree

import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.plots import svg
from pipeline.plots.axes import axis_of

SVG = "{http://www.w3.org/2000/svg}"


def drawn(figure: go.Figure) -> ElementTree.Element:
    return ElementTree.fromstring(svg(figure))


def texts(picture: ElementTree.Element) -> list[str]:
    return [each.text for each in picture.iter(f"{SVG}text")]


def circles(picture: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(each.get("cx")), float(each.get("cy"))) for each in picture.iter(f"{SVG}circle")]


def test_points_stand_over_their_ticks_and_rise_with_their_values():
    figure = go.Figure(go.Scatter(x=[1, 10, 100], y=[0.0, 0.5, 1.0], mode="markers"))
    figure.update_xaxes(type="log", title="images").update_yaxes(tickformat=".0%")
    picture = drawn(figure)
    at = {each.text: float(each.get("x")) for each in picture.iter(f"{SVG}text")}
    points = circles(picture)
    assert [x for x, _ in points] == pytest.approx([at["1"], at["10"], at["100"]], abs=0.1)
    assert points[0][1] > points[1][1] > points[2][1]
    assert points[0][1] - points[1][1] == pytest.approx(points[1][1] - points[2][1], abs=0.2)
    assert {"images", "0 %", "100 %"} <= set(texts(picture))


def test_categories_stand_in_their_order_the_first_below_or_above():
    figure = go.Figure(go.Bar(x=[3, 1, 2], y=["a", "b", "c"], orientation="h"))

    def heights() -> list[float]:
        return [float(each.get("y")) for each in drawn(figure).iter(f"{SVG}rect")]

    below = heights()
    assert below == sorted(below, reverse=True)
    figure.update_yaxes(autorange="reversed")
    assert heights() == sorted(below)


def bars(mode: str) -> list[ElementTree.Element]:
    figure = go.Figure(
        [go.Bar(name=name, x=["a", "b"], y=values) for name, values in {"1": [1, 2], "2": [3, 1]}.items()]
    )
    return list(drawn(figure.update_layout(barmode=mode)).iter(f"{SVG}rect"))[2:]  # after those of the legend


def test_bars_are_stacked_or_stand_side_by_side():
    stacked, beside = bars("stack"), bars("group")
    first, second = stacked[0], stacked[2]
    assert float(second.get("y")) + float(second.get("height")) == pytest.approx(float(first.get("y")), abs=0.2)
    assert first.get("x") == second.get("x")
    assert float(beside[2].get("x")) == pytest.approx(
        float(beside[0].get("x")) + float(beside[0].get("width")), abs=0.2
    )


def test_error_bars_reach_the_ends_of_the_interval_within_the_plot():
    error = {"type": "data", "symmetric": False, "array": [0.4, 0], "arrayminus": [0.2, 0]}
    picture = drawn(go.Figure(go.Scatter(x=[0.5, 0.1], y=["a", "b"], mode="markers", error_x=error)))
    at = {each.text: float(each.get("x")) for each in picture.iter(f"{SVG}text")}
    [bar] = [
        each
        for each in picture.iter(f"{SVG}line")
        if each.get("stroke") == "#0072B2" and each.get("y1") == each.get("y2")
    ]
    per_unit = (at["0.8"] - at["0.2"]) / 0.6
    assert float(bar.get("x2")) - float(bar.get("x1")) == pytest.approx(0.6 * per_unit, abs=0.3)
    assert float(bar.get("x2")) <= 720


def test_rings_are_as_wide_as_what_they_hold():
    """`wood` has 3 of 4 images; of these `oak` has 1 of its own."""
    figure = go.Figure(
        go.Sunburst(ids=["m", "w", "o"], labels=["metal", "wood", "oak"], parents=["", "", "w"], values=[1, 2, 1])
    )
    picture = drawn(figure.update_layout(height=400))
    assert len(list(picture.iter(f"{SVG}path"))) == 3
    assert texts(picture) == ["wood", "metal", "oak"]
    wood = next(picture.iter(f"{SVG}path")).get("d")
    x, y = (float(part) for part in wood.split("L")[1].split("A")[1].split(" ")[-2:])
    angle = math.atan2(x - 200, 200 - y) % (2 * math.pi)
    assert angle == pytest.approx(2 * math.pi * 3 / 4, abs=0.01)


@pytest.mark.parametrize("values", [[5], [0, 0], [], [None, 2]], ids=["one", "zeros", "none", "a gap"])
def test_few_values_are_drawn_too(values):
    figure = go.Figure(go.Scatter(x=list(range(len(values))), y=values, mode="lines+markers"))
    assert len(circles(drawn(figure))) == sum(value is not None for value in values)


def test_a_logarithmic_axis_leaves_out_what_has_no_place_on_it():
    figure = go.Figure(go.Scatter(x=[0, 1, 10], y=[1, 2, 3], mode="markers")).update_xaxes(type="log")
    assert len(circles(drawn(figure))) == 2


def test_names_are_escaped():
    figure = go.Figure(go.Bar(x=[1], y=["<script>alert(1)</script> & Co"], orientation="h"))
    assert "<script>" not in svg(figure)
    assert any(words.startswith("<script>") for words in texts(drawn(figure)))


@settings(max_examples=200)
@given(st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), min_size=1, max_size=30), st.booleans())
def test_every_value_and_tick_is_on_the_axis(values, from_zero):
    axis = axis_of({}, values, from_zero=from_zero, bars=False).between(0.0, 100.0)
    assert all(-1e-6 <= axis.at(value) <= 100 + 1e-6 for value in values)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 9
    assert all(-1e-6 <= at <= 100 + 1e-6 for at, _ in ticks)


@given(st.lists(st.floats(1e-6, 1e9), min_size=2, max_size=30))
def test_every_value_is_on_a_logarithmic_axis(values):
    axis = axis_of({"type": "log"}, values, from_zero=False, bars=False).between(0.0, 100.0)
    assert all(0 <= axis.at(value) <= 100 for value in values)
