"""Indicators of hospitals, departments, groups and the region, from grouped (and priced) cases.

Cases are summed into cells first (hospital, department, group): counts and exact integer sums that add up over files,
months and threads. Every indicator is one quotient of such sums, rounded half up at its end. What each one is and
where its definition comes from stands in `reference_tables/indicators.toml`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import polars as pl

from budget.case_fit import DUPLICATE
from budget.consumption import consumption_terms, shown_indices
from budget.money import FEN, decimal_text
from reference_tables.indicator_rules import IndicatorRules, SchemeKind

CELL = ("hospital_id", "department", "group")
LEVELS: dict[str, tuple[str, ...]] = {
    "region": (), "hospital": ("hospital_id",), "department": ("hospital_id", "department"), "group": ("group",),
}  # fmt: skip
LEVEL_ZH = {"region": "全区", "hospital": "医疗机构", "department": "科室", "group": "病组"}
NAMES = ("hospital_name", "name")
_WEIGHT_UNIT = 10**10
_PACKAGE_LOW, _PACKAGE_HIGH = ("low",), ("high", "extreme")

CASE_COLUMNS: dict[str, pl.DataType] = {
    "hospital_id": pl.String(), "hospital_name": pl.String(), "department": pl.String(), "group": pl.String(),
    "name": pl.String(), "status": pl.String(), "kind": pl.String(), "weight": pl.Decimal(28, 10),
    "cost_fen": pl.Int64(), "los_days": pl.Int32(), "case_kind": pl.String(), "fund_fen": pl.Int64(),
}  # fmt: skip
"""One row a case. `weight` RW or score of its group, null = none; `cost_fen` the whole cost of the stay; `case_kind`
and `fund_fen` as priced, null where no price is known."""


def case_cells(cases: pl.DataFrame, scheme: SchemeKind, rules: IndicatorRules) -> pl.DataFrame:
    """Counts and sums of CASE_COLUMNS by CELL, in the order of its keys; repeated records left out.

    Amounts must be below 10^15 fen each; sums of fen are Int64, `weight_sum` Int128 in 10^-10.
    """
    grouped = pl.col("status") == "GROUPED"
    cost, days = (
        pl.col("cost_fen").fill_null(0).clip(lower_bound=0),
        pl.col("los_days").fill_null(0).clip(lower_bound=0),
    )
    costed, stayed = cost > 0, days > 0
    kind = pl.col("case_kind")
    case_based = kind.is_in(rules.case_based).fill_null(value=False)
    counts: dict[str, pl.Expr] = {
        "grouped": grouped,
        "weighted": pl.col("weight").is_not_null(),
        "costed": costed,
        "stayed": stayed,
        "index_costed": grouped & costed,
        "index_stayed": grouped & stayed,
        "ambiguous": pl.col("status") == "AMBIGUOUS",
        "ungrouped": pl.col("status") == "UNGROUPED",
        "invalid": pl.col("status") == "INVALID",
        "mixed": grouped & (pl.col("kind") == "mixed"),
        "low": kind.is_in(_PACKAGE_LOW),
        "high": kind.is_in(_PACKAGE_HIGH),
        "fund_unknown": pl.col("fund_fen").is_null(),
    }
    letter = pl.col("group").str.slice(1, 1)
    for part, letters in rules.partition.items():
        counts[part] = grouped & letter.is_in(list(letters)) if scheme == "DRG" else pl.lit(value=False)
    fund = pl.col("fund_fen").fill_null(0)
    sums: dict[str, pl.Expr] = {
        "weight_sum": (pl.col("weight").cast(pl.Decimal(38, 10)) * _WEIGHT_UNIT).cast(pl.Int128).fill_null(0),
        "cost": cost,
        "days": days.cast(pl.Int64),
        "index_cost": pl.when(grouped).then(cost).otherwise(0),
        "index_days": pl.when(grouped).then(days).otherwise(0).cast(pl.Int64),
        "case_based_cost": pl.when(case_based).then(cost).otherwise(0),
        "fund": fund,
        "case_based_fund": pl.when(case_based).then(fund).otherwise(0),
    }
    return (
        cases.lazy()
        .filter(pl.col("status") != DUPLICATE)
        .with_columns(pl.col(name).fill_null("") for name in CELL)
        .group_by(*CELL)
        .agg(
            pl.len().cast(pl.Int64).alias("cases"),
            *(expr.fill_null(value=False).cast(pl.Int64).sum().alias(name) for name, expr in counts.items()),
            *(expr.sum().alias(name) for name, expr in sums.items()),
            *(pl.col(name).drop_nulls().min() for name in NAMES),
        )
        .sort(*CELL)
        .collect()
    )


def add_cells(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Cells of several stretches of cases as those of all of them, whatever their order."""
    if len(parts) == 1:
        return parts[0]
    together = pl.concat(parts)
    sums = [name for name in together.columns if name not in {*CELL, *NAMES}]
    added = together.group_by(*CELL).agg(
        *(pl.col(name).sum() for name in sums), *(pl.col(name).min() for name in NAMES)
    )
    return added.select(together.columns).sort(*CELL)


