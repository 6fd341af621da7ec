"""What is wrong with the auxiliary tables of a DIP pack: all findings of one pass, each with its line and value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from reference_tables.auxiliary import (
    EVERY_GROUP,
    all_covers,
    covered,
    set_name,
    sets_asked,
)
from reference_tables.dip_cells import CellError, diagnosis_items, procedure_alternatives
from reference_tables.dip_pack import dip_schema
from reference_tables.problems import Problem
from reference_tables.rule_ast import DIAGNOSIS_FIELDS, PROCEDURE_FIELDS, Compare, Node, atoms
from reference_tables.rule_language import RuleError, parse_auxiliary_rule
from reference_tables.table_files import LINE

_PLACE = "place"
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
_WEIGHT = re.compile(r"[1-9][0-9]?")
_FACTOR = re.compile(r"[0-9]{1,6}(\.[0-9]{1,4})?")
_KEYS = {
    "aux_level": ("dimension", "level"),
    "aux_set": ("set", "item"),
    "cci": ("disease", "item"),
    "aux_factor": ("code", "dimension", "level"),
}
_FILLED = {**_KEYS, "cci": ("disease", "weight", "item"), "aux_factor": ("code", "dimension", "level", "factor")}
_USES = {"dx": "诊断", "px": "手术操作"}
_Row = Mapping[str, str]


@dataclass(frozen=True)
class _Table:
    """One table's rows, the file and line of each, and how messages call it."""

    name: str
    rows: Sequence[_Row]
    places: Sequence[tuple[str, int]]
    file: str

    def problem(self, at: int, code: str, field: str, value: str = "", /, **args: str | int) -> Problem:
        file, line = self.places[at]
        return Problem(code, args, file=file, row=line, field=field, value=value)


def check_auxiliary(tables: Mapping[str, pl.DataFrame]) -> list[Problem]:
    """Everything wrong with `aux_level`, `aux_set`, `cci` and `aux_factor` (AU01-AU16, AU50-AU52).

    `tables`: tables of a DIP pack by name as String columns, with `line` and perhaps `place` (the file of a row); an
    absent table is empty. `core` and `score` are asked for group codes and mean costs.
    """
    found = {name: _table(name, tables) for name in _KEYS}
    problems = [problem for table in found.values() for problem in _filled_once(table)]
    rules, unreadable = _rules(found["aux_level"])
    problems += unreadable
    problems += _levels(found["aux_level"])
    problems += _rule_sets(found, rules)
    problems += _sets(found["aux_set"], rules)
    problems += _unused_sets(found["aux_set"], rules)
    problems += _unanswered(found, rules, _column(tables, "score", "mean_cost_fen"))
    problems += _diseases(found["cci"])
    problems += _factors(found, _column(tables, "core", "code"))
    return problems


def _table(name: str, tables: Mapping[str, pl.DataFrame]) -> _Table:
    file = dip_schema().tables[name].file
    frame = tables.get(name)
    if frame is None:
        return _Table(name, (), (), file)
    place = pl.col(_PLACE) if _PLACE in frame.columns else pl.lit(file)
    columns = list(dip_schema().tables[name].columns)
    rows = frame.select(pl.col(columns).fill_null("")).rows(named=True)
    return _Table(name, rows, frame.select(place, LINE).rows(), file)


def _column(tables: Mapping[str, pl.DataFrame], name: str, column: str) -> frozenset[str]:
    return frozenset(tables[name][column].drop_nulls().to_list()) - {""} if name in tables else frozenset()


def _filled_once(table: _Table) -> Iterator[Problem]:
    """Cells that must be filled (AU03), rows given twice (AU06)."""
    seen: dict[tuple[str, ...], int] = {}
    for at, row in enumerate(table.rows):
        yield from (
            table.problem(at, "AU03", column, column=column) for column in _FILLED[table.name] if not row[column]
        )
        key = tuple(row[column] for column in _KEYS[table.name])
        if key in seen:
            first = table.places[seen[key]][1]
            yield table.problem(at, "AU06", _KEYS[table.name][-1], key[-1], key=" ".join(key), first=first)
        seen.setdefault(key, at)


