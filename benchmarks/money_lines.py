"""The benchmark's money lines: payment with sums by three keys, and clearing a year, of many grouped cases.

Payment is measured against Polars doing the least of the same (G9): a join of a ready price table and a group-by, in
floating point and without routes, caps, fund shares or reasons. Clearing is measured against Polars reading the same
Parquet file (G13). The oracle prices the first cases one at a time in plain fractions and must agree.

    python -m benchmarks.money_lines --folder DIR --repeats 3 --threads 1
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import time
import tomllib
from importlib import import_module, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from api.core.clearing import Clearing, ClearingInput, clear_year
from benchmarks.draws import Draws
from benchmarks.grouped_cases import BLOCK_ROWS, YEAR, write_grouped
from benchmarks.hospitals import city_hospitals
from benchmarks.lines import Line, alternate
from benchmarks.year_office import write_year_file
from budget.clearing import statement_row
from budget.group_values import GroupValues
from budget.price_sums import KEYS, PriceSums
from budget.pricing import Pricer
from reference_tables.group_weights import GroupWeights, find_group_weights
from reference_tables.policy import Policy, load_policy
from reference_tables.year_file import load_year_file
from tests.oracle.money_oracle import MoneyOracle, Price

POLICY, HOSPITALS, SEED = "synthetic-city-drg-point", 500, 20261001
ORACLE_CASES = 2_000
BLOCK = 1 << 20
GIB = 1 << 30
_WORDS = {
    "case_id": "id", "hospital_id": "hospital", "tier": "tier", "month": "month", "insurance": "insurance",
    "group": "group", "status": "status", "kind": "kind", "primary_care": "primary", "aux_factor": "aux",
    "total_cost_fen": "total", "separate_fen": "separate", "fund_by_item_fen": "billed", "patient_paid_fen": "patient",
    "other_funds_fen": "other", "self_funded_fen": "own", "prior_self_pay_fen": "prior",
    "deductible_fen": "deductible", "los_days": "days", "age_years": "age", "discharge": "discharge", "tcm_fen": "tcm",
    "tcm_base_fen": "tcm_base",
}  # fmt: skip
"""Columns of PAYABLE as the oracle speaks of them."""
_FIGURES = ("case_id", "hospital_id", "insurance_type", "total_cost_fen", "fund_pay_fen")


def policy_and_weights() -> tuple[Policy, GroupWeights]:
    """The synthetic city's DRG policy and its weights."""
    policy = load_policy(POLICY)
    assert policy.weights
    return policy, find_group_weights(policy.weights)


def prepare(folder: Path, cases: int) -> None:
    """`cases` grouped cases of 500 hospitals as Parquet, and the year file they are cleared with."""
    folder.mkdir(parents=True, exist_ok=True)
    _, weights = policy_and_weights()
    source = folder / "grouped.parquet"
    write_grouped(source, weights, cases, HOSPITALS, SEED)
    codes = {"职工": "310", "居民": "390"}
    sums = (
        pl.scan_parquet(source)
        .group_by("insurance")
        .agg(pl.col("total_cost_fen", "fund_by_item_fen").sum())
        .sort("insurance")
        .collect()
    )
    figures = sums.select(
        pl.lit("").alias("case_id"),
        pl.lit("").alias("hospital_id"),
        pl.col("insurance").replace_strict(codes).alias("insurance_type"),
        "total_cost_fen",
        pl.col("fund_by_item_fen").alias("fund_pay_fen"),
    ).select(_FIGURES)
    write_year_file(folder / "year.toml", figures, city_hospitals(HOSPITALS), YEAR, Draws(SEED))
    text = (folder / "year.toml").read_text(encoding="utf-8").replace('decisions = "decisions.csv"\n', "")
    (folder / "year.toml").write_text(text, encoding="utf-8")


