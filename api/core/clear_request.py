"""What `drgdip clear` is asked, turned into what is cleared: case files or a year book, lists beside them, the proof.

Files count by their content; a proof names them without their folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from api.core.book import Book, BookPolicy, open_book
from api.core.clearing import Clearing, ClearingInput, PaidInYear, clear_year
from api.core.pay_inputs import group_values, read_decisions, read_hospitals, read_separate
from api.core.payable import PayableFiles, file_problems
from api.core.program_code import code_sha256
from budget.frames import PAYABLE_SCHEMA
from budget.group_values import GroupValues
from grouper.normalize import Edition
from grouper.pipeline import Progress
from grouper.proof import file_sha256, program_version
from grouper.schemes import Scheme
from reference_tables.codes import load_code_books
from reference_tables.group_weights import GroupWeights
from reference_tables.policy import Policy
from reference_tables.problems import PROBLEM_SCHEMA, Problem, TablesRefused, problem_frame
from reference_tables.table_files import LINE, read_table
from reference_tables.year_file import YearFile

PAID_COLUMNS = ("hospital", "pool", "prepaid")
PAID_OPTIONAL = ("deposit", "advance")
_DIGITS = 13
SHOWN_SHA = 12


@dataclass(frozen=True)
class ClearRequest:
    """What a run is asked. `cases` or a `book`; `prepaid`, `decisions`, `hospitals`, `separate`, `weights`: files or
    names, None = not given."""

    year: int
    cases: tuple[str, ...]
    book: Path | None = None
    prepaid: Path | None = None
    decisions: Path | None = None
    hospitals: Path | None = None
    separate: Path | None = None
    weights: str | None = None
    fmt: str = "auto"
    edition: Edition = "insurance"
    threads: int = 1

    @property
    def lists(self) -> dict[str, Path]:
        """The files given beside the cases, by their option."""
        named = {
            "prepaid": self.prepaid, "decisions": self.decisions, "hospitals": self.hospitals,
            "separate": self.separate,
        }  # fmt: skip
        return {name: path for name, path in named.items() if path is not None}


@dataclass(frozen=True)
class Cleared:
    """A clearing with what decided it (for the proof), the data levels of pack and weights, and the problems of reading
    the cases (PROBLEM_SCHEMA)."""

    clearing: Clearing
    deciding: Mapping[str, object]
    levels: tuple[str, ...]
    reading: pl.DataFrame


def clear_request(
    request: ClearRequest, policy: Policy, scheme: Scheme, year_file: YearFile, progress: Progress | None = None
) -> Cleared:
    """Read what is asked for and clear the year.

    Raises TablesRefused (lists, policy, year file, money not covered, a policy the book was never kept by),
    BookRefused (the book cannot be read).
    """
    values, table = group_values(policy, scheme, request.weights)
    book = None if request.book is None else open_book(request.book)
    reading: list[pl.DataFrame] = []
    if book is not None:
        cases, inputs = book.cases().select(*PAYABLE_SCHEMA), [{"name": "book", "sha256": book.seal, "format": "book"}]
        reading.append(_other_policy(book, policy))
    else:
        files = payable_files(request, policy, scheme, values, progress)
        blocks = list(files.blocks())
        reading += [block.problems for block in blocks] + [file_problems(files)]
        cases = pl.concat([pl.DataFrame(schema=PAYABLE_SCHEMA), *(block.cases for block in blocks)])
        inputs = [
            {"name": Path(source.path).name, "sha256": source.sha256, "format": source.format}
            for source in files.sources
        ]
        inputs.sort(key=lambda item: (item["name"], item["sha256"]))  # the order of files decides nothing
    given = ClearingInput(
        request.year, policy, values, year_file, cases, _decisions(request, policy, year_file, book),
        _paid(request, book), settled=book is not None,
    )  # fmt: skip
    clearing = clear_year(given)
    levels = (scheme.pack.data_level, *([] if table is None else [table.data_level]))
    deciding = _deciding(request, policy, scheme, year_file, table, inputs)
    return Cleared(clearing, deciding, levels, pl.concat([pl.DataFrame(schema=PROBLEM_SCHEMA), *reading]))


def payable_files(
    request: ClearRequest, policy: Policy, scheme: Scheme, values: GroupValues, progress: Progress | None
) -> PayableFiles:
    """The request's case files under a policy, with register and separately paid amounts. Raises TablesRefused."""
    hospitals = None if request.hospitals is None else read_hospitals(request.hospitals, policy)
    separate = None if request.separate is None else read_separate(request.separate)
    return PayableFiles(
        list(request.cases), scheme, policy, values, hospitals=hospitals, separate=separate, fmt=request.fmt,
        edition=request.edition, threads=request.threads, progress=progress,
    )  # fmt: skip


def _decisions(request: ClearRequest, policy: Policy, year_file: YearFile, book: Book | None) -> pl.DataFrame | None:
    """Decisions on special cases: the file given, else the year file's, else the book's."""
    path = request.decisions or year_file.decisions_path
    if path is not None:
        return read_decisions(path, policy)
    return None if book is None else book.decisions()


