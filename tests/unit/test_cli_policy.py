"""`drgdip policy`: what it prints, as text and as JSON, and its exit codes."""

from pathlib import Path

import orjson
from typer.testing import CliRunner, Result

from api.cli.policy import app
from reference_tables.policy import find_policies
from reference_tables.policy_schema import policy_schema
from tests.unit.policy_examples import FIRST, HEAD, STEP, value


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_list_names_every_policy_and_what_it_can_run() -> None:
    result = run("list")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in find_policies())
    assert "可运行：病例定价、总额预算、月度结算、年终清算" in result.stdout
    listed = {item["id"]: item for item in orjson.loads(run("list", "--json").stdout)}
    assert set(listed) == set(find_policies())
    assert listed["suzhou-2023"]["commands"]["pay"]["can_run"] is True
    lacking = {item["key"] for item in listed["suzhou-2023"]["commands"]["settle"]["missing"]}
    assert {"prepay_share", "fund_share_mode"} <= lacking
    assert "deposit_share" not in lacking  # what is not paid is held back whole, see budget/settlement.py
    assert "deposit_share" in {item["key"] for item in listed["suzhou-2023"]["commands"]["clear"]["missing"]}


def test_list_of_parameters() -> None:
    text = run("list", "--parameters").stdout
    assert all(key in text for key in policy_schema().parameters)
    assert {item["key"] for item in orjson.loads(run("list", "--parameters", "--json").stdout)} == set(
        policy_schema().parameters
    )


def test_show_gives_value_unit_scope_source_and_confidence() -> None:
    text = run("show", "suzhou-2023").stdout
    assert "8728.3 元/权重  全部" in text
    assert "3 倍  机构级别 三级" in text
    assert "OpenDRG, DRG_Datas/Payment/苏州2023.csv）  可信度：由公布的表反推" in text
    assert "质量保证金比例（deposit_share）" in text
    assert "2023-01-01 起，2024-01-01 前" in text
    assert "存疑" in run("show", "kezhou").stdout
    assert "机构级别 一级，险种 职工" in run("show", "linyi-2022").stdout


def test_show_one_parameter() -> None:
    result = run("show", "xuzhou", "--key", "high_limit")
    assert result.exit_code == 0
    assert "权重 ≤ 1：3；权重 ≤ 2：2.5；权重 ≤ 3：2；权重 ≤ 5：1.5；1.3 倍" in result.stdout
    assert "位置：xuzhou.toml:" in result.stdout
    missing = run("show", "xuzhou", "--key", "deposit_share")
    assert (missing.exit_code, "没有规定" in missing.stdout) == (1, True)
    assert run("show", "xuzhou", "--key", "nonsense").exit_code == 2
    assert run("show", "nowhere").exit_code == 3
    answer = orjson.loads(run("show", "xuzhou", "--key", "coefficient", "--json").stdout)
    assert [(item["text"], item["scope"]) for item in answer["settings"]] == [
        ("1.0939", {"tier": "三级"}), ("0.8744", {"tier": "二级"}),
    ]  # fmt: skip


def test_show_words_every_kind_of_value() -> None:
    text = "".join(run("show", name).stdout for name in find_policies())
    for words in (
        "0% 至 5%：60%；5% 至 10%：50%；10% 以上：0%",
        "90 分起：0.05；80 分起：0.03",
        "0 分起：不予分配",
        "至第 30 天：320；至第 60 天：280；230 元/天",
        "县级医院 6，乡镇卫生院 3，村卫生室 1",
        "风险储备金 → 大病保险等划转 → 异地就医",
        "职工、居民分开",
        "H_SUB_1：点数 S×[C÷A−(T−1)×w×k]",
        "一律用该级别机构的系数，B类，只限 A类",
        "一律用同一费率，10000",
        "倍率 ≤ 0.4 超低倍率",
        "以上 超高倍率：v×分值×系数（v = 2.1）",
        "6800.00 元",
        "basic：BR25、DS15",
    ):
        assert words in text


def test_check_exit_codes_and_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    head = HEAD.split("[lists.basic]")[0]
    path.write_text(head + value("average_cost", '"9000"'), encoding="utf-8")
    good = run("check", path)
    assert (good.exit_code, "没有问题" in good.stdout) == (0, True)
    assert "病例定价（pay）：不能" in good.stdout
    path.write_text(HEAD + value("average_cost", '"9000"'), encoding="utf-8")
    warned = run("check", path)
    assert (warned.exit_code, "PL50" in warned.stderr, "警告 2 个" in warned.stdout) == (1, True, True)
    path.write_text(HEAD + value("average_cost", "9000.5") + value("nonsense", "1"), encoding="utf-8")
    refused = run("check", path)
    assert refused.exit_code == 3
    assert f"PL08] p.toml:{FIRST + 2}" in refused.stderr
    assert f"PL05] p.toml:{FIRST + STEP + 1}" in refused.stderr
    assert "政策不可用" in refused.stdout
    answer = orjson.loads(run("check", path, "--json").stdout)
    assert answer["usable"] is False
    assert {item["code"] for item in answer["problems"]} >= {"PL05", "PL08"}
    assert orjson.loads(run("check", "xuzhou", "--json").stdout)["usable"] is True
    assert run("check", tmp_path / "none.toml").exit_code == 3
