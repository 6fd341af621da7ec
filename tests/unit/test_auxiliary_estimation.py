"""Correction factors estimated from a history: gate, means over weighted years, rounding, all worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest

from budget.auxiliary_factors import GATE_ZH, FactorEstimate, GateReason, estimate_factors
from budget.trimming import NO_TRIMMING, Trimming, read_trimming
from reference_tables.auxiliary import FactorGate, factor_gate

WEIGHTS = {2023: 1, 2024: 2, 2025: 7}
Costs = list[tuple[int, int, int, str]]  # group, year, fen, level


def estimate(
    costs: Costs, *, rule: Trimming = NO_TRIMMING, gate: FactorGate | None = None, enum: bool = False
) -> FactorEstimate:
    dtype = pl.Enum(["", "重", "轻"]) if enum else pl.String
    schema = {"group": pl.Int32, "year": pl.Int32, "cost_fen": pl.Int64, "严重程度": dtype}
    frame = pl.DataFrame(costs, schema=schema, orient="row")
    return estimate_factors(frame, ["严重程度"], WEIGHTS, rule, gate or factor_gate())


def factors(found: FactorEstimate) -> dict[tuple[int, str], str]:
    return {(item.group, item.level): str(item.factor) for item in found.factors}


def same_year(group: int, levels: dict[str, list[int]]) -> Costs:
    return [(group, 2025, cost, level) for level, costs in levels.items() for cost in costs]


def test_the_gate_of_the_document() -> None:
    assert factor_gate() == FactorGate(15, 5, Fraction(1, 5))


def test_mean_of_the_level_by_mean_of_the_group() -> None:
    """10 at 100 and 5 at 400: M = 200, factors 1/2 and 2, nothing varies within."""
    found = estimate(same_year(3, {"轻": [100] * 10, "重": [400] * 5}))
    assert factors(found) == {(3, "轻"): "0.5000", (3, "重"): "2.0000"}
    (gate,) = found.gates
    assert (gate.group, gate.dimension, gate.cases, gate.levels, gate.smallest) == (3, "严重程度", 15, 2, 5)
    assert (gate.within, gate.reason, gate.cv_fall_text) == (0, GateReason.NONE, "1.0000")
    assert {item.level: (item.cases, item.mean_fen) for item in found.factors} == {"轻": (10, 100), "重": (5, 400)}


def test_the_order_of_cases_and_the_type_of_the_column_mean_nothing() -> None:
    costs = same_year(3, {"轻": [100] * 10, "重": [400] * 5}) + same_year(1, {"": [10] * 9, "重": [20] * 9})
    assert factors(estimate(costs)) == factors(estimate(costs[::-1], enum=True))
    assert [item.group for item in estimate(costs).gates] == [1, 3]


def test_cases_in_no_level_get_no_factor_but_count_in_the_mean() -> None:
    """10 at 100 without a level, 10 at 300: M = 200."""
    found = estimate(same_year(1, {"": [100] * 10, "重": [300] * 10}))
    assert factors(found) == {(1, "重"): "1.5000"}


@pytest.mark.parametrize(
    ("levels", "reason"),
    [
        ({"轻": [100] * 10, "重": [400] * 5}, GateReason.NONE),
        ({"轻": [100] * 9, "重": [400] * 5}, GateReason.FEW_CASES),  # 14
        ({"轻": [100] * 11, "重": [400] * 4}, GateReason.SMALL_LEVEL),
        ({"": [100] * 11, "重": [400] * 4}, GateReason.SMALL_LEVEL),
        ({"": [100], "轻": [200] * 9, "重": [400] * 5}, GateReason.NONE),  # cases in no level may be few
        ({"轻": [100, 300] * 5, "重": [100, 300] * 5}, GateReason.LITTLE_FALL),  # the levels cost the same
        ({"轻": [200] * 10, "重": [200] * 10}, GateReason.LITTLE_FALL),  # all cases cost the same
        ({"重": [100, 300] * 10}, GateReason.LITTLE_FALL),  # one level is no split
        ({"轻": [0] * 10, "重": [0] * 10}, GateReason.LITTLE_FALL),
    ],
)
def test_the_gate(levels: dict[str, list[int]], reason: GateReason) -> None:
    found = estimate(same_year(1, levels))
    assert [gate.reason for gate in found.gates] == [reason]
    assert bool(found.factors) is (reason is GateReason.NONE)
    assert reason in GATE_ZH


def test_a_fall_of_exactly_a_fifth_passes() -> None:
    """Levels at 100 -+ 6 with 8 of spread each: within 64, between 36, of 100 in all: sqrt(0.64) = 0.8 of the CV."""
    levels = {"轻": [94 - 8, 94 + 8] * 5, "重": [106 - 8, 106 + 8] * 5}
    (gate,) = estimate(same_year(1, levels)).gates
    assert (gate.within, gate.cv_fall_text, gate.reason) == (Fraction(64, 100), "0.2000", GateReason.NONE)
    stricter = FactorGate(15, 5, Fraction(2001, 10_000))
    assert estimate(same_year(1, levels), gate=stricter).gates[0].reason is GateReason.LITTLE_FALL


def test_a_fall_is_shown_with_four_decimals() -> None:
    """Within 1/2 of the sum of squares: 1 - sqrt(1/2) = 0.29289..."""
    levels = {"轻": [90 - 10, 90 + 10] * 5, "重": [110 - 10, 110 + 10] * 5}
    assert estimate(same_year(1, levels)).gates[0].cv_fall_text == "0.2929"


def test_a_group_without_a_level_is_not_asked() -> None:
    found = estimate(same_year(1, {"": [100, 300] * 10}))
    assert (found.factors, found.gates) == ((), ())
    assert estimate([]) == FactorEstimate((), ())


def test_years_weigh_in_both_means() -> None:
    """Light 100, 200, 300 in the three years, heavy 1000 in the last two only.

    Light: (1 x 100 + 2 x 200 + 7 x 300) / 10 = 260. Heavy, whose two years stand for the whole: 1000.
    Group: 2023 100, 2024 and 2025 (6 light, 4 heavy) 520 and 580: (100 + 1040 + 4060) / 10 = 520.
    """
    costs = [(1, 2023, 100, "轻")] * 6
    costs += [(1, 2024, 200, "轻")] * 6 + [(1, 2024, 1000, "重")] * 4
    costs += [(1, 2025, 300, "轻")] * 6 + [(1, 2025, 1000, "重")] * 4
    assert factors(estimate(costs)) == {(1, "轻"): "0.5000", (1, "重"): "1.9231"}  # 1000 / 520 = 1.92307...


@pytest.mark.parametrize(
    ("light", "heavy", "wanted"),
    [
        (39_997, 40_005, ("0.9999", "1.0001")),  # 39,997 / 40,001 = 0.9999000...
        (79_997, 80_003, ("1.0000", "1.0000")),  # 79,997 / 80,000 = 0.9999625
        (79_996, 80_004, ("1.0000", "1.0001")),  # 0.99995 and 1.00005: halves go up
    ],
)
def test_rounding(light: int, heavy: int, wanted: tuple[str, str]) -> None:
    found = factors(estimate(same_year(1, {"轻": [light] * 10, "重": [heavy] * 10})))
    assert (found[1, "轻"], found[1, "重"]) == wanted


def test_a_factor_that_rounds_to_nothing_is_left_out() -> None:
    assert factors(estimate(same_year(1, {"轻": [1] * 10, "重": [100_000] * 10}))) == {(1, "重"): "2.0000"}


def test_costs_are_trimmed_by_the_limits_of_the_group() -> None:
    """Of 20 costs, 10:90 keeps ranks 2 to 18: the light 1 and the heavy 8,000 and 9,000 go.

    Left 9 at 100 and 8 at 400: M = 4,100 / 17, factors 1,700 / 4,100 and 6,800 / 4,100.
    """
    levels = {"轻": [1] + [100] * 9, "重": [400] * 8 + [8_000, 9_000]}
    found = estimate(same_year(1, levels), rule=read_trimming("percentile:10:90"))
    assert factors(found) == {(1, "轻"): "0.4146", (1, "重"): "1.6585"}
    assert (found.gates[0].cases, found.gates[0].smallest) == (17, 8)


def test_several_dimensions_stand_apart() -> None:
    frame = pl.DataFrame(
        {
            "group": [7] * 20,
            "year": [2025] * 20,
            "cost_fen": [100] * 10 + [300] * 10,
            "年龄": ["老"] * 10 + [""] * 10,
            "CCI": ["", "高"] * 10,
        },
        schema_overrides={"group": pl.Int32, "year": pl.Int32},
    )
    found = estimate_factors(frame, ["CCI", "年龄"], WEIGHTS, NO_TRIMMING, factor_gate())
    assert [(item.dimension, item.level, item.factor) for item in found.factors] == [("年龄", "老", Decimal("0.5000"))]
    assert [(gate.dimension, gate.reason) for gate in found.gates] == [
        ("CCI", GateReason.LITTLE_FALL), ("年龄", GateReason.NONE),
    ]  # fmt: skip
