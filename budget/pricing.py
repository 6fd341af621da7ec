"""Price cases: from grouped cases and a policy to what each case earns, and what of it the fund pays.

Cases that price alike share a plan row (`price_plan`); a case is a look-up of its row, a few comparisons of its cost
with whole fen, and one exact line rounded once. A case is never lost: what has no price comes out unpaid, with the
reason. Source: payment rules of the cities, their parameters in policy_schema.toml.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget import case_routes
from budget.bed_day import bed_day_fen
from budget.frames import EXACT, PRICED_SCHEMA, SHOWN
from budget.fund_share import known, less_patient, points_ratio, ratio_on_standard
from budget.group_values import GroupValues
from budget.money import FEN, decimal_text, round_half_up
from budget.plan_table import BandSums, PlanTable, band_sums
from budget.price_keys import price_keys
from budget.price_plan import PricePlanner
from budget.price_terms import COMMAND, PriceKey, PriceTerms
from reference_tables.policy import Policy
from reference_tables.problems import Problem, TablesRefused, catalogue

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PricedCases:
    """Cases as they are paid. `frame`: PRICED_SCHEMA, in the given order. `table`: the plan; `keys` its rows' keys;
    `row`, `band` int64 [cases]: plan row and band of each case. `paid_by_points`: bool [cases], the case earns points
    and its money moves with the point value."""

    frame: pl.DataFrame
    table: PlanTable
    keys: tuple[PriceKey, ...]
    row: Ints
    band: Ints
    cost: Ints
    paid_by_points: NDArray[np.bool_]

    def sums(self, chosen: NDArray[np.bool_]) -> BandSums:
        """Number and cost of the chosen cases by plan band, for exact totals of points."""
        return band_sums(self.band[chosen], self.cost[chosen])


class Pricer:
    """A policy with its group values, ready to price frame after frame; keeps the plan rows it has made."""

    def __init__(self, policy: Policy, values: GroupValues) -> None:
        self.policy = policy
        self.terms = PriceTerms(policy, values)
        self.planner = PricePlanner(self.terms)
        self._rows: dict[PriceKey, Any] = {}

    def price(self, cases: pl.DataFrame, decisions: pl.DataFrame | None = None) -> PricedCases:
        """Price a PAYABLE frame.

        `decisions`: special cases (特例单议) as case_id, decision (by_item, adjusted, refused) and amount_fen (Int64,
        of adjusted). Raises TablesRefused with every parameter that the policy lacks for these cases (PL30).
        """
        problems: list[Problem] = []
        route = case_routes.route_cases(cases, self.policy, problems)
        keys, row = price_keys(cases, route, self.policy)
        table = PlanTable([self._row(key) for key in keys])
        missing = [*problems, *self.terms.problems]
        if missing:
            raise TablesRefused(self.policy.id, missing)
        cost = (cases["total_cost_fen"] - cases["separate_fen"].fill_null(0)).fill_null(0).to_numpy()
        band = table.band_of(row, cost)
        package = table.package_fen(band, cost)
        frame = self._frame(cases, table, row, band, cost, package)
        frame = self._bed_days(frame, cases, route)
        frame = _decided(frame, decisions)
        frame = self._with_fund(frame, cases, table, keys, row, band, cost)
        points = np.array([item.points is not None for item in table.bands], np.bool_)[band]
        ordinary = frame["case_kind"].is_in(["special", "bed_day"]).not_().to_numpy()
        by_cost = np.array([item.formula == "COST" for item in table.bands], np.bool_)[band]
        return PricedCases(
            frame.select(*PRICED_SCHEMA), table, tuple(keys), row, band, cost, points & ordinary & ~by_cost
        )

    def _row(self, key: PriceKey) -> Any:
        if key not in self._rows:
            self._rows[key] = self.planner.row(key)
        return self._rows[key]

    def _frame(
        self, cases: pl.DataFrame, table: PlanTable, row: Ints, band: Ints, cost: Ints, package: Ints
    ) -> pl.DataFrame:
        rows = pl.Series(row.astype(np.uint32))
        bands = pl.Series(band.astype(np.uint32))
        of_row = pl.DataFrame(
            {
                "weight": _decimals([item.weight for item in table.rows]),
                "coefficient": _decimals([item.coefficient for item in table.rows]),
                "limit": _decimals([item.limit for item in table.rows]),
                "reference_fen": pl.Series(
                    [None if item.reference is None else round_half_up(item.reference * FEN) for item in table.rows],
                    dtype=pl.Int64,
                ),
                "reason": pl.Series([_reason(item.reason) for item in table.rows], dtype=pl.String),
                "in_points": pl.Series([item.point_value > 0 for item in table.rows], dtype=pl.Boolean),
            }
        )[rows]
        of_band = pl.DataFrame(
            {
                "case_kind": pl.Series([item.case_kind for item in table.bands], dtype=pl.String),
                "formula": pl.Series([item.formula for item in table.bands], dtype=pl.String),
                "has_points": pl.Series([item.points is not None for item in table.bands], dtype=pl.Boolean),
            }
        )[bands]
        names = ("case_id", "hospital_id", "month", "insurance", "group", "name", "status", "patient_paid_fen")
        referenced = of_row["reference_fen"].is_not_null()
        return cases.select(names).with_columns(
            *of_row.iter_columns(),
            *of_band.iter_columns(),
            pl.when(referenced).then(_shown(table.multiple_shown(row, cost))).alias("multiple"),
            pl.when(of_band["has_points"]).then(_shown(table.points_shown(band, cost))).alias("points"),
            pl.Series("cost_fen", cost),
            pl.Series("package_fen", package),
        )

    def _bed_days(self, frame: pl.DataFrame, cases: pl.DataFrame, route: pl.Series) -> pl.DataFrame:
        chosen = np.flatnonzero((route == case_routes.BED_DAY).to_numpy() & (cases["status"] != "INVALID").to_numpy())
        if not chosen.size:
            return frame
        names = ["insurance", "tier", "hospital_id", "group"]
        scopes = cases[chosen].select(names)
        different = scopes.unique(maintain_order=True).with_row_index("tariff")
        which = scopes.join(different, on=names, how="left", maintain_order="left", nulls_equal=True)["tariff"]
        problems: list[Problem] = []
        tariffs = []
        for insurance, tier, hospital, group in different.select(names).iter_rows():
            scope = {"insurance": insurance, "tier": tier, "hospital": hospital, "group": group}
            given = {name: value for name, value in scope.items() if value}
            found = self.policy.need("bed_day_price", COMMAND, problems=problems, **given)
            tariffs.append(() if found is None else found.value)
        if problems:
            raise TablesRefused(self.policy.id, problems)
        days = cases[chosen]["los_days"].fill_null(0).cast(pl.Int64).to_numpy()
        amounts = bed_day_fen(days, tariffs, which.cast(pl.Int64).to_numpy())
        return _replaced(frame, chosen, amounts, "bed_day", "BED_DAY", "")

    def _with_fund(
        self,
        frame: pl.DataFrame,
        cases: pl.DataFrame,
        table: PlanTable,
        keys: list[PriceKey],
        row: Ints,
        band: Ints,
        cost: Ints,
    ) -> pl.DataFrame:
        """fund_fen by the policy's reading, each insurance its own; null where the record lacks what it needs."""
        package = frame["package_fen"].to_numpy()
        fund = np.zeros(frame.height, np.int64)
        unknown = np.zeros(frame.height, np.bool_)
        problems: list[Problem] = []
        modes = [self._fund_mode(key, problems) for key in keys]
        if problems:
            raise TablesRefused(self.policy.id, problems)
        mode_of_case = pl.Series([mode for mode, _ in modes], dtype=pl.String).gather(pl.Series(row.astype(np.uint32)))
        ratios = [ratio for _, ratio in modes]
        for mode in sorted({mode for mode, _ in modes}):
            here = (mode_of_case == mode).to_numpy()
            if mode == "STANDARD_MINUS_PATIENT":
                amount = less_patient(package, cases)
            elif mode == "RATIO_ON_STANDARD":
                amount = ratio_on_standard(package, cases, ratios, row)
            else:
                of_band = [ratios[at] for at in table.row_of_band]
                amount = points_ratio(table, band, cost, of_band)
                fixed = frame["case_kind"].is_in(["special", "bed_day"]).to_numpy()
                amount[fixed] = ratio_on_standard(package, cases.with_columns(_NOT_DEDUCTED), ratios, row)[fixed]
            fund[here] = amount[here]
            unknown |= here & ~known(cases, mode)
        by_item = (frame["case_kind"] == "by_item").to_numpy()
        billed = cases["fund_by_item_fen"]
        fund = np.where(by_item & billed.is_not_null().to_numpy(), billed.fill_null(0).to_numpy(), fund)
        unknown &= ~(by_item & billed.is_not_null().to_numpy())
        paid = (frame["case_kind"] != "unpaid").to_numpy()
        values = pl.Series("fund_fen", np.where(paid, fund, 0)).set(pl.Series(unknown & paid), None)
        return frame.with_columns(values, pl.col("patient_paid_fen").alias("patient_fen"))

    def _fund_mode(self, key: PriceKey, problems: list[Problem]) -> tuple[str, Fraction]:
        scope = {"insurance": key.insurance, "tier": key.tier}
        mode = self.policy.need("fund_share_mode", COMMAND, problems=problems, **scope)  # type: ignore[arg-type]
        if mode is None or mode.value == "STANDARD_MINUS_PATIENT":
            return "STANDARD_MINUS_PATIENT", Fraction(0)
        ratio = self.policy.need("payment_ratio", COMMAND, problems=problems, **scope)  # type: ignore[arg-type]
        return mode.value, Fraction(0) if ratio is None else ratio.value


