"""What is wrong with the tables of a pack: every check looks at whole tables and returns all its findings.

Errors refuse the pack, warnings travel with it. Each finding names the table's place, the line and the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from reference_tables.codes import fold, load_code_books
from reference_tables.drg_pack import GROUP_TABLES, PARENT, pack_schema
from reference_tables.problems import Problem
from reference_tables.rule_ast import (
    DIAGNOSIS_FIELDS,
    LEVEL_SETS,
    PROCEDURE_FIELDS,
    Count,
    Member,
    Node,
    atoms,
)
from reference_tables.rule_language import RuleError, parse_rule
from reference_tables.table_files import LINE

_INTEGER = r"^[+-]?[0-9]{1,9}$"
_BOOK_NAMES = {"diagnosis": "诊断", "procedure": "手术操作", "either": "诊断与手术操作"}


@dataclass(frozen=True)
class Tables:
    """The tables of a pack as read: name -> frame of String columns and `line`; name -> place
    for messages."""

    frames: Mapping[str, pl.DataFrame]
    places: Mapping[str, str]

    def problem(
        self, table: str, code: str, line: int, field: str = "", value: str = "", /, **args: str | int
    ) -> Problem:
        return Problem(code, args, file=self.places[table], row=line, field=field, value=value)


@dataclass(frozen=True)
class Rules:
    """The parsed rules: table -> one tree per row (None where unreadable), in the frame's row order."""

    trees: Mapping[str, tuple[Node | None, ...]]
    problems: tuple[Problem, ...]


def parse_rules(tables: Tables) -> Rules:
    """Parse every rule of the three group tables; TB10 for each that cannot be read."""
    problems: list[Problem] = []
    trees: dict[str, tuple[Node | None, ...]] = {}
    for name in (name for name in GROUP_TABLES if name in tables.frames):
        parsed: list[Node | None] = []
        for code, text, line in tables.frames[name].select("code", "rule", LINE).iter_rows():
            try:
                parsed.append(parse_rule(text))
            except RuleError as error:
                parsed.append(None)
                problems.append(
                    tables.problem(
                        name, "TB10", line, "rule", text, code=code, rule=text,
                        position=error.position + 1, expected=error.expected, found=error.found,
                    )
                )  # fmt: skip
        trees[name] = tuple(parsed)
    return Rules(trees, tuple(problems))


def check_structure(tables: Tables) -> list[Problem]:
    """Empty cells and tables, duplicate codes, unknown parents, orders, levels, exclusion tables, reserved
    sets, meta keys (TB06-TB09, TB12-TB15, TB20, TB23, TB25). A table that could not be read is passed over,
    and so is what depends on it: its own problem says enough."""
    problems: list[Problem] = []
    there = set(tables.frames)
    for name in sorted(there & set(GROUP_TABLES)):
        if tables.frames[name].height == 0:
            problems += [tables.problem(name, "TB25", 0, name=tables.places[name])]
    for name in (name for name in GROUP_TABLES if name in there):
        problems += _empty(tables, name, ["code", *([PARENT[name]] if name in PARENT else [])])
        problems += _duplicate_codes(tables, name) + _orders(tables, name)
        if name in PARENT and PARENT[name] in there:
            problems += _unknown_parents(tables, name)
    for name, column in (
        ("sets", "set"),
        ("cc", "code"),
        ("exclusion", "exclusion"),
        ("not_principal", "code"),
    ):
        problems += _empty(tables, name, [column]) if name in there else []
    if "sets" in there:
        problems += _reserved_sets(tables)
    if "cc" in there:
        problems += _levels(tables)
    if {"cc", "exclusion"} <= there:
        problems += _unknown_exclusions(tables)
    if "meta" in there:
        problems += _meta(tables)
    return problems


def _empty(tables: Tables, name: str, columns: list[str]) -> list[Problem]:
    frame = tables.frames[name]
    return [
        tables.problem(name, "TB06", line, column, column=column)
        for column in columns
        for line in frame.filter(pl.col(column) == "").get_column(LINE)
    ]


def _duplicate_codes(tables: Tables, name: str) -> list[Problem]:
    frame = tables.frames[name].filter(pl.col("code") != "")
    repeated = frame.with_columns(first=pl.col(LINE).first().over("code")).filter(pl.col(LINE) != pl.col("first"))
    return [
        tables.problem(name, "TB07", line, "code", code, code=code, first=first)
        for code, line, first in repeated.select("code", LINE, "first").iter_rows()
    ]


