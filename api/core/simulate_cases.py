"""The cases of a policy simulation, and what they are paid by: read once for each grouping scheme, row for row alike.

The order of files and of cases decides nothing: files are read by name, cases put in the order of hospital and case id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from api.core.clear_inputs import beside_cases, read_prepaid
from api.core.clearing import PaidInYear
from api.core.pay_inputs import group_values, read_decisions, read_hospitals, read_separate
from api.core.payable import PayableFiles, file_problems
from budget.frames import PAYABLE_SCHEMA
from budget.group_values import GroupValues
from budget.pools import MERGED
from grouper.normalize import Edition
from grouper.pipeline import Progress
from grouper.proof import file_sha256
from grouper.schemes import Scheme
from reference_tables.group_weights import GroupWeights
from reference_tables.policy import Policy
from reference_tables.problems import PROBLEM_SCHEMA, Problem, TablesRefused, problem_rows
from reference_tables.reform import Reform
from reference_tables.year_file import YearFile

Owner = tuple[str, str]


@dataclass(frozen=True)
class SimulationRequest:
    """What a run is asked. `reforms` in order; `year` with a year file; `prepaid`, `decisions`, `hospitals`,
    `separate`: files, None = not given; `weights` a table's name or file; `bootstrap` resamples (0: none) drawn from
    `seed`."""

    cases: tuple[str, ...]
    reforms: tuple[Reform, ...]
    year: int | None = None
    prepaid: Path | None = None
    decisions: Path | None = None
    hospitals: Path | None = None
    separate: Path | None = None
    weights: str | None = None
    bootstrap: int = 0
    seed: int = 1
    fmt: str = "auto"
    edition: Edition = "insurance"
    threads: int = 1

    @property
    def lists(self) -> dict[str, Path]:
        """The files given beside the cases, by their option."""
        return beside_cases(self)


@dataclass(frozen=True)
class Base:
    """Cases under a policy and a scheme. `cases` PAYABLE_SCHEMA; `decisions` on special cases; `paid` in the year by
    (hospital, pool); `weights` the table the values come from, None = the scheme's own scores or the policy's."""

    policy: Policy
    scheme: Scheme
    values: GroupValues
    weights: GroupWeights | None
    cases: pl.DataFrame
    decisions: pl.DataFrame | None
    paid: Mapping[Owner, PaidInYear]


@dataclass(frozen=True)
class Read:
    """A base with what reading found (PROBLEM_SCHEMA), the files by content, and the order its rows were put in."""

    base: Base
    problems: pl.DataFrame
    inputs: tuple[dict[str, str], ...]


def read_base(
    request: SimulationRequest,
    policy: Policy,
    scheme: Scheme,
    weights: str | None,
    year_file: YearFile | None,
    progress: Progress | None = None,
) -> Read:
    """Read and group the cases of a request. Raises TablesRefused: lists or weights that cannot be used, no case (why
    no file could be read, else SI02)."""
    values, table = group_values(policy, scheme, weights)
    hospitals = None if request.hospitals is None else read_hospitals(request.hospitals, policy)
    separate = None if request.separate is None else read_separate(request.separate)
    files = PayableFiles(
        sorted(request.cases, key=lambda path: (Path(path).name, path)), scheme, policy, values, hospitals=hospitals,
        separate=separate, fmt=request.fmt, edition=request.edition, threads=request.threads, progress=progress,
    )  # fmt: skip
    blocks = list(files.blocks())
    cases = pl.concat([pl.DataFrame(schema=PAYABLE_SCHEMA), *(block.cases for block in blocks)])
    problems = [block.problems for block in blocks] + [file_problems(files)]
    if request.year is not None:
        cases, other = _of_year(cases, request.year)
        problems.append(other)
    if cases.is_empty():
        told = [problem for _, error in files.unusable for problem in error.problems]
        # Why the reader could not use the files says more than that there is no case.
        raise TablesRefused(policy.id, told or [Problem("SI02", {"year": request.year or "不限"})])
    inputs = [
        {"name": Path(source.path).name, "sha256": source.sha256, "format": source.format} for source in files.sources
    ]
    base = Base(
        policy, scheme, values, table, cases.sort("hospital_id", "case_id", maintain_order=True),
        _decisions(request, policy, year_file), {} if request.prepaid is None else read_prepaid(request.prepaid),
    )  # fmt: skip
    inputs.sort(key=lambda item: (item["name"], item["sha256"]))
    return Read(base, pl.concat([pl.DataFrame(schema=PROBLEM_SCHEMA), *problems]), tuple(inputs))


def _of_year(cases: pl.DataFrame, year: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The cases settled in the year, and the others as problems."""
    here = (pl.col("month").str.head(4) == str(year)).fill_null(value=False)
    row = pl.lit(0, dtype=pl.UInt32).alias("row")
    other = problem_rows(cases.filter(~here).select(row, "case_id"), "CL53", args={"year": str(year)})
    return cases.filter(here), other


def _decisions(request: SimulationRequest, policy: Policy, year_file: YearFile | None) -> pl.DataFrame | None:
    path = request.decisions or (None if year_file is None else year_file.decisions_path)
    return None if path is None else read_decisions(path, policy)


def list_hashes(request: SimulationRequest, year_file: YearFile | None) -> dict[str, str]:
    """The files beside the cases by content."""
    found = {name: file_sha256(path) for name, path in request.lists.items()}
    if year_file is not None and year_file.decisions_path is not None and request.decisions is None:
        found["decisions"] = file_sha256(year_file.decisions_path)
    return found


def with_pools(base: Base, pools: str) -> tuple[Base, list[Problem]]:
    """The base with what was paid in the year in the pools of a reformed policy (`pools`: insurance or merged): added
    up when they are merged; what cannot be divided is left out and told (SI11)."""
    merged: dict[Owner, PaidInYear] = {}
    lost = 0
    for (hospital, pool), item in base.paid.items():
        to = MERGED if pools == "merged" else pool
        if to == MERGED and pools != "merged":
            lost += item.paid
            continue
        have = merged.get((hospital, to), PaidInYear(held=None))
        held = item.held if have.held is None else have.held + (item.held or 0)
        merged[hospital, to] = PaidInYear(
            have.due + item.due, have.paid + item.paid, held, have.deferred + item.deferred,
            have.advance + item.advance,
        )  # fmt: skip
    problems = [Problem("SI11", {"amount": f"{lost // 100}.{lost % 100:02d}"})] if lost else []
    return replace(base, paid=merged), problems
