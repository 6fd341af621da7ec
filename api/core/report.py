"""What the yearly page shows of one payment method: sums by hospital, month, tier and group, and the way of the money.

Everything is summed up from cases as they were priced, from the ledger's postings and from the statement; nothing is
priced anew. Amounts are Int64 fen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from budget.frames import CASE_KIND_ZH
from budget.ledger import DEBIT, signed

NO_GROUP = "未入组"
OUTLIERS = ("low", "high", "extreme")
KINDS = ("normal", *OUTLIERS, "other")
KIND_ZH = {**{kind: CASE_KIND_ZH[kind] for kind in KINDS[:-1]}, "other": "其他支付方式"}
CASE_COLUMNS = (
    "hospital_id", "hospital_name", "tier", "month", "group", "name", "case_kind", "cost_fen", "package_fen",
    "fund_fen", "actual_fen",
)  # fmt: skip
"""What a case must say of itself to be counted: as in PRICED_SCHEMA with the hospital's name and tier; `actual_fen` is
what the fund would have paid by item, null where the record does not tell."""

HOSPITAL_SCHEMA: dict[str, pl.DataType] = {
    "hospital_id": pl.String(),
    "name": pl.String(),
    "tier": pl.String(),
    "cases": pl.Int64(),
    "cost_fen": pl.Int64(),
    "package_fen": pl.Int64(),
    "fund_fen": pl.Int64(),
    "actual_fen": pl.Int64(),
    "cleared_fen": pl.Int64(),
}
"""`package_fen` what its cases earn as priced by month, `fund_fen` the fund's part of it, `actual_fen` what the fund
would have paid by item; `cleared_fen` what the fund pays after clearing (entitlement, shared overrun), null before."""
MONTH_EVENTS = {"due": "due_fen", "correction": "correction_fen", "pay": "paid_fen", "hold": "held_fen"}
"""Events of accounts.toml that the monthly line shows, each with its column."""
STATEMENT_AMOUNTS = (
    "entitlement", "retained", "shared", "deposit", "assessment", "deductions", "borne", "prepaid", "balance",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flow:
    """One bar of the waterfall: `amount` fen added or taken (negative); `total`: the bar stands for what is left."""

    label: str
    amount: int
    total: bool = False


@dataclass(frozen=True)
class ReportPart:
    """One payment method's year. `hospitals` HOSPITAL_SCHEMA by id; `tiers`: tier, case_kind (KINDS), cases; `groups`:
    group, name, cases, cost_fen, package_fen; `months`: month and the columns of MONTH_EVENTS; `statement`: the
    statement with amounts in fen, empty before clearing; `flows` the waterfall; `about` label -> text, for the head."""

    label: str
    hospitals: pl.DataFrame
    tiers: pl.DataFrame
    groups: pl.DataFrame
    months: pl.DataFrame
    statement: pl.DataFrame
    flows: Sequence[Flow]
    about: Mapping[str, str] = field(default_factory=dict)
    synthetic: bool = False

    @property
    def cleared(self) -> bool:
        """Are the hospitals' amounts those after clearing?"""
        return self.hospitals.height > 0 and self.hospitals["cleared_fen"].null_count() < self.hospitals.height

    @property
    def compared(self) -> pl.DataFrame:
        """`hospitals` with `paid_fen`, all that their cases bring in: as priced, or after clearing what the fund pays
        and what patients and others paid by item."""
        others = pl.col("cost_fen") - pl.col("actual_fen")
        paid = pl.col("cleared_fen").fill_null(0) + others if self.cleared else pl.col("package_fen")
        return self.hospitals.with_columns(paid.alias("paid_fen"))

    @property
    def totals(self) -> dict[str, int]:
        """Cases, cost, payment and the fund's part of all hospitals; cases of the statement."""
        names = ("cases", "cost_fen", "package_fen", "fund_fen", "actual_fen")
        sums = {name: int(self.hospitals[name].sum()) for name in names}
        return sums | {"cleared_cases": int(self.statement["cases"].sum())}


