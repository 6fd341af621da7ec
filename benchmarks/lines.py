"""The benchmark's lines: what is timed, against what, and the hash that proves the answer did not change.

Every line is a ratio to something measured in the same run: the row-at-a-time oracle, and the machine's own
limit (polars reading the same file; copying the same bytes). Repeats of a line and its limit alternate, so
that a machine whose speed drifts slows both; the median counts.
"""

from __future__ import annotations

import hashlib
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from grouper.compile import CompiledScheme
from grouper.dip.compile import CompiledDip
from grouper.encode import EncodedCases, encode_cases
from grouper.engine import Grouper
from grouper.output import ResultWriter
from grouper.pipeline import group_files
from grouper.single import group_one
from reference_tables.packs import built_in_packs
from tests.oracle.oracle import Case, Oracle

BLOCK = 1 << 16
ORACLE_CASES = 3_000
SINGLE_CASES = 20_000
RESULT = ("case_id", "mdc", "adrg", "drg")


@dataclass(frozen=True)
class Line:
    """One measured line. `seconds` is the median; `over_limit` = seconds / seconds of the limit."""

    name: str
    cases: int
    seconds: float
    limit: str
    limit_seconds: float
    oracle_rate: float
    sha256: str

    @property
    def rate(self) -> float:
        return self.cases / self.seconds

    @property
    def over_oracle(self) -> float:
        return self.rate / self.oracle_rate

    @property
    def over_limit(self) -> float:
        return self.seconds / self.limit_seconds

    def as_dict(self) -> dict[str, float | int | str]:
        return {
            "name": self.name, "cases": self.cases, "seconds": round(self.seconds, 4),
            "cases_per_second": round(self.rate), "over_oracle": round(self.over_oracle, 1),
            "limit": self.limit, "over_limit": round(self.over_limit, 2), "sha256": self.sha256,
        }  # fmt: skip


def alternate(repeats: int, *works: Callable[[], object]) -> list[float]:
    """Median seconds of each work, the works taking turns after one warm-up round."""
    taken: list[list[float]] = [[] for _ in works]
    for turn in range(repeats + 1):
        for seconds, work in zip(taken, works, strict=True):
            started = time.perf_counter()
            work()
            if turn:
                seconds.append(time.perf_counter() - started)
    return [statistics.median(seconds) for seconds in taken]


def result_hash(frame: pl.DataFrame) -> str:
    """sha256 over case, MDC, ADRG and DRG of every case in order."""
    return hashlib.sha256(frame.select(RESULT).write_csv().encode()).hexdigest()


def oracle_rate(pack: str, flat: pl.DataFrame) -> tuple[float, str]:
    """Cases a second of the row-at-a-time oracle on the first cases, and the hash of what it answers."""
    folder = built_in_packs().get(pack, Path(pack))
    oracle = Oracle.from_folder(folder)
    rows = [{key: value or "" for key, value in row.items()} for row in flat.head(ORACLE_CASES).iter_rows(named=True)]
    cases = [Case.from_row(row) for row in rows]
    answers: list[tuple[str, str, str]] = []

    def work() -> None:
        answers[:] = [(found[0], found[1], found[2]) for found in map(oracle.group, cases)]

    (seconds,) = alternate(3, work)
    frame = pl.DataFrame(answers, schema=list(RESULT[1:]), orient="row").with_columns(
        pl.Series("case_id", [row["case_id"] for row in rows])
    )
    return len(cases) / seconds, result_hash(frame)


def engine_hash_of_oracle_cases(grouper: Grouper, frame: pl.DataFrame) -> str:
    """The engine's hash on the very cases the oracle was timed on."""
    return result_hash(grouper.block(frame.head(ORACLE_CASES), used_codes=False))


def encode_line(scheme: CompiledScheme, frame: pl.DataFrame, rate: float, repeats: int) -> Line:
    """Strings to ids, block by block; the limit copies the same strings' bytes."""
    blocks = [frame.slice(at, BLOCK) for at in range(0, frame.height, BLOCK)]
    weight = scheme.pack.newborn_weight
    words = sum(int(frame[name].list.len().sum()) for name in ("diagnoses", "procedures"))
    views = np.zeros((words, 2), np.uint64)

    def work() -> None:
        for block in blocks:
            encode_cases(block, scheme.indexes, weight)

    seconds, limit = alternate(repeats, work, views.copy)
    total = hashlib.sha256()
    for block in blocks:
        cases = encode_cases(block, scheme.indexes, weight)
        for lists in (cases.dx, cases.px):
            total.update(lists.flat.astype("<u4").tobytes())
    return Line("encode", frame.height, seconds, "copy of the string views", limit, rate, total.hexdigest())


