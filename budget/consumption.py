"""Consumption indices (费用消耗指数, 时间消耗指数): what a unit uses up beside the region, group for group.

    index of a unit = sum over groups of n_ug x (mean of the unit in g / mean of the region in g) / sum of n_ug

with n_ug the unit's cases in group g. The region's own index is 1, and it is the mean of the units' indices weighted
by their cases. Source: CHS-DRG performance indicators (k_i weighted by the number of cases).

The sum is of fractions with as many denominators as there are groups. It is taken in integers first, each part cut
off after twelve decimals; where the parts cut off could turn the rounding of the result, exact fractions decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import polars as pl

from budget.money import decimal_text

_CUT = 10**12
_TERMS = ("unit_amount", "unit_cases", "all_amount", "all_cases")


def consumption_terms(cells: pl.DataFrame, by: Sequence[str], amount: str, cases: str) -> pl.DataFrame:
    """One row per unit and group: `by`, `unit_amount`, `unit_cases`, `all_amount`, `all_cases`.

    `cells`: columns of `by`, `group`, the sums `amount` (Int64, fen or days) and `cases` (Int64) of the cells.
    Groups in which the whole region used nothing are left out.
    """
    whole = cells.group_by("group").agg(
        pl.col(amount).sum().alias("all_amount"), pl.col(cases).sum().alias("all_cases")
    )
    own = cells.group_by(*dict.fromkeys([*by, "group"])).agg(
        pl.col(amount).sum().alias("unit_amount"), pl.col(cases).sum().alias("unit_cases")
    )
    used = (pl.col("unit_cases") > 0) & (pl.col("all_amount") > 0)
    return own.join(whole, on="group").filter(used).select(*by, *_TERMS)


def exact_indices(terms: pl.DataFrame, by: Sequence[str]) -> dict[tuple[str, ...], Fraction]:
    """The index of every unit, as a fraction."""
    sums: dict[tuple[str, ...], list[Fraction]] = {}
    counts: dict[tuple[str, ...], int] = {}
    for *unit, amount, cases, all_amount, all_cases in terms.select(*by, *_TERMS).iter_rows():
        key = tuple(unit)
        sums.setdefault(key, []).append(Fraction(amount * all_cases, all_amount))
        counts[key] = counts.get(key, 0) + cases
    return {key: _sum(parts) / counts[key] for key, parts in sums.items()}


def shown_indices(terms: pl.DataFrame, by: Sequence[str], places: int) -> dict[tuple[str, ...], str]:
    """The index of every unit, rounded half up to `places` decimals."""
    wide = [pl.col(name).cast(pl.Int128) for name in ("unit_amount", "all_cases", "all_amount")]
    summed = (
        terms.lazy()
        .with_columns((wide[0] * wide[1] * _CUT // wide[2]).alias("part"))
        .group_by(*by)
        .agg(pl.col("part").sum(), pl.col("unit_cases").sum(), pl.len().alias("parts"))
        .collect()
        if by
        else terms.select(
            (wide[0] * wide[1] * _CUT // wide[2]).sum().alias("part"),
            pl.col("unit_cases").sum(),
            pl.len().alias("parts"),
        ).filter(pl.col("parts") > 0)
    )
    found: dict[tuple[str, ...], str] = {}
    unsure = []
    for *unit, part, cases, parts in summed.iter_rows():
        key = tuple(unit)
        low, high = (decimal_text(Fraction(value, _CUT * cases), places) for value in (part, part + parts))
        found[key] = low
        if low != high:
            unsure.append(key)
    if unsure:
        chosen = pl.DataFrame(unsure, schema={name: terms.schema[name] for name in by}, orient="row") if by else None
        rest = terms if chosen is None else terms.join(chosen, on=list(by), how="semi")
        exact = exact_indices(rest, by)
        found |= {key: decimal_text(exact[key], places) for key in unsure}
    return found


def _sum(parts: list[Fraction]) -> Fraction:
    """Fractions added two by two, so that their denominators grow late."""
    while len(parts) > 1:
        paired = [left + right for left, right in zip(parts[::2], parts[1::2], strict=False)]
        parts = paired + parts[len(parts) & ~1 :]
    return parts[0]
