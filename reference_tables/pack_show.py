"""What a pack says about one code: a group, a diagnosis, a procedure, a set or an exclusion table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from reference_tables.codes import fold, load_code_books, load_crosswalks
from reference_tables.dip_pack import Pack
from reference_tables.drg_pack import GROUP_TABLES, PARENT, DrgPack
from reference_tables.packs import find_pack
from reference_tables.problems import Problem, TablesRefused
from reference_tables.rule_ast import CODE_FIELDS, LEVEL_SETS, NUMBER_FIELDS, Compare, atoms, set_names, to_text
from reference_tables.rule_language import parse_rule
from reference_tables.weights import weight_tables

_CHILD = {"mdc": "adrg", "adrg": "drg"}


@dataclass(frozen=True, slots=True)
class Named:
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class SetSize:
    """A set a rule asks for and how many codes it holds; MCC and CC count the listed complications."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class PublishedWeight:
    """A published weight of a group code. Numbers as in `WeightTable`."""

    region: str
    year: int
    tier: str
    insurance: str
    rw_e6: int
    rate_fen: int
    coefficient_e4: int
    standard_e6: int


@dataclass(frozen=True, slots=True)
class GroupView:
    """An MDC, ADRG or DRG: `rule` in canonical text, `place` counted from 1 among its siblings, `fields` of
    the rule in words, `parents` from the MDC down, `children` in evaluation order."""

    kind: str
    code: str
    name: str
    rule: str
    order: int
    place: int
    siblings: int
    fields: tuple[Named, ...]
    parents: tuple[Named, ...]
    children: tuple[Named, ...]
    sets: tuple[SetSize, ...]
    weights: tuple[PublishedWeight, ...]


@dataclass(frozen=True, slots=True)
class LevelView:
    """A complication row of a diagnosis: level, exclusion table ("" = never excluded), principals in it."""

    level: str
    exclusion: str
    principals: int


@dataclass(frozen=True, slots=True)
class MembershipView:
    """A set that holds a code, its size, and the groups whose rule asks for it."""

    name: str
    size: int
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodeView:
    """A diagnosis or procedure code: `known` to the insurance edition's book, `gray` = not to be reported,
    `category` of a procedure; `excludes`: exclusion tables that hold it as principal; `clinical`: codes of
    the clinical edition that map to it; `as_clinical`: what it maps to when read as a clinical code."""

    kind: str
    code: str
    name: str
    known: bool
    gray: bool
    category: str
    not_principal: bool
    levels: tuple[LevelView, ...]
    excludes: tuple[str, ...]
    sets: tuple[MembershipView, ...]
    clinical: tuple[str, ...]
    as_clinical: str


@dataclass(frozen=True, slots=True)
class SetView:
    """A set or an exclusion table: its members, and the groups or complications that ask for it."""

    kind: str
    name: str
    members: tuple[str, ...]
    used_by: tuple[str, ...]


View = GroupView | CodeView | SetView


def check_pack(name_or_path: str | Path) -> tuple[Pack | None, tuple[Problem, ...]]:
    """A pack and its warnings, or None and everything that refuses it."""
    try:
        pack = find_pack(name_or_path)
    except TablesRefused as refusal:
        return None, refusal.problems
    return pack, pack.problems


def verify_pack(name_or_path: str | Path) -> list[Problem]:
    """Every problem of a pack, errors and warnings; empty when nothing is to be said against it."""
    return list(check_pack(name_or_path)[1])


def show_code(pack: DrgPack, code: str) -> list[View]:
    """Everything `code` can mean in `pack`; empty when neither pack nor code books know it.

    Group codes and set names are taken as written or in upper case, diagnoses and procedures folded.
    """
    code = code.strip()
    views: list[View] = []
    for name in GROUP_TABLES:
        codes = getattr(pack, name).get_column("code").to_list()
        found = next((each for each in (code, code.upper()) if each in codes), None)
        if found is not None:
            views.append(_group(pack, name, found))
    views += _codes(pack, code)
    views += _set(pack, code)
    return views


def _rules(pack: DrgPack) -> Iterator[tuple[str, str]]:
    for name in GROUP_TABLES:
        yield from getattr(pack, name).select("code", "rule").iter_rows()


def _group(pack: DrgPack, name: str, code: str) -> GroupView:
    frame: pl.DataFrame = getattr(pack, name)
    row = frame.row(by_predicate=pl.col("code") == code, named=True)
    family = frame.filter(pl.col(PARENT[name]) == row[PARENT[name]]) if name in PARENT else frame
    tree = parse_rule(row["rule"])
    used: dict[str, None] = {}
    for atom in atoms(tree):
        used.update(dict.fromkeys((atom.field,) if isinstance(atom, Compare) else atom.fields))
    words = {**CODE_FIELDS, **NUMBER_FIELDS}
    return GroupView(
        kind=name.upper(),
        code=code,
        name=row["name"],
        rule=to_text(tree),
        order=row["order"],
        place=family.get_column("code").to_list().index(code) + 1,
        siblings=family.height,
        fields=tuple(Named(field, words[field]) for field in used),
        parents=tuple(_parents(pack, name, row)),
        children=tuple(_children(pack, name, code)),
        sets=tuple(SetSize(each, _size(pack, each)) for each in dict.fromkeys(set_names(tree))),
        weights=tuple(_weights(code)) if name == "drg" else (),
    )


