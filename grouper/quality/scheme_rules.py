"""What the quality rules need to know of the grouping scheme the cases are meant for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from reference_tables.codes import fold, load_code_books
from reference_tables.dip_cells import spelled
from reference_tables.dip_pack import DipPack, dip_schema
from reference_tables.drg_pack import DrgPack
from reference_tables.rule_ast import Compare, atoms, set_names
from reference_tables.rule_language import parse_rule

OPERATION_SET = "OP_ALL"
BIRTH_WEIGHT = "H02"
_OPERATION = 4  # nature of a procedure: operation or intervention
_SEX_FIELD = "XB"


def _levels() -> pl.DataFrame:
    return pl.DataFrame(schema={"code": pl.String, "level": pl.String, "exclusion": pl.String})


def _exclusions() -> pl.DataFrame:
    return pl.DataFrame(schema={"exclusion": pl.String, "code": pl.String})


@dataclass(frozen=True)
class SchemeRules:
    """Codes are folded. `not_principal`: what the scheme bars as principal diagnosis (empty: it has no list
    of its own). `newborn_weight`: which weight its newborn groups ask for. `operations`: procedures that
    count as operations (empty: not known). `sex_bound`: principal diagnoses of MDCs that ask the sex. `asked`:
    rules about what its groups cannot do without.
    `levels` code, level, exclusion and `exclusions` exclusion, code: complications and what excludes them.
    """

    kind: Literal["drg", "dip"] = "drg"
    not_principal: frozenset[str] = frozenset()
    newborn_weight: Literal["birth", "admission"] | None = None
    operations: frozenset[str] = frozenset()
    sex_bound: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    levels: pl.DataFrame = field(default_factory=_levels)
    exclusions: pl.DataFrame = field(default_factory=_exclusions)


def rules_of_pack(pack: DrgPack | DipPack) -> SchemeRules:
    """Read the rules off a pack."""
    return _of_dip(pack) if isinstance(pack, DipPack) else _of_drg(pack)


def _of_dip(pack: DipPack) -> SchemeRules:
    weighed = any(row.birth_weight_g is not None for row in pack.rows)
    return SchemeRules(
        kind="dip",
        not_principal=frozenset(fold(spelled(code)) for code in pack.tables["excluded_dx"]["code"]),
        newborn_weight=pack.newborn_weight if weighed else None,
        operations=_operations(pack),
        asked=frozenset({BIRTH_WEIGHT}) if weighed else frozenset(),
    )


def _operations(pack: DipPack) -> frozenset[str]:
    """Procedures whose nature is an operation, by the pack's own table, else by the code book."""
    book = load_code_books().procedure
    natures = dip_schema().nature_of_category
    listed = zip(book.folded, book.frame["category"], strict=True)
    found = {code: natures.get(category) for code, category in listed}
    own = pack.tables["nature"].select("code", "nature").iter_rows()
    found |= {fold(spelled(code)): int(nature) for code, nature in own}
    return frozenset(code for code, nature in found.items() if nature == _OPERATION)


def _of_drg(pack: DrgPack) -> SchemeRules:
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
