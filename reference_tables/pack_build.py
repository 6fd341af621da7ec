"""From tables as text to a DrgPack: all checks in one pass, then sorting, typing and the content checksum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import polars as pl

from reference_tables.drg_pack import GROUP_TABLES, PARENT, DrgPack, content_checksum, pack_schema
from reference_tables.manifest import Manifest, NewbornWeight
from reference_tables.problems import Level, Problem, TablesRefused
from reference_tables.reach import check_reach
from reference_tables.rule_ast import Compare, Node, atoms
from reference_tables.table_checks import (
    Rules,
    Tables,
    check_members,
    check_rule_sets,
    check_structure,
    parse_rules,
)
from reference_tables.table_files import LINE

_BIRTH: NewbornWeight = "birth"


@dataclass(frozen=True, slots=True)
class PackIdentity:
    """What the tables themselves cannot tell: who the pack is. `newborn_weight` None = not stated."""

    id: str
    version: str
    name: str
    newborn_weight: NewbornWeight | None


def build_pack(
    tables: Tables, identity: PackIdentity, manifest: Manifest | None, earlier: Iterable[Problem] = ()
) -> DrgPack:
    """Check everything and assemble the pack.

    `earlier`: problems met while reading the files. Raises TablesRefused with all problems, warnings
    included, when any of them is an error.
    """
    if "sets" in tables.frames:
        # A rule's names are read half width, so the sets' own names are too.
        sets = tables.frames["sets"].with_columns(pl.col("set").str.normalize("NFKC"))
        tables = replace(tables, frames={**tables.frames, "sets": sets})
    rules = parse_rules(tables)
    problems = [*earlier, *check_structure(tables), *rules.problems]
    problems += check_rule_sets(tables, rules)
    problems += check_members(tables, rules)
    meta = dict(tables.frames["meta"].select("key", "value").iter_rows()) if "meta" in tables.frames else {}
    weight, weight_problems = _newborn_weight(identity, meta, rules)
    problems += weight_problems
    if any(problem.level is Level.ERROR for problem in problems):
        raise TablesRefused(identity.name or identity.id, problems)
    groups, trees = _sorted_groups(tables.frames, rules)
    problems += check_reach(replace(tables, frames={**tables.frames, **groups}), trees)
    members = {name: _members(tables.frames[name]) for name in ("sets", "cc", "exclusion")}
    barred = tables.frames.get("not_principal")
    not_principal = frozenset(barred.get_column("code").to_list()) if barred is not None else frozenset()
    return DrgPack(
        id=identity.id,
        version=identity.version,
        name=identity.name,
        **groups,
        **members,
        meta=meta,
        manifest=manifest,
        newborn_weight=weight,
        sha256=content_checksum({**groups, **members}, meta, weight, not_principal),
        problems=tuple(problems),
        not_principal=not_principal,
    )


def _newborn_weight(
    identity: PackIdentity, meta: Mapping[str, str], rules: Rules
) -> tuple[NewbornWeight, list[Problem]]:
    stated = meta.get("newborn_weight")
    declared = identity.newborn_weight
    if declared and stated and stated != declared:
        return declared, [Problem("TB24", {"manifest": declared, "meta": stated}, file="meta.csv")]
    if declared:
        return declared, []
    if stated in ("birth", "admission"):
        return ("admission" if stated == "admission" else "birth"), []
    asked = any(
        isinstance(atom, Compare) and atom.field == "XSRTZ"
        for trees in rules.trees.values()
        for tree in trees
        if tree is not None
        for atom in atoms(tree)
    )
    return _BIRTH, [Problem("TB58")] if asked else []


def _sorted_groups(
    frames: Mapping[str, pl.DataFrame], rules: Rules
) -> tuple[dict[str, pl.DataFrame], dict[str, list[Node]]]:
    """Group tables in evaluation order, and their rule trees in the same order."""
    groups: dict[str, pl.DataFrame] = {}
    trees: dict[str, list[Node]] = {}
    for name in GROUP_TABLES:
        frame = frames[name].with_columns(pl.col("order").cast(pl.Int32))
        keys = [
            pl.col("code").str.contains(f"^(?:{pack_schema().last[name]})$"),
            pl.col("order"),
            pl.col(LINE),
        ]
        if name in PARENT:
            ranks = groups[PARENT[name]].select(pl.col("code").alias(PARENT[name])).with_row_index("rank")
            frame = frame.join(ranks, on=PARENT[name], how="left", maintain_order="left")
            keys.insert(0, pl.col("rank"))
        at = frame.with_row_index("at").sort(keys).get_column("at")
        groups[name] = frame[at].select(*pack_schema().tables[name].columns, LINE)
        readable = [rules.trees[name][place] for place in at]
        trees[name] = [tree for tree in readable if tree is not None]
    return groups, trees


def _members(frame: pl.DataFrame) -> pl.DataFrame:
    """A member table without exact duplicates and without the empty cell that only declares a set."""
    return frame.drop(LINE).filter(pl.col("code") != "").unique(keep="first", maintain_order=True)
