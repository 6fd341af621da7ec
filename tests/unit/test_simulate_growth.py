"""Cases of the years to come: counts, money that adds up, heavier groups, and no dependence on the order of cases."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from api.core.group_facts import group_facts
from api.core.simulate_growth import grown, heavier
from benchmarks.expected_reforms import sample_city
from reference_tables.policy import load_policy
from reference_tables.problems import TablesRefused
from tests.unit.clearing_city import City, write_city
from tests.unit.clearing_region import case, cases
from tests.unit.simulated_city import RATE, reform, run, scheme

MANY = cases(*(case(f"A{at:05d}", "BR23" if at % 2 else "BR25", "10000.01", "2500.03") for at in range(4000)))


def after(body: str, frame: pl.DataFrame = MANY, year: int = 1) -> pl.DataFrame:
    given = reform("[[growth]]\n" + body)
    return grown(frame, [given], year, load_policy(RATE), group_facts(scheme()), scheme())


def test_volume_copies_and_leaves_out_just_as_many_as_told() -> None:
    more = after('kind = "volume"\nfactor = "1.1"\n')
    assert more.height == 4400
    assert more["case_id"].n_unique() == more.height
    assert set(MANY["case_id"]) <= set(more["case_id"])
    fewer = after('kind = "volume"\nfactor = "0.9"\n')
    assert fewer.height == 3600
    assert set(fewer["case_id"]) < set(MANY["case_id"])
    assert after('kind = "volume"\nfactor = "3"\n').height == 12_000


def test_a_scope_grows_alone_and_the_order_decides_nothing() -> None:
    body = 'kind = "volume"\nfactor = "1.5"\nfor = { group = "BR23" }\n'
    found = after(body)
    assert found.filter(pl.col("group") == "BR25").height == 2000
    assert found.filter(pl.col("group") == "BR23").height == 3000
    assert after(body, MANY[::-1]).sort("case_id").equals(found.sort("case_id"))


def test_a_growth_that_leaves_no_case_is_named() -> None:
    with pytest.raises(TablesRefused) as found:
        after('kind = "volume"\nfactor = "0"\n')
    (problem,) = found.value.problems
    assert (problem.code, problem.field, problem.args["year"]) == ("RF36", "growth", 1)
    assert after('kind = "volume"\nfactor = "0"\nfor = { group = "BR23" }\n').height == 2000


def test_mix_keeps_the_number_of_cases() -> None:
    found = after('kind = "mix"\nfactor = "1.2"\nfor = { group = "BR23" }\n')
    assert found.height == 4000
    assert found.filter(pl.col("group") == "BR23").height == 2400


def test_a_number_is_rounded_half_up_and_spread_over_hospitals_and_groups() -> None:
    def of(hospital: str, group: str, count: int) -> pl.DataFrame:
        rows = MANY.head(count).with_columns(pl.lit(group).alias("group"), pl.lit(hospital).alias("hospital_id"))
        return rows.with_columns((pl.lit(f"{hospital}{group}") + pl.col("case_id")).alias("case_id"))

    # 15 % of 50 cases are 7.5, so 8: a step is 50 / 8 cases; of 25, 15 and 10 that is 4, 2.4 and 1.6 of them.
    frame = pl.concat([of("H1", "BR23", 25), of("H1", "BR25", 15), of("H2", "BR23", 10)])
    for factor, whole in (("1.15", 58), ("0.85", 43)):  # 42.5 rounded half up
        found = after(f'kind = "volume"\nfactor = "{factor}"\n', frame)
        counts = found.group_by("hospital_id", "group").len().sort("hospital_id", "group")["len"].to_list()
        assert sum(counts) == whole
        assert all(abs(count - size * whole / 50) < 1 for count, size in zip(counts, (25, 15, 10), strict=True))
        shuffled = after(f'kind = "volume"\nfactor = "{factor}"\n', frame.sample(fraction=1, shuffle=True, seed=7))
        assert shuffled.sort("case_id").equals(found.sort("case_id"))


def test_rare_and_dear_cases_grow_as_all_do() -> None:
    """400 groups of one to four cases, the dearer the fewer: no group has a tenth of a case to spare, all together
    grow by a tenth in number and, but for what single cases weigh, in cost."""
    rows = [
        case(f"C{group}-{at}", f"G{group:03d}", f"{2000 + 60 * group + 7 * at}.00", "0")
        for group in range(400)
        for at in range(4 - group // 100)
    ]
    frame = cases(*rows)
    found = after('kind = "volume"\nfactor = "1.1"\n', frame)
    assert (frame.height, found.height) == (1000, 1100)
    grew = found["total_cost_fen"].sum() / frame["total_cost_fen"].sum()
    assert grew == pytest.approx(1.1, abs=0.002)
    once = [group for group in found["group"].to_list() if group >= "G300"]
    assert len(once) == 110  # of 100 groups that have one case each


def test_prices_are_exact_and_add_up() -> None:
    found = after('kind = "price"\nfactor = "1.035"\n')
    row = found.row(0, named=True)
    assert row["total_cost_fen"] == 1035001  # 1000001 x 1.035 = 1035001.035
    assert row["patient_paid_fen"] == 258753  # 250003 x 1.035 = 258753.105
    assert row["fund_by_item_fen"] == 1035001 - 258753
    assert found.height == MANY.height


def test_coding_moves_a_share_to_the_next_heavier_group_and_nothing_else() -> None:
    higher, _ = heavier(scheme())
    assert higher["BR25"] == "BR23"
    assert "BR19" not in higher
    found = after('kind = "coding"\nshare = "0.25"\n')
    moved = (MANY["group"] != found["group"]).sum()
    light = [code for code in ("BR23", "BR25") if code in higher]
    assert moved == 500 * len(light)
    assert found.drop("group", "name").equals(MANY.drop("group", "name"))


def test_years_compound_and_end() -> None:
    body = 'kind = "volume"\nfactor = "2"\nyears = 2\n'
    second = after(body, after(body), year=2)
    assert second.height == 16_000
    assert after(body, MANY, year=3).height == 4000


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return write_city(tmp_path_factory.mktemp("city"))


def test_a_fan_has_every_year_and_gains_are_told_of_the_same_cases(city: City) -> None:
    growth = '[[growth]]\nkind = "price"\nfactor = "1.1"\nyears = 2\n'
    done = run(city, reform(growth), bootstrap=20)
    assert sorted(set(done.tables["fan"]["year"])) == [2026, 2027, 2028]
    assert set(done.tables["fan"]["pool"]) == {"职工", "居民", "合计"}
    assert done.tables["steps"]["label"].to_list() == ["改革前", "试验改革"]
    exact = run(city, reform(growth)).tables["fan"]
    assert exact["low95"].equals(exact["high95"].alias("low95"))
    assert exact.filter((pl.col("year") == 2026) & (pl.col("pool") == "合计"))["median"][0] == done.after.balance_fen
    uncleared = run(city, reform(growth), cleared=False).tables
    assert uncleared["steps"]["label"].to_list()[2:] == ["增长后第 1 年", "增长后第 2 年"]
    assert uncleared["steps"]["package_fen"][3] > uncleared["steps"]["package_fen"][1]
    assert done.tables["winners"]["outcome"].unique().to_list() == ["same"]


@pytest.mark.long
def test_the_years_of_growth_have_a_table_that_continues_the_year_of_the_reform(tmp_path: Path) -> None:
    city = sample_city(tmp_path)
    growth = '[[growth]]\nkind = "price"\nfactor = "1.1"\nyears = 2\n'
    done = run(city, reform(growth))
    table = done.tables["growth"]
    assert table["year"].unique().to_list() == [2026, 2027, 2028]
    whole = table.filter(pl.col("pool") == "合计")
    exact = done.tables["fan"].filter(pl.col("pool") == "合计")
    assert whole["balance_fen"].to_list() == exact["median"].to_list()
    assert whole["cases"].to_list() == [done.after.cases.height] * 3
    cost = done.after.cases["total_cost_fen"].to_list()
    grown_once = [(22 * fen + 10) // 20 for fen in cost]  # 1.1 times, half up
    assert whole["cost_fen"][1] == sum(grown_once)
    fund = done.tables["fund"].filter((pl.col("pool") == "合计") & (pl.col("state") == "after"))
    assert whole.row(0, named=True)["paid_fen"] == fund["paid_fen"][0]
    opening = fund["accumulated_fen"][0] - fund["balance_fen"][0]
    balances = whole["balance_fen"].to_list()
    assert whole["accumulated_fen"].to_list() == [opening + sum(balances[: at + 1]) for at in range(3)]
    for name in ("cases", "cost_fen", "fund_fen", "balance_fen", "accumulated_fen"):
        parts = table.filter(pl.col("pool") != "合计").group_by("year").agg(pl.col(name).sum()).sort("year")
        assert parts[name].to_list() == whole[name].to_list(), name
    uncleared = run(city, reform(growth), cleared=False).tables["growth"]
    assert uncleared["year"].to_list() == [0, 1, 2]
    assert uncleared["cost_fen"].to_list() == whole["cost_fen"].to_list()
    assert uncleared["balance_fen"].null_count() == 3
