"""The different price keys of a frame of cases, and the key of each case: only what the policy looks at counts."""

from __future__ import annotations

from collections.abc import Iterator
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
_DENSE = 1 << 16
_LARGEST = 1 << 62
_PLAIN = {
    "hospital": "", "tier": "", "insurance": "", "month": "", "group": "", "status": "", "kind": "",
    "primary_care": False, "young": False, "route": "",
}  # fmt: skip


def pricing_keys(policy: Policy) -> tuple[str, ...]:
    """The parameters of a policy that a plan row may depend on beside what the case says of itself."""
    parameters = policy_schema().parameters
    given = dict.fromkeys(setting.key for setting in policy.settings)
    return tuple(key for key in given if parameters[key].section in _SECTIONS and key != _NOT_OF_THE_PLAN)


def key_columns(policy: Policy, values: GroupValues) -> dict[str, str]:
    """What a plan row may depend on beside the route: columns of PAYABLE by their name in a key; young stands for
    itself."""
    asked = pricing_keys(policy)
    named = frozenset[str]().union(*(policy.names(key) for key in asked))
    scores = policy.method == "dip"
    asked_for = {
        "hospital": ("hospital_id", "hospital" in named),
        "tier": ("tier", asks_tier(policy, values)),
        "insurance": ("insurance", True),
        "month": ("month", any(policy.dated(key) for key in asked)),
        "group": ("group", True),
        "status": ("status", True),
        "kind": ("kind", scores),
        "aux": ("aux_factor", scores),
        "primary_care": ("primary_care", scores),
        "young": ("young", policy.has("age_factor")),
    }
    return {name: column for name, (column, wanted) in asked_for.items() if wanted}


def price_keys(
    cases: pl.DataFrame, route: pl.Series, policy: Policy, values: GroupValues
) -> tuple[list[PriceKey], NDArray[np.int64]]:
    """The different keys in the order of their first case, and int64 [cases]: the key of each case."""
    parts = {name: pl.col(column) for name, column in key_columns(policy, values).items()}
    if "primary_care" in parts:
        parts["primary_care"] = parts["primary_care"].fill_null(value=False)
    if "young" in parts:
        parts["young"] = young_cases(cases, policy)
    frame = cases.select(expr.alias(name) for name, expr in parts.items()).with_columns(route.alias("route"))
    first, key = _different(frame)
    return [_key(row) for row in frame[first].iter_rows(named=True)], key


def _different(frame: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first row of each different row of a frame, ascending, and int64 [rows]: which of them each row is like."""
    number = np.zeros(frame.height, np.int64)
    top = 1
    for codes, count in _numbered(frame):
        if top * count > _LARGEST:
            number = np.unique(number, return_inverse=True)[1].ravel().astype(np.int64)
            top = int(number.max(initial=0)) + 1
        number = number * count + codes
        top *= count
    if top > max(_DENSE, 4 * frame.height):
        number = np.unique(number, return_inverse=True)[1].ravel().astype(np.int64)
        top = int(number.max(initial=0)) + 1
    # Written backwards, the first row of each number is what stays.
    first = np.full(top, -1, np.int64)
    first[number[::-1]] = np.arange(frame.height - 1, -1, -1)
    rows = np.sort(first[first >= 0])
    place = np.empty(top, np.int64)
    place[number[rows]] = np.arange(len(rows))
    return rows, place.take(number)


def _numbered(frame: pl.DataFrame) -> Iterator[tuple[NDArray[np.int64], int]]:
    """For each column that has more than one value: a number from 0 for each of its values, and how many."""
    expressions = []
    for column in frame.iter_columns():
        if not len(column) or column.eq_missing(column.head(1)).all():
            continue
        if column.dtype == pl.String:
            # Numbers in the order of appearance, by one pass over the texts.
            expr = pl.col(column.name).cast(pl.Categorical(pl.Categories.random())).to_physical()
        else:
            values = column.unique().drop_nulls().sort()
            numbers = pl.Series(range(len(values)), dtype=pl.UInt32)
            expr = pl.col(column.name).replace_strict(values, numbers, default=None, return_dtype=pl.UInt32)
        expressions.append((expr.cast(pl.Int64) + 1).fill_null(0))
    for coded in frame.select(expressions).iter_columns():
        codes = coded.to_numpy()
        yield codes, int(codes.max()) + 1


def _key(row: dict[str, Any]) -> PriceKey:
    aux: Decimal | None = row.pop("aux", None)
    plain: dict[str, Any] = _PLAIN | {name: value for name, value in row.items() if value is not None}
    return PriceKey(aux="" if aux is None or aux == 1 else str(aux), **plain)