def _rules(levels: _Table) -> tuple[list[Node | None], list[Problem]]:
    """The parsed rules in the rows' order, None where unreadable (AU01)."""
    rules: list[Node | None] = []
    problems: list[Problem] = []
    for at, row in enumerate(levels.rows):
        try:
            rules.append(parse_auxiliary_rule(row["rule"]))
        except RuleError as error:
            rules.append(None)
            problems.append(
                levels.problem(
                    at, "AU01", "rule", row["rule"], dimension=row["dimension"], level=row["level"],
                    position=error.position + 1, expected=error.expected, found=error.found, rule=row["rule"],
                )
            )  # fmt: skip
    return rules, problems


def _levels(levels: _Table) -> Iterator[Problem]:
    """Orders (AU04, AU05) and separators in codes (AU07)."""
    orders: dict[tuple[str, int], str] = {}
    for at, row in enumerate(levels.rows):
        dimension, level, order = row["dimension"], row["level"], row["order"]
        for column in ("dimension", "level"):
            sign = next((sign for sign in ":|" if sign in row[column]), "")
            if sign:
                yield levels.problem(at, "AU07", column, row[column], value=row[column], sign=sign)
        if not _INTEGER.fullmatch(order):
            yield levels.problem(at, "AU04", "order", order, dimension=dimension, level=level, order=order)
            continue
        first = orders.setdefault((dimension, int(order)), level)
        if first != level:
            yield levels.problem(at, "AU05", "order", order, dimension=dimension, level=level, first=first, order=order)


def _rule_sets(found: Mapping[str, _Table], rules: Sequence[Node | None]) -> Iterator[Problem]:
    """Sets that a rule names and `aux_set` does not have (AU02)."""
    levels, sets = found["aux_level"], found["aux_set"]
    known = {set_name(row["set"]) for row in sets.rows}
    for at, (row, rule) in enumerate(zip(levels.rows, rules, strict=True)):
        named = dict.fromkeys(name for name, _ in sets_asked(rule)) if rule is not None else {}
        for name in named:
            if name not in known:
                yield levels.problem(
                    at, "AU02", "rule", row["rule"],
                    dimension=row["dimension"], level=row["level"], set=name, table=sets.file,
                )  # fmt: skip


def _kinds(rules: Iterable[Node | None]) -> dict[str, set[str]]:
    """How each set is used: `dx` among diagnoses, `px` among procedures, `text` for discharge way or department."""
    kinds: dict[str, set[str]] = {}
    for rule in rules:
        for name, fields in sets_asked(rule) if rule is not None else ():
            for field in fields:
                diagnosis = field in DIAGNOSIS_FIELDS or field == "QTZDX"
                kinds.setdefault(name, set()).add("dx" if diagnosis else "px" if field in PROCEDURE_FIELDS else "text")
    return kinds


def _sets(sets: _Table, rules: Sequence[Node | None]) -> Iterator[Problem]:
    """Members that cannot be what the rules take them for (AU08)."""
    kinds = _kinds(rules)
    for at, row in enumerate(sets.rows):
        asked = kinds.get(set_name(row["set"]), set())
        if not row["item"] or not asked or "text" in asked:
            continue
        # A set may serve diagnoses and procedures alike: then each member must be one of the two.
        reasons = [reason for kind, reason in _unreadable(row["item"]) if kind in asked]
        if len(reasons) == len(asked):
            use = "、".join(label for kind, label in _USES.items() if kind in asked)
            args = {"set": row["set"], "item": row["item"], "reason": reasons[0], "use": use}
            yield sets.problem(at, "AU08", "item", row["item"], **args)


def _unreadable(item: str) -> Iterator[tuple[str, str]]:
    """For each kind of code that `item` cannot be, the kind and the reason."""
    try:
        if not diagnosis_items(item):
            raise CellError(f"“{item}”不是诊断编码")
    except CellError as error:
        yield "dx", error.reason
    try:
        if any(len(codes) > 1 for codes in procedure_alternatives(item)) or "|" in item:
            raise CellError("每行一个手术操作编码")
    except CellError as error:
        yield "px", error.reason


