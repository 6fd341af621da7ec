"""Settle from files: hash, read and group case files, then settle them into the book in a folder.

What the command line does and a service would do: one call, the book locked from beginning to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from api.core.book import INDEX, LOCK, PARTIAL, PARTS, Book, BookRefused, locked, new_book, open_book
from api.core.book_policies import policy_source
from api.core.pay_inputs import group_values, read_decisions, read_hospitals, read_separate, registered
from api.core.payable import PayableFiles
from api.core.settle import (
    MONTH,
    PLACED_DECISION_SCHEMA,
    WITHDRAWAL_SCHEMA,
    InputFile,
    MonthInput,
    Settled,
    check_month,
    check_open,
    repeated,
    settle_month,
)
from api.core.settle_cases import CASE_SCHEMA
from grouper.normalize import Edition
from grouper.pipeline import Progress
from grouper.proof import file_sha256
from grouper.repeat_command import command_line, file_words
from grouper.schemes import Scheme
from reference_tables.policy import Policy
from reference_tables.problems import PROBLEM_SCHEMA, Problem, TablesRefused, problem_frame
from reference_tables.table_files import LINE, read_table


@dataclass(frozen=True)
class SettleRequest:
    """A settlement as it is asked for: paths, month, folder of the book. `policy_reason`: why the book's policy is
    replaced, "" when it is not; `tier_reason`: why cases of settled months go by the register's tiers of now; `reopen`:
    why a cleared year is settled on. `policy_name`, `scheme_name`: as they were asked for, for the recomputing command.
    """

    book: Path
    month: str
    cases: Sequence[str] = ()
    corrections: Sequence[str] = ()
    withdrawals: Path | None = None
    decisions: Path | None = None
    hospitals: Path | None = None
    separate: Path | None = None
    weights: str | None = None
    reason: str = ""
    close: bool = False
    policy_reason: str = ""
    tier_reason: str = ""
    reopen: str = ""
    policy_name: str = ""
    scheme_name: str = ""
    fmt: str = "auto"
    edition: Edition = "insurance"
    threads: int = 1


def book_for(path: Path, month: str) -> Book:
    """The book in a folder, or a new one of the month's year in a folder with nothing else in it. What a first
    run leaves that broke off before the index was written does not count.

    Raises BookRefused: ST04 for a folder with something else in it, ST06 for no month.
    """
    if (path / INDEX).exists():
        return open_book(path)
    others = {entry.name for entry in path.iterdir() if not entry.name.endswith(PARTIAL)} - {LOCK, *PARTS}
    if others:
        raise BookRefused([Problem("ST04", {"path": str(path)}, file=path.name)])
    if not MONTH.fullmatch(month):
        raise BookRefused([Problem("ST06", {"month": month}, value=month)])
    return new_book(path, int(month[:4]))


def settle_files(request: SettleRequest, policy: Policy, scheme: Scheme, progress: Progress | None = None) -> Settled:
    """Settle as asked.

    Raises BookRefused when the book refuses it or a case file cannot be read, TablesRefused when a list, a weight table
    or the policy does not do; the book is then as it was.
    """
    with locked(request.book):
        book = book_for(request.book, request.month)
        values, table = group_values(policy, scheme, request.weights)
        pack = scheme.pack
        given = MonthInput(
            request.month,
            reason=request.reason,
            close=request.close,
            policy_reason=request.policy_reason,
            policy_text=policy_source(request.policy_name),
            tier_reason=request.tier_reason,
            reopen=request.reopen,
            files=_hashed(request),
            made_with={
                "pack": {"id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level},
                "weights": {} if table is None else {"id": table.id, "sha256": table.sha256},
                "options": {"format": request.fmt, "edition": request.edition},
            },
            recompute=recompute(request),
        )
        before = repeated(book, policy, given)
        if before is not None:
            return before
        if given.files:
            check_month(book, request.month, request.reopen)
            check_open(book, request.reopen)
        hospitals = read_hospitals(request.hospitals, policy) if request.hospitals else None
        separate = read_separate(request.separate) if request.separate else None

        def read(paths: Sequence[str]) -> tuple[pl.DataFrame | None, pl.DataFrame]:
            files = PayableFiles(
                paths, scheme, policy, values, hospitals=hospitals, separate=separate, fmt=request.fmt,
                edition=request.edition, threads=request.threads, progress=progress,
            )  # fmt: skip
            return _read(files)

        cases, problems = read(request.cases) if request.cases else (None, _NO_PROBLEMS)
        corrections, more = read(request.corrections) if request.corrections else (None, _NO_PROBLEMS)
        whole = replace(
            given,
            cases=cases,
            corrections=corrections,
            withdrawals=read_withdrawals(request.withdrawals) if request.withdrawals else None,
            decisions=None if request.decisions is None else placed_decisions(request.decisions, policy),
            registered=registered(hospitals),
            problems=pl.concat([problems, more]),
        )
        return settle_month(book, policy, values, whole)


_TOLD_BY_SETTLING = ("PA09", "PA11")
_UNREGISTERED, _ONLY_HEADER = "PA13", "IN03"
_NO_PROBLEMS = pl.DataFrame(schema=PROBLEM_SCHEMA)


def _hashed(request: SettleRequest) -> tuple[InputFile, ...]:
    lists = {
        "withdraw": request.withdrawals, "decisions": request.decisions, "hospitals": request.hospitals,
        "separate": request.separate,
    }  # fmt: skip
    paths = [("cases", Path(path)) for path in request.cases]
    paths += [("correct", Path(path)) for path in request.corrections]
    if paths or request.withdrawals or request.decisions:
        paths += [(role, path) for role, path in lists.items() if path is not None]
    files = [InputFile(role, file_sha256(path), path.name) for role, path in paths]
    return tuple(sorted({file: file for file in files}.values()))  # the same file given twice is one


def _read(files: PayableFiles) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The cases of some files with where they came from, and their problems; a file that cannot be read refuses all,
    since a month is settled once. A file with a header and no case is a month without cases (ST54)."""
    frames, problems = [], [_NO_PROBLEMS]
    for block in files.blocks():
        name = Path(block.source.path).name
        frames.append(block.cases.with_columns(pl.lit(name).alias("file"), block.place["row"]))
        # A repetition is told by its content (ST31, ST32), a month outside the policy by what its month was settled by
        # (ST33), a hospital the register lacks once in a run: whichever file came first plays no part.
        told = block.problems.filter(~pl.col("code").is_in(_TOLD_BY_SETTLING))
        of = pl.when(pl.col("code") != _UNREGISTERED).then(pl.lit(name)).otherwise(pl.lit(""))
        problems.append(told.with_columns(of.alias("file")).select(*PROBLEM_SCHEMA))
    empty, unusable = [], list[Problem]()
    for path, error in files.unusable:
        if {problem.code for problem in error.problems} == {_ONLY_HEADER}:
            empty.append(Problem("ST54", file=Path(path).name))
        else:
            unusable += error.problems
    if unusable:
        raise BookRefused(unusable)
    cases = pl.concat([pl.DataFrame(schema=CASE_SCHEMA), *frames])
    return cases, pl.concat([*problems, problem_frame(empty)])


