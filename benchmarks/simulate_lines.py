"""The benchmark's simulation lines: totals of many weight scenarios (G10) and resampled years (G11) over naive loops.

The naive loop goes scenario by scenario over all cases in NumPy and floating point, outliers decided anew by the same
rules, and adds up by hospital or by group; its totals differ by what rounding leaves. Naive resampling draws every case
of every resample within hospital and group. Times are those of the processor.

    python -m benchmarks.simulate_lines --folder DIR [--cases 1000000] [--scenarios 100] [--resamples 1000] [--naive 10]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from benchmarks.grouped_cases import write_grouped
from budget.bootstrap import TERMS, draw_ratios
from budget.group_values import GroupValues
from budget.money import FEN
from budget.price_terms import COMMAND
from budget.pricing import PricedCases, Pricer
from budget.scenario_moves import Move, Scenarios
from budget.scenario_sums import GROUP, HOSPITAL, ScenarioSums
from reference_tables.group_weights import find_group_weights
from reference_tables.policy import load_policy

Numbers = NDArray[np.number]
POLICY, HOSPITALS, SEED = "synthetic-city-drg-rate", 40, 20261001
_CHEAPEST, _DEAREST, _ONE = 900, 1100, 1000
_ROUNDS = 5
_PRECISE = 20


class Naive:
    """The naive loop: the columns that it needs of every case, gathered once; then one scenario after the other.

    Rows with low, normal and high bands follow the scenario, their high limit with their weight; others stay as they
    are. All in floating point, so that a case in a million may be a fen off.
    """

    def __init__(self, priced: PricedCases, cases: pl.DataFrame, pricer: Pricer) -> None:
        rows, row = priced.table.rows, priced.row
        self.moves = np.array([item.limit is not None for item in rows])[row]
        self.cost = priced.cost.astype(float)
        self.weight = np.array([float(item.weight or 0) for item in rows])[row]
        self.normal = np.array([float(item.bands[1].package.intercept) if item.limit else 0 for item in rows])[row]
        reference = np.array([float(item.reference or 0) * FEN for item in rows])
        bands = [pricer.terms.look("high_limit", key) for key in priced.keys]
        # The weights up to which each of three limits holds, and the costs that the limits stand for.
        self.upto = np.array([[float(band[at].up_to) for at in range(2)] for band in bands])[row].T.copy()
        self.limit = (np.array([[float(part.limit) for part in band] for band in bands]) * reference[:, None])[
            row
        ].T.copy()
        low = np.array([float(pricer.terms.look("low_limit", key)) for key in priced.keys])
        self.low = (low * reference)[row]
        percent = pricer.policy.need("high_percent", COMMAND)
        assert percent is not None, "the formula of this policy asks for it"
        self.percent = float(percent.value)
        self.kept = priced.frame["package_fen"].to_numpy(), priced.frame["fund_fen"].fill_null(0).to_numpy()
        self.billed = cases["fund_by_item_fen"].to_numpy()
        self.paid = cases["patient_paid_fen"].to_numpy() + cases["other_funds_fen"].to_numpy()

    def scenario(self, factor: Numbers, owner: Numbers, count: int) -> tuple[Numbers, Numbers]:
        """Package and fund by owner; `factor` on the weight of each case."""
        weight, cost = self.weight * factor, self.cost
        limit = np.where(weight <= self.upto[0], self.limit[0], np.where(weight <= self.upto[1], *self.limit[1:]))
        low, high, normal = self.low * factor, limit * factor, self.normal * factor
        package = np.where(cost < low, cost, np.where(cost <= high, normal, normal + self.percent * (cost - high)))
        package = np.where(self.moves, np.floor(package + 0.5), self.kept[0])
        fund = np.where(cost < low, self.billed, np.maximum(package - self.paid, 0))
        fund = np.where(self.moves, fund, self.kept[1])
        return np.bincount(owner, package, count), np.bincount(owner, fund, count)


def scenario_lines(folder: Path, count: int, scenarios: int, naive: int) -> dict[str, Any]:
    """Totals of the scenarios over the naive loop, which is timed on `naive` of them; medians."""
    policy = load_policy(POLICY)
    assert policy.weights
    weights = find_group_weights(policy.weights)
    cases = grouped(folder, count)
    pricer = Pricer(policy, GroupValues.of_frame(weights.frame))
    priced = pricer.price(cases, display=False)
    started = time.process_time()
    sums = ScenarioSums(cases, priced, pricer)
    report: dict[str, Any] = {"cases": count, "scenarios": scenarios}
    report["build_seconds"] = round(time.process_time() - started, 3)
    groups = sorted(set(weights.frame["group"].to_list()))
    values = np.random.default_rng(SEED).integers(_CHEAPEST, _DEAREST + 1, (scenarios, len(groups)))
    move = Move("weight", values, _ONE, ("group",), tuple((group,) for group in groups))
    place = {group: at for at, group in enumerate(groups)}
    own = cases["group"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    slow = Naive(priced, cases, pricer)
    for name, by in (("hospital", HOSPITAL[:1]), ("group", GROUP)):
        sums.totals(Scenarios((move,), scenarios), by, kinds=False)
        times = []
        for _ in range(_ROUNDS):
            started = time.process_time()
            found = sums.totals(Scenarios((move,), scenarios), by, kinds=False)
            times.append(time.process_time() - started)
        order = {owner: at for at, owner in enumerate(found.owners[by[0]].to_list())}
        owner = cases[by[0]].replace_strict(order, return_dtype=pl.Int64).to_numpy()
        slow_times, off = [], 0.0
        for at in range(min(naive, scenarios)):
            started = time.process_time()
            package, fund = slow.scenario((values[at] / _ONE)[own], owner, len(order))
            slow_times.append(time.process_time() - started)
            for told, exact in ((package, found.package_fen[at]), (fund, found.fund_fen[at])):
                off = max(off, float(np.abs(told - exact).max()))
        seconds, slow_seconds = median(times), median(slow_times) * scenarios
        report[name] = {
            "seconds": round(seconds, 3), "naive_seconds": round(slow_seconds, 2),
            "ratio": round(slow_seconds / seconds, 1), "looked_at": found.looked_at, "planned": found.planned,
            "greatest_difference_fen": round(off),
        }  # fmt: skip
    return report


def bootstrap_line(folder: Path, count: int, resamples: int, naive: int) -> dict[str, Any]:
    """Resampled sums by hospital and pool over naive resampling, which is timed on `naive` resamples; and how far the
    standard deviations of every sum lie from those of resampling within hospital and group, which are known exactly:
    the root of the sum of n x variance. They are told of _PRECISE times as many resamples, whose number alone leaves
    them off by the root of 1 / 2 n."""
    cases = grouped(folder, count)
    policy = load_policy(POLICY)
    assert policy.weights
    priced = Pricer(policy, GroupValues.of_frame(find_group_weights(policy.weights).frame)).price(cases, display=False)
    # One case in fifty stands for those that are paid at cost.
    fixed, fen = pl.int_range(pl.len()) % 50 == 0, pl.Int64
    frame = cases.select(
        hospital="hospital_id", pool="insurance", group="group",
        units=pl.when(~fixed).then(priced.frame["package_fen"]).otherwise(0).cast(fen),
        priced=pl.when(~fixed).then(priced.frame["fund_fen"].fill_null(0)).otherwise(0).cast(fen),
        patient=pl.when(~fixed).then("patient_paid_fen").otherwise(0).cast(fen),
        fixed=pl.when(fixed).then("fund_by_item_fen").otherwise(0).cast(fen), actual=pl.col("fund_by_item_fen"),
    )  # fmt: skip
    times = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        draw_ratios([frame], resamples, SEED)
        times.append(time.process_time() - started)
    seconds = median(times)
    ordered = frame.sort("hospital", "group").with_columns(
        stratum=pl.struct("hospital", "group").rle_id(), owner=pl.struct("hospital", "pool").rank("dense") - 1
    )
    stratum, owner = ordered["stratum"].to_numpy(), ordered["owner"].to_numpy().astype(np.int64)
    size = np.bincount(stratum)
    first, width = (np.cumsum(size) - size)[stratum], size[stratum]
    terms = [ordered[name].cast(pl.Float64).to_numpy() for name in TERMS]
    draws, slow = np.random.default_rng(SEED), []
    for _ in range(naive):
        started = time.process_time()
        drawn = first + (draws.random(count) * width).astype(np.int64)
        whose = owner[drawn]
        for values in terms:
            np.bincount(whose, values[drawn])
        slow.append(time.process_time() - started)
    (ratios,), off = draw_ratios([frame], _PRECISE * resamples, SEED), []
    for (hospital, pool), ratio in ratios.items():
        own = ordered.filter(pl.col("hospital") == hospital).with_columns(
            pl.when(pl.col("pool") == pool).then(pl.col(TERMS)).otherwise(0)
        )
        variance = own.group_by("group").agg(pl.col(TERMS).var(ddof=0) * pl.len()).select(pl.col(TERMS).sum())
        for at, name in enumerate(TERMS):
            if spread := float(variance[name][0]) ** 0.5:
                off.append(float(ratio[:, at].std() * own[name].sum() / spread) - 1)
    slow_seconds = median(slow) * resamples
    return {
        "cases": count, "resamples": resamples, "seconds": round(seconds, 2), "naive_seconds": round(slow_seconds, 1),
        "ratio": round(slow_seconds / seconds, 1), "sums": len(off),
        "deviations_off_on_average": round(float(np.mean(off)), 4),
        "deviations_off_at_most": round(float(np.abs(off).max()), 4),
        "deviations_of_resamples": _PRECISE * resamples,
    }  # fmt: skip


def grouped(folder: Path, count: int) -> pl.DataFrame:
    """The cases of the lines, made once."""
    policy = load_policy(POLICY)
    assert policy.weights
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"scenarios-{count}.parquet"
    if not source.exists():
        write_grouped(source, find_group_weights(policy.weights), count, HOSPITALS, SEED)
    return pl.read_parquet(source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--scenarios", type=int, default=100)
    parser.add_argument("--naive", type=int, default=10, help="scenarios that the naive loop is timed on")
    parser.add_argument("--resamples", type=int, default=1000)
    args = parser.parse_args()
    report = {
        "scenarios": scenario_lines(args.folder, args.cases, args.scenarios, args.naive),
        "bootstrap": bootstrap_line(args.folder, args.cases, args.resamples, args.naive),
    }
    sys.stdout.buffer.write(orjson.dumps(report, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main()
