"""What may happen to the cases in the years to come (`[[growth]]`): more of them, dearer, of other kinds, coded higher;
and what that comes to, year by year.

A growth comes to just the number of cases it tells, rounded half up: a volume of 1.03 makes 1,500 cases 1,545. Whole
cases are added or left out (coded higher), spread evenly over hospitals, groups and costs; so their cost is near, and
not just, the share told. Numbers drawn from hospital and case id say where to begin, so that neither order nor files
matter. Money is scaled exactly and its parts still add up. Years compound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from api.core.simulate_stage import Stage, pool_of_case
from budget.compare_frames import ALL_POOLS, GROWTH_SCHEMA
from budget.money import round_half_up
from budget.reformed import GroupFacts
from grouper.schemes import Scheme
from reference_tables.drg_pack import DrgPack
from reference_tables.policy import Policy
from reference_tables.problems import Problem, TablesRefused
from reference_tables.reform import Growth, Reform
from reference_tables.reform_schema import reform_schema

_COLUMNS = {"insurance": "insurance", "tier": "tier", "hospital": "hospital_id", "month": "month", "group": "group"}
_SCALED = (
    "total_cost_fen", "separate_fen", "patient_paid_fen", "other_funds_fen", "self_funded_fen", "prior_self_pay_fen",
    "deductible_fen", "drug_fen", "consumable_fen", "tcm_fen", "tcm_base_fen",
)  # fmt: skip


def years_ahead(reforms: Sequence[Reform]) -> int:
    """How many years the growth of the reforms looks ahead; 0 when there is none."""
    return max((growth.years for reform in reforms for growth in reform.growths), default=0)


def grown(
    cases: pl.DataFrame, reforms: Sequence[Reform], year: int, policy: Policy, facts: GroupFacts, scheme: Scheme
) -> pl.DataFrame:
    """The cases (PAYABLE_SCHEMA) after one more year, the `year`-th: every growth of the reforms that lasts so long.
    Raises TablesRefused (RF36) for one that leaves no case."""
    for reform in reforms:
        for at, growth in enumerate(reform.growths):
            if year <= growth.years:
                lists = {**policy.lists, **reform.lists}
                here = cases.with_columns(_within(growth, lists, facts).alias("here"))["here"]
                drawn = numbers(cases, f"{reform.id} {at} {year}")
                cases = _after(cases, growth, here, drawn, scheme)
                if not cases.height:
                    raise TablesRefused(reform.file, [_nothing_left(reform, growth, year)])
    return cases


def _nothing_left(reform: Reform, growth: Growth, year: int) -> Problem:
    args: dict[str, str | int] = {
        "kind": reform_schema().growth[growth.kind].label,
        "place": growth.place,
        "year": year,
    }
    return Problem("RF36", args, file=reform.file, row=growth.line, field="growth")


def growths_without_cases(
    cases: pl.DataFrame, reforms: Sequence[Reform], policy: Policy, facts: GroupFacts
) -> list[Problem]:
    """RF57 for every growth that no case is in the scope of."""
    found = []
    for reform in reforms:
        for growth in reform.growths:
            lists = {**policy.lists, **reform.lists}
            if cases.with_columns(_within(growth, lists, facts).alias("here"))["here"].any():
                continue
            args: dict[str, str | int] = {"kind": reform_schema().growth[growth.kind].label, "place": growth.place}
            found.append(Problem("RF57", args, file=reform.file, row=growth.line, field="growth"))
    return found


def growth_table(stages: Sequence[Stage]) -> pl.DataFrame:
    """GROWTH_SCHEMA of the stage after the reform and those of the years of growth."""
    done = stages[0].clearing
    first = 0 if done is None else done.given.year
    rows: list[dict[str, object]] = []
    accumulated: dict[str, int | None] = {}
    for year, stage in enumerate(stages, first):
        paid = _paid_by_pool(stage)
        if not stage.fund_years:
            rows.append({"year": year, "pool": ALL_POOLS, **_whole(paid)})
            continue
        values = dict(stage.fund_frame("after").select("pool", "point_value").iter_rows())
        for pool, fund in stage.fund_years.items():
            known = accumulated.get(pool) if pool in accumulated else fund.opening
            accumulated[pool] = None if known is None else known + fund.balance
            rows.append({
                "year": year, "pool": pool, **(_whole(paid) if pool == ALL_POOLS else paid.get(pool, {})),
                "point_value": values.get(pool), "price_unit": stage.price_unit if values.get(pool) else "",
                "paid_fen": fund.paid, "balance_fen": fund.balance,
                "accumulated_fen": accumulated[pool],
            })  # fmt: skip
    return pl.DataFrame([{name: row.get(name) for name in GROWTH_SCHEMA} for row in rows], schema=GROWTH_SCHEMA)


_PAID = ("cases", "cost_fen", "package_fen", "fund_fen")


def _paid_by_pool(stage: Stage) -> dict[str, dict[str, int]]:
    """Cases and what they are paid, by pool."""
    frame = stage.cases.select(pool=pool_of_case(stage)).with_columns(
        stage.priced.select("cost_fen", "package_fen", "fund_fen")
    )
    sums = frame.group_by("pool").agg(pl.len().cast(pl.Int64).alias("cases"), pl.col(_PAID[1:]).sum())
    return {row["pool"]: {name: row[name] for name in _PAID} for row in sums.iter_rows(named=True)}


def _whole(paid: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(row[name] for row in paid.values()) for name in _PAID}


def numbers(cases: pl.DataFrame, salt: str) -> NDArray[np.int64]:
    """int64 [cases]: each case's number, drawn from its hospital and id."""
    keys = zip(cases["hospital_id"].fill_null(""), cases["case_id"].fill_null(""), strict=True)
    drawn = (blake2b(f"{salt}\n{hospital}\n{case}".encode(), digest_size=8).digest() for hospital, case in keys)
    found = np.frombuffer(b"".join(drawn), dtype="<u8") if cases.height else np.zeros(0, np.uint64)
    return (found >> np.uint64(11)).astype(np.int64)


