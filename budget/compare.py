"""Gain and loss: the same cases priced twice, told by hospital, tier, department, group and so on, and after clearing.

Clearing pays hospitals, not cases: a hospital's cleared money of a pool is apportioned over its cells of a dimension by
the fund's part of their cases (largest remainder), so that every dimension adds up to the same totals, to the fen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from budget.compare_frames import DIMENSIONS, GAIN_SCHEMA, KIND_LABELS, TRANSITION_SCHEMA
from budget.money import apportion

COMPARED_SCHEMA: dict[str, pl.DataType] = {
    "hospital": pl.String(),
    "tier": pl.String(),
    "county_group": pl.String(),
    "department": pl.String(),
    "mdc": pl.String(),
    "group": pl.String(),
    "group_name": pl.String(),
    "insurance": pl.String(),
    "kind": pl.String(),
    "pool": pl.String(),
    "pool_after": pl.String(),
    "group_after": pl.String(),
    "group_after_name": pl.String(),
    "cases": pl.Int64(),
    "cost_fen": pl.Int64(),
    "package_before_fen": pl.Int64(),
    "package_after_fen": pl.Int64(),
    "fund_before_fen": pl.Int64(),
    "fund_after_fen": pl.Int64(),
}
"""One row per case, "" where not known. `pool`, `pool_after`: the pool its money is of before and after; `kind` before.
`cases`: 1, and 0 for a case that is there only after the reform (growth). A fund part that is not known on either side
counts 0 on both."""
_OF_MONEY = (
    "cases", "cost_fen", "package_before_fen", "package_after_fen", "fund_before_fen", "fund_after_fen",
)  # fmt: skip
UNKNOWN = "（不详）"
_LABELS_OF_NONE = {"county_group": "（不属医共体）", "department": "（未填科室）", "pool": "（不入基金池）"}
Owner = tuple[str, str]


@dataclass(frozen=True)
class Cleared:
    """What the fund pays hospitals after clearing, fen: `pools` by (hospital, pool), `bundles` by (hospital, county
    group), entitlement and shared."""

    pools: Mapping[Owner, int]
    bundles: Mapping[Owner, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.pools.values()) + sum(self.bundles.values())


def gains(
    compared: pl.DataFrame,
    before: Cleared | None = None,
    after: Cleared | None = None,
    *,
    labels: Mapping[str, Mapping[str, str]] | None = None,
    orders: Mapping[str, Sequence[str]] | None = None,
) -> pl.DataFrame:
    """GAIN_SCHEMA of COMPARED cases. `before`, `after`: both clearings or none; `labels` of keys by dimension;
    `orders`: the order of a dimension's keys (others after them, by key)."""
    names = _with_codes(labels or {}, compared)
    frames = [
        _dimension(compared, dimension, before, after, names.get(dimension, {}), (orders or {}).get(dimension, ()))
        for dimension in DIMENSIONS
    ]
    return pl.concat([pl.DataFrame(schema=GAIN_SCHEMA), *frames])


def _dimension(
    compared: pl.DataFrame,
    dimension: str,
    before: Cleared | None,
    after: Cleared | None,
    labels: Mapping[str, str],
    order: Sequence[str],
) -> pl.DataFrame:
    sums = compared.group_by(pl.col(dimension).alias("key")).agg(pl.col(*_OF_MONEY).sum())
    cleared = {"cleared_before_fen": before, "cleared_after_fen": after}
    for name, found in cleared.items():
        if found is None:
            sums = sums.with_columns(pl.lit(None, dtype=pl.Int64).alias(name))
            continue
        side = name.removeprefix("cleared_").removesuffix("_fen")
        parts = cleared_by(compared, dimension, found, side)
        frame = pl.DataFrame(
            {"key": list(parts), name: list(parts.values())}, schema={"key": pl.String, name: pl.Int64}
        )
        sums = sums.join(frame, on="key", how="full", coalesce=True).with_columns(pl.exclude("key").fill_null(0))
    ranks = {key: at for at, key in enumerate(order)}
    rank = pl.col("key").replace_strict(ranks, default=len(ranks), return_dtype=pl.Int64)
    none = _LABELS_OF_NONE.get(dimension, UNKNOWN)
    label = pl.when(pl.col("key") == "").then(pl.lit(none)).otherwise(
        pl.col("key").replace_strict(dict(labels), default=pl.col("key"), return_dtype=pl.String)
    )  # fmt: skip
    known = sums.with_columns(pl.lit(dimension).alias("dimension"), label.alias("label"), rank.alias("rank"))
    known = known.sort("rank", "key")
    return known.select(pl.col(name).cast(dtype) for name, dtype in GAIN_SCHEMA.items())


