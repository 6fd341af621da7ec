"""One stage of a simulation: all cases priced under a policy, the year cleared by it, and two stages side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl

from api.core.clearing import Clearing, ClearingInput, clear_year
from api.core.simulate_cases import Base
from budget.compare import COMPARED_SCHEMA, Cleared, owed
from budget.compare_frames import ALL_POOLS
from budget.compare_fund import FundYear, fund_frame, fund_years
from budget.group_values import GroupValues
from budget.pools import pool_name
from budget.pricing import AMOUNTS, Pricer
from budget.year_terms import YearTerms
from reference_tables.policy import Policy
from reference_tables.policy_schema import PRICE_UNITS
from reference_tables.year_file import YearFile

BLOCK = 1 << 20


@dataclass(frozen=True)
class Stage:
    """Cases as they are paid under a policy. `priced`: AMOUNTS, row for row as `cases`; `clearing` of the year, None
    without a year file."""

    label: str
    policy: Policy
    values: GroupValues
    cases: pl.DataFrame
    priced: pl.DataFrame
    clearing: Clearing | None

    @cached_property
    def cleared(self) -> Cleared | None:
        """What the fund pays in the end, by hospital and pool."""
        return None if self.clearing is None else cleared_of(self.clearing)

    @cached_property
    def fund_years(self) -> Mapping[str, FundYear]:
        """The fund's year by pool and in all; empty without clearing."""
        if self.clearing is None:
            return {}
        done = self.clearing
        return fund_years(done.pools, done.budget, done.given.year_file, done.bundles)

    def fund_frame(self, state: str) -> pl.DataFrame:
        """FUND_SCHEMA of the clearing."""
        assert self.clearing is not None
        done = self.clearing
        return fund_frame(done.pools, done.budget, done.given.year_file, state, self.price_unit, done.bundles)

    @property
    def price_unit(self) -> str:
        """What a point value or rate is the price of."""
        return PRICE_UNITS[self.policy.method]

    @property
    def package_fen(self) -> int:
        return int(self.priced["package_fen"].sum())

    @property
    def fund_fen(self) -> int:
        """The fund's part as priced; what is not known counts 0."""
        return int(self.priced["fund_fen"].sum())

    @property
    def cleared_fen(self) -> int | None:
        return None if self.cleared is None else self.cleared.total

    @property
    def balance_fen(self) -> int | None:
        """Of the fund's year, all pools together."""
        return self.fund_years[ALL_POOLS].balance if self.fund_years else None


def hospital_totals(stage: Stage) -> dict[str, int]:
    """What the fund pays each hospital, fen: after clearing where there is one, else as priced."""
    if stage.clearing is not None:
        return cleared_by_hospital(stage.clearing)
    sums = stage.priced.group_by(pl.col("hospital_id").fill_null("")).agg(pl.col("fund_fen").sum())
    return dict(sums.iter_rows())


def run_stage(label: str, base: Base, year_file: YearFile | None, policy: Policy, values: GroupValues) -> Stage:
    """Price the cases of a base under a policy and, with a year file, clear the year. Raises TablesRefused."""
    pricer = Pricer(policy, values)
    blocks = [base.cases] if policy.has("volume_cap") else base.cases.iter_slices(BLOCK)
    priced = pl.concat([pricer.price(block, base.decisions, display=False).frame for block in blocks])
    clearing = None if year_file is None else clear_base(base, year_file, pricer)
    return Stage(label, policy, values, base.cases, priced.select(AMOUNTS), clearing)


def clear_base(base: Base, year_file: YearFile, pricer: Pricer) -> Clearing:
    """Clear the year of a base by a pricer's policy. Raises TablesRefused."""
    given = ClearingInput(
        year_file.year, pricer.policy, pricer.values, year_file, base.cases, base.decisions, base.paid, trial=True,
        pricer=pricer,
    )  # fmt: skip
    done = clear_year(given)
    return replace(done, given=replace(given, pricer=None))  # its rows are many, and not asked for again


def cleared_by_hospital(clearing: Clearing) -> dict[str, int]:
    """What the fund pays each hospital after clearing, all pools and bundles together, fen."""
    money: dict[str, int] = {}
    found = cleared_of(clearing)
    for (hospital, _), fen in (*found.pools.items(), *found.bundles.items()):
        money[hospital] = money.get(hospital, 0) + fen
    return money