def hospital_sums(cases: pl.DataFrame, statement: pl.DataFrame) -> pl.DataFrame:
    """HOSPITAL_SCHEMA by hospital id; `cases` with CASE_COLUMNS, `statement` with amounts in fen, empty before
    clearing."""
    money = ("cost_fen", "package_fen", "fund_fen", "actual_fen")
    summed = cases.group_by("hospital_id").agg(
        pl.col("hospital_name").drop_nulls().max().alias("name"),
        pl.col("tier").drop_nulls().max(),
        pl.len().alias("cases"),
        *(pl.col(name).sum() for name in money),
    )
    named = summed.with_columns(pl.coalesce("name", "hospital_id").alias("name"), pl.col("tier").fill_null("未知级别"))
    pays = (pl.col("entitlement") + pl.col("shared")).sum().alias("cleared_fen")
    cleared = statement.group_by("hospital").agg(pays).rename({"hospital": "hospital_id"})
    whole = named.join(cleared, on="hospital_id", how="left").sort("hospital_id")
    return whole.select(pl.col(name).cast(dtype) for name, dtype in HOSPITAL_SCHEMA.items())


def tier_kinds(cases: pl.DataFrame, tiers: Sequence[str]) -> pl.DataFrame:
    """tier, case_kind, cases: one row for each pair, tiers in the policy's order and any other ones after."""
    kind = pl.when(pl.col("case_kind").is_in(list(KINDS))).then("case_kind").otherwise(pl.lit("other"))
    counted = cases.select(pl.col("tier").fill_null("未知级别"), kind.alias("case_kind"))
    counted = counted.group_by("tier", "case_kind").len("cases")
    found = set(counted["tier"].to_list())
    order = [tier for tier in tiers if tier in found] + sorted(found - set(tiers))
    frame = pl.DataFrame({"tier": order}, schema={"tier": pl.String}).join(
        pl.DataFrame({"case_kind": KINDS}), how="cross"
    )
    joined = frame.join(counted, on=["tier", "case_kind"], how="left", maintain_order="left")
    return joined.with_columns(pl.col("cases").fill_null(0).cast(pl.Int64))


def group_sums(cases: pl.DataFrame) -> pl.DataFrame:
    """group, name, cases, cost_fen, package_fen by group; cases without one are NO_GROUP."""
    code = pl.when(pl.col("group").fill_null("") == "").then(pl.lit(NO_GROUP)).otherwise("group")
    summed = cases.group_by(code.alias("group")).agg(
        pl.col("name").drop_nulls().max(),
        pl.len().cast(pl.Int64).alias("cases"),
        pl.col("cost_fen", "package_fen").sum(),
    )
    return summed.with_columns(pl.col("name").fill_null("")).sort("group")


def month_sums(ledger: pl.DataFrame) -> pl.DataFrame:
    """month and, for each event of MONTH_EVENTS, what was posted in it; months in order."""
    posted = ledger.filter((pl.col("side") == DEBIT) & pl.col("what").is_in(list(MONTH_EVENTS)))
    columns = [
        signed().filter(pl.col("what") == event).sum().cast(pl.Int64).alias(name)
        for event, name in MONTH_EVENTS.items()
    ]
    return posted.group_by("month").agg(columns).sort("month")


def statement_flows(statement: pl.DataFrame, before: Sequence[Flow] = ()) -> list[Flow]:
    """The waterfall from what comes into the pools (`before`) down to the balance; steps of 0 are left out.

    The difference between what the pools hold and what is due to hospitals is a step of its own.
    """
    if not statement.height:
        return list(before)
    sums = {name: int(statement[name].sum()) for name in STATEMENT_AMOUNTS}
    held = sum(flow.amount for flow in before if not flow.total)
    flows = [*before]
    if before and held != sums["entitlement"]:
        flows.append(Flow("未分配给医院", sums["entitlement"] - held))
    elif not before:
        flows.append(Flow("医院应得", sums["entitlement"]))
    if before:
        flows.append(Flow("医院应得", sums["entitlement"], total=True))
    steps = (
        ("超支分担与补差", sums["shared"]),
        ("质量保证金", -sums["deposit"]),
        ("考核返还", sums["assessment"]),
        ("扣款与未留用结余", -sums["deductions"]),
        ("医共体超支分担", -sums["borne"]),
        ("已拨付", -sums["prepaid"]),
    )
    flows += [Flow(label, amount) for label, amount in steps if amount]
    flows.append(Flow("清算差额", sums["balance"], total=True))
    return flows