def _parents(pack: DrgPack, name: str, row: dict[str, str]) -> list[Named]:
    if name not in PARENT:
        return []
    above = PARENT[name]
    parent = getattr(pack, above).row(by_predicate=pl.col("code") == row[above], named=True)
    return [*_parents(pack, above, parent), Named(parent["code"], parent["name"])]


def _children(pack: DrgPack, name: str, code: str) -> list[Named]:
    if name not in _CHILD:
        return []
    frame: pl.DataFrame = getattr(pack, _CHILD[name])
    rows = frame.filter(pl.col(name) == code).select("code", "name").iter_rows()
    return [Named(child, text) for child, text in rows]


def _size(pack: DrgPack, name: str) -> int:
    if name in LEVEL_SETS:
        return pack.cc.filter(pl.col("level") == name).height
    return pack.sets.filter(pl.col("set") == name).height


def _weights(code: str) -> list[PublishedWeight]:
    columns = ("tier", "insurance", "rw_e6", "rate_fen", "coefficient_e4", "standard_e6")
    return [
        PublishedWeight(table.region, table.year, *row)
        for table in weight_tables()
        for row in table.frame.filter(pl.col("drg") == code).select(columns).iter_rows()
    ]


def _codes(pack: DrgPack, code: str) -> list[View]:
    """A view as diagnosis and one as procedure, where a book, the pack or a crosswalk gives reason to."""
    folded = fold(code)
    same = fold(pl.col("code")) == folded
    holding = pack.sets.filter(same).get_column("set").unique(maintain_order=True).to_list()
    rows = pack.cc.filter(same).select("level", "exclusion").rows()
    tables = pack.exclusion.filter(same).get_column("exclusion").unique(maintain_order=True).to_list()
    barred = any(fold(each) == folded for each in pack.not_principal)
    books, walks = load_code_books(), load_crosswalks()
    used: dict[str, list[str]] = {}
    for group, rule in _rules(pack) if holding else ():
        for name in dict.fromkeys(set_names(parse_rule(rule))):
            used.setdefault(name, []).append(group)
    levels = tuple(
        LevelView(level, table, pack.exclusion.filter(pl.col("exclusion") == table).height) for level, table in rows
    )
    views: list[View] = []
    for kind, book, walk in (
        ("diagnosis", books.diagnosis, walks.diagnosis),
        ("procedure", books.procedure, walks.procedure),
    ):
        row = book.find(code)
        clinical = walk.filter(fold(pl.col("to")) == folded).get_column("from").to_list()
        mapped = walk.filter(fold(pl.col("from")) == folded).get_column("to").to_list()
        only_in_pack = kind == "diagnosis" and bool(holding or rows or tables) and _in_no_book(code)
        if row is None and not clinical and not mapped and not only_in_pack:
            continue
        views.append(
            CodeView(
                kind=kind,
                code=row["code"] if row else code,
                name=row["name"] if row else "",
                known=row is not None,
                gray=bool(row and row["gray"]),
                category=row.get("category", "") if row else "",
                not_principal=barred and kind == "diagnosis",
                levels=levels if kind == "diagnosis" else (),
                excludes=tuple(tables) if kind == "diagnosis" else (),
                sets=tuple(MembershipView(each, _size(pack, each), tuple(used.get(each, ()))) for each in holding),
                clinical=tuple(clinical),
                as_clinical=mapped[0] if mapped else "",
            )
        )
    return views


def _in_no_book(code: str) -> bool:
    books = load_code_books()
    return books.diagnosis.find(code) is None and books.procedure.find(code) is None


def _set(pack: DrgPack, name: str) -> list[View]:
    views: list[View] = []
    asked = [code for code, rule in _rules(pack) if name in set(set_names(parse_rule(rule)))]
    members = pack.sets.filter(pl.col("set") == name).get_column("code").to_list()
    if members or (asked and name not in LEVEL_SETS):
        views.append(SetView("set", name, tuple(members), tuple(asked)))
    principals = pack.exclusion.filter(pl.col("exclusion") == name).get_column("code").to_list()
    if principals:
        users = pack.cc.filter(pl.col("exclusion") == name).get_column("code").to_list()
        views.append(SetView("exclusion", name, tuple(principals), tuple(users)))
    return views
