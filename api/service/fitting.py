"""Which rows of a submission stand, and why the others do not: told at once, never first at the settlement.

A file of a month brings cases that are new: the hospital's own, of the month (or, late, of a closed one before it), in
no other submission of the year and not in the book. A correction or withdrawal case by case is of cases that the book
holds; a correction may bring its case to another month that the next settlement takes, and is refused where the case
would not be paid any more: what was paid would stand. Of one case the last submission counts; within one file a case
stands once, and not at all where its rows differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from api.core.book_policies import KeptPolicies
from api.service.book_cases import BookCases, comes_late, next_after
from api.service.mendable import own_bases
from api.service.submissions import CORRECTION, KINDS_ZH, SubmissionInfo
from budget.frames import PAYABLE_SCHEMA
from reference_tables.problems import problem_rows

ELSEWHERE_SCHEMA = {"case_id": pl.String(), "submission": pl.String()}
_BARRED = ["INVALID", "DUPLICATE"]
_MONTH, _MOVED = "SV31", "SV18"
_CONTENT = [name for name in PAYABLE_SCHEMA if name != "status"]


@dataclass(frozen=True)
class Around:
    """What a submission's cases are measured against: the book, cases of other submissions of the year that are to be
    settled, corrections or withdrawals of cases that came after it, and withdrawals that are to be settled (all three
    ELSEWHERE_SCHEMA); `bases`: what prices a correction of a case of the book, None where nothing is corrected."""

    book: BookCases
    elsewhere: pl.DataFrame
    later: pl.DataFrame
    ending: pl.DataFrame
    bases: KeptPolicies | None


@dataclass(frozen=True)
class _Rule:
    """Rows where `met` holds are told `code` about a field and its value."""

    code: str
    met: pl.Expr
    field: str
    value: pl.Expr
    args: Mapping[str, pl.Expr | str]


def fitting(
    frame: pl.DataFrame, found: SubmissionInfo, around: Around
) -> tuple[pl.DataFrame, pl.DataFrame, list[pl.DataFrame]]:
    """Of rows with hospital_id, case_id and row (and what cases have): those that stand; those that are barred for
    faults told already, as repetitions or as cases of another month, which still speak of their case; and the problems
    of the others."""
    known = (
        around.book.counting, around.book.ended, around.elsewhere, around.later.rename({"submission": "later"}),
        around.ending.rename({"submission": "ending"}),
    )  # fmt: skip
    marked = frame
    for table in known:
        marked = marked.join(table.unique("case_id", keep="last"), on="case_id", how="left", maintain_order="left")
    whose = {"hospital": found.hospital_id}
    readable = pl.col("status") != "INVALID" if "status" in frame.columns else pl.lit(value=True)
    rules = [
        _Rule("SV66", (pl.col("case_id").fill_null("") == "") & readable, "case_id", pl.lit(""), {}),
        _Rule("SV30", pl.col("hospital_id") != found.hospital_id, "hospital_id", pl.col("hospital_id"), whose),
    ]
    if found.by_case:
        rules += _of_the_book(found)
    if "month" in frame.columns:
        rules.append(_of_another_month(found, around.book))
    if found.kind == CORRECTION and around.bases is not None:
        rules += _not_insured(marked, around, around.bases, readable)
    if not found.by_case:
        rules += _new()
    told, out, barred = [], pl.lit(value=False), pl.lit(value=False)
    for rule in rules:
        met = rule.met.fill_null(value=False) & ~out
        barred = met if rule.code in {_MONTH, _MOVED} else barred
        rows = marked.filter(met)
        args = {"value": rule.value, **rule.args}
        told.append(problem_rows(rows, rule.code, file=found.file_name, field=rule.field, value=rule.value, args=args))
        out = out | met
    fit, late = marked.filter(~out).select(frame.columns), marked.filter(barred).select(frame.columns)
    if "status" not in frame.columns:
        return fit, late, told
    repeated = pl.col("status").is_in(_BARRED)
    return fit.filter(~repeated), pl.concat([fit.filter(repeated), late]), told


def _of_another_month(found: SubmissionInfo, book: BookCases) -> _Rule:
    """Cases that the submission's month does not take. Those of closed months come late in the next one; a correction
    brings a case of the month to any other that the next settlement takes."""
    month, year = pl.col("month"), found.month[:4]
    other = month != found.month
    if not found.by_case:
        other &= ~comes_late("month", found.month, book.closed_until)
        return _Rule(_MONTH, other, "month", month, {"month": found.month})
    following, of = next_after(book.book, year), pl.col("of_month")
    other &= ~((of == found.month) & (month.str.head(4) == year) & (month <= following))
    args: dict[str, pl.Expr | str] = {"month": found.month, "of": of, "next": following, "year": year}
    return _Rule(_MOVED, other, "month", month, args)


def _not_insured(
    marked: pl.DataFrame, around: Around, bases: KeptPolicies, readable: pl.Expr
) -> list[_Rule]:  # fmt: skip
    """Corrections to an insurance that the policy by which the case is priced does not pay."""
    own, insurance = own_bases(marked, around.book.counting, bases), pl.col("insurance")
    rules = []
    for key in own.drop_nulls().unique().sort():
        policy = bases.of(key).policy
        met = readable & pl.lit(own == key) & ~insurance.is_in(list(policy.insurances))
        args: dict[str, pl.Expr | str] = {"policy": policy.id, "month": pl.col("of_month")}
        rules.append(_Rule("SV28", met, "insurance_type", insurance, args))
    return rules


def _new() -> list[_Rule]:
    settled, submission = pl.col("settled_in"), pl.col("submission")
    ending, month = pl.col("ending"), {"month": pl.col("of_month")}
    return [
        _Rule("SV29", settled.is_not_null() & ending.is_not_null(), "case_id", ending, {**month, "settled": settled}),
        _Rule("SV64", settled.is_not_null(), "case_id", settled, month),
        _Rule("SV32", submission.is_not_null(), "case_id", submission, {}),
    ]


def _of_the_book(found: SubmissionInfo) -> list[_Rule]:
    action = {"action": KINDS_ZH[found.kind]}
    none, ended, submission = pl.col("settled_in").is_null(), pl.col("ended_in"), pl.col("submission")
    return [
        _Rule("SV61", none & submission.is_not_null(), "case_id", submission, action),
        _Rule("SV62", none & ended.is_not_null(), "case_id", ended, action),
        _Rule("SV60", none, "case_id", pl.col("case_id"), action),
        _Rule("SV63", pl.col("later").is_not_null(), "case_id", pl.col("later"), {}),
    ]


def once(
    kept: pl.DataFrame, barred: pl.DataFrame, found: SubmissionInfo
) -> tuple[pl.Series, list[pl.DataFrame]]:  # fmt: skip
    """Rows (UInt32) of a whole file's standing cases that must go because the case is there again, and their problems:
    the same once more (SV67), or all of them where they differ (SV65), since no order may decide what is paid.

    `barred`: rows that were left out, among them repetitions."""
    content = [name for name in _CONTENT if name in kept.columns] or ["case_id"]
    together = pl.concat([frame.select("row", *dict.fromkeys(["case_id", *content])) for frame in (kept, barred)])
    again = together.filter(together.select("case_id").is_duplicated())
    if again.is_empty():
        return pl.Series("row", [], dtype=pl.UInt32), []
    versions = again.group_by("case_id").agg(pl.struct(content).n_unique().alias("versions"))
    again = again.join(versions, on="case_id", how="left", maintain_order="left").sort("row")
    first = again.unique("case_id", keep="first", maintain_order=True)["row"].implode()
    standing = pl.col("row").is_in(kept["row"].implode())
    different = again.filter(pl.col("versions") > 1)
    same = again.filter((pl.col("versions") == 1) & ~pl.col("row").is_in(first) & standing)
    gone = pl.concat([different.filter(standing)["row"], same["row"]])
    return gone, _repeated(different, "SV65", found) + _repeated(same, "SV67", found)


def _repeated(rows: pl.DataFrame, code: str, found: SubmissionInfo) -> list[pl.DataFrame]:
    value = pl.col("case_id")
    return [problem_rows(rows, code, file=found.file_name, field="case_id", value=value, args={"value": value})]
