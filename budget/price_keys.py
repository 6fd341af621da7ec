"""The different price keys of a frame of cases, and the key of each case: only what the policy looks at counts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget.case_fit import asks_tier
from budget.case_routes import young_cases
from budget.group_values import GroupValues
from budget.price_terms import PriceKey
from reference_tables.policy import Policy
from reference_tables.policy_schema import policy_schema

_SECTIONS = ("价格", "倍率", "特殊病组", "不按病组支付", "统筹基金")
_NOT_OF_THE_PLAN = "bed_day_price"  # looked up by the case, not by its plan row
_DENSE = 1 << 22
_MISSING = ""


def pricing_keys(policy: Policy) -> tuple[str, ...]:
    """The parameters of a policy that a plan row may depend on beside what the case says of itself."""
    parameters = policy_schema().parameters
    given = dict.fromkeys(setting.key for setting in policy.settings)
    return tuple(key for key in given if parameters[key].section in _SECTIONS and key != _NOT_OF_THE_PLAN)


def price_keys(
    cases: pl.DataFrame, route: pl.Series, policy: Policy, values: GroupValues
) -> tuple[list[PriceKey], NDArray[np.int64]]:
    """The different keys in the order of their first case, and int64 [cases]: the key of each case."""
    asked = pricing_keys(policy)
    named = frozenset[str]().union(*(policy.names(key) for key in asked))
    dated = any(policy.dated(key) for key in asked)
    nothing = pl.lit(_MISSING)
    scores = policy.method == "dip"
    parts = {
        "hospital": pl.col("hospital_id") if "hospital" in named else nothing,
        "tier": pl.col("tier") if asks_tier(policy, values) else nothing,
        "insurance": pl.col("insurance"),
        "month": pl.col("month") if dated else nothing,
        "group": pl.col("group"),
        "status": pl.col("status"),
        "kind": pl.col("kind") if scores else nothing,
        "aux": pl.col("aux_factor") if scores else pl.lit(None, dtype=pl.Decimal(10, 4)),
        "primary_care": pl.col("primary_care").fill_null(value=False) if scores else pl.lit(value=False),
        "young": young_cases(cases, policy),
    }
    frame = cases.select(expr.alias(name) for name, expr in parts.items()).with_columns(route.alias("route"))
    number = np.zeros(cases.height, np.int64)
    for column in frame.iter_columns():
        codes, count = _codes(column)
        if count > 1:
            number = _dense(number * count + codes)
    _, first, key = np.unique(number, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    rows = frame[first[order]]
    return [_key(row) for row in rows.iter_rows(named=True)], place[key.ravel()]


def _codes(column: pl.Series) -> tuple[NDArray[np.int64], int]:
    """A number from 0 for each different value of a column, and how many there are."""
    if len(column) and column.n_unique() == 1:
        return np.zeros(len(column), np.int64), 1
    if column.dtype == pl.String:
        values = column.unique().drop_nulls()
        codes = column.cast(pl.Enum(values)).to_physical().cast(pl.Int64).fill_null(-1).to_numpy() + 1
    else:
        codes = column.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    return codes, int(codes.max(initial=0)) + 1


def _dense(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same distinctions in small numbers, so that further columns can be multiplied in."""
    top = int(numbers.max(initial=0))
    if top <= _DENSE:
        return numbers
    if top <= 1 << 26:
        seen = np.zeros(top + 1, np.bool_)
        seen[numbers] = True
        return (np.cumsum(seen) - 1)[numbers]
    return np.unique(numbers, return_inverse=True)[1].ravel().astype(np.int64)


def _key(row: dict[str, Any]) -> PriceKey:
    aux: Decimal | None = row.pop("aux")
    plain: dict[str, Any] = {name: _MISSING if value is None else value for name, value in row.items()}
    return PriceKey(aux="" if aux is None or aux == 1 else str(aux), **plain)
