"""The benchmark's DIP lines: cases against a catalog of 10,000 core groups, and building a catalog from history.

    python -m benchmarks.dip_lines --folder out/bench/dip --repeats 5 --threads 1

prints the lines of one thread count as JSON, as `measure.py` does for DRG. The oracle tries every row of the catalog
for every case; the engine must answer the cases it was timed on as it does.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from benchmarks.dip_catalog import MadeCatalog
from benchmarks.lines import BLOCK, Line, alternate, file_lines
from benchmarks.make_cases import iter_cases
from grouper.dip.compile import CompiledDip, compile_dip
from grouper.dip.encode import DipCases
from grouper.dip.engine import DipGrouper
from grouper.engine import group_cases
from grouper.single import group_one
from reference_tables.dip_pack import DipPack
from reference_tables.pack_writer import write_pack
from reference_tables.packs import find_drg_pack, read_pack
from tests.oracle.dip_case import DipCase
from tests.oracle.dip_oracle import DipOracle

ROOT = Path(__file__).resolve().parents[1]
CATALOG_ROWS = 10_000
ORACLE_CASES = 400
SINGLE_CASES = 20_000
GIB = 1 << 30
YEARS = (2023, 2024, 2025)
RESULT = ("case_id", "status", "kind", "dip", "score", "rows_fit")
PLAIN = (
    "case_id", "sex", pl.col("age_years").alias("age"), "age_days", pl.col("newborn_birth_weight_g").alias("weight"),
    "los_days", "discharge_way", "diagnoses", "procedures",
)  # fmt: skip


def prepare(folder: Path, cases: int, seed: int) -> None:
    """The catalog as a pack folder, and the same cases as canonical frame, list Parquet and joined CSV."""
    made = MadeCatalog(CATALOG_ROWS, seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_pack(made.pack, folder / "pack")
    frame = made.cases(cases)
    frame.write_parquet(folder / "canonical.parquet")
    plain = frame.select(PLAIN)
    plain.write_parquet(folder / "cases.parquet")
    plain.with_columns(pl.col("diagnoses", "procedures").list.join("|")).write_csv(folder / "cases.csv")


def result_hash(frame: pl.DataFrame) -> str:
    """sha256 over case, status, kind, group, score and fitting rows of every case in order."""
    return hashlib.sha256(frame.select(pl.col(RESULT).cast(pl.String).fill_null("")).write_csv().encode()).hexdigest()


def oracle_rate(folder: Path, frame: pl.DataFrame) -> tuple[float, str]:
    """Cases a second of the row-at-a-time oracle on the first cases, and the hash of what it answers."""
    oracle = DipOracle(folder / "pack")
    cases = [
        DipCase(
            case_id=row["case_id"],
            diagnoses=tuple(row["diagnoses"]),
            procedures=tuple(row["procedures"]),
            age_years=row["age_years"],
        )
        for row in frame.head(ORACLE_CASES).iter_rows(named=True)
    ]
    started = time.perf_counter()
    answers = list(map(oracle.group, cases))
    seconds = time.perf_counter() - started
    rows = [
        (case.case_id, answer.status, answer.kind, answer.dip, answer.score, answer.rows_fit)
        for case, answer in zip(cases, answers, strict=True)
    ]
    return len(cases) / seconds, result_hash(pl.DataFrame(rows, schema=list(RESULT), orient="row"))


def dip_lines(folder: Path, repeats: int, threads: int) -> dict[str, Any]:
    """All DIP lines of one thread count."""
    pack = read_pack(folder / "pack")
    assert isinstance(pack, DipPack)
    scheme = compile_dip(pack)
    frame = pl.read_parquet(folder / "canonical.parquet").rechunk()
    rate, expected = oracle_rate(folder, frame)
    if result_hash(group_cases(frame.head(ORACLE_CASES), scheme)) != expected:
        sys.exit("the DIP engine and the oracle differ on the benchmark's own cases")
    lines = [
        _encode_line(scheme, frame, rate, repeats),
        *_kernel_lines(scheme, frame, rate, repeats),
        _single_line(scheme, frame, rate, repeats),
        *file_lines(scheme, folder / "cases.parquet", rate, repeats, threads, result_hash),
        *file_lines(scheme, folder / "cases.csv", rate, repeats, threads, result_hash),
    ]
    named = [{**line.as_dict(), "name": f"DIP {line.name}"} for line in lines]
    return {"oracle_cases_per_second": round(rate), "lines": named}


def _encode_line(scheme: CompiledDip, frame: pl.DataFrame, rate: float, repeats: int) -> Line:
    """Strings to ids, block by block; the limit copies the same strings' bytes."""
    grouper = DipGrouper(scheme)
    blocks = [frame.slice(at, BLOCK) for at in range(0, frame.height, BLOCK)]
    words = sum(int(frame[name].list.len().sum()) for name in ("diagnoses", "procedures"))
    views = np.zeros((words, 2), np.uint64)
    seconds, limit = alternate(repeats, lambda: [grouper.encode(block) for block in blocks], views.copy)
    total = hashlib.sha256()
    for block in blocks:
        for plane in _planes(grouper.encode(block))[:4:2]:
            total.update(plane.astype("<u4").tobytes())
    return Line("encode", frame.height, seconds, "copy of the string views", limit, rate, total.hexdigest())