def read_withdrawals(path: Path) -> pl.DataFrame:
    """Cases to be withdrawn (WITHDRAWAL_SCHEMA) from hospital_id, case_id and, optionally, reason.

    Raises TablesRefused: TB02-TB05 of the file, PA27 a blank id.
    """
    with path.open("rb") as stream:
        header = stream.readline().decode("utf-8-sig", "replace")
    names = ["hospital_id", "case_id"] + (
        ["reason"] if "reason" in [cell.strip() for cell in header.split(",")] else []
    )
    table = read_table(path, dict.fromkeys(names, "text"))
    problems = [problem for problem in table.problems if problem.level.value == "error"]
    frame = table.frame
    if frame is not None:
        for name in ("hospital_id", "case_id"):
            problems += [
                Problem("PA27", {"row": line, "column": name}, file=path.name, row=line, field=name)
                for line in frame.filter(pl.col(name) == "")[LINE]
            ]
    if frame is None or problems:
        raise TablesRefused(path.name, problems)
    reason = pl.col("reason") if "reason" in names else pl.lit("")
    said = pl.when(reason != "").then(reason).alias("reason")
    return frame.select(
        pl.col("hospital_id"), pl.col("case_id"), said, pl.lit(path.name).alias("file"), pl.col(LINE).alias("row")
    ).select(pl.col(name).cast(dtype) for name, dtype in WITHDRAWAL_SCHEMA.items())


def placed_decisions(path: Path, policy: Policy) -> pl.DataFrame:
    """Decisions on special cases with the file that they stand in (PLACED_DECISION_SCHEMA), and their `reason`. Raises
    TablesRefused."""
    frame = read_decisions(path, policy, reasons=True).with_columns(file=pl.lit(path.name), row=pl.lit(0))
    return frame.cast({name: PLACED_DECISION_SCHEMA[name] for name in ("file", "row")})


def recompute(request: SettleRequest) -> str:
    """The command that makes the run again, on a book as it was before."""
    lists = {
        "--withdraw": request.withdrawals, "--decisions": request.decisions, "--hospitals": request.hospitals,
        "--separate": request.separate,
    }  # fmt: skip
    options = [("--policy", request.policy_name)]
    options += [("--correct", path) for path in sorted(request.corrections)]
    options += [(option, str(path)) for option, path in lists.items() if path is not None]
    options += [("--weights", request.weights)] if request.weights else []
    names = file_words([*request.cases, *(path for _, path in options)])
    words = ["drgdip", "settle", *sorted(names[path] for path in request.cases), "--policy"]
    words += [names[request.policy_name], "--scheme", request.scheme_name, "--month", request.month]
    words += [word for option, path in options[1:] for word in (option, names[path])]
    words += ["--reason", request.reason] if request.reason else []
    why = {"--new-policy": request.policy_reason, "--new-tiers": request.tier_reason, "--reopen": request.reopen}
    words += [word for option, reason in why.items() if reason for word in (option, reason)]
    words += ["--close"] if request.close else []
    words += [] if request.fmt == "auto" else ["--format", request.fmt]
    words += [] if request.edition == "insurance" else ["--edition", request.edition]
    return command_line([*words, "--book", "BOOK"])
