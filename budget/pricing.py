"""Price cases: from grouped cases and a policy to what each case earns, and what of it the fund pays.

Cases that price alike share a plan row (`price_plan`); a case is a look-up of its row, a few comparisons of its cost
with whole fen, and one exact line rounded once. A case is never lost: what has no price comes out unpaid, with the
reason. Source: payment rules of the cities, their parameters in policy_schema.toml.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget.affine import LARGEST_COST
from budget.bed_day import bed_day_fen
from budget.case_fit import UNFIT
from budget.case_routes import route_cases
from budget.frames import EXACT, PRICED_SCHEMA, SHOWN
from budget.fund_share import FundShares
from budget.group_values import GroupValues
from budget.money import FEN, decimal_text, round_half_up
from budget.plan_table import BandSums, PlanTable, band_sums
from budget.price_keys import price_keys
from budget.price_plan import PricePlanner
from budget.price_terms import BED_DAY, COMMAND, PriceKey, PriceTerms
from reference_tables.policy import Policy
from reference_tables.problems import Problem, TablesRefused, catalogue

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PricedCases:
    """Cases as they are paid. `frame`: PRICED_SCHEMA, or the columns of it that AMOUNTS names, in the given order.
    `table`: the plan of all that the pricer has priced so far; `keys` its rows' keys; `row`, `band` int64 [cases]: plan
    row and band of each case. `paid_by_points`: bool [cases], the case earns points and its money moves with the point
    value. `cost` int64 [cases]: fen that bands and amounts were worked out for, 0 for a case that has no usable cost
    and is unpaid."""

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


AMOUNTS = (
    "case_id", "hospital_id", "month", "insurance", "group", "status", "case_kind", "formula", "cost_fen",
    "package_fen", "fund_fen", "patient_fen",
)  # fmt: skip
"""The columns that clearing needs; the others only show how a price came about."""


class Pricer:
    """A policy with its group values, ready to price frame after frame; keeps the plan rows it has made."""

    def __init__(self, policy: Policy, values: GroupValues) -> None:
        self.policy = policy
        self.values = values
        self.terms = PriceTerms(policy, values)
        self.planner = PricePlanner(self.terms)
        self._place: dict[PriceKey, int] = {}
        self.table = PlanTable([])
        self.shares = FundShares()
        self._without_mode: list[Problem] = []

    def price(self, cases: pl.DataFrame, decisions: pl.DataFrame | None = None, *, display: bool = True) -> PricedCases:
        """Price a PAYABLE frame. The yearly numbers of capped groups are counted within the frame.

        `decisions`: special cases (特例单议) as case_id, decision (by_item, adjusted, refused), amount_fen (Int64, of
        adjusted) and, if ids of hospitals overlap, hospital_id. Without `display` the frame has AMOUNTS alone. Raises
        TablesRefused with every parameter that the policy lacks for these cases (PL30).
        """
        problems: list[Problem] = []
        cases = as_texts(cases)
        row, route = self.plan_rows(cases, problems)
        table = self.table
        given = (cases["total_cost_fen"] - cases["separate_fen"].fill_null(0)).alias("cost_fen")
        usable = given.is_between(0, LARGEST_COST).fill_null(value=False)
        cost = given.zip_with(usable, pl.Series([0], dtype=pl.Int64)).to_numpy()
        band = table.band_of(row, cost)
        made = _Made(cases, table, row, band, cost, given, table.package_fen(band, cost))
        frame = self._frame(made, display=display)
        frame = self._bed_days(frame, cases, route, problems)
        self.refuse_missing(problems)
        frame = _decided(frame, decisions)
        points = table.earns_points.take(band)
        special = by_item = None
        if decisions is not None:
            special = (frame["case_kind"] == "special").to_numpy()
            by_item = (frame["formula"] == _SPECIAL_BY_ITEM).to_numpy()
            points &= ~special
        parts = self.shares.parts(cases, table, (row, band, cost), frame["package_fen"].to_numpy(), special, by_item)
        frame = frame.with_columns(_fund(*parts))
        return PricedCases(
            frame.select(*(PRICED_SCHEMA if display else AMOUNTS)), table, tuple(self._place), row, band, cost,
            points,
        )  # fmt: skip

    def plan_rows(self, cases: pl.DataFrame, problems: list[Problem]) -> tuple[Ints, pl.Series]:
        """int64 [cases]: the row of `table` that each case is priced by, made where it was not there yet; and the route
        of each case. `problems` takes the parameters that routes lack."""
        cases = as_texts(cases)
        route = route_cases(cases, self.policy, self.values, problems)
        keys, key_of_case = price_keys(cases, route, self.policy, self.values)
        return self._places(keys).take(key_of_case), route

    def refuse_missing(self, problems: Sequence[Problem] = ()) -> None:
        """Raise TablesRefused with every parameter that was missing so far, and with `problems`."""
        missing: list[Problem] = []
        for problem in (*problems, *self.terms.problems, *self._without_mode):
            if problem not in missing:
                missing.append(problem)
        if missing:
            raise TablesRefused(self.policy.id, missing)

    def _places(self, keys: list[PriceKey]) -> Ints:
        """int64 [keys]: the row of each key in the table, which takes up those it does not have yet."""
        new = [key for key in dict.fromkeys(keys) if key not in self._place]
        if new:
            self._place.update(zip(new, range(len(self._place), len(self._place) + len(new)), strict=True))
            rows = [self.planner.row(key) for key in new]
            self.shares.extend(rows, [self._fund_mode(key, self._without_mode) for key in new])
            self.table = PlanTable(rows, self.table)
        return np.array([self._place[key] for key in keys], np.int64)

    def _frame(self, made: _Made, *, display: bool) -> pl.DataFrame:
        table = made.table
        bands = pl.Series(made.band.astype(np.uint32))
        names = ["case_id", "hospital_id", "month", "insurance", "group", "status", *(["name"] if display else [])]
        frame = made.cases.select(*names, pl.col("patient_paid_fen").alias("patient_fen")).with_columns(
            _texts("case_kind", [item.case_kind for item in table.bands], bands),
            _texts("formula", [item.formula for item in table.bands], bands),
            made.given,
            pl.Series("package_fen", made.package),
        )
        if not display:
            return frame
        rows = pl.Series(made.row.astype(np.uint32))
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
            }
        )[rows]
        pointed = pl.Series([item.points is not None for item in table.bands], dtype=pl.Boolean)[bands]
        referenced = of_row["reference_fen"].is_not_null()
        return frame.with_columns(
            *of_row.iter_columns(),
            pl.when(referenced).then(_shown(table.multiple_shown(made.row, made.cost))).alias("multiple"),
            pl.when(pointed).then(_shown(table.points_shown(made.band, made.cost))).alias("points"),
        )

    def _bed_days(
        self, frame: pl.DataFrame, cases: pl.DataFrame, route: pl.Series, problems: list[Problem]
    ) -> pl.DataFrame:
        """Bed-day cases at the price of their days; a missing price is noted in `problems`."""
        chosen = np.flatnonzero(((route == BED_DAY) & (cases["status"] != "INVALID")).to_numpy())
        if not chosen.size:
            return frame
        own = "hospital" in self.policy.names("bed_day_price")
        names = ["insurance", "tier", "group", *(["hospital_id"] if own else [])]
        dated = self.policy.dated("bed_day_price")
        scopes = cases[chosen].select(*names, pl.col("month") if dated else pl.lit("").alias("month"))
        different = scopes.unique(maintain_order=True).with_row_index("tariff")
        by = [*names, "month"]
        which = scopes.join(different, on=by, how="left", maintain_order="left", nulls_equal=True)["tariff"]
        tariffs = []
        for *texts, month in different.select(by).iter_rows():
            given = {name.removesuffix("_id"): text for name, text in zip(names, texts, strict=True) if text}
            day = date.fromisoformat(f"{month}-01") if month else None
            found = self.policy.need("bed_day_price", COMMAND, on=day, problems=problems, **given)
            tariffs.append(() if found is None else found.value)
        if not all(tariffs):
            return frame
        days = cases[chosen]["los_days"].cast(pl.Int64).to_numpy()
        amounts = bed_day_fen(days, tariffs, which.cast(pl.Int64).to_numpy())
        return _replaced(frame, chosen, amounts, "bed_day", "BED_DAY", "")

    def _fund_mode(self, key: PriceKey, problems: list[Problem]) -> tuple[str, Fraction]:
        scope = {name: value for name, value in (("insurance", key.insurance), ("tier", key.tier)) if value}
        day = date.fromisoformat(f"{key.month}-01") if key.month else None
        if key.status == "INVALID" or key.route.startswith(UNFIT):
            return "STANDARD_MINUS_PATIENT", Fraction(0)  # not paid at all
        mode = self.policy.need("fund_share_mode", COMMAND, on=day, problems=problems, **scope)
        if mode is None or mode.value == "STANDARD_MINUS_PATIENT":
            return "STANDARD_MINUS_PATIENT", Fraction(0)
        ratio = self.policy.need("payment_ratio", COMMAND, on=day, problems=problems, **scope)
        return mode.value, Fraction(0) if ratio is None else ratio.value


@dataclass(frozen=True)
class _Made:
    """What is worked out of a frame of cases before its columns are written; `given`: package cost as recorded."""

    cases: pl.DataFrame
    table: PlanTable
    row: Ints
    band: Ints
    cost: Ints
    given: pl.Series
    package: Ints


def as_texts(cases: pl.DataFrame) -> pl.DataFrame:
    """The frame with its Categorical and Enum columns as String."""
    coded = [name for name, dtype in cases.schema.items() if dtype in (pl.Categorical, pl.Enum)]
    return cases.with_columns(pl.col(coded).cast(pl.String)) if coded else cases


def _fund(amounts: Ints, lacking: NDArray[np.bool_] | None) -> pl.Series:
    """The fund's part, null where the record lacks what it needs."""
    found = pl.Series("fund_fen", amounts)
    return found if lacking is None or not lacking.any() else found.set(pl.Series(lacking), None)


