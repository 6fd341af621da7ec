"""Intervals and chances beside a bootstrap written out in NumPy: draw the cases, clear by the published formula."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import budget.bootstrap
from api.core.simulate import Simulation
from api.core.simulate_chances import case_terms
from budget.bootstrap import TERMS
from tests.unit.clearing_city import City, write_city
from tests.unit.simulated_city import change, reform, run

COUNT = 3000
INCOME = 1_300_000
HOSPITALS, POOLS = ("H1", "H2", "H3"), ("职工", "居民")
BODY = change("coefficient", "scale", "1.10", 'for = { tier = "三级" }')
RETURNED = np.array([1, 0.95, 0.5])  # of the deposit, for the scores 96, 88 and 61
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """A year that comes out near nothing left, so that an overrun is neither certain nor out of the question."""
    city = write_city(tmp_path_factory.mktemp("city"))
    text = city.year_file.read_text(encoding="utf-8")
    city.year_file.write_text(text.replace("2200000.00", f"{INCOME}.00"), encoding="utf-8")
    return city


@dataclass(frozen=True)
class Naive:
    """[resamples] by pool or hospital."""

    values: Floats
    balances: Floats
    hospitals: Floats


def naive(done: Simulation, which: str, income: int, draws: np.random.Generator) -> Naive:
    """Fen. Sums by resample, hospital, pool and term; the same draws for the same generator."""
    stage = done.before if which == "before" else done.after
    terms = case_terms(stage).with_columns(case=pl.int_range(pl.len()))
    sums = np.zeros((COUNT, 3, 2, len(TERMS)))
    # Every case of a hospital's group drawn anew among them.
    for part in terms.sort("hospital", "group", "case").partition_by("hospital", "group", maintain_order=True):
        picked = draws.integers(0, part.height, (COUNT, part.height))
        values = part.select(TERMS).to_numpy().astype(np.float64)
        pool = part["pool"].to_numpy()
        for at, name in enumerate(POOLS):
            held = np.where((pool == name)[:, None], values, 0.0)
            sums[:, HOSPITALS.index(part["hospital"][0]), at] += held[picked].sum(axis=1)
    points, _, patients, fixed, actual = np.moveaxis(sums, 3, 0)
    points /= 1e6
    reserve, deducted = 0.03 * income, 6 * 70_000_00
    pool_fen = income - reserve - deducted
    regulation = 0.05 * pool_fen
    distributable = pool_fen - regulation
    moved = distributable - fixed.sum(axis=1) + patients.sum(axis=1)
    values = moved / points.sum(axis=1)
    due = values[:, None] * points - patients
    entitled = due + fixed
    # The region's surplus or overrun: 15 % are the fund's, by what hospitals are due.
    left = distributable - actual.sum(axis=1)
    share = due / due.sum(axis=1, keepdims=True)
    funds = 0.15 * left[:, None] * share
    borne, given_up = np.maximum(-funds, 0), np.maximum(funds, 0)
    kept = 0.05 * entitled * (1 - RETURNED)[:, None] + given_up
    kept[:, 1, 1] += 123_45  # the violation
    balance = distributable + regulation + reserve - (entitled + borne - kept).sum(axis=1)
    return Naive(values / 100, np.concatenate([balance, balance.sum(axis=1, keepdims=True)], axis=1),
                 (entitled + borne).sum(axis=2))  # fmt: skip


@pytest.mark.parametrize("exact", [400, 50])
def test_intervals_and_chances_are_those_of_drawing_every_case(
    city: City, exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `exact` 50 the sums of the city's hospitals, 96 cases each, are drawn as those of large ones."""
    monkeypatch.setattr(budget.bootstrap, "EXACT", exact)
    monkeypatch.setattr(budget.bootstrap, "ALONE", exact - 1)
    done = run(city, reform(BODY), bootstrap=COUNT, seed=3)
    table = done.tables["bootstrap"]
    before, after = (
        naive(done, which, INCOME * 100, np.random.Generator(np.random.PCG64(17))) for which in ("before", "after")
    )
    wanted = {}
    for suffix, side in (("_before", before), ("", after)):
        for at, pool in enumerate(POOLS):
            wanted[f"point_value{suffix}", pool] = side.values[:, at]
        for at, pool in enumerate((*POOLS, "合计")):
            wanted[f"balance{suffix}", pool] = side.balances[:, at]
    for at, hospital in enumerate(HOSPITALS):
        wanted["hospital", hospital] = (after.hospitals - before.hospitals)[:, at]
    assert table.height == len(wanted)
    seen = set()
    for row in table.iter_rows(named=True):
        drawn = wanted[row["what"], row["key"]]
        spread = drawn.std()
        for name, share in (("low", 0.025), ("high", 0.975)):
            apart = (float(row[name]) - np.quantile(drawn, share)) / spread
            assert abs(apart) < 0.2, (row["what"], row["key"], name, apart)
        if row["chance"] is not None:
            assert float(row["chance"]) == pytest.approx((drawn < 0).mean(), abs=0.04), row
            seen.add(0.1 < float(row["chance"]) < 0.9)
    assert True in seen


def test_terms_of_cases_add_up_to_what_is_cleared(city: City) -> None:
    stage = run(city, reform()).before
    assert stage.clearing is not None
    sums = case_terms(stage).group_by("hospital", "pool").agg(pl.col(TERMS).sum())
    tallies = stage.clearing.tallies.tallies
    assert sums.height == len(tallies)
    for hospital, pool, units, *fen in sums.iter_rows():
        tally = tallies[hospital, pool]
        assert units / 1e6 == pytest.approx(float(tally.units), abs=1e-3)
        assert fen == [tally.priced_fen, tally.patient_fen, tally.fixed_fen, tally.actual_fen]
