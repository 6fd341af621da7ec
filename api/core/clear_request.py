"""What `drgdip clear` is asked, turned into what is cleared: case files or a year book, lists beside them, the proof.

One policy clears the year: the one that holds on its last day. Months before it begins are priced by an earlier policy
that is given, else, from a year book, by the one they were settled by. Files count by their content; a proof names them
without their folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from api.core.book import Book
from api.core.book_policies import Basis, KeptPolicies, basis_of
from api.core.clear_inputs import ClearInputs, beside_cases
from api.core.clearing import Clearing, ClearingInput, PaidInYear, PricedBy, clear_year
from api.core.clearing_notes import book_notes, other_names, policy_notes
from api.core.pay_inputs import group_values
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

SHOWN_SHA = 12


@dataclass(frozen=True)
class ClearRequest:
    """What a run is asked. `cases` or a `book`; `prepaid`, `decisions`, `hospitals`, `separate`, `weights`: files or
    names, None = not given; `policy_reason`: why a book is cleared by a policy it was never kept by."""

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
    policy_reason: str = ""

    @property
    def lists(self) -> dict[str, Path]:
        """The files given beside the cases, by their option."""
        return beside_cases(self)


@dataclass(frozen=True)
class Cleared:
    """A clearing, its problems with those of reading the cases or the book before them, what decided it (for the
    proof), and the data levels of pack and weights."""

    clearing: Clearing
    deciding: Mapping[str, object]
    levels: tuple[str, ...]


@dataclass(frozen=True)
class _Cases:
    """Cases (PAYABLE_SCHEMA with `basis`, the key in `earlier`, "" = the clearing policy), where they are from, and the
    problems of reading them."""

    frame: pl.DataFrame
    earlier: Mapping[str, PricedBy]
    sources: list[dict[str, str]]
    problems: list[pl.DataFrame]


def clear_request(
    request: ClearRequest, given: ClearInputs, scheme: Scheme, book: Book | None, progress: Progress | None = None
) -> Cleared:
    """Read the cases that are asked for and clear the year; `book`: the request's, opened.

    Raises TablesRefused (policies, year file, money not covered, a policy the book was never kept by), BookRefused (a
    policy that the book keeps cannot be read).
    """
    values, table = group_values(given.policy, scheme, request.weights)
    if book is None:
        found = _of_files(request, given, scheme, values, progress)
    else:
        found = _of_book(book, request, given, scheme, values)
    paid = given.paid or ({} if book is None else _paid(book))
    decisions = given.decisions if given.decisions is not None or book is None else book.decisions()
    asked = ClearingInput(
        request.year, given.policy, values, given.year_file, found.frame, decisions, paid, settled=book is not None,
        earlier=found.earlier,
    )  # fmt: skip
    clearing = clear_year(asked)
    levels = (scheme.pack.data_level, *([] if table is None else [table.data_level]))
    deciding = _deciding(request, given, scheme, table, found)
    named = problem_frame(list(other_names(given.year_file, given.hospitals)))
    read = pl.concat([pl.DataFrame(schema=PROBLEM_SCHEMA), *found.problems, named]).sort(
        "file", "row", maintain_order=True
    )
    return Cleared(replace(clearing, problems=pl.concat([read, clearing.problems])), deciding, levels)


def payable_files(
    request: ClearRequest,
    policy: Policy,
    scheme: Scheme,
    values: GroupValues,
    progress: Progress | None,
    *,
    hospitals: pl.DataFrame | None = None,
    separate: pl.DataFrame | None = None,
) -> PayableFiles:
    """The request's case files under a policy, with register and separately paid amounts; read by name, so that the
    order in which they are given decides nothing."""
    paths = sorted(request.cases, key=lambda path: (Path(path).name, path))
    return PayableFiles(
        paths, scheme, policy, values, hospitals=hospitals, separate=separate, fmt=request.fmt,
        edition=request.edition, threads=request.threads, progress=progress,
    )  # fmt: skip


def _of_files(
    request: ClearRequest, given: ClearInputs, scheme: Scheme, values: GroupValues, progress: Progress | None
) -> _Cases:
    problems = [
        Problem("CL46", {"policy": policy.id, "scheme": policy.header.scheme, "given": scheme.pack.id})
        for policy in given.earlier
        if policy.header.scheme not in ("", scheme.pack.id)
    ]
    if problems:
        raise TablesRefused(given.policy.id, problems)
    bases = [basis_of(policy, group_values(policy, scheme, None)[0], {}) for policy in given.earlier]
    files = payable_files(
        request, given.policy, scheme, values, progress, hospitals=given.hospitals, separate=given.separate
    )  # fmt: skip
    blocks = list(files.blocks())
    cases = pl.concat([pl.DataFrame(schema=PAYABLE_SCHEMA), *(block.cases for block in blocks)])
    told = [block.problems.with_columns(file=pl.lit(Path(block.source.path).name)) for block in blocks]
    told.append(file_problems(files))
    if bases:  # months before the policy are told where no earlier one prices them either (CL42)
        told = [frame.filter(pl.col("code") != "PA09") for frame in told]
    sources = [
        {"name": Path(source.path).name, "sha256": source.sha256, "format": source.format} for source in files.sources
    ]
    sources.sort(key=lambda item: (item["name"], item["sha256"]))  # the order of files decides nothing
    keys = {month: _given_for(given.policy, bases, month) for month in cases["month"].drop_nulls().unique()}
    marked = cases.with_columns(basis=_by_month(keys))
    used = {basis.key: PricedBy(basis.policy, basis.values) for basis in bases if basis.key in keys.values()}
    return _Cases(marked, used, sources, told)


def _of_book(book: Book, request: ClearRequest, given: ClearInputs, scheme: Scheme, values: GroupValues) -> _Cases:
    """The book's cases, each by the clearing policy in its time, before it by an earlier one that is given, else by
    what the case was settled by."""
    _check_known(book, given.policy, request.policy_reason)
    now = replace(basis_of(given.policy, values, {"id": scheme.pack.id, "sha256": scheme.pack.sha256}), key="")
    kept = KeptPolicies(book, now)
    posted = book.priced().select("hospital_id", "case_id", pl.col("basis").alias("was"))
    cases = book.cases().join(posted, on=["hospital_id", "case_id"], how="left", maintain_order="left")
    bases = [basis_of(policy, group_values(policy, scheme, None)[0], {}) for policy in given.earlier]
    keys = {month: _given_for(given.policy, bases, month) for month in cases["month"].drop_nulls().unique()}
    early = {month: _begins_after(given.policy, month) for month in keys}
    by_month = _by_month(keys)
    settled_by = pl.col("month").replace_strict(early, return_dtype=pl.Boolean) if early else pl.lit(value=False)
    marked = cases.with_columns(
        basis=pl.when(settled_by & (by_month == "")).then(pl.col("was")).otherwise(by_month)
    )  # fmt: skip
    known = {basis.key: basis for basis in bases}
    wanted = [key for key in marked["basis"].unique().sort() if key]
    used = {key: known[key] if key in known else kept.of(key) for key in wanted}
    notes = [*book_notes(book), *policy_notes(_settled_and_cleared(book, marked, now, used), given.policy.id)]
    return _Cases(
        marked.select(*PAYABLE_SCHEMA, "basis"),
        {key: PricedBy(basis.policy, basis.values) for key, basis in used.items()},
        [{"name": "book", "sha256": book.settled_seal, "format": "book"}],
        [problem_frame(notes)],
    )


def _settled_and_cleared(book: Book, marked: pl.DataFrame, now: Basis, used: Mapping[str, Basis]) -> pl.DataFrame:
    """month, `by` the policy that settled it, `was` and `now` what it was settled and is cleared by, `own`: cleared by
    the clearing policy that settled it as well."""
    content = {policy.key: f"{policy.sha256} {policy.weights_sha256}" for policy in book.policies}
    names = {policy.key: policy.id for policy in book.policies}
    content |= {key: _content(basis) for key, basis in used.items() if key not in content}
    clears = _content(now)
    kinds = marked.select("month", "was", "basis").unique().sort(pl.all())
    rows = [
        (month, names[was], content[was], content.get(basis, clears), not basis and content[was] == clears)
        for month, was, basis in kinds.iter_rows()
    ]
    schema = {"month": pl.String(), "by": pl.String(), "was": pl.String(), "now": pl.String(), "own": pl.Boolean()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _content(basis: Basis) -> str:
    return f"{basis.policy.sha256} {basis.weights_sha256}"


def _given_for(policy: Policy, earlier: list[Basis], month: str) -> str:
    """The key of the earlier policy that is given for a month; "" where the clearing policy has begun, or none is."""
    if not _begins_after(policy, month):
        return ""
    return next((basis.key for basis in earlier if _holds(basis.policy, month)), "")


def _begins_after(policy: Policy, month: str) -> bool:
    return f"{month}-01" < f"{policy.header.effective_from}"


def _holds(policy: Policy, month: str) -> bool:
    until = policy.header.effective_until
    return not _begins_after(policy, month) and (until is None or f"{month}-01" < f"{until}")


def _by_month(keys: Mapping[str, str]) -> pl.Expr:
    return pl.col("month").replace_strict(keys, default="", return_dtype=pl.String) if keys else pl.lit("")


def _check_known(book: Book, policy: Policy, reason: str) -> None:
    """A book is cleared by a policy it was kept by, unless it is said why not (CL41)."""
    known = any((kept.id, kept.sha256) == (policy.id, policy.sha256) for kept in book.policies)
    if book.policies and not known and not reason:
        last = book.policies[-1]
        args: dict[str, str | int] = {
            "kept": last.id, "kept_sha": last.sha256[:SHOWN_SHA],
            "policy": policy.id, "policy_sha": policy.sha256[:SHOWN_SHA],
        }  # fmt: skip
        raise TablesRefused(book.path.name, [Problem("CL41", args)])


def _paid(book: Book) -> dict[tuple[str, str], PaidInYear]:
    """What was paid in the year, from the book's ledger."""
    names = ("hospital_id", "pool", "due_fen", "paid_fen", "held_fen", "deferred_fen", "advance_fen")
    return {
        (hospital, pool): PaidInYear(due, paid, held, deferred, advance)
        for hospital, pool, due, paid, held, deferred, advance in book.paid().select(names).iter_rows()
    }


