"""Lists that stand beside the cases: hospitals, separately paid amounts, decisions on special cases, weights.

Each is a strict CSV file; every fault of a file is told at once and refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from budget.group_values import GroupValues
from grouper.dip.compile import CompiledDip
from grouper.schemes import Scheme
from reference_tables.group_weights import GroupWeights, find_group_weights
from reference_tables.payable_rules import payable_rules
from reference_tables.policy import Policy
from reference_tables.problems import Problem, TablesRefused
from reference_tables.table_files import LINE, read_table

Row = dict[str, Any]
BY_ITEM, ADJUSTED, REFUSED, BY_RULE = "by_item", "adjusted", "refused", "rule"
HOSPITAL_SCHEMA = {"hospital_id": pl.String(), "name": pl.String(), "tier": pl.String(), "county_group": pl.String()}
SEPARATE_SCHEMA = {"case_id": pl.String(), "hospital_id": pl.String(), "separate_fen": pl.Int64()}
DECISION_SCHEMA = {
    "case_id": pl.String(),
    "hospital_id": pl.String(),
    "decision": pl.String(),
    "amount_fen": pl.Int64(),
}
_DIGITS = 12


def registered(hospitals: pl.DataFrame | None) -> frozenset[str]:
    """The hospitals whose tier a register gives."""
    if hospitals is None:
        return frozenset()
    return frozenset(hospitals.filter(pl.col("tier").is_not_null())["hospital_id"].to_list())


def _rows(path: Path, needed: tuple[str, ...], optional: tuple[str, ...], problems: list[Problem]) -> list[Row]:
    """The rows of a file, absent optional columns as ""; faults of the file go to `problems`."""
    try:
        with path.open("rb") as stream:
            header = stream.readline()
    except OSError:
        header = b""
    names = {cell.strip() for cell in header.decode("utf-8-sig", "replace").split(",")}
    columns = [*needed, *(name for name in optional if name in names)]
    table = read_table(path, dict.fromkeys(columns, "code"))
    problems += [problem for problem in table.problems if problem.level.value == "error"]
    if table.frame is None:
        return []
    return [dict.fromkeys(optional, "") | row for row in table.frame.iter_rows(named=True)]


def _made(path: Path, rows: list[Row], schema: Mapping[str, pl.DataType], problems: list[Problem]) -> pl.DataFrame:
    if problems:
        raise TablesRefused(path.name, problems)
    kept = [{name: row[name] if row[name] != "" else None for name in schema} for row in rows]
    return pl.DataFrame(kept, schema=dict(schema))


def _named(path: Path, row: Row, column: str, problems: list[Problem]) -> None:
    if not row[column]:
        args: dict[str, str | int] = {"row": row[LINE], "column": column}
        problems.append(Problem("PA27", args, file=path.name, row=row[LINE], field=column))


def _fen(path: Path, row: Row, problems: list[Problem]) -> int | None:
    """An amount in yuan, not negative, at most two decimals, as fen."""
    text = row["amount"]
    whole, point, part = text.partition(".")
    good = whole.isascii() and whole.isdigit() and len(whole) <= _DIGITS and len(part) <= 2
    if not good or (point and not (part.isascii() and part.isdigit())):
        args: dict[str, str | int] = {"row": row[LINE], "value": text}
        problems.append(Problem("PA20", args, file=path.name, row=row[LINE], field="amount", value=text))
        return None
    return int(whole) * 100 + int(part.ljust(2, "0"))


def _once(path: Path, rows: list[Row], code: str, key: Callable[[Row], tuple[str, ...]]) -> list[Problem]:
    first: dict[tuple[str, ...], int] = {}
    problems = []
    for row in rows:
        name = key(row)
        if name in first:
            args: dict[str, str | int] = {"value": name[-1], "first": first[name]}
            problems.append(Problem(code, args, file=path.name, row=row[LINE], value=name[-1]))
        first.setdefault(name, row[LINE])
    return problems


def read_hospitals(path: Path, policy: Policy) -> pl.DataFrame:
    """Register of hospitals (HOSPITAL_SCHEMA): hospital_id, name, tier in the policy's words, county_group.

    Only hospital_id must be there; a blank says nothing; other columns are left alone. Raises TablesRefused: TB02-TB05,
    PA25 twice, PA26 a tier the policy does not have, PA27 no id.
    """
    problems: list[Problem] = []
    rows = _rows(path, ("hospital_id",), ("name", "tier", "county_group"), problems)
    words = {**payable_rules().tier, **{tier: tier for tier in policy.tiers}}
    for row in rows:
        _named(path, row, "hospital_id", problems)
        given = row["tier"]
        row["tier"] = given if given in policy.tiers else words.get(given, given)
        if given and policy.tiers and row["tier"] not in policy.tiers:
            known = "、".join(policy.tiers)
            args: dict[str, str | int] = {"value": row["hospital_id"], "tier": given, "known": known}
            problems.append(Problem("PA26", args, file=path.name, row=row[LINE], field="tier", value=given))
    problems += _once(path, rows, "PA25", lambda row: (row["hospital_id"],))
    return _made(path, rows, HOSPITAL_SCHEMA, problems)


def read_separate(path: Path) -> pl.DataFrame:
    """Separately paid amounts (SEPARATE_SCHEMA) from case_id, amount (yuan) and, where ids overlap, hospital_id.

    Several rows of a case add up. Raises TablesRefused: TB02-TB05, PA20 no amount, PA27 no case.
    """
    problems: list[Problem] = []
    rows = _rows(path, ("case_id", "amount"), ("hospital_id",), problems)
    for row in rows:
        _named(path, row, "case_id", problems)
        row["separate_fen"] = _fen(path, row, problems)
    frame = _made(path, rows, SEPARATE_SCHEMA, problems)
    return frame.group_by("case_id", "hospital_id", maintain_order=True).agg(pl.col("separate_fen").sum())


def read_decisions(path: Path, policy: Policy, *, reasons: bool = False) -> pl.DataFrame:
    """Decisions on special cases (DECISION_SCHEMA) from case_id, decision, amount (yuan, of adjusted ones) and, where
    ids overlap, hospital_id. A blank decision is one accepted, paid by the policy's special_rule. `reasons`: with
    `reason`, null where none is given.

    Raises TablesRefused: TB02-TB05, PA20-PA23, PA27, PA30, PL30 when the policy has no special_rule.
    """
    problems: list[Problem] = []
    rows = _rows(path, ("case_id", "decision"), ("amount", "hospital_id", "reason"), problems)
    words = payable_rules().decision
    for row in rows:
        _named(path, row, "case_id", problems)
        said = row["decision"]
        meant = words.get(said)
        place: dict[str, Any] = {"file": path.name, "row": row[LINE]}
        if meant is None:
            known = "、".join(word for word in words if word)
            args: dict[str, str | int] = {"row": row[LINE], "value": row["decision"], "known": known}
            problems.append(Problem("PA21", args, field="decision", value=row["decision"], **place))
        if meant == BY_RULE:
            rule = policy.need("special_rule", "pay", problems=problems)
            meant = None if rule is None else str(rule.value)
        row["decision"] = meant or ""
        row["amount_fen"] = _fen(path, row, problems) if row["amount"] else None
        if meant == ADJUSTED and not row["amount"]:
            problems.append(Problem("PA22", {"row": row[LINE]}, field="amount", **place))
        if meant not in (ADJUSTED, None) and row["amount"]:
            args = {"row": row[LINE], "value": said, "amount": row["amount"]}
            problems.append(Problem("PA30", args, field="amount", value=row["amount"], **place))
    problems += _once(path, rows, "PA23", lambda row: (row["hospital_id"], row["case_id"]))
    said = {"reason": pl.String()} if reasons else {}
    return _made(path, rows, {**DECISION_SCHEMA, **said}, problems)


def group_values(policy: Policy, scheme: Scheme, weights: str | None) -> tuple[GroupValues, GroupWeights | None]:
    """What is published of each group: from a file given, else the policy's table, else the scores of a DIP pack.

    A pack's mean costs are no peer averages: they do not tell tiers apart. Raises TablesRefused: the faults of the
    file, PA28 for a policy that prices no cases, PA29 when there is nothing to price by.
    """
    if policy.method == "quota":
        args: dict[str, str | int] = {"policy": policy.id, "method": policy.method}
        raise TablesRefused(policy.id, [Problem("PA28", args, file=policy.header.file)])
    name = weights or policy.weights
    if name:
        table = find_group_weights(name)
        return GroupValues.of_frame(table.frame), table
    if policy.method == "dip" and isinstance(scheme, CompiledDip):
        scores = scheme.pack.table("score")
        if scores.height:
            return GroupValues.of_frame(scores.select(group="code", weight="score")), None
    if policy.has("weight"):
        return GroupValues({}), None
    raise TablesRefused(policy.id, [Problem("PA29", {"policy": policy.id}, file=policy.header.file)])


def unknown_cases(listed: pl.DataFrame, seen: set[str], file: str) -> list[Problem]:
    """PA24 for every row about a case that the case files do not have; `seen`: "hospital\\ncase" of those read."""
    ids = {key.partition("\n")[2] for key in seen}
    problems = []
    for case, hospital in listed.select("case_id", "hospital_id").iter_rows():
        known = case in ids if hospital is None else f"{hospital}\n{case}" in seen
        if not known:
            problems.append(Problem("PA24", {"value": case}, file=file, case_id=case, value=case))
    return problems
