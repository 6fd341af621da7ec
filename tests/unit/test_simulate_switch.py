"""Simulations that switch the grouping scheme or the policy: transitions whose margins are the two runs."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from api.core.simulate import Simulation
from api.core.simulate_switch import switch_of
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
        "改革前", "支付政策换为 synthetic-city-dip，分组方案换为 my-dip",
    ]  # fmt: skip
    rows = {row["key"]: row for row in done.tables["changes"].iter_rows(named=True)}
    assert list(rows) == ["switch.policy", "switch.scheme", "switch.weights"]
    assert [(row["action"], row["value"]) for row in rows.values()] == [
        ("换为", "synthetic-city-dip"), ("换为", "my-dip"), ("随之换为", "分组方案自带的分值"),
    ]  # fmt: skip
    assert [(row["before"], row["after"]) for row in rows.values()] == [
        (
            "synthetic-city-drg-point（合成市 DRG 点数法支付政策（合成））",
            "synthetic-city-dip（合成市 DIP 分值法支付政策（合成））",
        ),
        ("chs-drg-1.1（国家医疗保障疾病诊断相关分组（CHS-DRG）细分组方案 1.1）", "my-dip"),
        ("synthetic-city-drg（合成市 CHS-DRG 1.1 病组权重（虚构））", "分组方案自带的分值"),
    ]
    whole = done.before.cases
    for row in rows.values():
        assert row["place"] == ("trial.toml:7" if row["key"] == "switch.scheme" else "trial.toml:6")
        assert (row["groups"], row["cases"], row["hospitals"]) == (
            whole["group"].fill_null("").n_unique(), whole.height, whole["hospital_id"].n_unique(),
        )  # fmt: skip
        assert row["moved"] == differing(done.before.priced, done.steps[1].priced)
        assert row["cleared"] == done.tables["winners"].filter(pl.col("cleared_gain_fen") != 0).height
    units = (
        done.tables["fund"].filter(pl.col("pool") != "合计").select("state", "price_unit").unique(maintain_order=True)
    )
    assert dict(units.iter_rows()) == {"before": "元/点", "after": "元/分"}


def differing(before: pl.DataFrame, after: pl.DataFrame) -> int:
    """Cases whose payment is not the same, counted one by one."""
    pairs = [frame.select("package_fen", "fund_fen").rows() for frame in (before, after)]
    return sum(one != other for one, other in zip(*pairs, strict=True))


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
    changes = done.tables["changes"]
    assert changes["key"].to_list() == ["switch.scheme", "switch.weights", "weight"]
    # Some codes are in both schemes; every weight is another one or gone.
    everyone, flows = done.before.cases.height, done.tables["transition"]
    elsewhere = flows.filter(pl.col("group_before") != pl.col("group_after"))["cases"].sum()
    assert 0 < elsewhere < everyone
    assert changes["cases"].to_list() == [elsewhere, everyone, everyone]
    assert str(changes["after"][0]).endswith("（方案）")
    assert changes["cleared"].null_count() == changes.height


def test_two_reforms_may_not_switch_to_different_things(city: City) -> None:
    first, second = reform('[switch]\nweights = "a"\n', "one"), reform('[switch]\nweights = "b"\n', "two")
    with pytest.raises(TablesRefused) as refused:
        run(city, first, second, policy=POINT)
    problem, *missing = sorted(refused.value.problems, key=lambda found: found.code, reverse=True)
    assert (problem.code, problem.file, problem.row) == ("SI01", "two.toml", 6)
    assert [found.code for found in missing] == ["RF29", "RF29"]
    assert all(word in problem.message for word in ("one", "two", "权重表", "a", "b"))


def test_what_is_not_there_is_told_at_its_line_with_the_ids_most_like_it() -> None:
    lines = ('scheme = "chs-drg-1.2"', 'weights = "synthetic-city-drgs"', 'policy = "synthetic-city-drg-rates"')
    with pytest.raises(TablesRefused) as refused:
        switch_of([reform("[switch]\n" + "\n".join(lines) + "\n", "one")])
    found = {problem.field: problem for problem in refused.value.problems}
    assert {problem.code for problem in found.values()} == {"RF29"}
    assert [(name, problem.file, problem.row) for name, problem in sorted(found.items())] == [
        ("switch.policy", "one.toml", 8), ("switch.scheme", "one.toml", 6), ("switch.weights", "one.toml", 7),
    ]  # fmt: skip
    near = {"policy": "synthetic-city-drg-rate", "scheme": "chs-drg-1.1", "weights": "synthetic-city-drg"}
    for part, known in near.items():
        told = str(found[f"switch.{part}"])
        assert known in told
        assert "one.toml:" in told
    assert "synthetic-city-drg-rates" in found["switch.policy"].message


def test_a_switch_to_the_same_is_a_warning(city: City) -> None:
    done = run(city, reform('[switch]\nweights = "synthetic-city-drg"\n'), policy=RATE, cleared=False)
    (row,) = done.tables["changes"].iter_rows(named=True)
    assert (row["key"], row["settings"], row["cases"], row["moved"]) == ("switch.weights", 0, 0, 0)
    (warning,) = [problem for problem in done.told if problem.code == "RF51"]
    assert (warning.file, warning.row) == ("trial.toml", 6)
    assert "权重表换为 synthetic-city-drg" in warning.message
