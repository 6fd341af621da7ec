"""Sums without a priced frame are the sums of the priced frame: any blocks, any column types, any odd cases."""

from __future__ import annotations

import random

import polars as pl
import pytest

import budget.plain_cases
import budget.price_sums
from api.core import year_cases
from api.core.clearing import ClearingInput, clear_year
from budget.hospital_units import rated, tally_cases, tally_rule
from budget.price_sums import AMOUNTS, KEYS, PriceSums
from budget.pricing import Pricer
from budget.settlement import by_kind, pool_of
from budget.year_tally import YearTally
from budget.year_terms import YearTerms
from reference_tables.policy import Policy
from tests.unit.clearing_region import YEAR, case, cases, clear, group_values, region_policy, table, year_file

TEXTS = ("hospital_id", "tier", "month", "insurance", "group", "status", "kind")
METHODS = {
    "drg-point": {"point_value_formula": "DRG_TOTAL", "top_up": True, "bed_day_points": "3"},
    "drg-rate": {"point_value_formula": "RATE"},
    "dip": {"point_value_formula": "DIP_SETTLEMENT"},
}


def a_policy(method: str) -> Policy:
    values = {"bed_day_groups": ["G9"], "bed_day_price": "300", "by_item_days_from": 60, "overrun_from": "reserve"}
    return region_policy(method, METHODS[method], values)


def many(count: int, seed: int) -> pl.DataFrame:
    """Cases of every kind, some without what a price needs, some with amounts at the edge of what is taken."""
    rng = random.Random(seed)
    rows = []
    for at in range(count):
        cost = rng.choice([0, 1, 99, 1 << 44, (1 << 44) + 1, *(rng.randrange(3_000_000) for _ in range(20))])
        row = case(
            f"{rng.choice('AB')}{at:05d}", rng.choice(["G1", "G1", "G2", "G2", "G9", "0000"]),
            f"{cost // 100}.{cost % 100:02d}", f"{cost // 300}.{cost % 100:02d}",
            month=f"{YEAR}-{rng.randint(1, 12):02d}", los_days=rng.choice([None, 0, 61, *range(1, 30)]),
        )  # fmt: skip
        row |= {"separate_fen": rng.choice([0, 0, None, 50]), "other_funds_fen": rng.choice([0, None, 7])}
        for name, value in (("patient_paid_fen", None), ("fund_by_item_fen", None), ("total_cost_fen", None)):
            if not rng.randrange(15):
                row[name] = value
        if not rng.randrange(20):
            row[rng.choice(["tier", "insurance", "month", "status"])] = rng.choice([None, "", "x", "INVALID"])
        rows.append(row)
    return cases(*rows)


def of_priced(frame: pl.DataFrame) -> pl.DataFrame:
    sums = frame.group_by(KEYS).agg(pl.len().cast(pl.Int64).alias("cases"), pl.col(AMOUNTS).sum())
    return sums.sort(KEYS)


def coded(frame: pl.DataFrame) -> list[pl.DataFrame]:
    enums = [pl.col(name).cast(pl.Enum(frame[name].drop_nulls().unique().sort())) for name in TEXTS]
    return [frame, frame.with_columns(pl.col(TEXTS).cast(pl.Categorical)), frame.with_columns(enums)]


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("block", [1, 64, 1 << 17])
def test_sums_are_those_of_the_priced_frame(method: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget.price_sums, "BLOCK", block)
    policy, values, frame = a_policy(method), group_values(method), many(300 if block > 1 else 40, 3)
    expected = of_priced(Pricer(policy, values).price(frame, display=False).frame)
    for given in coded(frame):
        sums = PriceSums(Pricer(policy, values))
        sums.add(given)
        assert sums.result().equals(expected)


def test_sums_go_on_when_there_are_too_many_keys_for_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget.price_sums, "_DENSE", 4)
    policy, values, frame = a_policy("drg-point"), group_values("drg-point"), many(200, 5)
    sums = PriceSums(Pricer(policy, values))
    for part in frame.iter_slices(70):
        sums.add(part)
    assert sums.result().equals(of_priced(Pricer(policy, values).price(frame, display=False).frame))


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("limit", [1 << 61, 1 << 20, 1])
def test_tallies_of_plain_cases_are_those_of_all(method: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("budget.year_tally._LIMIT", limit)
    monkeypatch.setattr("budget.year_tally._FAR_ROWS", 50)
    policy, values = a_policy(method), group_values(method)
    owned = pl.col("insurance").is_not_null() & (pl.col("month").str.len_bytes() > 1)
    frame = many(400, 8).filter(owned.fill_null(value=False))
    rule = rated(tally_rule(YearTerms(policy, YEAR, "clear")), policy, frame)
    pricer = Pricer(policy, values)
    tally = YearTally(pricer, rule)
    rest = [part[tally.add(part, tally.plain.codes(part), None)] for part in frame.iter_slices(90)]
    plain = frame.join(pl.concat(rest), on="case_id", how="anti", maintain_order="left")
    assert 100 < plain.height < frame.height
    priced = pricer.price(plain, display=False)
    expected = tally_cases(plain, priced, policy, rule)
    assert not expected.left_out.size
    found = tally.tallies()
    assert (found.tallies, found.bundled) == (dict(expected.tallies), dict(expected.bundled))
    kinds = by_kind(priced.frame.with_columns(pool_of(policy)))
    assert tally.kinds().sort(pl.all()).equals(kinds.sort(pl.all()))


def test_a_year_read_in_any_blocks_is_cleared_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = region_policy("drg-point", {"point_value_formula": "DIP_SETTLEMENT", "bed_day_groups": ["G9"]},
                           {"bed_day_price": "300", "readmission_days": 15})  # fmt: skip
    stays = [
        case(
            f"A{at:03d}",
            rng_group,
            "9000",
            "2000",
            person=f"P{at % 8}-{at // 16}",
            los_days=3,
            admission=day,
            discharge=day,
        )
        for at, (rng_group, day) in enumerate(
            (group, pl.date_range(pl.date(YEAR, 1, 1), pl.date(YEAR, 4, 30), eager=True)[at])
            for at, group in enumerate(["G1", "G2", "G9", "G1"] * 30)
        )
    ]
    frame = cases(*stays)
    whole = clear(policy, frame)
    assert whole.problems.filter(pl.col("code") == "CL55").height
    given = ClearingInput(YEAR, policy, group_values("drg-point"), year_file(), frame.lazy(), None, {})
    for block in (1, 7, 1 << 17):
        monkeypatch.setattr(year_cases, "BLOCK", block)
        monkeypatch.setattr(year_cases, "FLUSH", 5)
        again = clear_year(given)
        assert table(again) == table(whole)
        assert again.problems.equals(whole.problems)
        assert again.kinds.equals(whole.kinds)