def oracle_rate(cases: pl.DataFrame, policy: Policy, values: GroupValues, weights: GroupWeights) -> float:
    """Cases a second of the row-at-a-time oracle; leaves when the product answers otherwise."""
    place = resources.files("reference_tables") / "policies" / f"{policy.id}.toml"
    given = {
        (row["group"], row["tier"], ""): {name: row[name] or "" for name in ("weight", "coefficient", "peer_average")}
        for row in weights.frame.iter_rows(named=True)
    }
    oracle = MoneyOracle(tomllib.loads(place.read_text(encoding="utf-8")), given)
    head = cases.head(ORACLE_CASES)
    rows = head.select(*(pl.col(name).alias(word) for name, word in _WORDS.items())).to_dicts()
    answers: list[Price | str] = []

    def work() -> None:
        answers[:] = oracle.price_all(rows)

    (seconds,) = alternate(2, work)
    frame = Pricer(policy, values).price(head, display=False).frame
    for answer, kind, package, fund in zip(
        answers, frame["case_kind"], frame["package_fen"], frame["fund_fen"], strict=True
    ):
        if not isinstance(answer, Price) or (answer.kind, answer.package, answer.fund) != (kind, package, fund):
            sys.exit("pricing and the oracle differ on the benchmark's own cases")
    return len(rows) / seconds


def price_table(pricer: Pricer, cases: pl.DataFrame) -> pl.DataFrame:
    """What a spreadsheet would join: by tier, insurance and group the upper ends of three bands and their lines."""
    found = pricer.price(cases, display=False)
    both = zip(found.keys, found.table.rows, strict=True)
    ordinary = [(key, row) for key, row in both if key.route == "" and len(row.bands) == 3]
    rows = []
    for key, row in ordinary:
        low, normal, high = (band.package for band in row.bands)
        ends = [band.upper or 0 for band in row.bands[:2]]
        lines = [float(part) for line in (low, normal, high) for part in (line.slope, line.intercept)]
        rows.append((key.tier, key.insurance, key.group, *ends, *lines))
    names = ("tier", "insurance", "group", "low_end", "normal_end", "a0", "b0", "a1", "b1", "a2", "b2")
    return pl.DataFrame(rows, schema=list(names), orient="row").unique(["tier", "insurance", "group"])


def pay_line(cases: pl.DataFrame, pricer: Pricer, rate: float, repeats: int) -> Line:
    """Exact payment of every case and its sums, over the least Polars can do for the like."""
    table = price_table(pricer, cases.head(BLOCK))
    blocks = [cases.slice(at, BLOCK) for at in range(0, cases.height, BLOCK)]

    def work() -> pl.DataFrame:
        sums = PriceSums(pricer)
        for block in blocks:
            sums.add(block)
        return sums.result()

    def limit() -> pl.DataFrame:
        cost = pl.col("total_cost_fen") - pl.col("separate_fen")
        joined = cases.lazy().join(table.lazy(), on=["tier", "insurance", "group"], how="left").with_columns(cost=cost)
        low, normal = pl.col("cost") <= pl.col("low_end"), pl.col("cost") <= pl.col("normal_end")
        package = (
            pl.when(low).then(pl.col("a0") * pl.col("cost") + pl.col("b0"))
            .when(normal).then(pl.col("a1") * pl.col("cost") + pl.col("b1"))
            .otherwise(pl.col("a2") * pl.col("cost") + pl.col("b2"))
        ).round()  # fmt: skip
        priced = joined.with_columns(package=package)
        fund = pl.max_horizontal(pl.col("package") - pl.col("patient_paid_fen") - pl.col("other_funds_fen"), pl.lit(0))
        return (
            priced.with_columns(fund=fund).group_by(KEYS).agg(pl.len(), pl.col("cost", "package", "fund").sum())
        ).collect()  # fmt: skip

    seconds, least = alternate(repeats, work, limit)
    digest = hashlib.sha256(work().rename({"cases": "len"}).write_csv().encode()).hexdigest()
    what = "polars joins a price table, groups"
    return Line("pay + sums by hospital, insurance, group", cases.height, seconds, what, least, rate, digest)


