"""Simulations that switch the grouping scheme or the policy: transitions whose margins are the two runs."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from api.core.simulate import Simulation
from reference_tables.packs import read_pack
from reference_tables.problems import TablesRefused
from tests.unit.clearing_city import City, write_city
from tests.unit.official_workbook import save, sheets
from tests.unit.simulated_city import POINT, RATE, change, reform, run
from tests.unit.small_pack import write_small

_CORE = "code,name,layer,number,principal_dx,other_dx,any_dx,flag,age_days,birth_weight_g,px_mode,px,related_px\n"
DIP = {
    "layer.csv": "code,name,order,precedence,ties\nJC,基础,1,specific,refuse\n",
    "core.csv": _CORE + "JC-1,脑出血,JC,1,I61,,,,,,none,,\nJC-2,肺炎,JC,2,J18,,,,,,none,,\n",
    "mixed.csv": (
        "code,name,level,scope,nature\nE11-1,糖尿病,category,E11,1\nZK-1,其他,chapter,I00-I99,1\nZN-1,其他,chapter,K00-N99,1\n"
    ),
    "score.csv": (
        "code,score,cases,share,cv,mean_cost_fen\nJC-1,900,,,,\nJC-2,700,,,,\nE11-1,500,,,,\nZK-1,800,,,,\nZN-1,600,,,,\n"
    ),
    "meta.csv": "key,value\nunknown_nature,1\n",
}  # fmt: skip


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return write_city(tmp_path_factory.mktemp("city"))


def strokes(city: City) -> int:
    """Cases of I61.000 in the files."""
    return sum(path.read_text(encoding="utf-8").count("I61.000") for path in city.months)


def margins(done: Simulation) -> None:
    """The transitions' margins are the cases and payments of both runs, group by group."""
    found = done.tables["transition"]
    for side, stage in (("before", done.before), ("after", done.after)):
        key, fund = f"group_{side}", f"fund_{side}_fen"
        whole = found.group_by(key).agg(pl.col("cases").sum(), pl.col(fund).sum()).sort(key)
        known = stage.priced.with_columns(stage.cases["group"].fill_null("").alias(key))
        run_of = known.group_by(key).agg(pl.len().cast(pl.Int64).alias("cases"), pl.col("fund_fen").sum().alias(fund))
        assert whole.equals(run_of.sort(key))


def test_from_drg_to_dip(city: City, tmp_path: Path) -> None:
    folder = tmp_path / "my-dip"
    folder.mkdir()
    for name, text in DIP.items():
        (folder / name).write_text(text, encoding="utf-8")
    switch = '[switch]\npolicy = "synthetic-city-dip"\nscheme = "my-dip"\n'
    done = run(city, reform(switch, folder=tmp_path))
    margins(done)
    assert done.after.policy.id == "synthetic-city-dip"
    after = set(done.tables["transition"]["group_after"])
    assert after == {"JC-1", "JC-2", "E11-1", "ZK-1", "ZN-1"}
    pairs = done.tables["transition"].filter(pl.col("group_after") == "JC-1")
    assert pairs.height == 1
    assert pairs["cases"][0] == strokes(city)
    assert done.tables["winners"]["cleared_gain_fen"].abs().sum() > 0
    assert done.tables["steps"]["label"].to_list() == [
        "改革前", "政策换为 synthetic-city-dip，分组方案换为 my-dip",
    ]  # fmt: skip


def test_from_one_drg_scheme_to_a_workbook_of_another(city: City, tmp_path: Path) -> None:
    pack = read_pack(write_small(tmp_path / "small"))
    save(tmp_path / "方案.xlsx", sheets(pack).values())
    (tmp_path / "w.csv").write_text("group,weight\nBR19,1.2\n", encoding="utf-8")
    switch = '[switch]\nscheme = "方案.xlsx"\nweights = "w.csv"\n'
    done = run(city, reform(switch + change("weight", "scale", "1.1"), folder=tmp_path), policy=RATE, cleared=False)
    margins(done)
    found = done.tables["transition"].filter(pl.col("group_after") == "BR19")
    assert found.height == 1
    assert found["cases"][0] == strokes(city)
    assert done.tables["steps"].height == 3
    assert done.tables["changes"]["cases"].to_list() == [done.before.cases.height]


def test_two_reforms_may_not_switch_to_different_things(city: City) -> None:
    first, second = reform('[switch]\nweights = "a"\n', "one"), reform('[switch]\nweights = "b"\n', "two")
    with pytest.raises(TablesRefused) as refused:
        run(city, first, second, policy=POINT)
    (problem,) = refused.value.problems
    assert problem.code == "SI01"
    assert all(word in problem.message for word in ("one", "two", "权重表", "a", "b"))