def unit_indicators(
    cells: pl.DataFrame, level: str, scheme: SchemeKind, rules: IndicatorRules, *, priced: bool
) -> pl.DataFrame:
    """One row per unit of a level (key of LEVELS), by its keys: level, hospital_id, hospital_name, department, group,
    name ("" where they do not apply), then the indicators; whole numbers Int64, the others as decimal text, null
    where nothing stands below the line."""
    by = LEVELS[level]
    chosen = rules.of(scheme, priced=priced)
    sums = [name for name in cells.columns if name not in {*CELL, *NAMES}]
    groups = pl.col("group").filter(pl.col("grouped") > 0).n_unique().cast(pl.Int64).alias("groups")
    wanted = [*(pl.col(name).sum() for name in sums), groups, *(pl.col(name).min() for name in NAMES)]
    units = cells.group_by(*by).agg(wanted).sort(*by) if by else cells.select(wanted)
    indices = {}
    for name, amount, count in (
        ("cost_index", "index_cost", "index_costed"),
        ("time_index", "index_days", "index_stayed"),
    ):
        terms = consumption_terms(cells, by, amount, count)
        indices[name] = shown_indices(terms, by, rules.indicators[name].places or 0)
    rows = []
    for unit in units.iter_rows(named=True):
        key = tuple(unit[name] for name in by)
        values = _quotients(unit, rules.scale[scheme]) | {name: found.get(key) for name, found in indices.items()}
        row = {"level": level} | {name: unit[name] if name in by else "" for name in CELL}
        row["hospital_name"] = (unit["hospital_name"] or "") if "hospital_id" in by else ""
        row["name"] = (unit["name"] or "") if "group" in by else ""
        for indicator in chosen:
            value = values[indicator.name]
            row[indicator.name] = decimal_text(value, indicator.places or 0) if isinstance(value, Fraction) else value
        rows.append(row)
    heads = ("level", "hospital_id", "hospital_name", "department", "group", "name")
    schema = dict.fromkeys(heads, pl.String) | {
        found.name: pl.Int64 if found.places is None else pl.String for found in chosen
    }
    return pl.DataFrame(rows, schema=schema)


def _quotients(unit: dict[str, int], scale: int) -> dict[str, Fraction | int | None]:
    """Every indicator of one unit but the consumption indices."""

    def share(part: str, whole: str = "cases") -> Fraction | None:
        return Fraction(unit[part], unit[whole]) if unit[whole] else None

    weight = Fraction(unit["weight_sum"], _WEIGHT_UNIT)
    mean_cost = share("cost", "costed")
    return {
        "cases": unit["cases"],
        "grouped_cases": unit["grouped"],
        "groups": unit["groups"],
        "total_weight": weight,
        "cmi": weight / unit["weighted"] / scale if unit["weighted"] else None,
        "mean_cost": None if mean_cost is None else mean_cost / FEN,
        "mean_stay": share("days", "stayed"),
        "low_rate": share("low"),
        "high_rate": share("high"),
        "ambiguous_rate": share("ambiguous"),
        "ungrouped_rate": share("ungrouped"),
        "invalid_rate": share("invalid"),
        "mixed_share": share("mixed", "grouped"),
        "surgical_share": share("surgical", "grouped"),
        "nonoperative_share": share("nonoperative", "grouped"),
        "medical_share": share("medical", "grouped"),
        "case_based_cost_share": share("case_based_cost", "cost"),
        "case_based_fund_share": None if unit["fund_unknown"] else share("case_based_fund", "fund"),
    }
