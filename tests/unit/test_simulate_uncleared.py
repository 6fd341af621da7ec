"""Resamples of a year that cannot be cleared: left out of the intervals and told, with the rule that stands against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from api.cli.simulate_text import print_simulation
from api.core.simulate import Simulation
from api.core.simulate_chances import Resampled, outcomes, resample
from api.core.simulation_files import page_head, told_problems
from api.web.simulation_page import simulation_page
from budget.bootstrap import TERMS, Floats, Owner
from reference_tables.problems import TablesRefused
from tests.unit.clearing_city import City, write_city
from tests.unit.simulated_city import change, reform, run

RESAMPLES = 60
FIXED = TERMS.index("fixed")
BODY = change("coefficient", "scale", "1.10", 'for = { tier = "三级" }')


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> City:
    """The city with so little income that its pools hold hardly more than the cases paid at cost: 0.95 x (0.97 x
    444,900.00 - 420,000.00) = 10,975.35 yuan, against 10,434.75 of 居民."""
    city = write_city(tmp_path_factory.mktemp("poor"))
    text = city.year_file.read_text(encoding="utf-8")
    city.year_file.write_text(text.replace("2200000.00", "444900.00"), encoding="utf-8")
    return city


@pytest.fixture(scope="module")
def simulated(poor: City) -> Simulation:
    return run(poor, reform(BODY), bootstrap=RESAMPLES, seed=3)


def beyond(done: Simulation, seed: int, count: int) -> list[int]:
    """Resamples whose fixed money is more than the pool of 居民 holds."""
    (side,) = resample([done.before], count, seed)
    assert done.before.clearing is not None
    tallies = done.before.clearing.tallies.tallies
    own = [tally.fixed_fen * side.ratio[key][:, FIXED] for key, tally in tallies.items() if key[1] == "居民"]
    fixed = np.sum(own, axis=0)
    return np.flatnonzero(np.rint(fixed) > 1_097_535).tolist()


def test_resamples_that_cannot_be_cleared_are_counted_and_told(
    simulated: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = len(beyond(simulated, 3, RESAMPLES))
    assert 0 < failed < RESAMPLES
    told = [problem for problem in simulated.told if problem.code == "SI15"]
    assert [(problem.args["when"], problem.args["rule"]) for problem in told] == [
        ("改革前", "CL31"),
        ("改革后", "CL31"),
    ]
    for problem in told:
        assert (problem.args["failed"], problem.args["rest"]) == (failed, RESAMPLES - failed)
        assert f"{RESAMPLES} 次中有 {failed} 次无法清算（CL31，如：居民：按项目、床日、单病种" in problem.message
    # The console and the page tell them too.
    assert "SI15" in simulated.problems["code"].to_list()
    assert {problem.code for problem in told_problems(simulated)} >= {"SI15"}
    page = simulation_page(page_head(simulated, "", {}), simulated.tables)
    assert told[0].message in page
    # Beside every chance, for they lie among what it does not count.
    assert simulated.tables["bootstrap"]["left_out"].unique().to_list() == [failed]
    balances = simulated.tables["bootstrap"].filter(pl.col("what").str.starts_with("balance")).height
    assert page.count(f"%（另有 {failed} 次无法清算）") == balances
    print_simulation(simulated, "0" * 12, Path("."))
    assert f"%（另有 {failed} 次无法清算）" in capsys.readouterr().err


def test_intervals_are_those_of_the_other_resamples(simulated: Simulation) -> None:
    _, side = resample([simulated.before, simulated.after], RESAMPLES, 3)
    found = outcomes(side, RESAMPLES, lambda _: None)
    out = beyond(simulated, 3, RESAMPLES)
    assert sorted(found.left_out) == out
    kept = np.delete(found.values["居民"], out)
    row = simulated.tables["bootstrap"].filter((pl.col("what") == "point_value") & (pl.col("key") == "居民"))
    # A quantile lies at (number - 1) x q of the values in order, straight between its two neighbours.
    ordered, place = np.sort(kept), (len(kept) - 1) * 0.025
    low = ordered[int(place)] + (place - int(place)) * (ordered[int(place) + 1] - ordered[int(place)])
    assert float(row["low"][0]) == pytest.approx(low, abs=1e-4)


def test_none_that_can_be_cleared_is_a_problem(poor: City, simulated: Simulation) -> None:
    seed = next(seed for seed in range(1, 100) if beyond(simulated, seed, 2) == [0, 1])
    with pytest.raises(TablesRefused) as refused:
        run(poor, reform(BODY), bootstrap=2, seed=seed)
    first, *_ = refused.value.problems
    assert first.code == "SI05"
    assert "重抽样 2 次都无法清算" in first.message
    assert "改革前有 2 次，如：居民：按项目、床日、单病种" in first.message


def test_a_resample_without_units_is_left_out_with_its_pool_named(simulated: Simulation) -> None:
    side = steady(simulated)
    for (_, pool), ratio in side.ratio.items():
        if pool == "职工":
            ratio[1, TERMS.index("units")] = 0
    found = outcomes(side, 3, lambda _: None)
    assert {at: [problem.code for problem in problems] for at, problems in found.left_out.items()} == {1: ["SI16"]}
    assert "职工" in found.left_out[1][0].message


def test_the_sample_itself_clears_as_the_year_does(simulated: Simulation) -> None:
    found = outcomes(steady(simulated), 3, lambda _: None)
    stage = simulated.after
    assert not found.left_out
    assert {name: amounts.tolist() for name, amounts in found.balances.items()} == {
        name: [year.balance] * 3 for name, year in stage.fund_years.items()
    }
    assert stage.cleared is not None
    for hospital, amounts in found.hospitals.items():
        exact = sum(fen for (name, _), fen in stage.cleared.pools.items() if name == hospital)
        assert np.abs(amounts - exact).max() <= 1  # points are told in millionths


def steady(done: Simulation) -> Resampled:
    """The sample three times over."""
    clearing = done.after.clearing
    assert clearing is not None
    ratio: dict[Owner, Floats] = {key: np.ones((3, len(TERMS))) for key in clearing.tallies.tallies}
    return Resampled(done.after, ratio)
