"""Rows of a submission that no settlement would pay and that the hospital alone can mend: told at once, not accepted.

What the office can mend (a register, a policy) is accepted, and settled or told when its month is settled.
"""

from __future__ import annotations

import polars as pl

from api.core.book_policies import KeptPolicies
from api.service.basis import Basis
from budget.case_fit import faults
from budget.fund_share import NEEDS
from reference_tables.policy import Policy
from reference_tables.problems import Level, catalogue

REPEATED = "PA11"
"""The problem of a case that came before in the file."""
PART_UNKNOWN = "PA14"
"""The problem of a case of which it is not known what the patient paid: what a submission says of it is more (SV27)."""
_UNKNOWN_INSURANCE = "PA15"


def barring(basis: Basis) -> list[str]:
    """Codes of faults of a record for which nothing is paid and which the hospital can mend."""
    return _faults_of(basis, "hospital", {_UNKNOWN_INSURANCE})


def waiting(basis: Basis) -> list[str]:
    """Codes of faults for which nothing is paid until the office mends them."""
    return _faults_of(basis, "office", set())


def _faults_of(basis: Basis, who: str, more: set[str]) -> list[str]:
    codes = {fault.problem for fault in faults(basis.policy, basis.values)} | more
    kinds = [catalogue()[code] for code in sorted(codes - {REPEATED})]
    return [kind.code for kind in kinds if kind.who == who and kind.level is Level.REJECT]


def unpaid(frame: pl.DataFrame, problems: pl.DataFrame, codes: list[str]) -> pl.DataFrame:
    """Cases with such a fault as no valid cases: no settlement would take them."""
    rows = problems.filter(pl.col("code").is_in(codes))["row"].implode()
    status = pl.when(pl.col("row").is_in(rows)).then(pl.lit("INVALID")).otherwise("status")
    return frame.with_columns(status.alias("status"))


def own_bases(cases: pl.DataFrame, settled: pl.DataFrame, bases: KeptPolicies) -> pl.Series:
    """String [cases]: the key of what a correction of each case is priced by: what priced the case, unless it goes to
    another month. `settled`: case_id, of_month, of_basis of the book; null for a case that it does not have."""
    of = settled.select("case_id", "of_month", "of_basis").unique("case_id", keep="last")
    marked = cases.select("case_id", "month").join(of, on="case_id", how="left", maintain_order="left")
    keys = {month: bases.key_of(month) for month in marked["month"].drop_nulls().unique()}
    there = pl.col("month").replace_strict(keys, return_dtype=pl.String) if keys else pl.lit(None, pl.String())
    stays = pl.col("month").is_null() | (pl.col("month") == pl.col("of_month"))
    own = pl.when(stays).then("of_basis").when(pl.col("of_month").is_not_null()).then(there)
    return marked.select(own.alias("basis"))["basis"]


def part_unknown(
    cases: pl.DataFrame, fund: pl.Series, problems: pl.DataFrame, basis: Basis, own: pl.Series | None,
    bases: KeptPolicies | None,
) -> pl.Series:  # fmt: skip
    """bool [cases]: the fund's part cannot be computed, whatever the office does: the record lacks what it needs.

    `fund`: the part by what is in force, null where it cannot be computed; a case that waits for the office (no tier,
    no policy of its month) has none yet, and will have none where every reading of the policy needs what is not there;
    so will a correction priced by an earlier policy. `own`: by which key of `bases` a correction is priced, null as
    what is in force; None of new cases."""
    awaiting = cases["row"].is_in(problems.filter(pl.col("code").is_in(waiting(basis)))["row"].implode())
    billed = cases["fund_by_item_fen"].is_not_null()
    lost = fund.is_null() | (awaiting & ~billed & _lacking(cases, basis.policy))
    if own is None or bases is None:
        return lost
    for key in own.drop_nulls().unique():
        policy = bases.of(key).policy
        if policy.sha256 != basis.policy.sha256:
            lost = (~billed & _lacking(cases, policy)).zip_with((own == key).fill_null(value=False), lost)
    return lost


def _lacking(cases: pl.DataFrame, policy: Policy) -> pl.Series:
    """bool [cases]: do all readings of the fund's part that a policy has need an amount that a record does not tell?"""
    modes = sorted({str(setting.value) for setting in policy.all("fund_share_mode")})
    if not modes:
        return pl.Series("lacks", [False], dtype=pl.Boolean).new_from_index(0, cases.height)
    none = pl.lit(value=False)
    lacks = [pl.any_horizontal(none, *(pl.col(name).is_null() for name in NEEDS[mode])) for mode in modes]
    return cases.with_columns(pl.all_horizontal(lacks).alias("lacks"))["lacks"]