_NOT_DEDUCTED = [
    pl.lit(0, dtype=pl.Int64).alias(name) for name in ("self_funded_fen", "prior_self_pay_fen", "deductible_fen")
]


# What a case no longer has when its price does not come from the plan.
_OF_THE_PLAN = ("weight", "coefficient", "points", "multiple", "limit", "reference_fen")


def _decided(frame: pl.DataFrame, decisions: pl.DataFrame | None) -> pl.DataFrame:
    """Special cases as decided: paid by item, at an adjusted amount, or left as they were (refused)."""
    if decisions is None or decisions.is_empty():
        return frame
    wanted = decisions.filter(pl.col("decision") != "refused").unique("case_id", keep="last", maintain_order=True)
    amount = pl.when(pl.col("decision") == "by_item").then(pl.col("cost_fen")).otherwise(pl.col("amount_fen"))
    found = frame.join(wanted, on="case_id", how="left", maintain_order="left")
    chosen = found["decision"].is_not_null().to_numpy() & (found["case_kind"] != "unpaid").to_numpy()
    amounts = found.select(amount.fill_null(0).alias("amount"))["amount"].to_numpy()
    rows = np.flatnonzero(chosen)
    return _replaced(frame, rows, amounts[rows], "special", "SPECIAL", _reason("SPECIAL_CASE"))