def _orders(tables: Tables, name: str) -> list[Problem]:
    wrong = tables.frames[name].filter(~pl.col("order").str.contains(_INTEGER))
    return [
        tables.problem(name, "TB09", line, "order", order, code=code, order=order)
        for code, order, line in wrong.select("code", "order", LINE).iter_rows()
    ]


def _unknown_parents(tables: Tables, name: str) -> list[Problem]:
    parent = PARENT[name]
    known = tables.frames[parent].get_column("code").implode()
    wrong = tables.frames[name].filter((pl.col(parent) != "") & ~pl.col(parent).is_in(known))
    place = tables.places[parent]
    return [
        tables.problem(name, "TB08", line, parent, value, code=code, parent=value, table=place)
        for code, value, line in wrong.select("code", parent, LINE).iter_rows()
    ]


def _reserved_sets(tables: Tables) -> list[Problem]:
    found = (
        tables.frames["sets"]
        .filter(pl.col("set").is_in(sorted(LEVEL_SETS)))
        .unique("set", keep="first", maintain_order=True)
    )
    cc = tables.places.get("cc", "cc.csv")
    return [
        tables.problem("sets", "TB20", line, "set", name, set=name, table=tables.places["sets"], cc=cc)
        for name, line in found.select("set", LINE).iter_rows()
    ]


def _levels(tables: Tables) -> list[Problem]:
    allowed = pack_schema().levels
    wrong = tables.frames["cc"].filter(~pl.col("level").is_in(allowed))
    return [
        tables.problem("cc", "TB13", line, "level", level, code=code, level=level, allowed="、".join(allowed))
        for code, level, line in wrong.select("code", "level", LINE).iter_rows()
    ]


def _unknown_exclusions(tables: Tables) -> list[Problem]:
    known = tables.frames["exclusion"].get_column("exclusion").unique().implode()
    wrong = tables.frames["cc"].filter((pl.col("exclusion") != "") & ~pl.col("exclusion").is_in(known))
    return [
        tables.problem(
            "cc", "TB12", line, "exclusion", name, code=code, exclusion=name, table=tables.places["exclusion"]
        )
        for code, name, line in wrong.select("code", "exclusion", LINE).iter_rows()
    ]


def _meta(tables: Tables) -> list[Problem]:
    problems: list[Problem] = []
    known = pack_schema().meta
    seen: dict[str, int] = {}
    for key, value, line in tables.frames["meta"].select("key", "value", LINE).iter_rows():
        if key not in known:
            problems.append(tables.problem("meta", "TB14", line, "key", key, key=key, known="、".join(known)))
        elif known[key] and value not in {*known[key], ""}:
            allowed = "、".join(known[key])
            problems.append(tables.problem("meta", "TB15", line, "value", value, key=key, value=value, allowed=allowed))
        if key in seen:
            problems.append(tables.problem("meta", "TB23", line, "key", key, key=key, first=seen[key]))
        seen.setdefault(key, line)
    return problems


def check_rule_sets(tables: Tables, rules: Rules) -> list[Problem]:
    """Every set a rule names must be defined (TB11); MCC and CC always are."""
    if "sets" not in tables.frames:
        return []
    known = set(tables.frames["sets"].get_column("set").unique().to_list()) | LEVEL_SETS
    problems: list[Problem] = []
    for name, trees in rules.trees.items():
        rows = tables.frames[name].select("code", "rule", LINE).iter_rows()
        for (code, text, line), tree in zip(rows, trees, strict=True):
            if tree is None:
                continue
            unknown = dict.fromkeys(used for used, _ in _uses(tree) if used not in known)
            problems += [
                tables.problem(name, "TB11", line, "rule", text, code=code, set=used, table=tables.places["sets"])
                for used in unknown
            ]
    return problems


