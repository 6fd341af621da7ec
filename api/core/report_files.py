"""The yearly page's parts from what lies on disk: a year book, and a folder that clearing left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
import polars as pl

from api.core.book import KEY, Book, open_book
from api.core.book_policies import kept_basis
from api.core.report import (
    CASE_COLUMNS,
    STATEMENT_AMOUNTS,
    Flow,
    ReportPart,
    group_sums,
    hospital_sums,
    month_sums,
    statement_flows,
    tier_kinds,
)
from budget.frames import STATEMENT_COLUMNS
from budget.ledger import empty_ledger
from reference_tables.formula_cells import as_given
from reference_tables.policy import Policy, load_policy
from reference_tables.policy_schema import METHODS
from reference_tables.problems import TablesRefused

SYNTHETIC = "synthetic"
STATEMENT, BUDGET, PROOF = "statement.csv", "budget.csv", "proof.json"
_NOT_STEPS = ("inpatient", "distributable", "sub_budget", "quota", "unallotted")
_SHOWN = 12


class NotCleared(Exception):
    """A folder does not hold what clearing writes; the message says which file is wrong and how."""


def part_of(book: Path | None, cleared: Path | None) -> ReportPart:
    """The part of one year book, of one clearing, or of both.

    Raises BookRefused when the book cannot be used, NotCleared when the folder is not one that clearing wrote.
    """
    found = None if book is None else open_book(book)
    proof = {} if cleared is None else _proof(cleared)
    if found is not None and found.policies:
        policy: Policy | None = kept_basis(found, found.policies[-1].key).policy
        policy_id = found.policies[-1].id
    else:
        policy_id = _policy_id(proof)
        policy = _policy(policy_id)
    cases = _cases(found)
    statement = _no_statement() if cleared is None else read_statement(cleared / STATEMENT)
    before = () if cleared is None else budget_flows(cleared / BUDGET)
    return ReportPart(
        label=_label(policy, policy_id),
        hospitals=hospital_sums(cases, statement),
        tiers=tier_kinds(cases, () if policy is None else policy.tiers),
        groups=group_sums(cases),
        months=month_sums(empty_ledger() if found is None else found.year_ledger()),
        statement=statement,
        flows=statement_flows(statement, before),
        about=_about(found, proof, policy, policy_id),
        synthetic=bool(proof.get("synthetic")) or SYNTHETIC in _levels(found, policy),
    )


def _cases(book: Book | None) -> pl.DataFrame:
    """CASE_COLUMNS of the cases that count now."""
    if book is None:
        dtypes = {name: pl.Int64() if name.endswith("_fen") else pl.String() for name in CASE_COLUMNS}
        return pl.DataFrame(schema=dtypes)
    known = book.cases().select(*KEY, "hospital_name", "tier", pl.col("fund_by_item_fen").alias("actual_fen"))
    return book.priced().join(known, on=KEY, how="left", maintain_order="left").select(*CASE_COLUMNS)


def read_statement(path: Path) -> pl.DataFrame:
    """statement.csv with its amounts in fen. Raises NotCleared."""
    frame = _table(path, STATEMENT_COLUMNS)
    try:
        return frame.with_columns(*(_fen(name) for name in STATEMENT_AMOUNTS), pl.col("cases").cast(pl.Int64))
    except pl.exceptions.PolarsError as error:
        raise NotCleared(f"{path} 的金额不能读：{error}") from None


def budget_flows(path: Path) -> list[Flow]:
    """budget.csv as the first bars of the waterfall, all insurances added up, steps in the order of the file."""
    frame = _table(path, ("insurance", "item", "label", "amount"))
    steps = frame.filter(~pl.col("item").is_in(list(_NOT_STEPS))).with_columns(_fen("amount"))
    summed = steps.group_by("item", maintain_order=True).agg(pl.col("label").first(), pl.col("amount").sum())
    flows = [Flow(label, amount) for label, amount in summed.select("label", "amount").iter_rows() if amount]
    left = sum(flow.amount for flow in flows)
    return [*flows, Flow("可分配总额", left, total=True)] if flows else []


def _fen(name: str) -> pl.Expr:
    """Yuan with two decimals, as text, in fen."""
    return pl.col(name).str.replace(".", "", literal=True).cast(pl.Int64)


def _table(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    try:
        frame = as_given(pl.read_csv(path, infer_schema=False))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise NotCleared(f"{path} 不能读（{str(error).splitlines()[0]}）") from None
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise NotCleared(f"{path} 缺少列：{'、'.join(missing)}")
    return frame


def _no_statement() -> pl.DataFrame:
    amounts = {name: pl.Int64() for name in (*STATEMENT_AMOUNTS, "cases")}
    return pl.DataFrame(schema={name: amounts.get(name, pl.String()) for name in STATEMENT_COLUMNS})


def _proof(cleared: Path) -> Mapping[str, object]:
    try:
        data = orjson.loads((cleared / PROOF).read_bytes())
    except (OSError, ValueError) as error:
        raise NotCleared(f"{cleared} 不是年终清算的结果：{PROOF} 不能读（{error}）") from None
    if not isinstance(data, dict):
        raise NotCleared(f"{cleared} 不是年终清算的结果：{PROOF} 不是一个对象")
    return data


def _policy_id(proof: Mapping[str, object]) -> str:
    policy = proof.get("policy")
    return str(policy.get("id", "")) if isinstance(policy, Mapping) else ""


def _policy(policy_id: str) -> Policy | None:
    """The policy of that id when it comes with the program; without a book a region's own file is not at hand."""
    try:
        return load_policy(policy_id)
    except TablesRefused:
        return None


def _label(policy: Policy | None, policy_id: str) -> str:
    return METHODS[policy.method] if policy is not None else policy_id


def _levels(book: Book | None, policy: Policy | None) -> set[str]:
    """Data levels of the policy and of every pack that the book was made with."""
    levels = set() if policy is None else {str(policy.header.data_level)}
    if book is None:
        return levels
    for run in book.runs:
        if any(file.role == "proof" for file in run.files):
            record = book.document(run, "proof")
            levels |= {str(record.get(name, {}).get("data_level", "")) for name in ("policy", "pack")}
    return levels


def _about(book: Book | None, proof: Mapping[str, object], policy: Policy | None, policy_id: str) -> dict[str, str]:
    about = {"支付政策": policy_id if policy is None else f"{policy.header.name}（{policy_id}）"}
    if book is not None and book.seal:
        about["账册封印"] = book.seal[:_SHOWN]
    if proof.get("run_id"):
        about["清算批次"] = str(proof["run_id"])[:_SHOWN]
    return about
