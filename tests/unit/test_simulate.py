"""Policy simulation of a made-up city: nothing changed gives zero, every table adds up, order decides nothing, dates
and switches hold, and the cleared year is that of `drgdip clear`."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.core.simulation_files import write_simulation
from budget.compare_frames import DIMENSIONS, TABLES
from budget.money import to_fen
from tests.unit.clearing_city import City, write_city
from tests.unit.simulated_city import POINT, RATE, amounts, change, policy_toml, reform, run, weights_csv

SURGERY = change("coefficient", "scale", "1.10", 'for = { tier = "三级" }')
RISE = change("weight", "scale", "1.05", 'for = { mdc = "MDCB" }')
PAIRS = (("package_before_fen", "package_after_fen"), ("fund_before_fen", "fund_after_fen"),
         ("cleared_before_fen", "cleared_after_fen"))  # fmt: skip
MONEY = [name for pair in PAIRS for name in pair]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return write_city(tmp_path_factory.mktemp("city"))


@pytest.mark.parametrize("policy", [POINT, RATE])
def test_nothing_changed_is_zero_everywhere(city: City, policy: str) -> None:
    done = run(city, reform(), policy=policy)
    gain = done.tables["gain"]
    for before, after in PAIRS:
        assert gain[before].equals(gain[after])
    won = done.tables["winners"]
    assert won["outcome"].unique().to_list() == ["same"]
    assert won["gain_fen"].abs().sum() == won["fund_gain_fen"].abs().sum() == 0
    assert all(rate == 0 for name in ("low_rate", "high_rate", "rate") for rate in done.tables["deciles"][name])
    assert done.tables["lorenz"].is_empty()
    assert done.tables["changes"].is_empty()
    steps = done.tables["steps"].drop("step", "label")
    assert steps.unique().height == 1
    fund = done.tables["fund"].drop("state")
    assert fund.unique().height * 2 == fund.height
    assert not {"transition", "solved", "sweep", "bootstrap", "fan"} & set(done.tables)
    assert "SI12" in done.problems["code"].to_list()


@pytest.mark.parametrize("policy", [POINT, RATE])
def test_every_dimension_adds_up_to_the_same(city: City, policy: str) -> None:
    gain = run(city, reform(SURGERY + RISE), policy=policy).tables["gain"]
    sums = gain.group_by("dimension").agg(pl.col("cases", "cost_fen", *MONEY).sum())
    assert set(sums["dimension"]) == set(DIMENSIONS)
    assert sums.drop("dimension").unique().height == 1
    assert sums["cases"][0] == 12 * 24
    assert sums["fund_before_fen"][0] != sums["fund_after_fen"][0]


def test_the_gain_of_a_tier_by_rate_is_that_of_its_hospital_and_nobody_else_is_touched(city: City) -> None:
    done = run(city, reform(SURGERY), policy=RATE, cleared=False)
    gain = done.tables["gain"]
    before, after = (amounts(gain, "hospital", name) for name in ("package_before_fen", "package_after_fen"))
    assert after["H1"] != before["H1"]
    assert {name: after[name] for name in ("H2", "H3")} == {name: before[name] for name in ("H2", "H3")}
    assert gain["cleared_after_fen"].null_count() == gain.height
    assert "fund" not in done.tables


def test_by_points_what_one_gains_the_others_lose(city: City) -> None:
    done = run(city, reform(SURGERY))
    won = {row["hospital"]: row for row in done.tables["winners"].iter_rows(named=True)}
    assert won["H1"]["cleared_gain_fen"] > 0 > won["H2"]["cleared_gain_fen"]
    assert won["H2"]["fund_gain_fen"] == 0
    assert done.tables["winners"]["hospital"][0] == "H1"
    values = done.tables["fund"].filter(pl.col("pool") == "职工")["point_value"].to_list()
    assert float(values[1]) < float(values[0])


def test_order_of_cases_and_of_files_and_their_cut_decide_nothing(city: City, tmp_path: Path) -> None:
    whole = run(city, reform(SURGERY)).tables
    lines: list[str] = []
    for path in city.months:
        header, *rows = path.read_text(encoding="utf-8").splitlines()
        lines += rows
    shuffled = [tmp_path / name for name in ("b.csv", "a.csv", "c.csv")]
    for at, path in enumerate(shuffled):
        path.write_text("\n".join([header, *reversed(lines[at::3])]) + "\n", encoding="utf-8")
    again = run(city, reform(SURGERY), cases=shuffled).tables
    assert set(again) == set(whole)
    assert all(again[name].equals(whole[name]) for name in whole)


def test_base_reform_base_gives_the_same_bytes(city: City, tmp_path: Path) -> None:
    one, other, third = reform(SURGERY), reform(RISE, "other"), reform(SURGERY)
    folders = []
    for at, given in enumerate((one, other, third)):
        folders.append(tmp_path / str(at) / "out")
        write_simulation(run(city, given), folders[-1], "drgdip simulate")
    files = {path.relative_to(folders[0]) for path in folders[0].rglob("*") if path.is_file()}
    assert {Path("simulation.html"), Path("tables.xlsx"), Path("resolved.toml"), Path("proof.json")} <= files
    for name in files:
        assert (folders[0] / name).read_bytes() == (folders[2] / name).read_bytes(), name
    assert (folders[0] / "proof.json").read_bytes() != (folders[1] / "proof.json").read_bytes()


def test_a_dated_reform_changes_nothing_before_its_day(city: City) -> None:
    done = run(city, reform(change("base_rate", "scale", "1.1", "from = 2026-07-01")), policy=RATE, cleared=False)
    paid = done.before.priced.select("month", before="package_fen").with_columns(
        done.after.priced["package_fen"].alias("after")
    )
    moved = paid.filter(pl.col("before") != pl.col("after"))
    assert moved.height
    assert moved["month"].min() == "2026-07"
    assert done.tables["changes"]["since"].to_list() == ["2026-07-01"]


def test_the_cleared_year_is_that_of_clear_with_the_reformed_policy(city: City, tmp_path: Path) -> None:
    done = run(city, reform(SURGERY + RISE))
    path = tmp_path / "after.toml"
    path.write_text(policy_toml(done.after.policy), encoding="utf-8")
    (tmp_path / "w.csv").write_text(weights_csv(done.after.values), encoding="utf-8")
    output = tmp_path / "cleared"
    words = ["clear", *map(str, city.months), "--year", "2026", "--policy", str(path), "--year-file",
             str(city.year_file), "--hospitals", str(city.register), "--weights", str(tmp_path / "w.csv"),
             "-o", str(output)]  # fmt: skip
    result = CliRunner().invoke(app, words)
    assert result.exit_code in {0, 1}, result.output
    with (output / "statement.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    expected: dict[str, int] = {}
    for row in rows:
        expected[row["hospital"]] = expected.get(row["hospital"], 0) + to_fen(row["balance"]) + to_fen(row["prepaid"])
    assert amounts(done.tables["gain"], "hospital", "cleared_after_fen") == expected
    assert expected != amounts(done.tables["gain"], "hospital", "cleared_before_fen")


def test_tables_have_their_schemas_and_reach_the_files(city: City, tmp_path: Path) -> None:
    done = run(city, reform(SURGERY))
    write_simulation(done, tmp_path / "out", "drgdip simulate")
    for name, frame in done.tables.items():
        assert dict(frame.schema) == TABLES[name], name
        assert pl.read_parquet(tmp_path / "out" / "tables" / f"{name}.parquet").equals(frame)


def test_steps_lead_from_before_to_after(city: City) -> None:
    done = run(city, reform(SURGERY, "first"), reform(RISE, "second"))
    steps = done.tables["steps"]
    assert steps.height == 3
    gain = done.tables["gain"].filter(pl.col("dimension") == "tier")
    assert (steps["fund_fen"][0], steps["fund_fen"][2]) == (gain["fund_before_fen"].sum(), gain["fund_after_fen"].sum())
    alone = run(city, reform(SURGERY, "first")).tables["steps"]
    assert steps[:2].equals(alone)


def test_a_whole_years_fund_beside_some_months_is_told(city: City) -> None:
    part = run(city, reform(), policy=POINT, cases=city.months[:2])
    (message,) = part.problems.filter(pl.col("code") == "SI14")["message"]
    assert "2026-02" not in message
    assert message.count("2026-") == 10
    assert "SI14" not in set(run(city, reform(), policy=POINT).problems["code"])


def test_a_reform_that_only_tries_values_is_not_told_to_move_nothing(city: City) -> None:
    sweep = '[[sweep]]\nkey = "coefficient"\naction = "scale"\nstart = "0.9"\nstop = "1.1"\nsteps = 2\n'
    assert "SI12" not in set(run(city, reform(sweep), cleared=False).problems["code"])
