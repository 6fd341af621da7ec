"""`make bench`: cases a second, as ratios to the oracle and to the machine's own limit, with result hashes.

    python -m benchmarks.run [--cases 1000000] [--stream 10000000] [--history 3000000] [--money 10000000] [--repeats 5]
        [--simulate 1000000] [--serve 8000]

DRG lines on cases of one scheme, DIP lines on as many cases of a catalog of 10,000 core groups, a long stream, a DIP
catalog built from a history of three years, payment and clearing of many grouped cases, many scenarios and resampled
years over naive loops, and the service over HTTP.

Writes out/bench/report.json and compares with benchmarks/baseline.json, the ratios last put on record.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks import dip_lines, money_lines
from benchmarks.make_cases import make_cases
from reference_tables.packs import find_drg_pack

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "out" / "bench"
DIP_FOLDER = FOLDER / "dip"
MONEY_FOLDER = FOLDER / "money"
SIMULATE_FOLDER = FOLDER / "simulate"
SERVE_FOLDER = FOLDER / "serve"
MONEY_REPEATS = 2
BASELINE = Path(__file__).with_name("baseline.json")
SEED = 20261001
GIB = 1 << 30
console = Console(width=130)


def prepare(scheme: str, cases: int) -> None:
    """The same cases as canonical frame, list Parquet and joined CSV."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    frame = make_cases(find_drg_pack(scheme), cases, SEED)
    frame.write_parquet(FOLDER / "canonical.parquet")
    plain = frame.select(
        "case_id", "sex", pl.col("age_years").alias("age"), "age_days",
        pl.col("newborn_birth_weight_g").alias("weight"), "los_days", "discharge_way", "diagnoses", "procedures",
    )  # fmt: skip
    plain.write_parquet(FOLDER / "cases.parquet")
    plain.with_columns(pl.col("diagnoses", "procedures").list.join("|")).write_csv(FOLDER / "cases.csv")


def measure(module: str, arguments: list[str], threads: int, repeats: int) -> dict[str, Any]:
    """All lines of a module in a process of their own with that many threads for polars and for the pipeline."""
    command = [
        sys.executable, "-m", module, *arguments, "--repeats", str(repeats), "--threads", str(threads),
    ]  # fmt: skip
    env = {**os.environ, "POLARS_MAX_THREADS": str(threads)}
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = orjson.loads(done.stdout)
    return found


def alone(module: str, arguments: list[str]) -> dict[str, Any]:
    """The report of a module that compares with naive loops or over HTTP, in a process of its own with one thread."""
    env = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, env=env, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = orjson.loads(done.stdout)
    return found


def simulate_ratios(found: dict[str, Any]) -> dict[str, float]:
    """Ratios of the simulation lines over their naive loops."""
    scenarios = found["scenarios"]
    return {
        "scenarios by hospital": scenarios["hospital"]["ratio"], "scenarios by group": scenarios["group"]["ratio"],
        "resampled years": found["bootstrap"]["ratio"],
    }  # fmt: skip


def serve_ratios(found: dict[str, Any]) -> dict[str, float]:
    """Ratios of the service lines; that of the processor's time is the one that other programs disturb least."""
    one, two = found["single"]
    return {
        "single case over a constant": one["over_constant"], "by processor time": one["over_constant_by_cpu"],
        "two processes over two of a constant": two["over_constant"],
        "Arrow over JSON rows": found["batch"]["arrow_over_rows"],
        "submission over offline": found["submission"]["over_offline"],
    }  # fmt: skip


