"""The benchmark's scenario lines (G10): totals of many weight scenarios over the naive loop that prices every case.

The naive loop goes scenario by scenario over all cases in NumPy and floating point, outliers decided anew, and adds up
by hospital or by group. It does less than the exact sums: a high limit that changes with the weight stays as it was,
so its totals differ by what the report tells. Times are those of the processor.

    python -m benchmarks.simulate_lines --folder DIR [--cases 1000000] [--scenarios 100] [--naive 10]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from benchmarks.grouped_cases import write_grouped
from budget.group_values import GroupValues
from budget.pricing import PricedCases, Pricer
from budget.scenario_moves import Move, Scenarios
from budget.scenario_sums import GROUP, HOSPITAL, ScenarioSums
from reference_tables.group_weights import find_group_weights
from reference_tables.policy import load_policy

Numbers = NDArray[np.number]
POLICY, HOSPITALS, SEED = "synthetic-city-drg-rate", 40, 20261001
_CHEAPEST, _DEAREST, _ONE = 900, 1100, 1000


def naive(priced: PricedCases, cases: pl.DataFrame, factor: Numbers, owner: Numbers) -> tuple[Numbers, ...]:
    """Package and fund of one scenario by owner; `factor` by case. Rows with low, normal and high bands; others as they
    are."""
    bands = [row.bands for row in priced.table.rows]
    moves = np.array([row.limit is not None for row in priced.table.rows])[priced.row]
    ends = np.array([[band[0].upper or 0, band[1].upper or 0] if len(band) > 2 else [0, 0] for band in bands], float)
    lines = [band[1] if len(band) > 2 else band[0] for band in bands]
    normal = np.array([float(line.package.intercept) for line in lines])
    high = [band[2] if len(band) > 2 else band[0] for band in bands]
    slope = np.array([float(line.package.slope) for line in high])
    above = np.array([float(line.package.intercept) for line in high])
    row, cost = priced.row, priced.cost.astype(float)
    started = time.process_time()
    low_end, high_end = ends[row, 0] * factor, ends[row, 1] * factor
    beyond = slope[row] * cost + above[row] * factor
    package = np.where(cost <= low_end, cost, np.where(cost <= high_end, normal[row] * factor, beyond))
    package = np.where(moves, np.floor(package + 0.5), priced.frame["package_fen"].to_numpy())
    paid = cases["patient_paid_fen"].to_numpy() + cases["other_funds_fen"].to_numpy()
    fund = np.where(moves & (cost > low_end), np.maximum(package - paid, 0), cases["fund_by_item_fen"].to_numpy())
    count = int(owner.max()) + 1
    found = np.bincount(owner, package, count), np.bincount(owner, fund, count)
    return *found, np.array(time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--scenarios", type=int, default=100)
    parser.add_argument("--naive", type=int, default=10, help="scenarios that the naive loop is timed on")
    args = parser.parse_args()
    policy = load_policy(POLICY)
    assert policy.weights
    weights = find_group_weights(policy.weights)
    args.folder.mkdir(parents=True, exist_ok=True)
    source = args.folder / f"scenarios-{args.cases}.parquet"
    if not source.exists():
        write_grouped(source, weights, args.cases, HOSPITALS, SEED)
    cases = pl.read_parquet(source)
    pricer = Pricer(policy, GroupValues.of_frame(weights.frame))
    priced = pricer.price(cases, display=False)
    started = time.process_time()
    sums = ScenarioSums(cases, priced, pricer)
    built = time.process_time() - started
    groups = sorted(set(weights.frame["group"].to_list()))
    values = np.random.default_rng(SEED).integers(_CHEAPEST, _DEAREST + 1, (args.scenarios, len(groups)))
    move = Move("weight", values, _ONE, ("group",), tuple((group,) for group in groups))
    place = {group: at for at, group in enumerate(groups)}
    own = cases["group"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    report: dict[str, object] = {"cases": cases.height, "scenarios": args.scenarios, "build_seconds": round(built, 3)}
    for name, by in (("hospital", HOSPITAL[:1]), ("group", GROUP)):
        sums.totals(Scenarios((move,), args.scenarios), by, kinds=False)
        started = time.process_time()
        found = sums.totals(Scenarios((move,), args.scenarios), by, kinds=False)
        seconds = time.process_time() - started
        order = {owner: at for at, owner in enumerate(found.owners[by[0]].to_list())}
        owner = cases[by[0]].replace_strict(order, return_dtype=pl.Int64).to_numpy()
        slow = 0.0
        for at in range(args.naive):
            package, _, taken = naive(priced, cases, values[at][own] / _ONE, owner)
            slow += float(taken)
            off = float(np.abs(package - found.package_fen[at]).max() / cases.height)
            report[f"{name}: greatest difference, fen a case"] = round(off, 3)
        report[name] = {
            "seconds": round(seconds, 3), "naive_seconds": round(slow / args.naive * args.scenarios, 2),
            "ratio": round(slow / args.naive * args.scenarios / seconds, 1), "looked_at": found.looked_at,
            "planned": found.planned,
        }  # fmt: skip
    sys.stdout.buffer.write(orjson.dumps(report, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main()
