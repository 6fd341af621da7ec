"""What changed between two packs, told apart by whether it can change an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from reference_tables.codes import fold
from reference_tables.drg_pack import GROUP_TABLES, PARENT, DrgPack
from reference_tables.rule_ast import And, Count, Member, Node, Not, Or, to_text
from reference_tables.rule_language import parse_rule
from reference_tables.rule_meaning import same_meaning


@dataclass(frozen=True, slots=True)
class Group:
    """A group that only one of the packs has."""

    table: str
    code: str
    name: str
    parent: str
    rule: str


@dataclass(frozen=True, slots=True)
class Changed:
    """One value of a group, or of the pack, before and after."""

    table: str
    code: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Reordered:
    """The children both packs have under one parent ("" = the MDCs), in the old and in the new order."""

    table: str
    parent: str
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Members:
    """Codes added to and removed from one set (or exclusion table)."""

    name: str
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExclusionChange:
    """Complications whose exclusion table changed: how many, their tables, and the principals gained, lost."""

    old_table: str
    new_table: str
    complications: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class PackDiff:
    """Everything that differs between pack `old` and pack `new`.

    `rules_changed` differ in meaning; `rules_reworded` only in text. Sets that kept their members under
    another name are `sets_renamed` and count as unchanged in rules. Codes are compared folded.
    """

    old: str
    new: str
    groups_added: list[Group] = field(default_factory=list)
    groups_removed: list[Group] = field(default_factory=list)
    renamed: list[Changed] = field(default_factory=list)
    moved: list[Changed] = field(default_factory=list)
    reordered: list[Reordered] = field(default_factory=list)
    rules_changed: list[Changed] = field(default_factory=list)
    rules_reworded: list[Changed] = field(default_factory=list)
    sets_added: list[str] = field(default_factory=list)
    sets_removed: list[str] = field(default_factory=list)
    sets_renamed: list[Changed] = field(default_factory=list)
    members_changed: list[Members] = field(default_factory=list)
    complications_added: list[tuple[str, str]] = field(default_factory=list)
    complications_removed: list[tuple[str, str]] = field(default_factory=list)
    levels_changed: list[Changed] = field(default_factory=list)
    exclusions_changed: list[ExclusionChange] = field(default_factory=list)
    settings_changed: list[Changed] = field(default_factory=list)

    @property
    def changes_grouping(self) -> bool:
        """Whether any difference can change an answer: everything but names, wording and set names."""
        harmless = {"old", "new", "renamed", "rules_reworded", "sets_renamed"}
        return any(value for name, value in vars(self).items() if name not in harmless)

    @property
    def empty(self) -> bool:
        return not any(value for name, value in vars(self).items() if name not in {"old", "new"})


_Sets = Mapping[str, frozenset[str]]


def diff_packs(old: DrgPack, new: DrgPack) -> PackDiff:
    """Compare two packs by code: groups, rules, order, sets, complications, exclusions, settings."""
    diff = PackDiff(old.id, new.id)
    old_sets, new_sets = _sets(old.sets, "set"), _sets(new.sets, "set")
    aliases = _compare_sets(diff, old_sets, new_sets)
    for name in GROUP_TABLES:
        _compare_groups(diff, name, old, new, aliases)
    _compare_complications(diff, old, new)
    _compare_settings(diff, old, new)
    return diff


def _sets(frame: pl.DataFrame, owner: str) -> _Sets:
    grouped = frame.select(owner, fold(pl.col("code"))).group_by(owner, maintain_order=True).agg("code")
    return {name: frozenset(codes) for name, codes in grouped.iter_rows()}


def _compare_sets(diff: PackDiff, old: _Sets, new: _Sets) -> dict[str, str]:
    """Fills the set lists; returns new name -> old name of sets that were only renamed."""
    added = [name for name in new if name not in old]
    gone = {members: name for name, members in old.items() if name not in new}
    aliases: dict[str, str] = {}
    for name in added:
        if new[name] in gone:
            aliases[name] = gone.pop(new[name])
    diff.sets_renamed.extend(Changed("sets", was, was, name) for name, was in aliases.items())
    diff.sets_added.extend(name for name in added if name not in aliases)
    kept = set(aliases.values())
    diff.sets_removed.extend(name for name in old if name not in new and name not in kept)
    diff.members_changed.extend(
        Members(name, _listed(new[name] - members), _listed(members - new[name]))
        for name, members in old.items()
        if name in new and new[name] != members
    )
    return aliases


def _listed(codes: frozenset[str] | set[str]) -> tuple[str, ...]:
    return tuple(sorted(codes))


def _rows(pack: DrgPack, name: str) -> dict[str, Group]:
    frame: pl.DataFrame = getattr(pack, name)
    parents = frame.get_column(PARENT[name]) if name in PARENT else [""] * frame.height
    rows = frame.select("code", "name", "rule").iter_rows()
    return {
        code: Group(name, code, text, parent, rule) for (code, text, rule), parent in zip(rows, parents, strict=True)
    }


def _compare_groups(diff: PackDiff, name: str, old: DrgPack, new: DrgPack, aliases: Mapping[str, str]) -> None:
    before, after = _rows(old, name), _rows(new, name)
    diff.groups_added.extend(row for code, row in after.items() if code not in before)
    diff.groups_removed.extend(row for code, row in before.items() if code not in after)
    for code, was in before.items():
        row = after.get(code)
        if row is None:
            continue
        if row.name != was.name:
            diff.renamed.append(Changed(name, code, was.name, row.name))
        if row.parent != was.parent:
            diff.moved.append(Changed(name, code, was.parent, row.parent))
        if row.rule != was.rule:
            same = same_meaning(parse_rule(was.rule), _with_names(parse_rule(row.rule), aliases))
            target = diff.rules_reworded if same else diff.rules_changed
            target.append(Changed(name, code, _shown(was.rule), _shown(row.rule)))
    _compare_order(diff, name, before, after)


def _shown(rule: str) -> str:
    return to_text(parse_rule(rule))


def _with_names(node: Node, aliases: Mapping[str, str]) -> Node:
    """The formula with renamed sets under their old names."""
    if isinstance(node, And | Or):
        return type(node)(tuple(_with_names(item, aliases) for item in node.items))
    if isinstance(node, Not):
        return Not(_with_names(node.item, aliases))
    if isinstance(node, Member):
        return Member(node.fields, tuple(aliases.get(name, name) for name in node.sets), node.negated)
    if isinstance(node, Count):
        return Count(aliases.get(node.set, node.set), node.fields, node.operator, node.value)
    return node


def _compare_order(diff: PackDiff, name: str, before: Mapping[str, Group], after: Mapping[str, Group]) -> None:
    old_order = _children([row for row in before.values() if row.code in after], after)
    new_order = _children([row for row in after.values() if row.code in before], after)
    diff.reordered.extend(
        Reordered(name, parent, tuple(old_order[parent]), tuple(children))
        for parent, children in new_order.items()
        if old_order[parent] != children
    )


def _children(rows: Sequence[Group], parents: Mapping[str, Group]) -> dict[str, list[str]]:
    children: dict[str, list[str]] = {}
    for row in rows:
        children.setdefault(parents[row.code].parent, []).append(row.code)
    return children


def _compare_complications(diff: PackDiff, old: DrgPack, new: DrgPack) -> None:
    before, after = _complications(old.cc), _complications(new.cc)
    diff.complications_added.extend((code, _levels(rows)) for code, rows in after.items() if code not in before)
    diff.complications_removed.extend((code, _levels(rows)) for code, rows in before.items() if code not in after)
    old_tables, new_tables = _sets(old.exclusion, "exclusion"), _sets(new.exclusion, "exclusion")
    pairs: dict[tuple[str, str], list[str]] = {}
    for code, was in before.items():
        rows = after.get(code)
        if rows is None:
            continue
        if [level for level, _ in rows] != [level for level, _ in was]:
            diff.levels_changed.append(Changed("cc", code, _levels(was), _levels(rows)))
        for (_, old_table), (_, new_table) in zip(was, rows, strict=False):
            pairs.setdefault((old_table, new_table), []).append(code)
    nothing: frozenset[str] = frozenset()
    for (old_table, new_table), codes in pairs.items():
        left, right = old_tables.get(old_table, nothing), new_tables.get(new_table, nothing)
        if left != right:
            added, removed = _listed(right - left), _listed(left - right)
            diff.exclusions_changed.append(ExclusionChange(old_table, new_table, tuple(codes), added, removed))


def _complications(frame: pl.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """Code -> its rows (level, exclusion table), in a fixed order."""
    found: dict[str, list[tuple[str, str]]] = {}
    for code, level, table in frame.select(fold(pl.col("code")), "level", "exclusion").iter_rows():
        found.setdefault(code, []).append((level, table))
    return {code: sorted(rows) for code, rows in found.items()}


def _levels(rows: Sequence[tuple[str, str]]) -> str:
    return "、".join(level for level, _ in rows)


def _compare_settings(diff: PackDiff, old: DrgPack, new: DrgPack) -> None:
    if old.newborn_weight != new.newborn_weight:
        diff.settings_changed.append(Changed("meta", "newborn_weight", old.newborn_weight, new.newborn_weight))
    ours = {"newborn_weight"}
    for key in sorted((set(old.meta) | set(new.meta)) - ours):
        if old.meta.get(key) != new.meta.get(key):
            diff.settings_changed.append(Changed("meta", key, old.meta.get(key, "（无）"), new.meta.get(key, "（无）")))
    barred = {fold(code) for code in old.not_principal}, {fold(code) for code in new.not_principal}
    for codes, was, now in ((barred[1] - barred[0], "允许", "不允许"), (barred[0] - barred[1], "不允许", "允许")):
        diff.settings_changed.extend(Changed("not_principal", code, was, now) for code in sorted(codes))
