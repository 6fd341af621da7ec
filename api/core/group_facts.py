"""What a grouping scheme says of its groups: main diagnostic category and kind of care, for reforms that name them."""

from __future__ import annotations

import polars as pl

from budget.reformed import FACTS_SCHEMA, GroupFacts
from grouper.schemes import Scheme
from reference_tables.drg_pack import DrgPack

_TYPES = (("surgical", "ABCDEFGHJ"), ("procedure", "KLMNPQ"), ("medical", "RSTUVWXYZ"))
"""The second character of a CHS-DRG code says what kind of care the group is for (CHS-DRG 分组方案, coding rules)."""


def group_facts(scheme: Scheme) -> GroupFacts:
    """The facts of a scheme's groups; a DIP scheme tells none."""
    pack = scheme.pack
    if not isinstance(pack, DrgPack):
        return GroupFacts.none()
    letter = pl.col("group").str.slice(1, 1)
    kind = pl.lit("")
    for name, letters in _TYPES:
        kind = pl.when(letter.is_in(list(letters))).then(pl.lit(name)).otherwise(kind)
    parents = pack.adrg.select(adrg="code", mdc="mdc")
    groups = pack.drg.select(group="code", adrg="adrg").join(parents, on="adrg", how="left", maintain_order="left")
    told = pl.when(pl.col("group").str.contains("QY")).then(pl.lit("")).otherwise(kind)  # ambiguous: no kind of care
    facts = groups.select("group", pl.col("mdc").fill_null(""), told.alias("type"))
    return GroupFacts(facts.select(pl.col(name).cast(dtype) for name, dtype in FACTS_SCHEMA.items()))