def _deciding(
    request: ClearRequest, given: ClearInputs, scheme: Scheme, weights: GroupWeights | None, found: _Cases
) -> dict[str, object]:
    """Everything that decides the result, by content."""
    pack, books, policy, year_file = scheme.pack, load_code_books(), given.policy, given.year_file
    lists = {name: file_sha256(path) for name, path in request.lists.items()}
    if year_file.decisions_path is not None and request.decisions is None:
        lists["decisions"] = file_sha256(year_file.decisions_path)
    earlier = sorted((by.policy.id, by.policy.sha256, key) for key, by in found.earlier.items())
    return {
        "program": {"name": "drgdip", "version": program_version(), "code_sha256": code_sha256()},
        "year": request.year,
        "policy": {"id": policy.id, "sha256": policy.sha256, "data_level": policy.header.data_level},
        "earlier_policies": [{"id": name, "sha256": sha256, "key": key} for name, sha256, key in earlier],
        "year_file": {"name": year_file.file, "sha256": year_file.sha256, "data_level": year_file.data_level},
        "pack": {"id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level},
        "weights": None if weights is None else {"id": weights.id, "sha256": weights.sha256},
        "code_books": {"diagnosis": books.diagnosis.edition, "procedure": books.procedure.edition},
        "cases": found.sources,
        "lists": lists,
        "edition": request.edition,
    }
