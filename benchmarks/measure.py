"""Measure all lines in this process and print them as JSON; `run.py` starts it once for each thread count."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson
import polars as pl

from benchmarks.lines import (
    encode_line,
    engine_hash_of_oracle_cases,
    file_lines,
    kernel_lines,
    oracle_rate,
    single_line,
)
from grouper.compile import compile_scheme
from grouper.engine import grouper_of
from reference_tables.packs import find_drg_pack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scheme", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    scheme = compile_scheme(find_drg_pack(args.scheme))
    grouper = grouper_of(scheme)
    frame = pl.read_parquet(args.folder / "canonical.parquet").rechunk()
    flat = pl.read_csv(args.folder / "cases.csv", infer_schema=False)
    rate, expected = oracle_rate(args.scheme, flat)
    if engine_hash_of_oracle_cases(grouper, frame) != expected:
        sys.exit("the engine and the oracle differ on the benchmark's own cases")
    lines = [
        encode_line(scheme, frame, rate, args.repeats),
        *kernel_lines(grouper, frame, rate, args.repeats),
        single_line(scheme, frame, rate, args.repeats),
        *file_lines(scheme, args.folder / "cases.parquet", rate, args.repeats, args.threads),
        *file_lines(scheme, args.folder / "cases.csv", rate, args.repeats, args.threads),
    ]
    found = {"oracle_cases_per_second": round(rate), "lines": [line.as_dict() for line in lines]}
    sys.stdout.buffer.write(orjson.dumps(found))


if __name__ == "__main__":
    main()
