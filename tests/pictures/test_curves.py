"""Charts are well-formed and in the right place for whatever a run may log."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from gdl_jax.pictures.curves import (
    Axis,
    averaged,
    limits,
    log_ticks,
    nice_ticks,
    short_number,
    smooth,
    svg_curves,
    thinned,
    tick_labels,
)

NAN, INF = np.nan, np.inf
ODD = {
    "one point": [3.0],
    "one zero": [0.0],
    "constant": [2.0] * 5,
    "negative constant": [-7e8] * 5,
    "zeros": [0.0] * 100,
    "nothing": [],
    "only NaN": [NAN, NAN],
    "gaps": [1.0, NAN, 2.0, 3.0, NAN, NAN, 4.0],
    "infinite": [1.0, INF, -INF, 2.0],
    "huge range": [1e-30, 1e30, -1e30],
    "larger than a double's square": [1e300, -1e299, 1.7e308],
    "denormal": [5e-324, 1e-310, 0.0],
    "rounding": [1.0, 1.0 + 2e-16],
    "many with gaps": [NAN if i % 7 == 0 else float(i) for i in range(5000)],
    "many NaN": [NAN] * 5000,
}


def chart(values, **options) -> ElementTree.Element:
    steps = np.arange(len(values)) * 10
    text = svg_curves({"a/loss": (steps, np.array(values, np.float64))}, title="loss", **options)
    assert not re.search(r"\b(nan|inf|infinity)\b", text, re.IGNORECASE)
    return ElementTree.fromstring(text)


@pytest.mark.parametrize("log_y", [False, True])
@pytest.mark.parametrize("name", ODD)
def test_odd_values_give_a_chart_with_all_points_inside(name, log_y):
    svg = chart(ODD[name], log_y=log_y)
    _, _, left, right = map(float, svg.get("data-x").split())
    _, _, bottom, top = map(float, svg.get("data-y").split())
    series = svg.find("g[@class='series']")
    for path in series.iter("path"):
        for x, y in re.findall(r"([-\d.]+),([-\d.]+)", path.get("d")):
            assert left - 0.1 <= float(x) <= right + 0.1
            assert top - 0.1 <= float(y) <= bottom + 0.1
    assert len(svg.findall("g[@class='axes']/text")) >= 3


def test_no_series_at_all_is_an_empty_chart():
    assert ElementTree.fromstring(svg_curves({}, title="loss")).find("g[@class='series']") is None


def test_gaps_split_lines_and_lonely_points_are_dots():
    series = chart([1.0, 2.0, NAN, 3.0, NAN, 4.0, 5.0]).find("g[@class='series']")
    (path,) = series.iter("path")
    assert path.get("d").count("M") == 2
    assert len(list(series.iter("circle"))) == 1
    assert series.get("data-steps") == "0 10 30 50 60"
    assert series.get("data-values") == "1 2 3 4 5"


def test_few_points_are_drawn_once_many_under_their_average():
    assert chart(np.arange(20.0)).find("g/g[@class='raw']") is None
    assert chart(np.arange(200.0)).find("g/g[@class='raw']") is not None


def test_points_lie_where_the_scales_say():
    svg = chart([1.0, 100.0, 10.0], log_y=True)
    low, high, bottom, top = map(float, svg.get("data-y").split())
    (path,) = svg.find("g[@class='series']").iter("path")
    drawn = [float(y) for _, y in re.findall(r"([-\d.]+),([-\d.]+)", path.get("d"))]
    expected = bottom + np.log10(np.array([1.0, 100.0, 10.0]) / low) / np.log10(high / low) * (top - bottom)
    np.testing.assert_allclose(drawn, expected, atol=0.06)


def test_names_are_escaped():
    text = svg_curves({'<b> & "c"\x00': (np.arange(2), np.arange(2.0))}, title="<script>")
    assert "<script>" not in text
    assert ElementTree.fromstring(text).find("g[@class='series']").get("data-name") == '<b> & "c"'


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="'a' has 3 steps but 2 values"):
        svg_curves({"a": (np.arange(3), np.arange(2.0))}, title="")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (-3, 12, [0, 5, 10]), (15, 3000, [1000, 2000, 3000]), (0.11, 0.12, None)],
)
def test_ticks_are_round_and_inside(low, high, expected):
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 7
    assert low - 1e-12 <= min(ticks) <= max(ticks) <= high + 1e-12
    if expected:
        np.testing.assert_allclose(ticks, expected)


def test_log_ticks_are_powers_of_ten_or_finer_where_few_fit():
    np.testing.assert_allclose(log_ticks(1e-3, 1e2), [1e-3, 1e-2, 1e-1, 1, 10, 100])
    np.testing.assert_allclose(log_ticks(1, 10), [1, 2, 5, 10])
    assert len(log_ticks(3.1, 3.9)) >= 2
    assert 2 <= len(log_ticks(1e-200, 1e200)) <= 8


@pytest.mark.parametrize(
    ("ticks", "labels"),
    [
        ([0.0, 0.05, 0.1], ["0.00", "0.05", "0.10"]),
        ([1000.0, 2000.0], ["1,000", "2,000"]),
        ([0.0, 2e-7, 4e-7], ["0", "2e-7", "4e-7"]),
        ([0.0, 1e9, 2e9], ["0", "1e9", "2e9"]),
        ([0.0], ["0"]),
        ([], []),
    ],
)
def test_labels_have_the_digits_that_they_need(ticks, labels):
    assert tick_labels(ticks) == labels


def test_labels_of_a_narrow_range_differ():
    ticks = nice_ticks(123.4560, 123.4567)
    assert len(set(tick_labels(ticks))) == len(ticks)


def test_short_numbers():
    numbers = [0.0, 0.69314, 3000.0, 1.5e6, -2.5e-7, 12.0]
    assert [short_number(number) for number in numbers] == ["0", "0.6931", "3,000", "1.5e6", "-2.5e-7", "12"]


def test_limits_have_room_for_constants_and_for_nothing():
    assert limits(np.array([2.0, 2.0])) == pytest.approx((1.9, 2.1))
    assert limits(np.array([0.0])) == (-0.5, 0.5)
    assert limits(np.array([NAN])) == (0.0, 1.0)
    assert limits(np.array([0.0, 10.0]), padding=0.1) == (-1.0, 11.0)
    low, high = limits(np.array([-1.0, 0.01, 100.0, NAN]), log=True)
    assert 0 < low < 0.01 < 100 < high


def test_whole_axes_have_whole_ticks():
    assert [label for _, label in Axis(low=0.0, high=2.0, start=0, end=1, whole=True).ticks()] == ["0", "1", "2"]


def test_smoothing_keeps_constants_and_gaps():
    values = np.full(100, 3.0)
    values[[0, 50]] = NAN
    np.testing.assert_allclose(smooth(values), values)
    noise = np.random.default_rng(0).normal(size=600)
    assert smooth(noise).std() < 0.3 * noise.std()


def test_averages_are_means_of_buckets():
    steps, values = averaged(np.arange(8.0), np.array([1.0, 3, NAN, 5, NAN, NAN, 7, 9]), buckets=4)
    np.testing.assert_allclose(steps, [0.5, 2.5, 4.5, 6.5])
    np.testing.assert_allclose(values, [2, 5, NAN, 8])


def test_thinning_keeps_spikes_ends_and_gaps():
    values = np.zeros(100_000)
    values[777], values[5000], values[90_000] = 9.0, NAN, -4.0
    steps, kept = thinned(np.arange(100_000.0), values)
    assert len(kept) < 1000
    assert (steps[0], steps[-1]) == (0, 99_999)
    assert (np.nanmin(kept), np.nanmax(kept), np.isnan(kept).sum()) == (-4, 9, 1)
    np.testing.assert_array_equal(kept, values[steps.astype(int)])
