"""What new, corrected and specially decided cases earn, and what that moves of amounts already posted."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import polars as pl

from api.core.book import CHANGE_SCHEMA, DECISION_SCHEMA, KEY, POSTED_SCHEMA, Book
from api.core.book_policies import Basis, KeptPolicies
from api.core.settle_cases import CaseFilter, listed
from budget.frames import PAYABLE_SCHEMA
from budget.pricing import Pricer
from budget.settlement import DIFFERENCE_SCHEMA, exact_points, pool_of
from reference_tables.policy import Policy

DETAIL_SCHEMA: dict[str, pl.DataType] = {
    **CHANGE_SCHEMA,
    "first_month": pl.String(),
    "before_fen": pl.Int64(),
    "now_fen": pl.Int64(),
    "difference_fen": pl.Int64(),
}
"""Changes to earlier cases with the fund's part before and now, and the month in which the run before posted it: of a
case that was corrected already, the month of that correction."""

NEW, CHANGED, DECIDED, CONTEXT = "new", "changed", "decided", "context"
_NAMES = [*PAYABLE_SCHEMA, "file", "row", "role", "basis"]


@dataclass(frozen=True)
class Movement:
    """What a run brings. `cases` PAYABLE and `priced` POSTED_SCHEMA: every version that counts from now on, sorted by
    hospital and case; `new` bool per row: not in the book before. `points` of the new ones by (hospital, pool).
    `details` and `differences`: what changes of earlier cases; `decisions` that applied."""

    cases: pl.DataFrame
    priced: pl.DataFrame
    new: pl.Series
    points: dict[tuple[str, str], Fraction]
    details: pl.DataFrame
    differences: pl.DataFrame
    decisions: pl.DataFrame


def movement(
    book: Book,
    bases: KeptPolicies,
    taken: CaseFilter,
    new: pl.DataFrame,
    corrected: pl.DataFrame,
    withdrawn: pl.DataFrame,
    decisions: pl.DataFrame,
    reason: str,
    own: pl.DataFrame,
    said: pl.DataFrame,
) -> Movement:
    """Price and compare, each case by its own `basis`; an earlier case on which a decision comes keeps what priced it.
    `withdrawn`: hospital_id, case_id, reason, book_run, book_month; `decisions`: DECISION_SCHEMA
    with file and row, hospital_id null = any hospital. `own` of corrections and `said` of decisions: hospital_id,
    case_id and reason, "" for those without one beside the run's, `reason`.

    Raises TablesRefused when the policy lacks a parameter.
    """
    looked_at = _looked_at(book, bases, taken, new, corrected, withdrawn, decisions)
    posted = book.priced(among=looked_at)
    current = book.cases(among=looked_at).join(posted.select(*KEY, "basis"), on=KEY, how="left", maintain_order="left")
    decided = _decided_again(current, new, corrected, withdrawn, decisions, taken)
    parts = [
        new.with_columns(role=pl.lit(NEW)),
        corrected.with_columns(role=pl.lit(CHANGED)),
        decided.with_columns(role=pl.lit(DECIDED)),
    ]
    cases = pl.concat([part.select(_NAMES) for part in parts])
    rest = current.join(withdrawn, on=KEY, how="anti")
    accepted, priced = [cases.clear()], [pl.DataFrame(schema=POSTED_SCHEMA)]
    points: dict[tuple[str, str], Fraction] = {}
    for key in cases["basis"].unique().sort():
        of_basis = cases.filter(pl.col("basis") == key)
        context = rest.filter(pl.col("basis") == key).join(cases, on=KEY, how="anti")
        found = _priced(bases.of(key), of_basis, context, book, decisions, current, posted, taken)
        accepted.append(found[0])
        priced.append(found[1])
        for owner, value in found[2].items():
            points[owner] = points.get(owner, Fraction(0)) + value
    whole, amounts = pl.concat(accepted).sort(*KEY), pl.concat(priced).sort(*KEY)
    return Movement(
        whole.select(*PAYABLE_SCHEMA),
        amounts,
        whole["role"] == NEW,
        points,
        _details(whole, amounts, withdrawn, posted, reason, own, said),
        _differences(whole, amounts, withdrawn, posted),
        _all_decisions(book, decisions, whole).select(*DECISION_SCHEMA),
    )


def _priced(
    basis: Basis,
    own: pl.DataFrame,
    context: pl.DataFrame,
    book: Book,
    decisions: pl.DataFrame,
    current: pl.DataFrame,
    posted: pl.DataFrame,
    taken: CaseFilter,
) -> tuple[pl.DataFrame, pl.DataFrame, dict[tuple[str, str], Fraction]]:
    """The cases of one basis that count from now on, their prices (POSTED_SCHEMA) and the points of the new ones.

    Of a group of which a yearly number is paid as usual, the year's other cases under the same policy (`context`) are
    counted along.
    """
    policy = basis.policy
    others = context.filter(pl.col("group").is_in(_capped(policy)))
    others = others.with_columns(file=pl.lit(""), row=pl.lit(0, dtype=pl.UInt32), role=pl.lit(CONTEXT))
    cases = pl.concat([own.select(_NAMES), others.select(_NAMES)]).sort(*KEY)
    every = _all_decisions(book, decisions, cases)
    found = Pricer(policy, basis.values).price(cases.select(*PAYABLE_SCHEMA), every)
    frame = found.frame.with_columns(pool_of(policy), pl.lit(basis.key).alias("basis"))
    unknown = frame["fund_fen"].is_null()
    wanted = (cases["role"] != CONTEXT) & ~unknown
    taken.refuse(cases.filter(unknown & (cases["role"] != CONTEXT)), pl.lit(value=True), "ST37")
    same = _unchanged(cases, frame, current, posted) & wanted
    unchanged = cases.filter(same & (cases["role"] == CHANGED))
    if unchanged.height:
        taken.problems.append(listed(unchanged, "ST50", {"hospital": pl.col("hospital_id"), "case": pl.col("case_id")}))
    kept = wanted & ~same
    counted = (kept & (cases["role"] == NEW)).to_numpy()
    points = exact_points(found, np.asarray(counted).tolist(), pool_of(policy))
    priced = frame.filter(kept).select(pl.col(name).cast(dtype) for name, dtype in POSTED_SCHEMA.items())
    return cases.filter(kept), priced, points


def _looked_at(
    book: Book,
    bases: KeptPolicies,
    taken: CaseFilter,
    new: pl.DataFrame,
    corrected: pl.DataFrame,
    withdrawn: pl.DataFrame,
    decisions: pl.DataFrame,
) -> pl.DataFrame:
    """The cases of the book (KEY) that the run looks at as a whole: those that change, and those of groups of which a
    yearly number is paid as usual."""
    of_any = decisions.filter(pl.col("hospital_id").is_null()).select("case_id")
    own = pl.concat([frame.select(KEY) for frame in (corrected, withdrawn, decisions)])
    known = pl.concat([taken.known.join(found, on=found.columns, how="semi") for found in (own, of_any)])
    keys = {key for column in (new["basis"], corrected["basis"], known["book_basis"]) for key in column.unique()}
    capped = sorted({group for key in keys for group in _capped(bases.of(key).policy)})
    others = [book.cases((*KEY, "group")).filter(pl.col("group").is_in(capped)).select(KEY)] if capped else []
    return pl.concat([known.select(KEY), *others]).unique(maintain_order=True)


def _capped(policy: Policy) -> list[str]:
    """The groups of which only a yearly number of cases is paid as usual."""
    scopes = [dict(setting.scope) for setting in policy.all("volume_cap")]
    lists = {group for scope in scopes if "list" in scope for group in policy.lists[scope["list"]]}
    return sorted(lists | {scope["group"] for scope in scopes if "group" in scope})


def _decided_again(
    current: pl.DataFrame,
    new: pl.DataFrame,
    corrected: pl.DataFrame,
    withdrawn: pl.DataFrame,
    decisions: pl.DataFrame,
    taken: CaseFilter,
) -> pl.DataFrame:
    """Cases of the book on which a decision comes now; decisions on cases that are nowhere are told."""
    own = decisions.filter(pl.col("hospital_id").is_not_null())
    of_any = decisions.filter(pl.col("hospital_id").is_null())

    def without(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        return own.join(frame, on=KEY, how="anti"), of_any.join(frame, on="case_id", how="anti")

    lost = pl.concat(without(current))
    lost = lost.join(new, on=KEY, how="anti").join(
        new.join(lost.filter(pl.col("hospital_id").is_null()), on="case_id", how="semi"), on="case_id", how="anti"
    )
    taken.refuse(lost, pl.lit(value=True), "ST42")
    touched = pl.concat([current.join(own, on=KEY, how="semi"), current.join(of_any, on="case_id", how="semi")]).unique(
        KEY, maintain_order=True
    )
    rest = touched.join(corrected, on=KEY, how="anti").join(withdrawn, on=KEY, how="anti")
    return rest.with_columns(file=pl.lit(""), row=pl.lit(0, dtype=pl.UInt32))


def _all_decisions(book: Book, given: pl.DataFrame, cases: pl.DataFrame) -> pl.DataFrame:
    """The decision that holds on each of the cases (DECISION_SCHEMA): a new one before the book's."""
    own = given.filter(pl.col("hospital_id").is_not_null()).select(*DECISION_SCHEMA)
    of_any = given.filter(pl.col("hospital_id").is_null()).drop("hospital_id")
    spread = cases.select(KEY).join(of_any, on="case_id", how="inner").select(*DECISION_SCHEMA)
    every = pl.concat([book.decisions(), spread, own]).unique(KEY, keep="last", maintain_order=True)
    return every.join(cases, on=KEY, how="semi", maintain_order="left")