def cleared_by(compared: pl.DataFrame, dimension: str, cleared: Cleared, side: str) -> dict[str, int]:
    """Cleared money by key of a dimension; `side` before or after. Money of a hospital without any case in the pool is
    the hospital's and the pool's, and has the key "" in the other dimensions."""
    pool = "pool" if side == "before" else "pool_after"
    found: dict[str, int] = {}
    for column, owed in ((pool, cleared.pools), ("county_group", cleared.bundles)):
        if not owed:
            continue
        cells = _cells(compared, column, dimension, f"fund_{side}_fen")
        for owner, amount in owed.items():
            keys, weights = cells.get(owner, ([], []))
            if not keys:
                of_pool = owner[1] if dimension == "pool" and column == pool else ""
                key = owner[0] if dimension == "hospital" else of_pool
                found[key] = found.get(key, 0) + amount
                continue
            for key, part in zip(keys, apportion(amount, weights), strict=True):
                found[key] = found.get(key, 0) + part
    return found


def _cells(compared: pl.DataFrame, column: str, dimension: str, fund: str) -> dict[Owner, tuple[list[str], list[int]]]:
    """Keys of a dimension and their weights by owner (hospital, `column`), keys in order. The weight is the fund's
    part; where an owner has none the cost, and where it has no cost either all cells count alike."""
    weights = [pl.col(fund).clip(0).sum().alias("fund"), pl.col("cost_fen").clip(0).sum().alias("cost")]
    cells = compared.group_by("hospital", pl.col(column).alias("owner"), pl.col(dimension).alias("key")).agg(weights)
    owned = cells.group_by("hospital", "owner").agg(pl.col("key", "fund", "cost").sort_by("key"))
    found: dict[Owner, tuple[list[str], list[int]]] = {}
    for hospital, owner, keys, funds, costs in owned.iter_rows():
        chosen = funds if any(funds) else costs if any(costs) else [1] * len(keys)
        found[hospital, owner] = (keys, chosen)
    return found


def _with_codes(labels: Mapping[str, Mapping[str, str]], compared: pl.DataFrame) -> dict[str, Mapping[str, str]]:
    """Labels with the groups' names as the cases tell them, and the kinds of cases."""
    named = compared.filter(pl.col("group") != "").group_by("group").agg(pl.col("group_name").max())
    groups = {code: f"{code} {name}".rstrip() for code, name in named.iter_rows()}
    return {**labels, "kind": KIND_LABELS, "group": {**groups, **labels.get("group", {})}}


def transitions(compared: pl.DataFrame) -> pl.DataFrame:
    """TRANSITION_SCHEMA: every pair of groups before and after, by group."""
    names = {"group_before": "group", "group_after": "group_after"}
    money = [name for name in _OF_MONEY if name != "cases"]
    pairs = compared.group_by(*(pl.col(name).alias(to) for to, name in names.items())).agg(
        pl.col("group_name").max().alias("name_before"),
        pl.col("group_after_name").max().alias("name_after"),
        pl.col("cases").sum(),
        pl.col(money).sum(),
    )
    return pairs.sort(*names).select(pl.col(name).cast(dtype) for name, dtype in TRANSITION_SCHEMA.items())


def totals(gain: pl.DataFrame) -> dict[str, int | None]:
    """The totals of a GAIN frame; cleared ones None without clearing."""
    one = gain.filter(pl.col("dimension") == "hospital")
    names = [name for name, dtype in GAIN_SCHEMA.items() if dtype == pl.Int64()]
    return {name: None if one[name].null_count() == one.height else int(one[name].sum()) for name in names}


def owed(lines: Iterable[tuple[str, str, int]], pools: Iterable[str]) -> Cleared:
    """From (pool, hospital, fen) of all lines: those of a known pool, and those of county groups' bundles."""
    known = set(pools)
    by_pool: dict[Owner, int] = {}
    by_bundle: dict[Owner, int] = {}
    for pool, hospital, amount in lines:
        into = by_pool if pool in known else by_bundle
        into[hospital, pool] = into.get((hospital, pool), 0) + amount
    return Cleared(by_pool, by_bundle)
