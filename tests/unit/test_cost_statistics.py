"""Trimming, means over weighted years, variation, scores and explained variance against numbers worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import polars as pl
import pytest

from budget.binary_log import binary_logs
from budget.cost_statistics import COST_LIMIT_FEN, group_costs, weighted_mean, whole_costs, year_weights
from budget.explained_variance import explained_variance
from budget.trimming import NO_TRIMMING, Trimming, kept_costs, read_trimming
from budget.weights import relative_weight, relative_weights

HALF = Fraction(1, 2)
WEIGHTS = {2023: Fraction(1, 10), 2024: Fraction(2, 10), 2025: Fraction(7, 10)}


def cases(*rows: tuple[int, int, int]) -> pl.DataFrame:
    schema = {"group": pl.Int32, "year": pl.Int32, "cost_fen": pl.Int64}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def kept(costs: list[int], rule: str, groups: list[int] | None = None) -> list[int]:
    numbers = pl.Series(groups or [0] * len(costs), dtype=pl.Int32)
    mask = kept_costs(numbers, pl.Series(costs, dtype=pl.Int64), read_trimming(rule))
    return [cost for cost, keep in zip(costs, mask.to_list(), strict=True) if keep]


def test_percentiles_by_linear_interpolation() -> None:
    # 20 costs: places 0.475 and 18.525, so limits 1.475 and 19.525; 41 costs: places 1 and 39, both ends kept.
    assert kept(list(range(1, 21)), "percentile:2.5:97.5") == list(range(2, 20))
    assert kept(list(range(40, -1, -1)), "percentile:2.5:97.5") == list(range(39, 0, -1))
    # 5 costs at 25 and 75 per cent: places 1 and 3.
    assert kept([50, 10, 40, 20, 30], "percentile:25:75") == [40, 20, 30]
    # Costs alike at a limit all stay: places 0.8 and 3.2, limits 7 and 7 + 0.2 x 2.
    assert kept([7, 7, 7, 7, 9], "percentile:20:80") == [7, 7, 7, 7]
    assert kept([5, 6], "percentile:0:100") == [5, 6]


def test_a_limit_between_two_fen_is_not_rounded() -> None:
    # Places 0.5 and 1.5 of 10, 12, 14: 11 and 13.
    assert kept([10, 12, 14], "percentile:25:75") == [12]
    # Place 1 of six costs is 24; place 1.005 is 24.38, so 24 goes, and 25 would stay.
    assert kept([0, 24, 100, 104, 200, 300], "percentile:20:100") == [24, 100, 104, 200, 300]
    assert kept([0, 24, 100, 104, 200, 300], "percentile:20.1:100") == [100, 104, 200, 300]
    # Place 4.995 of the same is 299.5: 299 would stay.
    assert kept([0, 24, 100, 104, 200, 300], "percentile:0:99.9") == [0, 24, 100, 104, 200]


def test_a_group_is_never_trimmed_away() -> None:
    # Two costs lose both ends, so they are left; the cost alone lies on its limits.
    assert kept([5, 6, 9], "percentile:2.5:97.5", [0, 0, 1]) == [5, 6, 9]
    assert kept([1, 2, 3, 4], "percentile:40:60") == [1, 2, 3, 4]
    assert kept([1, 5, 10], "lognormal:0") == [1, 5, 10]


def test_quartile_range() -> None:
    # Nine costs: Q1 and Q3 stand at places 2 and 6, 30 and 70; 1.5 x 40 = 60: from -30 to 130.
    costs = [10, 20, 30, 40, 50, 60, 70, 130, 131]
    assert kept(costs, "iqr:1.5") == costs[:-1]
    # 0.33 x 40 = 13.2: from 16.8 to 83.2, so 17 stays and 16 goes, 83 stays and 84 goes.
    assert kept([16, 20, 30, 40, 50, 60, 70, 83, 84], "iqr:0.33") == [20, 30, 40, 50, 60, 70, 83]
    assert kept([17, 20, 30, 40, 50, 60, 70, 83, 84], "iqr:0.33") == [17, 20, 30, 40, 50, 60, 70, 83]
    # Four costs: Q1 at place 0.75 is 3, Q3 at place 2.25 is 12.5.
    assert kept([0, 4, 10, 20], "iqr:0") == [4, 10]
    assert kept([0, 3, 12, 14], "iqr:0") == [3, 12]


def test_logarithms() -> None:
    # Logarithms of base ten 0, 2, 2, 2, 4: mean 2, standard deviation the square root of 1.6, 1.265.
    costs = [1, 100, 100, 100, 10_000]
    assert kept(costs, "lognormal:1") == [100, 100, 100]
    assert kept(costs, "lognormal:1.58") == [100, 100, 100]
    assert kept(costs, "lognormal:1.59") == costs
    # Two costs lie exactly one deviation from their mean.
    assert kept([3, 70_001], "lognormal:1") == [3, 70_001]
    assert kept([0, 1, 1, 1], "lognormal:1") == [0, 1, 1, 1]  # a cost of 0 counts as one fen


def test_binary_logarithms() -> None:
    values = [0, 1, 2, 3, 2**31, 2**31 + 2**30, 2**49, 10**15 - 1]
    found = binary_logs(np.array(values, np.int64)).tolist()
    # log2 3 = 1.58496250072115618...; log2(10^15 - 1) = 49.82892142331043...
    assert found == [0, 0, 1 << 24, 26591258, 31 << 24, (30 << 24) + 26591258, 49 << 24, 835990577]


def test_groups_have_their_own_limits() -> None:
    assert kept([1, 100, 2, 200, 3, 300], "percentile:50:100", [0, 1, 0, 1, 0, 1]) == [2, 200, 3, 300]


def test_trimming_of_huge_costs_does_not_overflow() -> None:
    top = COST_LIMIT_FEN - 1
    assert kept([0, 1, 2, 3, top], "iqr:999.999") == [0, 1, 2, 3]
    assert kept([0, top], "percentile:0:99.9999") == [0]
    assert kept([0, 0, top, top], "iqr:1000") == [0, 0, top, top]


@pytest.mark.parametrize(
    "text",
    ["percentile", "percentile:97.5:2.5", "percentile:2.5", "percentile:-1:50", "percentile:1:101", "iqr:-1",
     "iqr:x", "iqr", "lognormal", "lognormal:-1", "none:1", "iqr:1.00001", "iqr:1001", "", "mean"],
)  # fmt: skip
def test_unreadable_rules(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_trimming(text)


def test_rules_as_read() -> None:
    assert read_trimming("none") == NO_TRIMMING
    assert read_trimming("percentile:2.5:97.5") == Trimming("percentile", Fraction(5, 2), Fraction(195, 2))
    assert read_trimming("iqr:1.5") == Trimming("iqr", Fraction(25), Fraction(75), Fraction(3, 2))
    assert read_trimming("lognormal:3") == Trimming("lognormal", factor=Fraction(3))


def test_mean_over_weighted_years() -> None:
    # Yearly means 150, 400, 1000: (150 x 1 + 400 x 2 + 1000 x 7) / 10 = 795.
    history = cases((4, 2023, 100), (4, 2023, 200), (4, 2024, 400), (4, 2025, 900), (4, 2025, 1100))
    (group,) = group_costs(history, WEIGHTS, NO_TRIMMING)
    assert (group.group, group.cases, group.kept, group.sum_fen) == (4, 5, 5, 2700)
    assert group.mean_fen == 795
    assert [(year.year, year.cases, year.sum_fen) for year in group.years] == [
        (2023, 2, 300), (2024, 1, 400), (2025, 2, 2000),
    ]  # fmt: skip


def test_a_year_without_cases_is_left_out() -> None:
    # 2023: 100, 2025: 200; (100 x 1 + 200 x 7) / 8 = 187.5.
    (group,) = group_costs(cases((1, 2023, 100), (1, 2025, 200)), WEIGHTS, NO_TRIMMING)
    assert group.mean_fen == Fraction(375, 2)


def test_a_year_all_trimmed_away_is_left_out_too() -> None:
    # Places 0.8 and 3.2: limits 18 and 40 + 0.2 x 4960 = 1032, so the first cost and the one case of 2025 go.
    history = cases(*((1, 2023, cost) for cost in (10, 20, 30, 40)), (1, 2025, 5000))
    (group,) = group_costs(history, WEIGHTS, read_trimming("percentile:20:80"))
    assert (group.cases, group.kept, group.mean_fen) == (5, 3, 30)
    assert [(year.year, year.cases, year.kept) for year in group.years] == [(2023, 4, 3), (2025, 1, 0)]


def test_variation() -> None:
    # 2, 4, 4, 4, 5, 5, 7, 9: mean 5, standard deviation 2, CV 0.4, whatever the years.
    costs = (2, 4, 4, 4, 5, 5, 7, 9)
    (group,) = group_costs(cases(*((1, 2023 + at % 3, cost) for at, cost in enumerate(costs))), WEIGHTS, NO_TRIMMING)
    assert group.cv == Fraction(4, 10)
    assert group.cv_text == "0.4000"


@pytest.mark.parametrize(
    ("costs", "text"),
    [((10,), "0.0000"), ((0, 0), "0.0000"), ((0, 10), "1.0000"), ((1, 2), "0.3333"), ((1, 5), "0.6667"),
     # variance 2, mean 1: the square root of 2
     ((0, 0, 3), "1.4142"),
     # deviation 1, mean 20000: 0.00005 goes up
     ((19999, 20001), "0.0001"),
     ((20000, 20002), "0.0000")],
)  # fmt: skip
def test_variation_rounds_half_up(costs: tuple[int, ...], text: str) -> None:
    (group,) = group_costs(cases(*((1, 2025, cost) for cost in costs)), WEIGHTS, NO_TRIMMING)
    assert group.cv_text == text


def test_sums_of_squares_beyond_64_bits() -> None:
    top = COST_LIMIT_FEN - 1
    (group,) = group_costs(cases(*((1, 2025, top) for _ in range(1000))), WEIGHTS, NO_TRIMMING)
    assert group.square_sum == 1000 * top * top
    assert group.cv == 0


def test_whole_is_trimmed_as_one() -> None:
    # Each group alone loses the lower of its two cases (place 0.3), and all four together the lowest (place 0.9).
    history = cases((1, 2023, 10), (1, 2024, 20), (2, 2023, 30), (2, 2025, 40))
    rule = read_trimming("percentile:30:100")
    assert [group.kept for group in group_costs(history, WEIGHTS, rule)] == [1, 1]
    whole = whole_costs(history, WEIGHTS, rule)
    assert (whole.cases, whole.kept) == (4, 3)
    assert whole.mean_fen == Fraction(30 * 1 + 20 * 2 + 40 * 7, 10)
    with pytest.raises(ValueError, match="no case"):
        whole_costs(history.clear(), WEIGHTS, rule)


def test_year_weights() -> None:
    assert year_weights([2025, 2023, 2024], [1, 2, 7]) == WEIGHTS
    for parts in ([1, 2], [1, 2, 0], [1, 2, -7]):
        with pytest.raises(ValueError, match="one positive weight"):
            year_weights([2023, 2024, 2025], parts)


def test_scores() -> None:
    # Disease mean 8,000 yuan, all cases 12,000: 666.6667 points; beside a benchmark of 10,000: 800; per 100 yuan: 80.
    assert relative_weight(Fraction(800_000), Fraction(1_200_000), 1000) == Decimal("666.6667")
    assert relative_weight(Fraction(800_000), Fraction(1_000_000), 1000) == Decimal("800.0000")
    assert relative_weight(Fraction(800_000), Fraction(10_000), 1) == Decimal("80.0000")
    # 1 / 20000 = 0.00005 goes up to 0.0001.
    assert relative_weight(Fraction(1), Fraction(20_000), 1) == Decimal("0.0001")
    assert relative_weights({"a": Fraction(1), "b": Fraction(3)}, Fraction(2), 1000) == {
        "a": Decimal("500.0000"), "b": Decimal("1500.0000"),
    }  # fmt: skip
    with pytest.raises(ValueError, match="positive"):
        relative_weight(Fraction(1), Fraction(0), 1000)


def test_explained_variance() -> None:
    # 1, 3 | 7, 9: mean 5, total 16 + 4 + 4 + 16 = 40, within 1 + 1 + 1 + 1 = 4, explained 36 / 40 = 0.9.
    found = explained_variance(cases((1, 2023, 1), (1, 2023, 3), (2, 2024, 7), (2, 2025, 9)))
    assert (found.cases, found.groups, found.total, found.within) == (4, 2, 40, 4)
    assert found.riv == Fraction(9, 10)
    assert found.text == "0.9000"


def test_explained_variance_at_its_ends() -> None:
    history = cases((1, 2023, 5), (1, 2023, 9), (1, 2024, 7))
    assert explained_variance(history).riv == 0
    alone = history.with_columns(pl.Series("group", ["a", "b", None]))
    assert explained_variance(alone).riv == 1
    alike = history.with_columns(pl.lit(5, pl.Int64).alias("cost_fen"))
    assert explained_variance(alike).riv is None
    assert explained_variance(alike).text == ""
    assert explained_variance(history.clear()).riv is None


def test_weighted_mean() -> None:
    # (100 + 2 x 200 + 7 x 400) / 10
    assert weighted_mean([Fraction(100), Fraction(200), Fraction(400)], [1, 2, 7]) == 330
    assert weighted_mean([Fraction(1), Fraction(2)], [HALF, HALF]) == Fraction(3, 2)
    for means, parts in (([], []), ([Fraction(1)], [1, 2]), ([Fraction(1)], [0])):
        with pytest.raises(ValueError, match="one positive weight"):
            weighted_mean(means, parts)