def kernel_lines(grouper: Grouper, frame: pl.DataFrame, rate: float, repeats: int) -> list[Line]:
    """Ids to paths, once with warm caches and once from a kernel that has seen no case."""
    scheme = grouper.scheme
    blocks = [
        encode_cases(frame.slice(at, BLOCK), scheme.indexes, scheme.pack.newborn_weight)
        for at in range(0, frame.height, BLOCK)
    ]
    planes = [plane for block in blocks for plane in _planes(block)]

    def run(ready: Grouper) -> list[np.ndarray]:
        return [ready.paths(block)[0] for block in blocks]

    warm, cold, limit = alternate(
        repeats, lambda: run(grouper), lambda: run(Grouper(scheme)), lambda: [plane.copy() for plane in planes]
    )
    (ready,) = alternate(repeats, lambda: Grouper(scheme))
    digest = hashlib.sha256(b"".join(paths.astype("<i4").tobytes() for paths in run(grouper))).hexdigest()
    what = "copy of the same ids"
    return [
        Line("kernel", frame.height, warm, what, limit, rate, digest),
        Line("kernel, caches empty", frame.height, cold - ready, what, limit, rate, digest),
    ]


def _planes(cases: EncodedCases) -> list[np.ndarray]:
    return [
        cases.dx.flat, cases.dx.offsets, cases.px.flat, cases.px.offsets, cases.way, cases.department,
        *cases.numbers.values(),
    ]  # fmt: skip


def file_lines(
    scheme: CompiledScheme | CompiledDip,
    source: Path,
    rate: float,
    repeats: int,
    threads: int,
    hashed: Callable[[pl.DataFrame], str] = result_hash,
) -> list[Line]:
    """File to file: over polars reading the same file, and over copying its bytes; and file to frames."""
    kind = source.suffix[1:]
    target = source.with_name(f"result.{kind}")
    read: Mapping[str, Callable[[], object]] = {
        "parquet": lambda: pl.read_parquet(source),
        "csv": lambda: pl.read_csv(source, infer_schema=False),
    }

    def to_file() -> None:
        writer = ResultWriter.open(str(target))
        group_files([str(source)], scheme, writer, threads=threads)
        writer.close()

    def to_frames() -> None:
        group_files([str(source)], scheme, None, threads=threads)

    written, framed, reading, copying = alternate(
        repeats, to_file, to_frames, read[kind], lambda: shutil.copyfile(source, source.with_name("copy"))
    )
    result = (
        pl.read_parquet(target)
        if kind == "parquet"
        else pl.read_csv(target, infer_schema=False).with_columns(pl.all().fill_null(""))
    )
    digest, rows = hashed(result), result.height
    name = {"parquet": "Parquet", "csv": "CSV"}[kind]
    return [
        Line(f"{name} -> result", rows, framed, f"polars reads the {name}", reading, rate, digest),
        Line(f"{name} -> {name}", rows, written, f"polars reads the {name}", reading, rate, digest),
        Line(f"{name} -> {name} (copy)", rows, written, "copy of the file's bytes", copying, rate, digest),
    ]


def single_line(scheme: CompiledScheme, frame: pl.DataFrame, rate: float, repeats: int) -> Line:
    """One case after another in process; the limit is a call that looks two codes up in a dict."""
    rows = frame.head(SINGLE_CASES).to_dicts()
    codes = scheme.indexes["dx"].by_fold

    def work() -> None:
        for row in rows:
            group_one(row, scheme)

    def limit() -> None:
        for row in rows:
            for code in row["diagnoses"]:
                codes.get(code)

    seconds, least = alternate(repeats, work, limit)
    answers = [group_one(row, scheme) for row in rows]
    frame = pl.DataFrame(
        {"case_id": [row["case_id"] for row in rows]}
        | {name: [getattr(answer, name) for answer in answers] for name in RESULT[1:]}
    )
    return Line("single case", len(rows), seconds, "looking its codes up", least, rate, result_hash(frame))