def _other_policy(book: Book, policy: Policy) -> pl.DataFrame:
    """A book that was last kept under another policy, though earlier under this one, is told. Raises TablesRefused
    (CL41) when the book was never kept by the policy: its months would be cleared by what nobody settled by."""
    if not book.policies or _same(book.policies[-1], policy):
        return pl.DataFrame(schema=PROBLEM_SCHEMA)
    last = book.policies[-1]
    if not any(_same(kept, policy) for kept in book.policies):
        args: dict[str, str | int] = {
            "kept": last.id, "kept_sha": last.sha256[:SHOWN_SHA],
            "policy": policy.id, "policy_sha": policy.sha256[:SHOWN_SHA],
        }  # fmt: skip
        raise TablesRefused(book.path.name, [Problem("CL41", args)])
    return problem_frame([Problem("CL57", {"kept": last.id, "policy": policy.id})])


def _same(kept: BookPolicy, policy: Policy) -> bool:
    return (kept.id, kept.sha256) == (policy.id, policy.sha256)


def _paid(request: ClearRequest, book: Book | None) -> dict[tuple[str, str], PaidInYear]:
    """What was paid in the year: from the file given, else from the book's ledger."""
    if request.prepaid is not None:
        return read_prepaid(request.prepaid)
    if book is None:
        return {}
    names = ("hospital_id", "pool", "due_fen", "paid_fen", "held_fen", "deferred_fen", "advance_fen")
    return {
        (hospital, pool): PaidInYear(due, paid, held, deferred, advance)
        for hospital, pool, due, paid, held, deferred, advance in book.paid().select(names).iter_rows()
    }


def read_prepaid(path: Path) -> dict[tuple[str, str], PaidInYear]:
    """What hospitals had in the year, from hospital, pool, prepaid and, if there are any, deposit (held) and advance
    (still out); yuan.

    Raises TablesRefused with every fault: TB02-TB05, PA20 no amount, PA25 twice, PA27 no hospital or pool.
    """
    try:
        with path.open("rb") as stream:
            header = stream.readline().decode("utf-8-sig", "replace")
    except OSError:
        header = ""
    names = {cell.strip() for cell in header.split(",")}
    columns = [*PAID_COLUMNS, *(name for name in PAID_OPTIONAL if name in names)]
    table = read_table(path, dict.fromkeys(columns, "code"))
    problems = [problem for problem in table.problems if problem.level.value == "error"]
    found: dict[tuple[str, str], PaidInYear] = {}
    first: dict[tuple[str, str], int] = {}
    for row in [] if table.frame is None else table.frame.iter_rows(named=True):
        line, key = int(row[LINE]), (row["hospital"], row["pool"])
        problems += [
            Problem("PA27", {"row": line, "column": name}, file=path.name, row=line, field=name)
            for name in PAID_COLUMNS[:2] if not row[name]
        ]  # fmt: skip
        if key in first:
            args: dict[str, str | int] = {"value": " ".join(key), "first": first[key]}
            problems.append(Problem("PA25", args, file=path.name, row=line, value=key[0]))
        first.setdefault(key, line)
        amounts = {name: _fen(path, row, name, problems) for name in columns[2:] if row[name] or name == "prepaid"}
        found[key] = PaidInYear(
            paid=amounts["prepaid"], held=amounts.get("deposit"), advance=amounts.get("advance", 0)
        )  # fmt: skip
    if problems:
        raise TablesRefused(path.name, problems)
    return found


def _fen(path: Path, row: Mapping[str, str | int], name: str, problems: list[Problem]) -> int:
    """An amount in yuan, at most two decimals, as fen."""
    text, line = str(row[name]), int(row[LINE])
    whole, point, part = text.partition(".")
    good = whole.isascii() and whole.isdigit() and len(whole) <= _DIGITS and len(part) <= 2
    if not good or (point and not (part.isascii() and part.isdigit())):
        problems.append(Problem("PA20", {"row": line, "value": text}, file=path.name, row=line, field=name, value=text))
        return 0
    return int(whole) * 100 + int(part.ljust(2, "0"))


def _deciding(
    request: ClearRequest,
    policy: Policy,
    scheme: Scheme,
    year_file: YearFile,
    weights: GroupWeights | None,
    inputs: list[dict[str, str]],
) -> dict[str, object]:
    """Everything that decides the result, by content."""
    pack, books = scheme.pack, load_code_books()
    lists = {name: file_sha256(path) for name, path in request.lists.items()}
    if year_file.decisions_path is not None and request.decisions is None:
        lists["decisions"] = file_sha256(year_file.decisions_path)
    return {
        "program": {"name": "drgdip", "version": program_version(), "code_sha256": code_sha256()},
        "year": request.year,
        "policy": {"id": policy.id, "sha256": policy.sha256, "data_level": policy.header.data_level},
        "year_file": {"name": year_file.file, "sha256": year_file.sha256, "data_level": year_file.data_level},
        "pack": {"id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level},
        "weights": None if weights is None else {"id": weights.id, "sha256": weights.sha256},
        "code_books": {"diagnosis": books.diagnosis.edition, "procedure": books.procedure.edition},
        "cases": inputs,
        "lists": lists,
        "edition": request.edition,
    }