def ratios_of(report: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The ratios of a report, by number of threads or part."""
    found = {
        key: {line["name"]: line["over_limit"] for part in value.values() for line in part["lines"]}
        for key, value in report.items()
        if key.isdigit()
    }
    if "simulate" in report:
        found["simulate"] = simulate_ratios(report["simulate"])
    if "serve" in report:
        found["serve"] = serve_ratios(report["serve"])
    return found


def stream(scheme: str, cases: int, threads: int) -> dict[str, Any]:
    """Group a Parquet file of many cases to Parquet in a process of its own; its peak memory and time a case."""
    source = FOLDER / "stream.parquet"
    once = pl.read_parquet(FOLDER / "cases.parquet")
    copies = -(-cases // once.height)
    (
        pl.concat([once.lazy().with_columns(case_id=pl.format("{}-{}", pl.lit(at), "case_id")) for at in range(copies)])
        .head(cases)
        .sink_parquet(source, row_group_size=1 << 18)
    )
    command = [
        sys.executable, "-m", "api.cli.main", "group", str(source), "--scheme", scheme,
        "-o", str(FOLDER / "stream-result.parquet"), "--threads", str(threads), "--json",
    ]  # fmt: skip
    env = {**os.environ, "POLARS_MAX_THREADS": str(threads)}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        summary = orjson.loads(child.stdout.read())
        _, _, usage = os.wait4(child.pid, 0)
        child.returncode = 0
    peak = usage.ru_maxrss * 1024
    return {
        "cases": summary["rows"], "cases_per_second": summary["cases_per_second"],
        "peak_gib": round(peak / GIB, 2), "threads": threads,
    }  # fmt: skip


def show(title: str, threads: int, found: dict[str, Any], recorded: dict[str, float]) -> None:
    """The lines of one thread count as a table, with the recorded ratio beside the measured one."""
    rate = found["oracle_cases_per_second"]
    table = Table(
        title=f"{title}, {threads} thread(s); the oracle answers {rate:,} cases a second", title_justify="left"
    )
    for name in ("line", "cases/s", "x oracle", "x limit", "recorded", "limit", "result sha256"):
        table.add_column(name, justify="right" if name in {"cases/s", "x oracle", "x limit", "recorded"} else "left")
    for line in found["lines"]:
        table.add_row(
            line["name"], f"{line['cases_per_second']:,}", f"{line['over_oracle']:,.0f}", f"{line['over_limit']:.2f}",
            f"{recorded[line['name']]:.2f}" if line["name"] in recorded else "", line["limit"], line["sha256"][:12],
        )  # fmt: skip
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheme", default="chs-drg-1.1")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--stream", type=int, default=10_000_000, help="cases of the streaming run; 0 leaves it out")
    parser.add_argument("--history", type=int, default=3_000_000, help="cases of the catalog's history; 0: none")
    parser.add_argument("--money", type=int, default=10_000_000, help="cases of the money lines; 0 leaves them out")
    parser.add_argument("--simulate", type=int, default=1_000_000, help="cases of the simulation lines; 0: none")
    parser.add_argument("--serve", type=int, default=8000, help="requests of the service lines; 0 leaves them out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--record", action="store_true", help="write these ratios to benchmarks/baseline.json")
    args = parser.parse_args()
    console.print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, polars {pl.__version__}"
    )
    console.print(f"making {args.cases:,} cases of {args.scheme}, seed {SEED} …")
    prepare(args.scheme, args.cases)
    dip_lines.prepare(DIP_FOLDER, args.cases, SEED)
    recorded = orjson.loads(BASELINE.read_bytes()) if BASELINE.exists() else {}
    report: dict[str, Any] = {"scheme": args.scheme, "cases": args.cases, "seed": SEED}
    parts = {
        args.scheme: ("benchmarks.measure", ["--scheme", args.scheme, "--folder", str(FOLDER)]),
        f"DIP, {dip_lines.CATALOG_ROWS:,} core groups": ("benchmarks.dip_lines", ["--folder", str(DIP_FOLDER)]),
    }
    if args.money:
        console.print(f"making {args.money:,} grouped cases of {money_lines.HOSPITALS} hospitals …")
        money_lines.prepare(MONEY_FOLDER, args.money)
        title = f"payment and clearing, {money_lines.HOSPITALS} hospitals"
        parts[title] = ("benchmarks.money_lines", ["--folder", str(MONEY_FOLDER)])
    every = len(os.sched_getaffinity(0))
    for threads in sorted({1, every}):
        report[str(threads)] = {}
        for title, (module, arguments) in parts.items():
            # Many cases each: two rounds beside the warm-up tell enough.
            repeats = MONEY_REPEATS if module == "benchmarks.money_lines" else args.repeats
            report[str(threads)][title] = found = measure(module, arguments, threads, repeats)
            show(title, threads, found, recorded.get(str(threads), {}))
            if "clearing_peak_gib" in found:
                duck = found["pay_over_duckdb"]
                told = "DuckDB is not installed" if duck is None else f"payment takes {duck} times DuckDB's seconds"
                console.print(f"clearing: peak memory {found['clearing_peak_gib']} GiB; {told}")
    if args.stream:
        report["stream"] = found = stream(args.scheme, args.stream, every)
        console.print(
            f"streamed {found['cases']:,} cases Parquet -> Parquet: {found['cases_per_second']:,} cases/s, "
            f"peak memory {found['peak_gib']} GiB"
        )
    if args.history:
        report["catalog build"] = found = dip_lines.catalog_build(DIP_FOLDER, args.scheme, args.history, SEED, every)
        console.print(
            f"catalog build from {found['cases']:,} cases: {found['cases_per_second']:,} cases/s, peak memory "
            f"{found['peak_gib']} GiB, {found['core_groups']:,} core groups, content {found['sha256'][:12]}"
        )
    if args.simulate:
        arguments = ["--folder", str(SIMULATE_FOLDER), "--cases", str(args.simulate)]
        report["simulate"] = found = alone("benchmarks.simulate_lines", arguments)
        for name, ratio in simulate_ratios(found).items():
            told = recorded.get("simulate", {}).get(name, "none")
            console.print(f"{name}: {ratio} times as fast as the naive loop (recorded: {told})")
    if args.serve:
        SERVE_FOLDER.mkdir(parents=True, exist_ok=True)
        arguments = ["--folder", str(SERVE_FOLDER), "--requests", str(args.serve)]
        report["serve"] = found = alone("benchmarks.serve_lines", arguments)
        for line in found["single"]:
            console.print(f"service, {line['workers']} server process(es), single cases: {orjson.dumps(line).decode()}")
        for name in ("batch", "submission"):
            console.print(f"service, {name}: {orjson.dumps(found[name]).decode()}")
        for name, ratio in serve_ratios(found).items():
            console.print(f"{name}: {ratio} (recorded: {recorded.get('serve', {}).get(name, 'none')})")
    (FOLDER / "report.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    if args.record:
        # Parts that were left out keep what was recorded of them.
        for key, ratios in ratios_of(report).items():
            recorded[key] = recorded.get(key, {}) | ratios
        BASELINE.write_bytes(orjson.dumps(recorded, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