def _replaced(frame: pl.DataFrame, rows: Ints, amounts: Ints, kind: str, formula: str, reason: str) -> pl.DataFrame:
    places = pl.Series(rows.astype(np.uint32))
    texts = {"case_kind": kind, "formula": formula, "reason": reason}
    columns = [frame[name].clone().scatter(places, value) for name, value in texts.items()]
    columns.append(frame["package_fen"].clone().scatter(places, pl.Series(amounts)))
    nothing = [frame[name].clone().scatter(places, None) for name in _OF_THE_PLAN]
    return frame.with_columns(*columns, *nothing)


def _shown(scaled: Ints) -> pl.Series:
    """Millionths as decimals with six places."""
    return pl.Series(scaled).cast(pl.Int128).cast(pl.Decimal(38, 0)).cast(SHOWN) / 10**6


def _decimals(values: list[Fraction | None]) -> pl.Series:
    texts = [None if value is None else decimal_text(value, 10) for value in values]
    return pl.Series(texts, dtype=pl.String).cast(EXACT)


def _reason(code: str) -> str:
    return catalogue()[f"PRICE_{code}"].message if code else ""


def price_cases(
    cases: pl.DataFrame, policy: Policy, values: GroupValues, decisions: pl.DataFrame | None = None
) -> PricedCases:
    """Price one PAYABLE frame; see Pricer.price."""
    return Pricer(policy, values).price(cases, decisions)