_DUCK = """
select hospital_id, insurance, "group", count(*), sum(cost), sum(package), sum(fund) from (
  select *, greatest(package - patient_paid_fen - other_funds_fen, 0) as fund from (
    select *, round(case when cost <= low_end then a0 * cost + b0 when cost <= normal_end then a1 * cost + b1
      else a2 * cost + b2 end) as package from (
      select cases.*, total_cost_fen - separate_fen as cost, prices.* exclude (tier, insurance, "group")
      from cases left join prices using (tier, insurance, "group"))))
group by hospital_id, insurance, "group"
"""


def over_duckdb(folder: Path, pricer: Pricer, repeats: int, threads: int) -> float | None:
    """Seconds of the payment line over DuckDB's for the same join and sums, its table in memory; None when DuckDB is
    not installed: nothing else here needs it."""
    if find_spec("duckdb") is None:
        return None
    source = folder / "grouped.parquet"
    cases = pl.read_parquet(source)
    prices = folder / "prices.parquet"
    price_table(pricer, cases.head(BLOCK)).write_parquet(prices)
    base = import_module("duckdb").connect(config={"threads": threads})
    columns = 'hospital_id, tier, insurance, "group", total_cost_fen, separate_fen, patient_paid_fen, other_funds_fen'
    base.execute(f"create table cases as select {columns} from read_parquet('{source}')")
    base.execute(f"create table prices as select * from read_parquet('{prices}')")

    def work() -> pl.DataFrame:
        sums = PriceSums(pricer)
        for at in range(0, cases.height, BLOCK):
            sums.add(cases.slice(at, BLOCK))
        return sums.result()

    def limit() -> None:
        base.execute(f"create or replace temp table sums as {_DUCK}")

    seconds, least = alternate(repeats, work, limit)
    return round(seconds / least, 2)


def clear_line(folder: Path, policy: Policy, values: GroupValues, rate: float, repeats: int) -> Line:
    """A year's cases from the file to cleared pools, over Polars reading the file."""
    source, year = folder / "grouped.parquet", load_year_file(folder / "year.toml")

    def work() -> Clearing:
        return clear_year(ClearingInput(YEAR, policy, values, year, pl.scan_parquet(source), None, {}))

    seconds, least = alternate(repeats, work, lambda: pl.read_parquet(source).height)
    cleared = work()
    rows = [statement_row(line, pool) for pool, line in cleared.lines]
    digest = hashlib.sha256(orjson.dumps(rows)).hexdigest()
    count = pl.scan_parquet(source).select(pl.len()).collect().item()
    return Line("Parquet -> cleared year", count, seconds, "polars reads the Parquet", least, rate, digest)


def money_lines(folder: Path, repeats: int, threads: int) -> dict[str, Any]:
    """All lines, the oracle's rate, the peak memory of the process, and payment over DuckDB where that is installed."""
    policy, weights = policy_and_weights()
    values = GroupValues.of_frame(weights.frame)
    head = pl.read_parquet(folder / "grouped.parquet", n_rows=BLOCK_ROWS)
    rate = oracle_rate(head, policy, values, weights)
    lines = [clear_line(folder, policy, values, rate, repeats)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    lines.append(pay_line(pl.read_parquet(folder / "grouped.parquet"), Pricer(policy, values), rate, repeats))
    return {
        "oracle_cases_per_second": round(rate),
        "lines": [line.as_dict() for line in lines],
        "clearing_peak_gib": round(peak, 2),
        "pay_over_duckdb": over_duckdb(folder, Pricer(policy, values), repeats, threads),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True, help="as POLARS_MAX_THREADS says; named for the report")
    parser.add_argument("--prepare", type=int, default=0, help="make so many cases first")
    given = parser.parse_args()
    if given.prepare:
        started = time.perf_counter()
        prepare(given.folder, given.prepare)
        print(f"{given.prepare:,} cases in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    sys.stdout.buffer.write(orjson.dumps(money_lines(given.folder, given.repeats, given.threads)))


if __name__ == "__main__":
    main()
