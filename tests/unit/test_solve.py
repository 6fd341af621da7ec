"""Searching one number on a grid: by hand."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.solve import Grid, OutOfReach, factor_grid, solve_for


def grid(low: str, high: str, digits: int) -> Grid:
    return Grid(Fraction(low), Fraction(high), digits)


def test_nearest_of_two_neighbours() -> None:
    found = solve_for(lambda factor: factor * 1000, 333, grid("0", "1", 2))
    assert found.value == Fraction("0.33")
    assert [found.reached, found.residual] == [330, -3]


def test_smaller_of_two_as_near() -> None:
    assert solve_for(lambda factor: factor * 100, Fraction(1, 2), grid("0", "1", 2)).value == 0


def test_target_hit_exactly_at_an_end() -> None:
    found = solve_for(lambda factor: factor * 8, 8, grid("0.5", "1", 6))
    assert [found.value, found.residual] == [1, 0]


def test_falling_measure() -> None:
    # A point value of 100 / factor: 80 at 1.25.
    assert solve_for(lambda factor: 100 / factor, 80, grid("0.5", "2", 4)).value == Fraction("1.25")


def test_a_jump_over_the_target() -> None:
    found = solve_for(lambda factor: 10 if factor < Fraction("0.7501") else 20, 14, grid("0", "2", 4))
    assert [found.value, found.reached] == [Fraction("0.75"), 10]


def test_out_of_reach_says_by_how_much() -> None:
    with pytest.raises(OutOfReach) as caught:
        solve_for(lambda factor: factor * 100, 250, grid("0.5", "2", 3))
    assert [caught.value.lowest, caught.value.highest, caught.value.missing] == [50, 200, 50]
    assert caught.value.nearest.value == 2
    with pytest.raises(OutOfReach) as caught:
        solve_for(lambda factor: factor * 100, 20, grid("0.5", "2", 3))
    assert caught.value.missing == -30


def test_of_two_crossings_the_closer_to_the_start() -> None:
    """Falls to 1 and rises again: 2 is passed at 1 - 1 and at 1 + 1, from 1.2 the upper one is closer."""
    assert solve_for(lambda number: abs(number - 1), 1, grid("-3", "3", 2), Fraction("1.2")).value == 2
    assert solve_for(lambda number: abs(number - 1), 1, grid("-3", "3", 2), Fraction("0.8")).value == 0


def test_places_of_the_grid_lie_within_its_range() -> None:
    narrow = grid("0.9995", "1.0004", 3)
    assert (narrow.first, narrow.last) == (1000, 1000)
    assert narrow.nearest(Fraction("0.2")) == 1000


@given(
    steps=st.lists(st.integers(0, 10**9), min_size=2, max_size=60),
    target=st.integers(-(10**9), 60 * 10**9),
    falling=st.booleans(),
)
def test_agrees_with_trying_every_number(steps: list[int], target: int, *, falling: bool) -> None:
    values = [sum(steps[: at + 1]) * (-1 if falling else 1) for at in range(len(steps))]
    whole = Grid(Fraction(0), Fraction(len(values) - 1), 0)
    best = min((abs(value - target), at) for at, value in enumerate(values))
    try:
        found = solve_for(lambda number: values[int(number)], target, whole)
    except OutOfReach:
        assert target < min(values) or target > max(values)
        return
    assert values[int(found.value)] == found.reached
    if not found.jumped:
        assert abs(found.reached - target) == best[0]
        return
    over = next(abs(b - a) for a, b in pairwise(values) if (a - target) * (b - target) < 0)
    assert abs(found.reached - target) * 2 <= over
    assert best[0] > 0


def test_a_jump_is_told_and_a_step_of_the_last_digit_is_not() -> None:
    """One moves by 10 with each step and misses the target by 4; one by 1, but by 11 from 0.99 to 1.00."""
    slope = solve_for(lambda number: number * 1000, 986, grid("0.5", "2", 2))
    assert (slope.residual, slope.jumped) == (4, False)
    leap = solve_for(lambda number: number * 100 + (10 if number >= 1 else 0), 104, grid("0.5", "2", 2), Fraction(1))
    assert (leap.value, leap.residual, leap.jumped) == (Fraction("0.99"), -5, True)
    fen = solve_for(lambda number: 10 if number < 1 else 12, 11, grid("0.5", "2", 2), Fraction(1), least=1)
    assert not fen.jumped


def test_of_jumps_the_number_closest_to_the_start_that_is_as_near() -> None:
    """1.8 jumps over 100 from 130 to 90; 1 itself misses it by 15, less than half the jump."""
    found = solve_for(
        lambda number: 115 if number < Fraction("1.1") else 130 if number < Fraction("1.8") else 90, 100,
        grid("0.5", "2", 2), Fraction(1),
    )  # fmt: skip
    assert (found.value, found.residual, found.jumped) == (1, 15, True)


def leaping(number: Fraction) -> Fraction:
    """60 from 0.9525 on; below it falls, through 0 at 0.95 to -0.25, but leaps up to 40 from -40 at 0.6."""
    if number >= Fraction("0.9525"):
        return Fraction(60)
    return (Fraction("0.95") - number) * 100 if number >= Fraction("0.6") else Fraction(-40)


def test_past_a_jump_a_number_elsewhere_reaches_the_target() -> None:
    """From 1 no step outwards shows that 0 is reached between 0.95 and 0.9525; what falls below tells of it."""
    for digits in (4, 6):
        found = solve_for(leaping, 0, grid("0.5", "2", digits), Fraction(1))
        assert (found.value, found.residual, found.jumped) == (Fraction("0.95"), 0, False)


def test_no_more_is_tried_than_a_search_of_the_range_takes() -> None:
    """Where it only jumps, about 64 numbers more are tried, whatever the decimals."""
    leap = solve_for(lambda number: -1 if number < Fraction("1.3") else 1, 0, grid("0.5", "2", 9), Fraction(1))
    assert leap.jumped
    assert leap.tried <= 150


def test_out_of_reach_tells_what_was_really_found() -> None:
    """Lowest at 1.4751 and highest at 1.7862, between the steps outwards: both are closed in on."""

    def measure(number: Fraction) -> Fraction:
        if number < Fraction("1.6"):
            return abs(number - Fraction("1.4751"))
        return 2 - 5 * abs(number - Fraction("1.7862"))

    with pytest.raises(OutOfReach) as caught:
        solve_for(measure, -1, factor_grid(4), Fraction(1), more=32)
    assert caught.value.lowest < Fraction("0.002")
    assert caught.value.highest > Fraction("1.98")
    assert caught.value.nearest.reached == caught.value.lowest