def cleared_of(clearing: Clearing) -> Cleared:
    """What the fund pays in the end, by hospital and pool, and by hospital for county groups' bundles."""
    lines = ((pool, line.hospital, line.received) for pool, line in clearing.lines)
    return owed(lines, {pool.budget.pool for pool in clearing.pools})


def compared_frame(before: Stage, after: Stage, source: pl.Series | None = None) -> tuple[pl.DataFrame, int]:
    """COMPARED_SCHEMA of two stages, and how many cases have a fund part that is not known.

    `source`: the case before that each case after comes from, where cases were added or left out; else they are the
    same, row for row. What is added counts with the case it is a copy of.
    """
    left = before.cases.select(
        hospital=_text("hospital_id"), tier=_text("tier"), county_group=_text("county_group"),
        department=_text("department"), mdc=_text("mdc"), group=_text("group"), group_name=_text("name"),
        insurance=_text("insurance"), pool=pool_of_case(before),
    ).with_columns(
        before.priced["cost_fen"].fill_null(0),
        before.priced["case_kind"].alias("kind"),
        before.priced["package_fen"].fill_null(0).alias("package_before_fen"),
        before.priced["fund_fen"].alias("fund_before_fen"),
        pl.lit(1, dtype=pl.Int64).alias("cases"),
    )  # fmt: skip
    right = after.cases.select(
        group_after=_text("group"), group_after_name=_text("name"), pool_after=pool_of_case(after)
    ).with_columns(
        after.priced["package_fen"].fill_null(0).alias("package_after_fen"),
        after.priced["fund_fen"].alias("fund_after_fen"),
    )
    if source is not None:
        right = _by_source(right, source, left.height)
        gone = right["group_after"].is_null().to_numpy()
        right = right.with_columns(
            pl.col("group_after", "group_after_name").fill_null(""),
            pl.col("pool_after").fill_null(""), pl.col("package_after_fen").fill_null(0),
            pl.when(pl.Series(gone)).then(0).otherwise("fund_after_fen").alias("fund_after_fen"),
        )  # fmt: skip
    frame = pl.concat([left, right], how="horizontal")
    known = pl.col("fund_before_fen").is_not_null() & pl.col("fund_after_fen").is_not_null()
    unknown = int((~frame.select(known.alias("known"))["known"]).sum())
    funds = [pl.when(known).then(name).otherwise(0).alias(name) for name in ("fund_before_fen", "fund_after_fen")]
    frame = frame.with_columns(funds)
    return frame.select(pl.col(name).cast(dtype) for name, dtype in COMPARED_SCHEMA.items()), unknown


def _by_source(right: pl.DataFrame, source: pl.Series, height: int) -> pl.DataFrame:
    """The cases after added up by the case that they come from; nulls where nothing is left of it."""
    unknown = pl.col("fund_after_fen").is_null().any()
    sums = right.with_columns(source.cast(pl.Int64).alias("at")).group_by("at").agg(
        pl.col("group_after", "group_after_name", "pool_after").min(),
        pl.col("package_after_fen").sum(),
        pl.when(unknown).then(None).otherwise(pl.col("fund_after_fen").sum()).alias("fund_after_fen"),
    )  # fmt: skip
    places = pl.DataFrame({"at": np.arange(height)}, schema={"at": pl.Int64})
    return places.join(sums, on="at", how="left", maintain_order="left").drop("at")


def _text(name: str) -> pl.Expr:
    return pl.col(name).fill_null("")


def pool_of_case(stage: Stage) -> pl.Expr:
    """The pool a case's money is of; "" for a case of no pool of the policy."""
    policy = stage.policy
    own = pl.col("insurance").is_in(list(policy.insurances)) & pl.col("hospital_id").is_not_null()
    pools = pools_of(policy, None if stage.clearing is None else stage.clearing.given.year)
    named = {insurance: pool_name(pools, insurance) for insurance in policy.insurances}
    of_insurance = pl.col("insurance").replace_strict(named, default="", return_dtype=pl.String)
    return pl.when(own.fill_null(value=False)).then(of_insurance).otherwise(pl.lit(""))


def pools_of(policy: Policy, year: int | None) -> str:
    """How the policy divides its pools at the end of a year, insurance or merged; without a year as it does last. By
    insurance where it does not say."""
    if year is not None:
        return YearTerms(policy, year, "clear").look("pools") or "insurance"
    last = max(policy.all("pools"), key=lambda setting: setting.since or date.min, default=None)
    return "insurance" if last is None else str(last.value)
