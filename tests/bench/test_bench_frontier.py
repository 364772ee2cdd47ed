"""The table at equal recall says what was measured, and never more."""

import math

import pytest

from vecsearch.bench.frontier import Spot, at, frontier

SPOTS = [Spot(0.8, 4000.0, "a"), Spot(0.9, 2000.0, "b"), Spot(0.85, 1500.0, "beaten"), Spot(0.98, 500.0, "c")]


def test_the_frontier_leaves_out_what_is_beaten():
    assert [spot.source for spot in frontier(SPOTS, larger=True)] == ["a", "b", "c"]
    times = [Spot(recall, 1 / value, source) for recall, value, source in SPOTS]
    assert [spot.source for spot in frontier(times, larger=False)] == ["a", "b", "c"]


def test_of_equal_recalls_the_better_value_stays_and_the_order_given_is_nothing():
    spots = [Spot(0.9, 10.0, "slow"), Spot(0.9, 20.0, "fast"), Spot(0.9, 20.0, "fast too")]
    assert [spot.source for spot in frontier(spots, larger=True)] == ["fast"]
    assert [spot.value for spot in frontier(spots[::-1], larger=False)] == [10.0]


def test_between_two_neighbours_the_logarithm_is_linear():
    reached = at(frontier(SPOTS, larger=True), 0.94)
    assert reached.value == pytest.approx(math.sqrt(2000 * 500))
    assert (reached.below.source, reached.above.source) == ("b", "c")


@pytest.mark.parametrize(("recall", "value"), [(0.8, 4000), (0.9, 2000), (0.98, 500)])
def test_what_was_measured_is_given_as_it_is(recall, value):
    reached = at(frontier(SPOTS, larger=True), recall)
    assert (reached.value, reached.below, reached.above.recall) == (value, None, recall)


def test_beyond_the_highest_recall_is_not_reached():
    front = frontier(SPOTS, larger=True)
    assert at(front, 0.981) is None
    assert at([], 0.5) is None


def test_below_the_lowest_recall_it_is_the_measured_value_and_not_a_faster_one():
    reached = at(frontier(SPOTS, larger=True), 0.5)
    assert (reached.value, reached.below, reached.above.source) == (4000, None, "a")


def test_an_interpolated_value_lies_between_its_neighbours():
    front = frontier(SPOTS, larger=True)
    for step in range(800, 980):
        reached = at(front, step / 1000)
        assert reached.above.value <= reached.value <= (reached.below or reached.above).value