def _unchanged(cases: pl.DataFrame, frame: pl.DataFrame, current: pl.DataFrame, posted: pl.DataFrame) -> pl.Series:
    """bool [cases]: the book has the case with the same content and the same amounts."""
    money = ["pool", "case_kind", "package_fen", "fund_fen"]
    mine = cases.select(*PAYABLE_SCHEMA).with_columns(frame.select(money))
    theirs = current.select(*PAYABLE_SCHEMA).join(posted.select(*KEY, *money), on=KEY, how="left")
    both = mine.with_row_index("at").join(theirs, on=list(mine.columns), how="semi", nulls_equal=True)
    return pl.Series(np.isin(np.arange(cases.height), both["at"].to_numpy()), dtype=pl.Boolean)


def _details(
    accepted: pl.DataFrame,
    priced: pl.DataFrame,
    withdrawn: pl.DataFrame,
    posted: pl.DataFrame,
    reason: str,
    own: pl.DataFrame,
    said: pl.DataFrame,
) -> pl.DataFrame:
    """The changes of earlier cases, each with its own reason, else the run's."""
    actions = {CHANGED: "replace", DECIDED: "decide"}
    changed = accepted.select(*KEY, "role").with_columns(priced["fund_fen"].alias("now_fen"))
    changed = changed.filter(pl.col("role") != NEW)
    for name, reasons in (("own", own), ("said", said), ("of_any", said.filter(pl.col("hospital_id").is_null()))):
        on = ["case_id"] if name == "of_any" else KEY
        found = reasons.filter(pl.col("reason") != "").select(*on, pl.col("reason").alias(name))
        found = found.unique(on, keep="last", maintain_order=True)
        changed = changed.join(found, on=on, how="left", maintain_order="left")
    told = pl.when(pl.col("role") == CHANGED).then("own").otherwise(pl.coalesce("said", "of_any"))
    changed = changed.select(
        *KEY,
        pl.col("role").replace_strict(actions, return_dtype=pl.String).alias("action"),
        told.fill_null(pl.lit(reason)).alias("reason"),
        "now_fen",
    )
    gone = withdrawn.select(
        *KEY,
        pl.lit("withdraw").alias("action"),
        pl.coalesce("reason", pl.lit(reason)).alias("reason"),
        pl.lit(0, dtype=pl.Int64).alias("now_fen"),
    )
    old = posted.select(
        *KEY,
        pl.col("book_run").alias("from_run"),
        pl.col("book_month").alias("first_month"),
        pl.col("fund_fen").alias("before_fen"),
    )
    every = pl.concat([changed, gone]).join(old, on=KEY, how="left").sort(*KEY)
    return every.with_columns(difference_fen=pl.col("now_fen") - pl.col("before_fen")).select(*DETAIL_SCHEMA)


def _differences(
    accepted: pl.DataFrame, priced: pl.DataFrame, withdrawn: pl.DataFrame, posted: pl.DataFrame
) -> pl.DataFrame:
    """What leaves the old pool and what comes into the new one, by the run that is corrected."""
    changed = priced.filter(accepted["role"] != NEW).select(*KEY, "pool", "fund_fen")
    ended = pl.concat([changed.select(KEY), withdrawn.select(KEY)])
    old = posted.join(ended, on=KEY, how="semi").select(*KEY, "pool", "fund_fen", pl.col("book_run").alias("from_run"))
    now = changed.join(old.select(*KEY, "from_run"), on=KEY, how="left").select(*KEY, "pool", "fund_fen", "from_run")
    moved = pl.concat([old.with_columns(fund_fen=-pl.col("fund_fen")), now])
    summed = moved.group_by("hospital_id", "pool", "from_run").agg(pl.col("fund_fen").sum().alias("amount_fen"))
    return summed.sort("hospital_id", "pool", "from_run").select(*DIFFERENCE_SCHEMA)
