"""Resampled simulations: the same seed the same bits, nothing changed moves nobody, intervals around what was found."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from api.core.simulate_chances import resample
from reference_tables.problems import TablesRefused
from tests.unit.clearing_city import City, write_city
from tests.unit.simulated_city import change, reform, run

RESAMPLES = 40
BODY = change("coefficient", "scale", "1.10", 'for = { tier = "三级" }')


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return write_city(tmp_path_factory.mktemp("city"))


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(city: City) -> None:
    once, again = (run(city, reform(BODY), bootstrap=RESAMPLES, seed=7).tables for _ in range(2))
    other = run(city, reform(BODY), bootstrap=RESAMPLES, seed=8).tables
    assert once["bootstrap"].equals(again["bootstrap"])
    assert once["fan"].equals(again["fan"])
    assert not once["bootstrap"].equals(other["bootstrap"])


def test_nothing_changed_moves_nobody_in_any_resample(city: City) -> None:
    found = run(city, reform(), bootstrap=RESAMPLES).tables["bootstrap"]
    hospitals = found.filter(pl.col("what") == "hospital")
    assert hospitals["key"].to_list() == ["H1", "H2", "H3"]
    for name in ("value", "low", "high", "chance"):
        assert all(number == 0 for number in hospitals[name]), name


def test_intervals_lie_around_what_was_found(city: City) -> None:
    done = run(city, reform(BODY), bootstrap=RESAMPLES)
    found = done.tables["bootstrap"]
    values = found.filter(pl.col("what") == "point_value")
    assert values["key"].to_list() == ["职工", "居民"]
    assert (values["low"] <= values["value"]).all()
    assert (values["value"] <= values["high"]).all()
    balance = found.filter((pl.col("what") == "balance") & (pl.col("key") == "合计"))["value"][0]
    assert balance == done.after.balance_fen
    fan = done.tables["fan"]
    ordered = ["low95", "low50", "median", "high50", "high95"]
    for low, high in pairwise(ordered):
        assert (fan[low] <= fan[high]).all()


def test_resamples_keep_the_number_of_cases_of_each_group_and_spread_as_resampling_does(city: City) -> None:
    done = run(city, reform())
    (side,) = resample([done.before], 400, 3)
    cost = done.before.cases.filter((pl.col("hospital_id") == "H1") & (pl.col("insurance") == "职工"))
    actual = side.ratio["H1", "职工"][:, 4]
    # Naive resampling within hospital and group, of what the fund would have paid by item.
    draws = np.random.Generator(np.random.PCG64(11))
    whole = done.before.cases.filter(pl.col("hospital_id") == "H1")
    sums = np.zeros(400)
    unpaid = done.before.priced.filter(pl.col("case_kind") == "unpaid")["case_id"].implode()
    for part in whole.partition_by("group"):
        own = ((part["insurance"] == "职工") & ~part["case_id"].is_in(unpaid)).to_numpy()
        amounts = np.where(own, part["fund_by_item_fen"].to_numpy(), 0)
        sums += amounts[draws.integers(0, len(amounts), (400, len(amounts)))].sum(axis=1)
    naive = sums / sums.mean()
    assert cost.height > 20
    assert abs(actual.mean() - 1) < 0.02
    assert actual.std() == pytest.approx(naive.std(), rel=0.25)


def test_chances_need_a_year(city: City) -> None:
    with pytest.raises(TablesRefused) as refused:
        run(city, reform(BODY), cleared=False, bootstrap=5)
    assert [problem.code for problem in refused.value.problems] == ["SI04"]
