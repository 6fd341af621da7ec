"""Many grouped cases at once for the money lines of the benchmark: groups drawn, not grouped.

PAYABLE_SCHEMA, block by block, of a made-up city with any number of hospitals. Groups come as often as a heavy-tailed
draw says, costs lie around the group's weight as in `case_money`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.case_money import draw_money, quantiles
from benchmarks.draws import Draws, Ints, rank_weights
from benchmarks.hospitals import city_hospitals
from benchmarks.year_office import TIERS
from budget.frames import PAYABLE_SCHEMA
from reference_tables.group_weights import GroupWeights

BLOCK_ROWS = 1 << 18
YEAR = 2026
_E3 = 1000


def grouped_blocks(weights: GroupWeights, count: int, hospitals: int, seed: int) -> Iterator[pl.DataFrame]:
    """`count` cases of the groups of a weight table, at `hospitals` hospitals, as PAYABLE frames."""
    groups = list(weights.rw_e6)
    often = rank_weights(len(groups), Draws(seed), 10_000_000, 40)
    city = city_hospitals(hospitals)
    columns = {
        "hospital_id": [item.id for item in city],
        "hospital_name": [item.name for item in city],
        "tier": [TIERS[item.level] for item in city],
    }
    of_hospital = pl.DataFrame(columns)
    sizes = [item.size * item.level * item.level for item in city]
    level = np.array([item.level for item in city])
    weight = np.array([value // _E3 for value in weights.rw_e6.values()], dtype=np.int64)
    for first in range(0, count, BLOCK_ROWS):
        rows = min(BLOCK_ROWS, count - first)
        draws = Draws(seed, 1, first)
        group, hospital = draws.weighted(often, rows), draws.weighted(sizes, rows)
        employee = draws.chance(450, rows)
        operated = weight[group] > 1200
        money = draw_money(
            draws, weight=weight[group], operated=operated, level=level[hospital], employee=employee,
            costly=quantiles(draws, rows),
        )  # fmt: skip
        month = draws.below(12, rows)
        given = pl.DataFrame(
            {
                "case_id": _ids(first, rows),
                "group": pl.Series(groups).gather(pl.Series(group)),
                "month": pl.Series([f"{YEAR}-{at:02d}" for at in range(1, 13)]).gather(pl.Series(month)),
                "insurance": pl.Series(np.where(employee, "职工", "居民")),
                "total_cost_fen": money.total,
                "fund_by_item_fen": money.fund,
                "patient_paid_fen": money.self_pay + money.own_pay,
                "los_days": pl.Series(draws.between(1, 20, rows), dtype=pl.Int32),
                "age_years": pl.Series(draws.between(0, 95, rows), dtype=pl.Int32),
            }
        )
        plain = {"status": "GROUPED", "kind": "", "name": "", "mdc": "", "primary_care": False, "separate_fen": 0,
                 "other_funds_fen": 0, "self_funded_fen": 0, "prior_self_pay_fen": 0, "deductible_fen": 0}  # fmt: skip
        known = pl.concat([given, of_hospital[pl.Series(hospital)]], how="horizontal")
        known = known.with_columns(pl.lit(value).alias(name) for name, value in plain.items())
        known = known.with_columns(pl.concat_str("month", pl.lit("-15")).str.to_date().alias("discharge"))
        yield known.select(
            (pl.col(name) if name in known.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in PAYABLE_SCHEMA.items()
        )


def _ids(first: int, rows: int) -> pl.Series:
    return pl.select(pl.int_range(first, first + rows).cast(pl.String).str.zfill(9)).to_series()


def write_grouped(path: Path, weights: GroupWeights, count: int, hospitals: int, seed: int) -> Ints:
    """The same cases as one Parquet file of many row groups; the number of rows of each block."""
    folder = path.with_suffix(".parts")
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[int] = []
    parts: list[Path] = []
    for at, block in enumerate(grouped_blocks(weights, count, hospitals, seed)):
        parts.append(folder / f"{at:05d}.parquet")
        block.write_parquet(parts[-1])
        rows.append(block.height)
    pl.scan_parquet(parts).sink_parquet(path, row_group_size=BLOCK_ROWS)
    for part in parts:
        part.unlink()
    folder.rmdir()
    return np.array(rows, dtype=np.int64)
