"""Settle a month (月度结算): accept cases and corrections into the year book, price them, pay and post.

One run is one step of the book: either all of it is written or nothing. The same inputs again change nothing; other
inputs for a month that is settled are refused, unless they are corrections or a further run is asked for: it takes the
cases that came late, each still once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import orjson
import polars as pl

from api.core.book import CHANGE_SCHEMA, DECISION_SCHEMA, KEY, Book, BookRefused, Run
from api.core.book_policies import Basis, KeptPolicies, basis_of, files_of, kept_basis, noted
from api.core.book_seals import SHOWN_RUN
from api.core.settle_cases import CaseFilter, placed
from api.core.settle_policy import check_policy, clearing_needs, skipped_months
from api.core.settle_prices import DETAIL_SCHEMA, Movement, movement
from budget.group_values import GroupValues
from budget.ledger import AMOUNT_SCHEMA, POSTING_SCHEMA, balance_of, postings_of, taken_back
from budget.settlement import (
    KIND_SCHEMA,
    MONTH_SCHEMA,
    PayShares,
    amounts_of,
    by_kind,
    first_day,
    monthly_statement,
    pays_in,
    shares_of,
)
from grouper.proof import program_version
from reference_tables.policy import Policy
from reference_tables.problems import PROBLEM_SCHEMA, Level, Problem, TablesRefused, problem_frame

SETTLE, CORRECT, CLOSE = "settle", "correct", "close"
OWED = "2201"
STATEMENT_SCHEMA: dict[str, pl.DataType] = {
    "hospital_id": pl.String(), "hospital_name": pl.String(), "month": pl.String(),
    **{name: dtype for name, dtype in MONTH_SCHEMA.items() if name != "hospital_id"},
}  # fmt: skip
WITHDRAWAL_SCHEMA: dict[str, pl.DataType] = {
    "hospital_id": pl.String(), "case_id": pl.String(), "reason": pl.String(), "file": pl.String(), "row": pl.UInt32(),
}  # fmt: skip
PLACED_DECISION_SCHEMA: dict[str, pl.DataType] = {**DECISION_SCHEMA, "file": pl.String(), "row": pl.UInt32()}
_FRAMES: Mapping[str, Mapping[str, pl.DataType]] = {
    "statement": STATEMENT_SCHEMA, "kinds": KIND_SCHEMA, "details": DETAIL_SCHEMA, "postings": POSTING_SCHEMA,
    "problems": PROBLEM_SCHEMA,
}  # fmt: skip
MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_DIFFERENT = {
    "cases": "病例文件", "correct": "更正文件", "withdraw": "撤销清单", "decisions": "特例单议清单",
    "hospitals": "医疗机构名录", "separate": "单列支付清单", "policy": "政策", "pack": "分组方案", "weights": "权重表",
    "options": "选项", "reason": "原因",
}  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class InputFile:
    """A file that a run was made from. `role`: cases, correct, withdraw, decisions, hospitals, separate."""

    role: str
    sha256: str
    name: str = field(compare=False, default="")


@dataclass(frozen=True)
class MonthInput:
    """What is to be settled. Cases and corrections: PAYABLE_SCHEMA, with `file` and `row` where known; withdrawals:
    WITHDRAWAL_SCHEMA; decisions: PLACED_DECISION_SCHEMA; corrections and decisions may have a `reason`, too; null = the
    run's. None = none given. `made_with`: pack, weights and options that decide how files became cases, by name.
    `problems`: PROBLEM_SCHEMA, of reading the files. `policy_text`: the policy file, which the book keeps;
    `registered`: hospitals whose tier the register gives: cases of settled months keep the one of then, unless it is
    said why they do not (`tier_reason`); `reopen`: why a cleared
    year, or a month that is settled already, is settled on; `further`: a settled month takes more cases, though it is
    not said why."""

    month: str
    cases: pl.DataFrame | None = None
    corrections: pl.DataFrame | None = None
    withdrawals: pl.DataFrame | None = None
    decisions: pl.DataFrame | None = None
    reason: str = ""
    close: bool = False
    policy_reason: str = ""
    policy_text: str = ""
    registered: frozenset[str] = frozenset()
    tier_reason: str = ""
    reopen: str = ""
    further: bool = False
    files: tuple[InputFile, ...] = ()
    made_with: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    recompute: str = ""
    problems: pl.DataFrame | None = None

    @property
    def moves(self) -> bool:
        """Is anything to be accepted or changed, or is the month only to be closed?"""
        return any(part is not None for part in (self.cases, self.corrections, self.withdrawals, self.decisions))


@dataclass(frozen=True)
class Settled:
    """A settlement. `run` None: nothing could be accepted; then no more than the month was closed. `repeated`: the same
    inputs had been settled before; `closed`: the month is closed now. Frames: STATEMENT_SCHEMA, KIND_SCHEMA,
    DETAIL_SCHEMA, POSTING_SCHEMA, PROBLEM_SCHEMA."""

    book: Book
    run: Run | None
    repeated: bool
    closed: bool
    statement: pl.DataFrame
    kinds: pl.DataFrame
    details: pl.DataFrame
    postings: pl.DataFrame
    problems: pl.DataFrame
    proof: Mapping[str, object]


def check_month(book: Book, month: str, reopen: str = "") -> None:
    """Refuse a month the book cannot post in: none of its year (ST05, ST06), closed (ST10), before the last one
    (ST12). The year's last month has none after it that could take what comes late: with a reason (`reopen`) it takes
    a further run itself, else it is refused (ST23)."""
    check_year(book, month)
    until = book.closed_until
    if month <= until:
        last = f"{book.year}-12"
        if until == last and month == last and reopen:
            return
        args: dict[str, str | int] = {"month": month, "until": until, "next": last if until == last else _next(until)}
        raise BookRefused([Problem("ST23" if until == last else "ST10", args, value=month)])
    if month < book.last_month:
        raise BookRefused([Problem("ST12", {"month": month, "last": book.last_month}, value=month)])


def check_year(book: Book, month: str) -> None:
    """Refuse what is no month (ST06), or one of another year (ST05)."""
    if not MONTH.fullmatch(month):
        raise BookRefused([Problem("ST06", {"month": month}, value=month)])
    if month[:4] != str(book.year):
        raise BookRefused([Problem("ST05", {"month": month, "year": book.year}, value=month)])


def settle_month(book: Book, policy: Policy, values: GroupValues, given: MonthInput) -> Settled:
    """Settle one month, or correct earlier ones in it; the caller holds the book's lock.

    Raises BookRefused when the book refuses the whole run, TablesRefused when the policy lacks a parameter; the book
    is then as it was.
    """
    identity = _identity(policy, given)
    input_id = hash_of(identity)
    before = repeated(book, policy, given)
    if before is not None:
        return before
    if not given.moves and given.close and given.month == book.closed_until:
        return _nothing(book, given.month)
    check_month(book, given.month, given.reopen)
    check_open(book, given.reopen)
    unchanged = book
    book, bases, kept = _check(book, basis_of(policy, values, given.made_with.get("pack", {})), given, identity)
    if not given.moves:
        return _nothing(_close(book, given.month, given.reopen), given.month)
    day, problems = first_day(given.month), list[Problem]()
    outside = policy.outside(day, day)
    if outside is not None:
        raise TablesRefused(policy.id, [outside])
    pays = pays_in(policy, given.month, problems)
    taken, moved = _accepted(book, bases, given)
    told = [_frame(given.problems, PROBLEM_SCHEMA), *taken.problems]
    told += [problem_frame(clearing_needs(book, policy, given.month))] if kept else []
    told += [problem_frame(skipped_months(book, given.month))] if given.cases is not None else []
    listed = pl.concat(told).sort(*PROBLEM_SCHEMA)
    empty_month = given.cases is not None and given.cases.is_empty()
    if moved.cases.is_empty() and moved.details.is_empty() and not empty_month:
        return replace(_nothing(_closed(unchanged, given.month, given), given.month), problems=listed)

    def shares(hospital: str, pool: str) -> PayShares | None:
        return shares_of(policy, given.month, hospital, pool, problems)

    new = moved.priced.filter(moved.new)
    owed = balance_of(book.year_ledger(), OWED)
    rows = monthly_statement(new, moved.points, moved.differences, owed, shares, pays=pays)
    if problems:
        raise TablesRefused(policy.id, problems)
    record = {**identity, "program": program_version(), "book": {"year": book.year, "before": book.last_run}}
    run_id = hash_of(record)
    amounts = pl.concat([amounts_of(rows, moved.differences), clearing_undone(book)])
    postings = postings_of(run_id, given.month, amounts)
    statement = _named(rows, book, moved, given.month)
    kinds = by_kind(new)
    proof = _proof(run_id, record, given)
    counted = ("due_fen", "corrections_fen", "paid_fen", "held_fen", "deferred_fen")
    totals = {
        "cases": new.height,
        "late": int(((new["month"] < given.month) | (new["month"] <= unchanged.closed_until)).sum()),
        "changed": moved.details.height,
        "refused": sum(frame.filter(pl.col("level") == Level.REJECT.value).height for frame in taken.problems),
        **{name: int(rows[name].sum()) for name in counted},
    }
    run = Run(
        run_id, input_id, SETTLE if given.cases is not None else CORRECT, given.month, given.close,
        "；".join(text for text in (given.reason, given.reopen) if text), totals,
    )  # fmt: skip
    frames = {
        "cases": moved.cases, "priced": moved.priced, "postings": postings, "statement": statement, "kinds": kinds,
        "changes": moved.details.select(*CHANGE_SCHEMA), "details": moved.details, "decisions": moved.decisions,
        "problems": listed,
    }  # fmt: skip
    book = book.append(run, frames, {"proof": proof}, kept)
    closed = given.month <= book.closed_until
    return Settled(book, book.runs[-1], False, closed, statement, kinds, moved.details, postings, listed, proof)


def repeated(book: Book, policy: Policy, given: MonthInput) -> Settled | None:
    """What these inputs gave when they were settled before, None when they were not; only the files of `given` are
    looked at, not its frames. The month is closed now when that is asked for. Raises BookRefused (ST16) when the year
    is cleared and is to be closed."""
    run = book.with_input(hash_of(_identity(policy, given))) if given.files else None
    return None if run is None else settled_by(book, run, given)


def settled_by(book: Book, run: Run, given: MonthInput) -> Settled:
    """What a run of the book has settled; its month is closed now when that is asked for. Raises BookRefused (ST16)."""
    book = _closed(book, run.month, given)
    frames = {role: book.frame(role, schema, run).select(*schema) for role, schema in _FRAMES.items()}
    closed = run.month <= book.closed_until
    return Settled(book, run, True, closed, **frames, proof=book.document(run, "proof"))


def check_open(book: Book, reopen: str = "") -> None:
    """Refuse what would change a cleared year, unless it is said why it is opened again (ST16)."""
    if book.cleared is not None and not reopen:
        args: dict[str, str | int] = {"year": book.year, "run": book.cleared.run_id[:SHOWN_RUN]}
        raise BookRefused([Problem("ST16", args)])


def clearing_undone(book: Book) -> pl.DataFrame:
    """The amounts (AMOUNT_SCHEMA) that take back the clearing that holds, none when there is none."""
    if book.cleared is None:
        return pl.DataFrame(schema=AMOUNT_SCHEMA)
    return taken_back(book.ledger(), book.cleared.run_id)


def _accepted(book: Book, bases: KeptPolicies, given: MonthInput) -> tuple[CaseFilter, Movement]:
    taken = CaseFilter(book, bases, given.month, frozenset() if given.tier_reason else given.registered)
    new = taken.acceptable(placed(given.cases))
    corrected = taken.corrections(placed(given.corrections))
    gone = _frame(given.withdrawals, WITHDRAWAL_SCHEMA).unique(KEY, keep="first", maintain_order=True)
    withdrawn = taken.in_book(gone)
    contested = corrected.select(KEY).join(withdrawn.select(KEY), on=KEY, how="semi")
    if contested.height:
        again = corrected.join(contested, on=KEY, how="semi")
        taken.refuse(again, pl.lit(value=True), "ST41")
        corrected = corrected.join(contested, on=KEY, how="anti", maintain_order="left")
        withdrawn = withdrawn.join(contested, on=KEY, how="anti", maintain_order="left")
    decisions = _frame(given.decisions, PLACED_DECISION_SCHEMA)
    own, decided = (_reasons(frame) for frame in (given.corrections, given.decisions))
    return taken, movement(book, bases, taken, new, corrected, withdrawn, decisions, given.reason, own, decided)


def _reasons(corrections: pl.DataFrame | None) -> pl.DataFrame:
    """hospital_id, case_id, reason of corrections, "" for those without one of their own."""
    if corrections is None:
        return pl.DataFrame(schema={**dict.fromkeys(KEY, pl.String()), "reason": pl.String()})
    told = "reason" in corrections.columns
    return corrections.select(*KEY, pl.col("reason").fill_null("") if told else pl.lit("").alias("reason"))


def _frame(frame: pl.DataFrame | None, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    if frame is None:
        return pl.DataFrame(schema=schema)
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _check(
    book: Book, now: Basis, given: MonthInput, identity: Mapping[str, object]
) -> tuple[Book, KeptPolicies, dict[str, tuple[str, bytes]]]:
    """The book with the policy noted, what its months are priced by, and the files that keep the policy, none when it
    is kept already; everything that refuses the run is raised at once."""
    problems = []
    if not given.moves and not given.close:
        problems.append(Problem("ST15"))
    if given.close and given.cases is None and book.run_of(given.month, SETTLE) is None:
        problems.append(Problem("ST21", {"month": given.month}, value=given.month))
    earlier = book.run_of(given.month, SETTLE)
    if given.cases is not None and earlier is not None and not (given.further or given.reopen):
        different = _different(book.document(earlier, "proof"), identity)
        args: dict[str, str | int] = {
            "month": given.month, "run": earlier.run_id[:SHOWN_RUN], "different": "、".join(different),
        }  # fmt: skip
        problems.append(Problem("ST11", args, value=given.month))
    listed = _frame(given.withdrawals, WITHDRAWAL_SCHEMA)["reason"].fill_null("")
    unsaid = given.corrections is not None and "reason" not in given.corrections.columns
    unsaid |= any(bool((own == "").any()) for own in (listed, _reasons(given.corrections)["reason"]))
    if not given.reason and unsaid:
        problems.append(Problem("ST14"))
    fresh, refused = check_policy(book, now, new_cases=given.cases is not None, reason=given.policy_reason)
    problems += refused if given.moves else []
    if problems:
        raise BookRefused(problems)
    if given.moves and fresh:
        kept = files_of(now, given.policy_text)
        book = replace(book, policies=(*book.policies, noted(now, given.month, given.policy_reason)))
        return book, KeptPolicies(book, now), kept
    if given.moves and now.key != book.policies[-1].key:  # corrections, grouped by the scheme of earlier months
        last = kept_basis(book, book.policies[-1].key)
        now = replace(last, pack=now.pack, pack_sha256=now.pack_sha256)
    return book, KeptPolicies(book, now), {}


def _different(proof: Mapping[str, object], identity: Mapping[str, object]) -> list[str]:
    """In words, what of the inputs is not as it was."""
    found = []
    for key, label in _DIFFERENT.items():
        then, now = (_of_role(record, key) for record in (proof, identity))
        if then != now:
            found.append(label)
    return found


def _of_role(record: Mapping[str, object], key: str) -> object:
    inputs = record["inputs"]
    assert isinstance(inputs, list)
    return record[key] if key in record else sorted(item["sha256"] for item in inputs if item["role"] == key)


def _identity(policy: Policy, given: MonthInput) -> dict[str, object]:
    """All that decides a run but the book and the program: by content, in any order of files, whatever their names."""
    made_with = {name: dict(given.made_with.get(name, {})) for name in ("pack", "weights", "options")}
    return {
        "command": SETTLE,
        "month": given.month,
        "policy": {"id": policy.id, "sha256": policy.sha256, "data_level": policy.header.data_level},
        **made_with,
        "reason": given.reason,
        **({"tier_reason": given.tier_reason} if given.tier_reason else {}),
        "inputs": [{"role": file.role, "sha256": file.sha256} for file in sorted(given.files)],
    }


def hash_of(record: Mapping[str, object]) -> str:
    """sha256 of a record, whatever the order of its keys."""
    return hashlib.sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _proof(run_id: str, record: Mapping[str, object], given: MonthInput) -> dict[str, object]:
    named = [{"role": file.role, "name": file.name, "sha256": file.sha256} for file in sorted(given.files)]
    return {"run_id": run_id, **record, "inputs": named, "recompute": given.recompute}


def _named(rows: pl.DataFrame, book: Book, moved: Movement, month: str) -> pl.DataFrame:
    """The statement with each hospital's name."""
    told = (*KEY, "hospital_name")
    names = pl.concat([cases.select(told[0], told[-1]) for cases in (book.cases(told), moved.cases)])
    last = names.drop_nulls().group_by("hospital_id").agg(pl.col("hospital_name").max())
    joined = rows.join(last, on="hospital_id", how="left", maintain_order="left")
    return joined.with_columns(month=pl.lit(month)).select(*STATEMENT_SCHEMA)


def _closed(book: Book, month: str, given: MonthInput) -> Book:
    """The book with a month closed that is settled and open, when that is asked for. Raises BookRefused (ST16)."""
    if not given.close or month <= book.closed_until or book.run_of(month, SETTLE) is None:
        return book
    check_open(book, given.reopen)
    return _close(book, month, given.reopen)


def _close(book: Book, month: str, reopen: str = "") -> Book:
    record = {"command": CLOSE, "month": month, "book": {"year": book.year, "before": book.last_run}}
    run_id = hash_of(record)
    undone = clearing_undone(book)
    frames = {"postings": postings_of(run_id, month, undone)} if undone.height else {}
    return book.append(Run(run_id, run_id, CLOSE, month, True, reopen, {}), frames, {})


def _nothing(book: Book, month: str) -> Settled:
    nothing = {role: _frame(None, schema) for role, schema in _FRAMES.items()}
    return Settled(book, None, False, month <= book.closed_until, **nothing, proof={})


def _next(month: str) -> str:
    return f"{month[:4]}-{int(month[5:]) + 1:02d}"