def _uses(tree: Node) -> list[tuple[str, tuple[str, ...]]]:
    """Every (set, fields it is tested against) of a rule."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for atom in atoms(tree):
        if isinstance(atom, Member):
            found += [(name, atom.fields) for name in atom.sets]
        elif isinstance(atom, Count):
            found.append((atom.set, atom.fields))
    return found


def check_members(tables: Tables, rules: Rules) -> list[Problem]:
    """Warnings about sets, exclusion tables and complications: duplicate members (TB51), codes no code book
    of their kind knows (TB52), unused (TB53) and empty (TB54) sets and tables."""
    uses: dict[str, set[str]] = {}
    for trees in rules.trees.values():
        for tree in trees:
            for name, fields in _uses(tree) if tree is not None else ():
                uses.setdefault(name, set()).update(fields)
    kinds = {name: _book_of(fields) for name, fields in uses.items()}
    complete = {"mdc", "adrg", "drg", "sets"} <= set(tables.frames) and all(
        tree is not None for trees in rules.trees.values() for tree in trees
    )
    problems: list[Problem] = []
    for name, group in (("sets", "set"), ("cc", ""), ("exclusion", "exclusion"), ("not_principal", "")):
        if name in tables.frames:
            problems += _duplicates(tables, name, group)
            problems += _unknown_codes(tables, name, group, kinds if name == "sets" else {})
    if complete:
        problems += _unused(tables, "sets", "set", set(uses))
    if {"cc", "exclusion"} <= set(tables.frames):
        named = set(tables.frames["cc"].get_column("exclusion").to_list())
        problems += _unused(tables, "exclusion", "exclusion", named)
    return problems


def _book_of(fields: set[str]) -> str:
    diagnosis, procedure = bool(fields & DIAGNOSIS_FIELDS), bool(fields & PROCEDURE_FIELDS)
    if diagnosis and procedure:
        return "either"
    return "diagnosis" if diagnosis else "procedure" if procedure else "none"


def _owner(tables: Tables, name: str, group: str) -> pl.Expr:
    return pl.col(group) if group else pl.lit(tables.places[name])


def _duplicates(tables: Tables, name: str, group: str) -> list[Problem]:
    """Rows that repeat an earlier one, the case of x aside; in `cc` level and exclusion must agree too."""
    frame = tables.frames[name].filter(pl.col("code") != "").with_columns(folded=fold(pl.col("code")))
    same = [column for column in frame.columns if column not in {"code", LINE}]
    repeats = frame.filter(~pl.struct(same).is_first_distinct())
    if repeats.height == 0:
        return []
    first = frame.group_by(same).agg(first=pl.col(LINE).min())
    repeats = repeats.join(first, on=same, how="left", maintain_order="left")
    owner = _owner(tables, name, group).alias("owner")
    return [
        tables.problem(name, "TB51", line, "code", code, set=label, code=code, first=at)
        for label, code, line, at in repeats.select(owner, "code", LINE, "first").iter_rows()
    ]


def _unknown_codes(tables: Tables, name: str, group: str, kinds: Mapping[str, str]) -> list[Problem]:
    """Members that the code book of their kind lacks; without a kind given, `sets` may hold either, the other
    tables hold diagnoses. Discharge ways and departments (kind "none") are in no book."""
    books = load_code_books()
    frame = tables.frames[name].filter(pl.col("code") != "").with_columns(folded=fold(pl.col("code")))
    if name == "sets":
        kind = pl.col("set").replace_strict(kinds, default="either", return_dtype=pl.String)
        frame = frame.with_columns(
            kind=kind,
            diagnosis=pl.col("folded").is_in(books.diagnosis.folded.implode()),
            procedure=pl.col("folded").is_in(books.procedure.folded.implode()),
        )
        may_be = {book: pl.col("kind").is_in([book, "either"]) & pl.col(book) for book in ("diagnosis", "procedure")}
        unknown = frame.filter((pl.col("kind") != "none") & ~may_be["diagnosis"] & ~may_be["procedure"])
    else:
        unknown = frame.filter(~pl.col("folded").is_in(books.diagnosis.folded.implode()))
        unknown = unknown.with_columns(kind=pl.lit("diagnosis"))
    owner = _owner(tables, name, group).alias("owner")
    return [
        tables.problem(name, "TB52", line, "code", code, set=label, code=code, book=_BOOK_NAMES[book])
        for label, code, book, line in unknown.select(owner, "code", "kind", LINE).iter_rows()
    ]


def _unused(tables: Tables, name: str, group: str, used: set[str]) -> list[Problem]:
    problems: list[Problem] = []
    members = (
        tables.frames[name]
        .group_by(group, maintain_order=True)
        .agg(pl.col(LINE).first(), filled=(pl.col("code") != "").any())
    )
    for owner, line, filled in members.iter_rows():
        if owner and owner not in used:
            problems.append(tables.problem(name, "TB53", line, group, owner, set=owner))
        if owner and not filled:
            problems.append(tables.problem(name, "TB54", line, group, owner, set=owner))
    return problems
