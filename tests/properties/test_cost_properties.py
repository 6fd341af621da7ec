"""Cost statistics of random histories: order is of no account, scale carries through, nothing is lost."""

from __future__ import annotations

from fractions import Fraction

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from budget.cost_statistics import group_costs, whole_costs
from budget.explained_variance import explained_variance
from budget.trimming import Trimming, kept_costs, read_trimming
from budget.weights import relative_weight

WEIGHTS = {2023: 1, 2024: 2, 2025: 7}
EXACT_RULES = st.sampled_from(["none", "percentile:2.5:97.5", "percentile:10:80", "iqr:1.5", "iqr:0"])
RULES = (EXACT_RULES | st.sampled_from(["lognormal:1", "lognormal:2.5"])).map(read_trimming)
ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([2023, 2024, 2025]), st.integers(0, 10**9)), min_size=1, max_size=60
)


def frame(rows: list[tuple[int, int, int]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"group": pl.Int32, "year": pl.Int32, "cost_fen": pl.Int64}, orient="row")


@given(ROWS, RULES, st.randoms(use_true_random=False))
def test_order_of_cases_does_not_matter(rows, rule, random) -> None:
    mixed = rows[:]
    random.shuffle(mixed)
    assert group_costs(frame(rows), WEIGHTS, rule) == group_costs(frame(mixed), WEIGHTS, rule)
    assert whole_costs(frame(rows), WEIGHTS, rule) == whole_costs(frame(mixed), WEIGHTS, rule)
    assert explained_variance(frame(rows)) == explained_variance(frame(mixed))


@given(ROWS, EXACT_RULES.map(read_trimming), st.integers(2, 1000))
def test_scaled_costs_scale_means_and_leave_scores(rows, rule, factor) -> None:
    scaled = [(group, year, cost * factor) for group, year, cost in rows]
    plain, larger = group_costs(frame(rows), WEIGHTS, rule), group_costs(frame(scaled), WEIGHTS, rule)
    reference, larger_reference = whole_costs(frame(rows), WEIGHTS, rule), whole_costs(frame(scaled), WEIGHTS, rule)
    for before, after in zip(plain, larger, strict=True):
        assert after.mean_fen == before.mean_fen * factor
        assert (after.cases, after.kept, after.cv) == (before.cases, before.kept, before.cv)
        if reference.mean_fen:
            score = relative_weight(before.mean_fen, reference.mean_fen, 1000)
            assert relative_weight(after.mean_fen, larger_reference.mean_fen, 1000) == score
    assert explained_variance(frame(scaled)).riv == explained_variance(frame(rows)).riv


def interpolated(costs: list[int], percentile: Fraction) -> Fraction:
    """The percentile of ascending costs by linear interpolation on n - 1, one at a time."""
    place = percentile / 100 * (len(costs) - 1)
    below = place.numerator // place.denominator
    above = min(below + 1, len(costs) - 1)
    return costs[below] + (costs[above] - costs[below]) * (place - below)


@given(ROWS, st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 30_000))
def test_limits_are_exact(rows, first, second, factor) -> None:
    low, high = sorted((Fraction(first, 10), Fraction(second, 10)))
    rules = [Trimming("iqr", Fraction(25), Fraction(75), Fraction(factor, 10_000))]
    if low < high:
        rules.append(Trimming("percentile", low, high))
    history = frame(rows)
    for rule in rules:
        kept = kept_costs(history["group"], history["cost_fen"], rule).to_list()
        for group in {row[0] for row in rows}:
            costs = [row[2] for row in rows if row[0] == group]
            least, most = (interpolated(sorted(costs), part) for part in (rule.low, rule.high))
            margin = rule.factor * (most - least)
            expected = [least - margin <= cost <= most + margin for cost in costs]
            found = [keep for row, keep in zip(rows, kept, strict=True) if row[0] == group]
            assert found == (expected if any(expected) else [True] * len(costs))


@given(ROWS, RULES)
def test_sums_are_conserved(rows, rule) -> None:
    history = frame(rows)
    kept = kept_costs(history["group"], history["cost_fen"], rule).to_list()
    groups = group_costs(history, WEIGHTS, rule)
    assert sum(group.cases for group in groups) == len(rows)
    assert sum(group.kept for group in groups) == sum(kept)
    assert sum(group.sum_fen for group in groups) == sum(row[2] for row, keep in zip(rows, kept, strict=True) if keep)
    assert all(group.kept > 0 for group in groups)


@given(ROWS, RULES)
def test_a_mean_lies_between_its_kept_costs(rows, rule) -> None:
    history = frame(rows)
    kept = history.filter(kept_costs(history["group"], history["cost_fen"], rule))
    for group in group_costs(history, WEIGHTS, rule):
        costs = kept.filter(pl.col("group") == group.group)["cost_fen"].to_list()
        assert min(costs) <= group.mean_fen <= max(costs)


@given(ROWS)
def test_finer_groups_explain_more(rows) -> None:
    history = frame(rows)
    coarse = explained_variance(history)
    finer = explained_variance(history.with_columns(group=pl.struct("group", "year")))
    assert 0 <= finer.within <= coarse.within <= coarse.total
    means = {}
    for group in {row[0] for row in rows}:
        costs = [cost for number, _, cost in rows if number == group]
        means[group] = Fraction(sum(costs), len(costs))
    assert coarse.within == sum((cost - means[group]) ** 2 for group, _, cost in rows)
