"""Tables of a simulated city: what hospitals receive in the end, names of county groups, the order of pools."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from api.core.simulate import Simulation
from api.core.simulate_notes import other_bases, other_counts
from api.core.simulate_sweep import sweep_label
from api.web.simulation_fund_charts import fund_charts
from budget.compare_frames import GAIN_SCHEMA
from reference_tables.problems import Problem, problem_frame
from tests.unit.clearing_city import City, write_city
from tests.unit.simulated_city import POINT, RATE, change, reform, run


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return write_city(tmp_path_factory.mktemp("city"))


@pytest.mark.parametrize("policy", [RATE, POINT])
def test_what_hospitals_receive_is_what_the_fund_pays(city: City, policy: str) -> None:
    done = run(city, reform(change("coefficient", "scale", "0.9", 'for = { tier = "三级" }')), policy=policy)
    whole = done.tables["fund"].filter(pl.col("pool") == "合计")
    paid = dict(whole.with_columns(pl.col("paid_fen") + pl.col("bundled_fen")).select("state", "paid_fen").iter_rows())
    won = done.tables["winners"]
    assert {state: won[f"cleared_{state}_fen"].sum() for state in ("before", "after")} == paid
    assert won["cleared_gain_fen"].sum() == paid["after"] - paid["before"]
    balance = dict(whole.select("state", "balance_fen").iter_rows())
    assert balance["before"] - balance["after"] == won["cleared_gain_fen"].sum()


def merged(city: City) -> Simulation:
    return run(city, reform(change("pools", "set", "merged")), policy=RATE)


def test_all_pools_together_come_last(city: City) -> None:
    pools = merged(city).tables["fund"]["pool"].unique(maintain_order=True).to_list()
    assert pools == ["职工", "居民", "合并", "合计"]


def test_values_of_different_bases_are_told(city: City) -> None:
    done = merged(city)
    told = {row["pool"]: row["value_basis"] for row in done.tables["fund"].iter_rows(named=True) if row["value_basis"]}
    assert told == {"职工": "统筹基金÷支付比例 78.00%", "居民": "统筹基金÷支付比例 62.00%", "合并": "只计统筹基金"}
    (note,) = (problem for problem in done.told if problem.code == "SI19")
    assert note.level.value == "info"
    assert (
        "改革前 职工：统筹基金÷支付比例 78.00%，居民：统筹基金÷支付比例 62.00%；改革后 合并：只计统筹基金"
        in note.message
    )
    assert not list(other_bases(done.before, done.before))


def test_tiers_are_drawn_in_one_order() -> None:
    rows = [
        {"dimension": "tier", "key": tier, "label": tier, "fund_before_fen": 1000, "fund_after_fen": 1000 + gain}
        for tier, gain in (("一级", 30), ("未定级", 40), ("三级", 10), ("二级", 20))
    ]
    (chart,) = fund_charts({"gain": pl.DataFrame(rows, schema=GAIN_SCHEMA)})
    assert list(chart.figure.data[0].customdata)[1:-1] == ["三级", "二级", "一级", "未定级"]


def test_a_county_group_that_overspends_bears_it(city: City, tmp_path: Path) -> None:
    """H3's group has 1,000 yuan for its heads: what its cases cost beyond them it bears but for the fund's part."""
    register, year = tmp_path / "hospitals.csv", tmp_path / "year.toml"
    lines = city.register.read_text(encoding="utf-8-sig").splitlines()
    first, *rest = (line.split(",") for line in lines)
    at = first.index("county_group") if "county_group" in first else len(first)
    rows = [[*first[:at], "county_group"], *([*row[:at], "Y1" if row[0] == "H3" else ""] for row in rest)]
    register.write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    group = (
        '[[county_group]]\nid = "Y1"\nname = "东县医共体"\nlead = "H3"\n'
        '[[member]]\ncounty_group = "Y1"\nhospital = "H3"\nrole = "县级医院"\npart = "1"\n'
        '[[heads]]\ncounty_group = "Y1"\ninsurance = "职工"\nheads = 10\nper_head = "100.00"\n'
        '[[heads]]\ncounty_group = "Y1"\ninsurance = "居民"\nheads = 10\nper_head = "0.00"\n'
    )
    scored = city.year_file.read_text(encoding="utf-8").replace('score = "61"', 'score = "96"')
    year.write_text(scored + group, encoding="utf-8")
    (tmp_path / city.decisions.name).write_bytes(city.decisions.read_bytes())
    grouped = City(city.months, register, city.decisions, year)
    done = run(grouped, reform(change("base_rate", "scale", "1.5")), policy=RATE, bootstrap=2)
    labels = done.tables["gain"].filter(pl.col("dimension") == "county_group")["label"].to_list()
    assert labels == ["（不属医共体）", "Y1 东县医共体"]
    row = done.tables["winners"].row(by_predicate=pl.col("hospital") == "H3", named=True)
    # The budget is 950 yuan; of the overrun up to a tenth of it the fund bears 60 %: 57 yuan.
    assert row["cleared_before_fen"] == row["cleared_after_fen"] == 100_700
    fund = done.tables["fund"].filter(pool="合计").row(0, named=True)
    kept = sum(fund[name] for name in ("received_fen", "bundle_others_fen", "bundle_reserve_fen", "bundle_unkept_fen"))
    assert fund["paid_fen"] + fund["bundles_fen"] == kept
    assert (fund["bundles_fen"], fund["received_fen"]) == (100_000, done.tables["winners"]["cleared_before_fen"].sum())
    # An interval of what it gets from the pools alone would contradict that.
    drawn = done.tables["bootstrap"].filter(pl.col("what") == "hospital")["key"].to_list()
    assert drawn == ["H1", "H2"]
    assert [problem.args["count"] for problem in done.told if problem.code == "SI18"] == [1]


def _cleared(count: int, *codes: str) -> Any:
    """A stage whose clearing counts so many cases and leaves out one for each code."""
    problems = [Problem(code, {"head": "K1"}, case_id=str(at)) for at, code in enumerate(codes)]
    lines = [("职工", SimpleNamespace(cases=count - 1)), ("居民", SimpleNamespace(cases=1))]
    return SimpleNamespace(clearing=SimpleNamespace(lines=lines, problems=problem_frame(problems)))


def test_clearings_of_different_numbers_of_cases_say_why() -> None:
    (note,) = other_counts(_cleared(1489, *["CL55"] * 11, "CL56"), _cleared(1500, "CL56"))
    assert note.level.value == "info"
    assert note.message == (
        "清算计入的病例改革前 1,489 例、改革后 1,500 例，相差 11 例：再入院合并计为一次，改革前 11 例、改革后 0 例"
    )
    assert not list(other_counts(_cleared(1500, "CL56"), _cleared(1500, "CL55")))


@pytest.mark.parametrize(
    ("body", "label"),
    [
        ('key = "coefficient"\nstart = "0.9"\nstop = "1.10"\nfor = { tier = "三级" }',
         "医疗机构系数（机构级别 三级）乘以 0.9 至 1.1"),
        ('key = "base_rate"\naction = "set"\nstart = "9000"\nstop = "9500.50"', "费率设为 9000 至 9500.5 元/权重"),
        ('key = "weight"\nstart = "1"\nstop = "2"\nfor = { type = "surgical" }',
         "病组权重（分值）（病组类型 外科手术组）乘以 1 至 2"),
    ],
)  # fmt: skip
def test_a_sweep_says_what_is_tried(body: str, label: str) -> None:
    (sweep,) = reform(f"[[sweep]]\n{body}\nsteps = 3\n").sweeps
    assert sweep_label(sweep) == label


def test_what_one_reform_moved_is_not_told_of_another(city: City) -> None:
    pools = reform(change("pools", "set", "merged"), "pools")
    cut = reform(change("coefficient", "scale", "0.9", 'for = { tier = "三级" }'), "cut")
    rows = {row["reform"]: row for row in run(city, pools, cut, policy=RATE).tables["changes"].iter_rows(named=True)}
    assert rows["pools"]["cases"] == 288
    assert rows["pools"]["moved"] == 0 < rows["pools"]["cleared"]
    assert 0 < rows["cut"]["moved"] <= rows["cut"]["cases"] == 96
