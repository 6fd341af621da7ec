"""What the quality rules need to know of the grouping scheme the cases are meant for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from reference_tables.codes import fold
from reference_tables.drg_pack import DrgPack
from reference_tables.rule_ast import Compare, atoms, set_names
from reference_tables.rule_language import parse_rule

OPERATION_SET = "OP_ALL"
_SEX_FIELD = "XB"


def _levels() -> pl.DataFrame:
    return pl.DataFrame(schema={"code": pl.String, "level": pl.String, "exclusion": pl.String})


def _exclusions() -> pl.DataFrame:
    return pl.DataFrame(schema={"exclusion": pl.String, "code": pl.String})


@dataclass(frozen=True)
class SchemeRules:
    """Codes are folded. `not_principal`: what the scheme bars as principal diagnosis (empty: it has no list
    of its own). `newborn_weight`: which weight its newborn groups ask for. `operations`: procedures that
    count as operations (empty: not known). `sex_bound`: principal diagnoses of MDCs that ask the sex.
    `levels` code, level, exclusion and `exclusions` exclusion, code: complications and what excludes them.
    """

    kind: Literal["drg", "dip"] = "drg"
    not_principal: frozenset[str] = frozenset()
    newborn_weight: Literal["birth", "admission"] | None = None
    operations: frozenset[str] = frozenset()
    sex_bound: frozenset[str] = frozenset()
    levels: pl.DataFrame = field(default_factory=_levels)
    exclusions: pl.DataFrame = field(default_factory=_exclusions)


def rules_of_pack(pack: DrgPack) -> SchemeRules:
    """Read the rules off a DRG pack."""
    by_sex: set[str] = set()
    for text in pack.mdc.get_column("rule"):
        rule = parse_rule(text)
        if any(isinstance(atom, Compare) and atom.field == _SEX_FIELD for atom in atoms(rule)):
            by_sex.update(set_names(rule))
    sets = pack.sets.select("set", fold(pl.col("code")).alias("code"))
    return SchemeRules(
        not_principal=frozenset(fold(code) for code in pack.not_principal),
        newborn_weight=pack.newborn_weight,
        operations=frozenset(sets.filter(pl.col("set") == OPERATION_SET)["code"]),
        sex_bound=frozenset(sets.filter(pl.col("set").is_in(list(by_sex)))["code"]),
        levels=pack.cc.select(fold(pl.col("code")).alias("code"), "level", "exclusion"),
        exclusions=pack.exclusion.select("exclusion", fold(pl.col("code")).alias("code")),
    )