def _unused_sets(sets: _Table, rules: Sequence[Node | None]) -> Iterator[Problem]:
    if any(rule is None for rule in rules):
        return
    used = _kinds(rules)
    first: dict[str, int] = {}
    for at, row in enumerate(sets.rows):
        first.setdefault(row["set"], at)
    for name, at in first.items():
        if name and set_name(name) not in used:
            yield sets.problem(at, "AU50", "set", name, set=name)


def _unanswered(
    found: Mapping[str, _Table], rules: Sequence[Node | None], mean_costs: frozenset[str]
) -> Iterator[Problem]:
    """Rules on a Charlson score without a table (AU51) and on a cost multiple without mean costs (AU52)."""
    levels = found["aux_level"]
    without = []
    if not found["cci"].rows:
        without.append(("CCI", "AU51", found["cci"].file))
    if not mean_costs:
        without.append(("FYBL", "AU52", dip_schema().tables["score"].file))
    for at, (row, rule) in enumerate(zip(levels.rows, rules, strict=True)):
        fields = {atom.field for atom in atoms(rule) if isinstance(atom, Compare)} if rule is not None else set()
        for field, code, table in without:
            if field in fields:
                args = {"dimension": row["dimension"], "level": row["level"], "table": table}
                yield levels.problem(at, code, "rule", row["rule"], **args)


def _diseases(diseases: _Table) -> Iterator[Problem]:
    """Weights (AU09), items (AU10), covering diseases (AU11, AU12), rows of one disease that differ (AU13)."""
    first: dict[str, int] = {}
    for at, row in enumerate(diseases.rows):
        disease = row["disease"]
        if row["weight"] and not _WEIGHT.fullmatch(row["weight"]):
            yield diseases.problem(at, "AU09", "weight", row["weight"], disease=disease, weight=row["weight"])
        reason = next((reason for kind, reason in _unreadable(row["item"]) if kind == "dx"), "")
        if row["item"] and reason:
            yield diseases.problem(at, "AU10", "item", row["item"], disease=disease, item=row["item"], reason=reason)
        earlier = first.setdefault(disease, at)
        for column in ("name", "weight", "covered_by"):
            other = diseases.rows[earlier][column]
            if row[column] != other:
                args = {"disease": disease, "column": column, "value": row[column], "other": other}
                line = diseases.places[earlier][1]
                yield diseases.problem(at, "AU13", column, row[column], **args, first=line)
    direct = {disease: covered(diseases.rows[at]["covered_by"]) for disease, at in first.items()}
    covers = all_covers(direct)
    for disease, at in first.items():
        for cover in direct[disease]:
            if cover not in first:
                yield diseases.problem(at, "AU11", "covered_by", cover, disease=disease, cover=cover)
        if disease in covers[disease]:
            chain = "、".join(sorted(covers[disease]))
            yield diseases.problem(at, "AU12", "covered_by", chain, disease=disease, chain=chain)


def _factors(found: Mapping[str, _Table], core: frozenset[str]) -> Iterator[Problem]:
    """Levels (AU14), groups (AU15) and values (AU16) of the factors."""
    factors, levels = found["aux_factor"], found["aux_level"]
    known = Counter((row["dimension"], row["level"]) for row in levels.rows)
    dimensions = "、".join(dict.fromkeys(row["dimension"] for row in levels.rows)) or "无"
    for at, row in enumerate(factors.rows):
        code, dimension, level, factor = (row[column] for column in ("code", "dimension", "level", "factor"))
        if dimension and level and (dimension, level) not in known:
            args = {"dimension": dimension, "level": level, "table": levels.file, "known": dimensions}
            yield factors.problem(at, "AU14", "level", level, **args)
        if code and code != EVERY_GROUP and code not in core:
            yield factors.problem(at, "AU15", "code", code, code=code)
        if factor and (not _FACTOR.fullmatch(factor) or not factor.strip("0.")):
            args = {"code": code, "dimension": dimension, "level": level, "factor": factor}
            yield factors.problem(at, "AU16", "factor", factor, **args)