def _after(
    cases: pl.DataFrame, growth: Growth, here: pl.Series, drawn: NDArray[np.int64], scheme: Scheme
) -> pl.DataFrame:
    if growth.kind == "price":
        return _dearer(cases, here, growth.factor)
    if growth.kind == "coding":
        lighter = here & cases["group"].is_in(sorted(heavier(scheme)[0])).fill_null(value=False)
        return _coded_higher(cases, chosen(cases, lighter, growth.factor, drawn), scheme)
    whole, inside = cases.height, int(here.sum())
    copies = _copies(cases, here, growth.factor, drawn)
    if growth.kind == "mix" and inside < whole:
        # The others take what the scope's own cases leave of the total, counted after rounding.
        rest = Fraction(max(0, whole - int(copies.sum())), whole - inside)
        copies = copies + _copies(cases, ~here, rest, drawn)
    elif growth.kind == "volume":
        copies = copies + (~here).to_numpy()
    return _copied(cases, copies)


def _copies(cases: pl.DataFrame, here: pl.Series, factor: Fraction, drawn: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [cases]: how many there are afterwards of each case that is `here`, of the others 0."""
    whole = factor.numerator // factor.denominator
    more = chosen(cases, here, factor - whole, drawn).cast(pl.Int64)
    return np.asarray(here.cast(pl.Int64) * whole + more, dtype=np.int64)


def chosen(cases: pl.DataFrame, here: pl.Series, share: Fraction, drawn: NDArray[np.int64]) -> pl.Series:
    """Boolean [cases]: `share` (0 to 1) of the cases that are `here`, in number rounded half up.

    All have the same chance. They stand in a row, hospital after hospital, its groups from the cheapest to the dearest
    and the cases of a group by cost, up in one group and down in the next; from a place that the numbers `drawn`
    decide, every so-manieth is taken (systematic sampling). So a stratum (hospital x group) has its share but for less
    than one case, rare groups have their chance too, and the cases taken cost on average what all do.
    """
    frame = cases.select(
        pl.col("hospital_id").fill_null("").alias("hospital"), pl.col("group").fill_null(""),
        pl.col("case_id").fill_null(""), pl.col("total_cost_fen").fill_null(0).alias("cost"),
        pl.Series("drawn", drawn), pl.int_range(pl.len(), dtype=pl.Int64).alias("at"),
    ).filter(here)  # fmt: skip
    found = np.zeros(cases.height, dtype=np.bool_)
    number = round_half_up(frame.height * share)
    if number:
        begin = int(frame["drawn"].to_numpy().min())
        strata = (
            frame.group_by("hospital", "group").agg(pl.col("cost").sum() // pl.len()).sort("hospital", "cost", "group")
        )
        strata = strata.select("hospital", "group", pl.int_range(pl.len(), dtype=pl.Int64).alias("stratum"))
        ranked = frame.join(strata, on=["hospital", "group"], how="left")
        down = pl.col("stratum") % 2 == 1
        ranked = ranked.sort("stratum", pl.when(down).then(-pl.col("cost")).otherwise("cost"), "drawn", "case_id")
        found[ranked["at"].to_numpy()[_spread(frame.height, number, begin)]] = True
    return pl.Series("chosen", found)


def _spread(whole: int, number: int, begin: int) -> NDArray[np.int64]:
    """`number` places of `whole`, as far apart as may be; `begin` says where the first of them lies."""
    steps = np.arange(number, dtype=np.int64) * whole
    return np.asarray((steps + begin % whole) // number, dtype=np.int64)


def _copied(cases: pl.DataFrame, copies: NDArray[np.int64]) -> pl.DataFrame:
    """Each case as often as told; a copy is another patient's, with a number after its id."""
    rows = np.repeat(np.arange(cases.height), copies)
    first = np.concatenate([[0], np.cumsum(copies)[:-1]]) if cases.height else np.zeros(0, np.int64)
    place = np.arange(len(rows)) - np.repeat(first, copies)
    frame = cases[rows].with_columns(pl.Series("copy", place, dtype=pl.Int64))
    copy = pl.col("copy") > 0
    return frame.with_columns(
        pl.when(copy).then(pl.format("{}+{}", "case_id", "copy")).otherwise("case_id").alias("case_id"),
        pl.when(copy).then(None).otherwise("person").alias("person"),
    ).drop("copy")


def _dearer(cases: pl.DataFrame, here: pl.Series, factor: Fraction) -> pl.DataFrame:
    """Amounts times a factor, half up to the fen; what the fund pays by item takes the rest, so that parts add up."""
    above, below = factor.numerator, factor.denominator

    def scaled(name: str) -> pl.Expr:
        return (pl.col(name) * (2 * above) + below) // (2 * below)

    parts = ("total_cost_fen", "patient_paid_fen", "other_funds_fen")
    total, patient, other = ((scaled(name) - pl.col(name)).fill_null(0) for name in parts)
    fund = pl.col("fund_by_item_fen") + total - patient - other
    chosen = pl.lit(here)
    return cases.with_columns(
        pl.when(chosen).then(fund).otherwise("fund_by_item_fen").alias("fund_by_item_fen"),
        *(pl.when(chosen).then(scaled(name)).otherwise(name).alias(name) for name in _SCALED),
    )


def _coded_higher(cases: pl.DataFrame, here: pl.Series, scheme: Scheme) -> pl.DataFrame:
    """The chosen cases in the next heavier group of the same ADRG, where there is one."""
    higher, names = heavier(scheme)
    group = pl.col("group").replace_strict(higher, default=None, return_dtype=pl.String)
    moves = pl.lit(here) & group.is_not_null()
    name = group.replace_strict(names, default=None, return_dtype=pl.String)
    return cases.with_columns(
        pl.when(moves).then(group).otherwise("group").alias("group"),
        pl.when(moves).then(name).otherwise("name").alias("name"),
    )


def heavier(scheme: Scheme) -> tuple[dict[str, str], dict[str, str]]:
    """Group -> the next heavier one of its ADRG (…5 -> …3 -> …1), and the groups' names; nothing in a DIP scheme."""
    pack = scheme.pack
    if not isinstance(pack, DrgPack):
        return {}, {}
    found: dict[str, str] = {}
    for _, codes in pack.drg.group_by("adrg", maintain_order=True).agg("code").iter_rows():
        ladder = sorted(code for code in codes if code[-1].isdigit() and code[-1] not in "09")
        found |= {lighter: heavy for heavy, lighter in pairwise(ladder)}
    return found, dict(pack.drg.select("code", "name").iter_rows())


def _within(growth: Growth, lists: Mapping[str, Sequence[str]], facts: GroupFacts) -> pl.Expr:
    """The cases that a growth is for."""
    parts = [pl.col("group").is_in(list(growth.groups))] if growth.groups else []
    for name, value in growth.scope:
        if name in _COLUMNS:
            parts.append(pl.col(_COLUMNS[name]) == value)
            continue
        classes = facts.classes.get(name, {})
        groups = lists.get(value, ()) if name == "list" else classes.get(value) or classes.get(f"MDC{value}") or ()
        parts.append(pl.col("group").is_in(sorted(groups)))
    return pl.all_horizontal(*parts).fill_null(value=False) if parts else pl.lit(value=True)
