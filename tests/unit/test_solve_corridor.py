"""Factors that keep a corridor: by hand, and against trying every pair of factors."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from budget.money import apportion
from budget.solve import Grid
from budget.solve_corridor import keep_corridor, keep_tiers
from budget.solve_kinds import Corridor, Evaluate, Member

PERCENT = Grid(Fraction("0.5"), Fraction("1.5"), 2)
TENTHS = Grid(Fraction("0.8"), Fraction("1.2"), 1)


def members(*amounts: int, owners: Sequence[str] = ()) -> tuple[Member, ...]:
    names = [f"H{at}" for at in range(len(amounts))]
    return tuple(Member(name, owner, fen) for name, owner, fen in zip(names, owners or names, amounts, strict=True))


def linear(*amounts: int) -> Evaluate:
    return lambda factors: [int(fen * factor) for fen, factor in zip(amounts, factors, strict=True)]


def corridor(who: tuple[Member, ...], low: str, high: str, total: int | None, grid: Grid = PERCENT) -> Corridor:
    return Corridor(who, Fraction(low), Fraction(high), grid, total)


def test_nobody_outside_nothing_changes() -> None:
    found = keep_corridor(corridor(members(1000, 1000), "-0.05", "0.05", None), linear(990, 1040))
    assert found.factors == {"H0": 1, "H1": 1}
    assert (found.reached, found.slacks) == ((990, 1040), ())


def test_money_that_rises_again_far_off_does_not_lead_there() -> None:
    """1,200 at 1, in proportion down to 0.8, and 1,300 below, where most cases would be outliers: 1,050 are kept by
    0.87 (1,044), the greatest factor of two decimals that pays no more."""

    def money(factors: Sequence[Fraction]) -> list[int]:
        return [int(1200 * factor) if factor >= Fraction("0.8") else 1300 for factor in factors]

    found = keep_corridor(corridor(members(1000), "-0.05", "0.05", None), money)
    assert (found.factors, found.reached, found.slacks) == ({"H0": Fraction("0.87")}, (1044,), ())


def test_only_who_is_outside_moves_when_the_total_is_free() -> None:
    # 800 must reach 950: factor 1.19 (952); 1200 may be 1050 at most: 0.87 (1044); 1000 stays.
    found = keep_corridor(corridor(members(1000, 1000, 1000), "-0.05", "0.05", None), linear(800, 1200, 1000))
    assert found.factors == {"H0": Fraction("1.19"), "H1": Fraction("0.87"), "H2": 1}
    assert found.reached == (952, 1044, 1000)


def test_a_given_total_is_met_by_one_factor_for_the_others() -> None:
    # H0 at its upper bound 1.05 (1050); the other two must bear 2000 - 50: 0.975 each, of two decimals 0.97 or 0.98.
    who = members(1000, 1000, 1000)
    found = keep_corridor(corridor(who, "-0.05", "0.05", 3000), linear(1500, 1000, 1000))
    assert found.factors["H0"] == Fraction("0.7")
    assert found.factors["H1"] == found.factors["H2"] == Fraction("0.97")
    assert sum(found.reached) == 2990


def test_one_factor_for_a_tier_within_everybodys_bounds() -> None:
    # H0 needs 1.06 (954 of 950), H1 may have 1.10 at most (1045): the tier's factor is the least change, 1.06.
    who = members(1000, 1000, owners=["三级", "三级"])
    found = keep_corridor(corridor(who, "-0.05", "0.05", None), linear(900, 950))
    assert found.factors == {"三级": Fraction("1.06")}
    assert found.slacks == ()


def test_hospitals_of_one_tier_in_conflict() -> None:
    # H0 needs 950/800 -> 1.19, H1 may have 1050/1000 -> 1.05; at 1.05 H0 gets 840 and lacks 110.
    who = members(1000, 1000, owners=["三级", "三级"])
    (slack,) = keep_corridor(corridor(who, "-0.05", "0.05", None), linear(800, 1000)).slacks
    assert (slack.what, slack.hospital, slack.other, slack.missing) == ("conflict", "H0", "H1", 110)
    assert slack.share == Fraction(11, 100)


def test_beyond_the_range_of_factors() -> None:
    # With at most 1.5 H0 gets 450 of the 950 it must have.
    (slack,) = keep_corridor(corridor(members(1000, 1000), "-0.05", "0.05", None), linear(300, 1000)).slacks
    assert (slack.what, slack.hospital, slack.missing) == ("low", "H0", 500)


def test_money_that_does_not_move_with_the_coefficient() -> None:
    def fixed(factors: Sequence[Fraction]) -> list[int]:
        return [1200, int(1000 * factors[1])]

    (slack,) = keep_corridor(corridor(members(1000, 1000), "-0.05", "0.05", None), fixed).slacks
    assert (slack.what, slack.hospital, slack.missing) == ("high", "H0", 150)


def test_a_total_that_the_corridor_does_not_hold() -> None:
    # All at their lower edge still get 1900; the total may be 1800 only: the factors are those of -10 %.
    found = keep_corridor(corridor(members(1000, 1000), "-0.05", "0.05", 1800), linear(1000, 1000))
    (slack,) = found.slacks
    assert (slack.what, slack.missing, slack.share) == ("total", -100, Fraction(1, 20))
    assert found.factors == {"H0": Fraction("0.9"), "H1": Fraction("0.9")}
    assert found.reached == (900, 900)


def test_the_widening_told_is_just_what_is_needed() -> None:
    """H0 gets 1200 at the least (factor 0.5 of 2400) and may have 1050; with it there, 2000 leave 800 for H1: a fifth
    less than before, and so is H0 a fifth above. The corridor of 5 % has to be wider by 15 points, and no less."""
    who = members(1000, 1000)
    found = keep_corridor(corridor(who, "-0.05", "0.05", 2000), linear(2400, 1000))
    assert [(slack.what, slack.share) for slack in found.slacks] == [
        ("high", Fraction(15, 100)), ("total", Fraction(15, 100)),
    ]  # fmt: skip
    assert keep_corridor(corridor(who, "-0.2", "0.2", 2000), linear(2400, 1000)).slacks == ()
    assert keep_corridor(corridor(who, "-0.199", "0.199", 2000), linear(2400, 1000)).slacks != ()


def test_a_hospital_at_the_end_of_the_grid_leaves_the_rest_to_the_other() -> None:
    """H0 gets 1100 at the least and 1900 are to be had in all: H1, of 1000, must fall to 800 while H0 stays at 1100;
    wider by 150 fen of 2000 would not do, a fifth less H1 needs 15 points."""
    who = members(1000, 1000)
    found = keep_corridor(corridor(who, "-0.05", "0.05", 1900), linear(2200, 1000))
    (wide,) = (slack.share for slack in found.slacks if slack.what == "total")
    assert Fraction(15, 100) <= wide <= Fraction(15, 100) + Fraction(1, 10**4)
    again = corridor(who, str(Fraction("-0.05") - wide), str(Fraction("0.05") + wide), 1900)
    assert keep_corridor(again, linear(2200, 1000)).slacks == ()


def test_a_total_beyond_all_factors() -> None:
    found = keep_corridor(corridor(members(1000, 1000), "-0.05", "0.05", 4000), linear(1000, 1000))
    assert [slack.what for slack in found.slacks] == ["beyond"]


def shared(pool: int, *units: int) -> Evaluate:
    return lambda factors: apportion(pool, [unit * factor for unit, factor in zip(units, factors, strict=True)])


def test_coupled_by_the_pool() -> None:
    # After clearing 2000 are shared 1200 : 800; the corridor asks for 950 to 1050 each.
    found = keep_corridor(corridor(members(1000, 1000), "-0.05", "0.05", 2000), shared(2000, 60, 40), coupled=True)
    assert found.slacks == ()
    assert all(950 <= fen <= 1050 for fen in found.reached)
    assert sum(found.reached) == 2000


def test_a_pool_that_the_corridor_does_not_hold() -> None:
    asked = corridor(members(1000, 1000), "-0.05", "0.05", 1800)
    (slack,) = keep_corridor(asked, shared(1800, 60, 40), coupled=True).slacks
    assert (slack.what, slack.missing) == ("total", -100)


def test_a_total_that_the_factors_move_is_brought_back() -> None:
    """All pay a tenth more at factors of 1; only lower factors bring them back, the total with them."""

    def dearer(factors: Sequence[Fraction]) -> Sequence[int]:
        return [round(1100 * factor) for factor in factors]

    fine = Grid(Fraction(1, 2), Fraction(2), 4)
    found = keep_corridor(corridor(members(1000, 1000), "-0.01", "0.01", 2000, fine), dearer, coupled=True)
    assert found.slacks == ()
    assert all(990 <= fen <= 1010 for fen in found.reached)


def test_the_nearest_step_is_given_where_none_is_within() -> None:
    """Each step overshoots: what moves one hospital moves the other further off. That says nothing of what factors can
    do (low, high), only of what the steps came to."""
    asked = corridor(members(1000, 1000), "-0.01", "0.01", 2000)
    money = iter([(900, 1100), (950, 1050), *[(800, 1200), (1200, 800)] * 40])
    found = keep_corridor(asked, lambda _: next(money), coupled=True)
    assert found.reached == (950, 1050)
    assert [(slack.what, slack.hospital, slack.missing) for slack in found.slacks] == [
        ("short", asked.members[0].hospital, 40), ("over", asked.members[1].hospital, 40),
    ]  # fmt: skip


@given(
    before=st.lists(st.integers(500, 2000), min_size=2, max_size=2),
    after=st.lists(st.integers(500, 2000), min_size=2, max_size=2),
    total=st.none() | st.integers(1000, 4000),
)
def test_two_hospitals_against_every_pair_of_factors(before: list[int], after: list[int], total: int | None) -> None:
    asked = corridor(members(*before), "-0.1", "0.1", total, TENTHS)
    evaluate = linear(*after)
    places = [TENTHS.value(at) for at in range(TENTHS.first, TENTHS.last + 1)]
    kept = [
        pair for pair in product(places, repeat=2)
        if all(asked.least(m) <= fen <= asked.most(m) for m, fen in zip(asked.members, evaluate(pair), strict=True))
    ]  # fmt: skip
    found = keep_corridor(asked, evaluate)
    inside = [slack for slack in found.slacks if slack.what not in {"total", "beyond"}]
    assert bool(kept) == (not inside)
    if kept and total is None:
        least = min(sum(fen * (f - 1) ** 2 for fen, f in zip(after, pair, strict=True)) for pair in kept)
        assert sum(fen * (f - 1) ** 2 for fen, f in zip(after, found.factors.values(), strict=True)) == least


def test_steps_worked_out_between_those_measured() -> None:
    """What is worked out is off by a fifth for what factors move, yet right where it was measured last: a few measured
    steps lead within the corridor, and what is told is what was measured."""
    exact, tried = shared(2000, 60, 40), list[Sequence[Fraction]]()

    def measured(factors: Sequence[Fraction]) -> Sequence[int]:
        tried.append(factors)
        return exact(factors)

    def near(at: Sequence[Fraction], reached: Sequence[int]) -> Evaluate:
        def guess(factors: Sequence[Fraction]) -> Sequence[int]:
            moved = [1 + (other / one - 1) * Fraction(4, 5) for one, other in zip(at, factors, strict=True)]
            return apportion(2000, [fen * by for fen, by in zip(reached, moved, strict=True)])

        return guess

    asked = corridor(members(1000, 1000), "-0.01", "0.01", 2000, Grid(Fraction(1, 2), Fraction(2), 4))
    found = keep_corridor(asked, measured, coupled=True, near=near)
    assert found.slacks == ()
    assert found.reached == tuple(exact([found.factors["H0"], found.factors["H1"]]))
    assert all(990 <= fen <= 1010 for fen in found.reached)
    assert len(tried) == found.tried <= 5


def test_a_tiers_factor_that_others_are_paid_by_too() -> None:
    """H0 and H1 of 三级 get 100 of 1000 by the coefficient of 二级, H2. All are to have what they had, of a third more:
    0.75 for everybody is exact; measured with factors of hospitals, that 100 would stand still and 0.725 be found."""
    who = members(900, 900, 900, owners=["三级", "三级", "二级"])

    def own(factors: Sequence[Fraction]) -> list[int]:
        return [int(1080 * factors[0]) + 120, int(1080 * factors[1]) + 120, int(1200 * factors[2])]

    def written(factors: Sequence[Fraction]) -> list[int]:
        return [int(1080 * factors[at] + 120 * factors[2]) if at < 2 else int(1200 * factors[2]) for at in range(3)]

    found = keep_tiers(corridor(who, "0", "0", None), own, written)
    assert found.factors == {"三级": Fraction("0.75"), "二级": Fraction("0.75")}
    assert (found.reached, found.slacks) == ((900, 900, 900), ())