def _kernel_lines(scheme: CompiledDip, frame: pl.DataFrame, rate: float, repeats: int) -> list[Line]:
    """Ids to groups, once with warm caches and once from a kernel that has seen no case."""
    grouper = DipGrouper(scheme)
    blocks = [grouper.encode(frame.slice(at, BLOCK)) for at in range(0, frame.height, BLOCK)]
    planes = [plane for block in blocks for plane in _planes(block)]

    def run(ready: DipGrouper) -> list[np.ndarray]:
        return [ready.find(block).answer for block in blocks]

    warm, cold, limit = alternate(
        repeats, lambda: run(grouper), lambda: run(DipGrouper(scheme)), lambda: [plane.copy() for plane in planes]
    )
    (ready,) = alternate(repeats, lambda: DipGrouper(scheme))
    digest = hashlib.sha256(b"".join(found.astype("<i4").tobytes() for found in run(grouper))).hexdigest()
    what = "copy of the same ids"
    return [
        Line("ids -> groups", frame.height, warm, what, limit, rate, digest),
        Line("ids -> groups, caches empty", frame.height, cold - ready, what, limit, rate, digest),
    ]


def _planes(cases: DipCases) -> list[np.ndarray]:
    return [cases.dx.flat, cases.dx.offsets, cases.px.flat, cases.px.offsets, *cases.numbers.values()]


def _single_line(scheme: CompiledDip, frame: pl.DataFrame, rate: float, repeats: int) -> Line:
    """One case after another in process; the limit looks the case's diagnoses up in a dict."""
    rows = frame.head(SINGLE_CASES).to_dicts()
    codes = scheme.dx.index.by_fold

    def limit() -> None:
        for row in rows:
            for code in row["diagnoses"]:
                codes.get(code)

    seconds, least = alternate(repeats, lambda: [group_one(row, scheme) for row in rows], limit)
    answers = [group_one(row, scheme) for row in rows]
    given = {"case_id": [row["case_id"] for row in rows]}
    found = pl.DataFrame(given | {name: [getattr(one, name) for one in answers] for name in RESULT[1:]})
    return Line("single case", len(rows), seconds, "looking its codes up", least, rate, result_hash(found))


def make_history(folder: Path, scheme: str, cases: int, seed: int) -> list[Path]:
    """A history of `cases` cases of a DRG scheme, spread over three years, as one Parquet file a year."""
    folder.mkdir(parents=True, exist_ok=True)
    pack = find_drg_pack(scheme)
    files = []
    for number, year in enumerate(YEARS):
        count = cases // len(YEARS) + (number < cases % len(YEARS))
        blocks = iter_cases(pack, count, seed + number, month=f"{year}-06", details=False)
        parts = []
        for at, block in enumerate(blocks):
            part = folder / f"part-{year}-{at}.parquet"
            block.frame.with_columns(pl.format("{}-{}", pl.lit(year), "case_id").alias("case_id")).write_parquet(part)
            parts.append(part)
        files.append(folder / f"history-{year}.parquet")
        pl.scan_parquet(parts).sink_parquet(files[-1])
        for part in parts:
            part.unlink()
    return files


def catalog_build(folder: Path, scheme: str, cases: int, seed: int, threads: int) -> dict[str, Any]:
    """`drgdip catalog build` over three years in a process of its own: cases a second, peak memory, groups, hash."""
    files = make_history(folder, scheme, cases, seed)
    target = folder / "built"
    shutil.rmtree(target, ignore_errors=True)
    command = [
        sys.executable, "-m", "api.cli.main", "catalog", "build", *map(str, files), "-o", str(target),
        "--data-level", "synthetic", "--threads", str(threads), "--json",
    ]  # fmt: skip
    env = {**os.environ, "POLARS_MAX_THREADS": str(threads)}
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if child.returncode:
        sys.exit(f"drgdip catalog build ended with {child.returncode}")
    pack = read_pack(target)
    assert isinstance(pack, DipPack)
    return {
        "cases": cases, "cases_per_second": round(cases / seconds), "seconds": round(seconds, 1), "threads": threads,
        "peak_gib": round(usage.ru_maxrss * 1024 / GIB, 2), "core_groups": len(pack.rows), "sha256": pack.sha256,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    sys.stdout.buffer.write(orjson.dumps(dip_lines(given.folder, given.repeats, given.threads)))


if __name__ == "__main__":
    main()