# What a case no longer has when its price does not come from the plan.
_OF_THE_PLAN = ("weight", "coefficient", "points", "multiple", "limit", "reference_fen")
_SPECIAL, _SPECIAL_BY_ITEM = "SPECIAL", "SPECIAL_COST"


def _decided(frame: pl.DataFrame, decisions: pl.DataFrame | None) -> pl.DataFrame:
    """Special cases as decided: paid by item, at an adjusted amount, or left as they were (refused)."""
    if decisions is None or decisions.is_empty():
        return frame
    named = "hospital_id" in decisions.columns
    decisions = decisions.filter(pl.col("decision") != "refused")
    decisions = decisions if named else decisions.with_columns(pl.lit(None, dtype=pl.String).alias("hospital_id"))
    columns = ["decision", "amount_fen"]
    of_any = decisions.filter(pl.col("hospital_id").is_null()).unique("case_id", keep="last", maintain_order=True)
    own = decisions.filter(pl.col("hospital_id").is_not_null())
    own = own.unique(["hospital_id", "case_id"], keep="last", maintain_order=True)
    found = frame.select("case_id", "hospital_id", "case_kind", "cost_fen")
    found = found.join(of_any.select("case_id", *columns), on="case_id", how="left", maintain_order="left")
    found = found.join(own, on=["case_id", "hospital_id"], how="left", maintain_order="left", suffix="_own")
    decision = pl.coalesce("decision_own", "decision")
    amount = pl.when(pl.col("decision_own").is_null()).then("amount_fen").otherwise("amount_fen_own")
    by_item = decision == "by_item"
    frame_of = found.select(
        (decision.is_not_null() & (pl.col("case_kind") != "unpaid")).alias("chosen"),
        by_item.fill_null(value=False).alias("by_item"),
        pl.when(by_item).then("cost_fen").otherwise(amount).fill_null(0).alias("amount"),
    )
    amounts = frame_of["amount"].to_numpy()
    for formula, wanted in ((_SPECIAL_BY_ITEM, frame_of["by_item"]), (_SPECIAL, ~frame_of["by_item"])):
        rows = np.flatnonzero((frame_of["chosen"] & wanted).to_numpy())
        frame = _replaced(frame, rows, amounts[rows], "special", formula, _reason("SPECIAL_CASE"))
    return frame


def _replaced(frame: pl.DataFrame, rows: Ints, amounts: Ints, kind: str, formula: str, reason: str) -> pl.DataFrame:
    if not rows.size:
        return frame
    places = pl.Series(rows.astype(np.uint32))
    texts = {"case_kind": kind, "formula": formula, "reason": reason}
    columns = [frame[name].clone().scatter(places, text) for name, text in texts.items() if name in frame.columns]
    columns.append(frame["package_fen"].clone().scatter(places, pl.Series(amounts)))
    gone = np.zeros(frame.height, np.bool_)
    gone[rows] = True
    nothing = [
        pl.when(~pl.lit(pl.Series(gone))).then(name).alias(name) for name in _OF_THE_PLAN if name in frame.columns
    ]
    return frame.with_columns(*columns, *nothing)


def _texts(name: str, values: list[str], which: pl.Series) -> pl.Series:
    """One of a few texts for every case."""
    return pl.Series(name, values, dtype=pl.String)[which]


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
