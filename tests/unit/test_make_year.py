"""The synthetic year: as many cases as asked, every month by settlement, amounts that add up, files that are read."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from api.core.pay_inputs import read_decisions, read_hospitals
from benchmarks.make_year import MadeYear, make_year, month_counts
from reference_tables.packs import find_drg_pack
from reference_tables.policy import load_policy
from reference_tables.year_file import load_year_file

CASES, HOSPITALS = 1500, 9


def made_in(folder: Path) -> MadeYear:
    return make_year(
        folder, pack=find_drg_pack("chs-drg-1.1"), year=2026, hospitals=HOSPITALS, cases=CASES, history=40, seed=5
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeYear:
    return made_in(tmp_path_factory.mktemp("year"))


@pytest.fixture(scope="module")
def cases(made: MadeYear) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path).with_columns(file=pl.lit(path.stem)) for path in made.months])


def test_twelve_months_hold_every_case_once(made: MadeYear, cases: pl.DataFrame) -> None:
    assert [path.stem for path in made.months] == [f"2026-{at:02d}" for at in range(1, 13)]
    assert cases.height == CASES == sum(month_counts(CASES))
    assert cases["case_id"].n_unique() == CASES


def test_a_file_has_the_cases_settled_in_its_month(cases: pl.DataFrame) -> None:
    assert (cases["settlement_end"].dt.strftime("%Y-%m") == cases["file"]).all()
    late = cases.filter(pl.col("settlement_end") > pl.col("discharge_time").dt.date())
    assert 0 < late.height < CASES // 5
    assert (cases["settlement_end"] >= cases["discharge_time"].dt.date()).all()
    assert cases["settlement_end"].max() <= date(2026, 12, 31)  # type: ignore[operator]


def test_amounts_add_up(cases: pl.DataFrame) -> None:
    total = cases["total_cost_fen"]
    fees = [name for name in cases.columns if name.startswith("fee_")]
    assert (cases.select(pl.sum_horizontal(fees)).to_series() == total).all()
    assert (cases["fund_pay_fen"] + cases["self_pay_fen"] + cases["own_pay_fen"] == total).all()
    assert (cases["account_pay_fen"] + cases["cash_pay_fen"] == cases["self_pay_fen"] + cases["own_pay_fen"]).all()
    assert cases.select(pl.min_horizontal(pl.col("^.*_fen$")).min()).item() >= 0


def test_some_patients_come_back_within_days(cases: pl.DataFrame) -> None:
    stays = cases.filter(pl.col("person_id").is_duplicated()).sort("person_id", "admission_time")
    assert stays.height >= 10
    first, again = stays.gather_every(2), stays.gather_every(2, 1)
    assert first["person_id"].to_list() == again["person_id"].to_list()
    between = (again["admission_time"].dt.date() - first["discharge_time"].dt.date()).dt.total_days()
    assert between.min() >= 0  # type: ignore[operator]
    assert between.max() <= 15  # type: ignore[operator]


def test_register_decisions_and_year_file_are_read(made: MadeYear, cases: pl.DataFrame) -> None:
    policy = load_policy("synthetic-city-drg-point")
    register = read_hospitals(made.register, policy)
    assert set(register["hospital_id"]) == set(cases["hospital_id"])
    decisions = read_decisions(made.decisions, policy)
    assert decisions.height
    assert set(decisions["case_id"]) <= set(cases["case_id"])
    year = load_year_file(made.year_file)
    assert (year.year, year.insurances, year.data_level) == (2026, ("职工", "居民"), "synthetic")
    assert len(year.rows("hospital")) == HOSPITALS
    assert year.rows("violation")


def test_history_has_a_file_a_year(made: MadeYear) -> None:
    assert [path.stem for path in made.history] == ["2023", "2024", "2025"]
    assert [pl.read_parquet(path).height for path in made.history] == [40, 40, 40]


@pytest.mark.long
def test_the_same_seed_gives_the_same_bytes(made: MadeYear, tmp_path: Path) -> None:
    again = made_in(tmp_path)
    for path in (*made.months, *made.history, made.register, made.decisions, made.year_file):
        assert (again.folder / path.relative_to(made.folder)).read_bytes() == path.read_bytes(), path.name
