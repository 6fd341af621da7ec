"""The yearly page: sums by hand, every chart's numbers in it, the same bytes each time, nothing from a network."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from plotly.offline import get_plotlyjs
from typer.testing import CliRunner

from api.cli.main import app
from api.core.report import (
    CASE_COLUMNS,
    Flow,
    ReportPart,
    group_sums,
    hospital_sums,
    month_sums,
    statement_flows,
    tier_kinds,
)
from api.core.report_files import NotCleared, budget_flows, part_of, read_statement
from api.web.chart_page import MARK
from api.web.report_page import report_page
from budget.ledger import postings_of
from tests.unit.pay_examples import RATE, policy_text, row, write_examples

KEYS = ["hospitals", "scatter", "waterfall", "outliers", "losses", "volumes", "months"]
STATEMENT = """\
hospital,pool,cases,points,entitlement,retained,shared,deposit,assessment,deductions,borne,prepaid,balance
H1,职工,2,30.0000,1500.00,0.00,20.00,75.00,70.00,10.00,0.00,1400.00,105.00
H2,职工,2,20.0000,900.50,0.00,0.00,45.00,0.00,0.00,0.00,950.00,-94.50
"""


def cases() -> pl.DataFrame:
    rows = [
        ("H1", "甲医院", "三级", "2026-01", "AA19", "病组甲", "normal", 100_000, 120_000, 70_000, 60_000),
        ("H1", "甲医院", "三级", "2026-02", "AA19", "病组甲", "high", 500_000, 450_000, 300_000, 320_000),
        ("H2", "乙医院", "二级", "2026-01", "BB29", "病组乙", "low", 20_000, 10_000, 8_000, 12_000),
        ("H2", "乙医院", "二级", "2026-02", "", None, "by_item", 30_000, 30_000, 20_000, None),
    ]
    return pl.DataFrame(rows, schema=list(CASE_COLUMNS), orient="row")


def ledger() -> pl.DataFrame:
    posted = pl.DataFrame(
        [("H1", "职工", "due", 30_000, ""), ("H1", "职工", "pay", 28_500, ""), ("H1", "职工", "hold", 1_500, "")],
        schema=["hospital_id", "pool", "what", "amount_fen", "supersedes"],
        orient="row",
    )
    return postings_of("r1", "2026-01", posted)


def part(tmp_path: Path, label: str = "DRG 点数法", *, cleared: bool = True) -> ReportPart:
    (tmp_path / "statement.csv").write_text(STATEMENT, encoding="utf-8")
    statement = read_statement(tmp_path / "statement.csv")
    statement = statement if cleared else statement.clear()
    before = [Flow("基金收入", 250_050), Flow("调剂金", -10_000), Flow("可分配总额", 240_050, total=True)]
    return ReportPart(
        label,
        hospital_sums(cases(), statement),
        tier_kinds(cases(), ("三级", "二级", "一级")),
        group_sums(cases()),
        month_sums(ledger()),
        statement,
        statement_flows(statement, before if cleared else []),
        {"支付政策": "算例<1>"},
        synthetic=True,
    )


def figures(page: str) -> dict[str, Any]:
    """Every figure drawn in the page, by the key of its element."""
    drawn = re.findall(r'\{const f = (.*?); Plotly\.newPlot\("chart-(\w+)"', page)
    return {key: json.loads(text.replace("<\\/", "</")) for text, key in drawn}


def of_type(figure: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [trace for trace in figure["data"] if trace["type"] == kind]


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_sums_by_hospital_tier_group_and_month(tmp_path: Path) -> None:
    made = part(tmp_path)
    assert made.hospitals.rows() == [
        ("H1", "甲医院", "三级", 2, 600_000, 570_000, 370_000, 380_000, 152_000),
        ("H2", "乙医院", "二级", 2, 50_000, 40_000, 28_000, 12_000, 90_050),
    ]
    counted = {(tier, kind): count for tier, kind, count in made.tiers.rows() if count}
    assert counted == {("三级", "normal"): 1, ("三级", "high"): 1, ("二级", "low"): 1, ("二级", "other"): 1}
    assert made.groups.rows() == [
        ("AA19", "病组甲", 2, 600_000, 570_000),
        ("BB29", "病组乙", 1, 20_000, 10_000),
        ("未入组", "", 1, 30_000, 30_000),
    ]
    assert made.months.rows() == [("2026-01", 30_000, 0, 28_500, 1_500)]


def test_the_waterfall_runs_from_income_to_the_balance(tmp_path: Path) -> None:
    flows = part(tmp_path).flows
    level = 0
    for flow in flows:
        if flow.total:
            assert flow.amount == level, flow.label
        level = flow.amount if flow.total else level + flow.amount
    assert [flow.label for flow in flows] == [
        "基金收入", "调剂金", "可分配总额", "医院应得", "超支分担与补差", "质量保证金", "考核返还", "扣款与未留用结余",
        "已拨付", "清算差额",
    ]  # fmt: skip
    assert level == 10_500 - 9_450


def test_what_the_pool_keeps_is_a_step_of_its_own(tmp_path: Path) -> None:
    statement = part(tmp_path).statement
    flows = statement_flows(statement, [Flow("可分配", 300_000)])
    assert (flows[1].label, flows[1].amount) == ("未分配给医院", 240_050 - 300_000)


def test_a_clearing_without_its_book_shows_no_figures_of_cases(tmp_path: Path) -> None:
    made = part(tmp_path)
    alone = replace(
        made, hospitals=made.hospitals.clear(), tiers=made.tiers.clear(), groups=made.groups.clear(),
        months=made.months.clear(),
    )  # fmt: skip
    page = report_page("清算", [alone])
    shown = re.findall(r"<div><span>([^<]+)</span><b>([^<]+)</b></div>", page)
    assert shown == [
        ("清算病例", "4"), ("清算应得（万元）", "0.24"), ("年内已付（万元）", "0.23"), ("清算差额（万元）", "0.00"),
    ]  # fmt: skip


def test_every_chart_has_its_numbers(tmp_path: Path) -> None:
    page = report_page("合成", [part(tmp_path), replace(part(tmp_path), label="DIP 分值法")])
    drawn = figures(page)
    assert list(drawn) == KEYS
    assert [note["text"] for note in drawn["hospitals"]["layout"]["annotations"]] == ["DRG 点数法", "DIP 分值法"]
    bars = of_type(drawn["hospitals"], "bar")
    assert len(bars) == 2
    # After clearing: what the fund pays and what others paid, against the cost: (1520 + 2200) / 6000 yuan.
    assert dict(zip(bars[0]["y"], bars[0]["x"], strict=True)) == {"乙医院": 156.1, "甲医院": -38.0}
    assert of_type(drawn["waterfall"], "waterfall")[0]["measure"].count("total") == 3
    shares = {trace["name"]: trace["y"] for trace in of_type(drawn["outliers"], "bar")[:3]}
    assert shares == {"低倍率": [0.0, 50.0], "高倍率": [50.0, 0.0], "其他支付方式": [0.0, 50.0]}
    assert of_type(drawn["losses"], "bar")[0]["x"] == [-0.03, -0.01]
    assert of_type(drawn["volumes"], "bar")[0]["x"] == [2, 1, 1]
    assert of_type(drawn["months"], "scatter")[0]["y"] == [0.03]
    dots = [trace for trace in of_type(drawn["scatter"], "scatter") if trace["mode"] == "markers"]
    assert {trace["name"]: (trace["x"], trace["y"]) for trace in dots[:2]} == {
        "三级": ([0.6], [0.37]), "二级": ([0.05], [0.13]),
    }  # fmt: skip


def test_before_clearing_the_prices_count_and_the_waterfall_is_left_out(tmp_path: Path) -> None:
    page = report_page("合成", [part(tmp_path, cleared=False)])
    drawn = figures(page)
    assert list(drawn) == [key for key in KEYS if key != "waterfall"]
    assert of_type(drawn["hospitals"], "bar")[0]["x"] == [-5.0, -20.0]
    assert "清算表" not in page


def test_many_hospitals_are_shown_from_both_ends(tmp_path: Path) -> None:
    many = pl.concat([
        cases().head(1).with_columns(
            hospital_id=pl.lit(f"H{at:03d}"), hospital_name=pl.lit(f"医院{at}"),
            package_fen=pl.lit(100_000 + at, dtype=pl.Int64),
        )
        for at in range(400)
    ])  # fmt: skip
    made = part(tmp_path, cleared=False)
    made = replace(made, hospitals=hospital_sums(many, made.statement))
    bars = of_type(figures(report_page("合成", [made]))["hospitals"], "bar")[0]
    assert len(bars["y"]) == 60
    assert (bars["y"][0], bars["y"][-1]) == ("医院399", "医院0")


def test_the_page_is_valid_offline_and_always_the_same(tmp_path: Path) -> None:
    page = report_page("合成 & 页", [part(tmp_path)])
    assert page == report_page("合成 & 页", [part(tmp_path)])
    elements = Elements()
    elements.feed(page)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("script") == 2
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(tags)
    loading = [attrs for _, attrs in elements.found if {"src", "href", "srcset", "data"} & set(attrs)]
    assert loading == []
    # Beside Plotly's own text, which names its home but is not asked to go there, no address stands in the page.
    own = page.replace(get_plotlyjs().replace("</", "<\\/").replace("<!--", "<\\!--"), "")
    assert len(own) < len(page) - 1_000_000
    assert not re.search(r"https?://|url\(|@import", own)
    assert page.count(MARK) > 3
    assert "算例&lt;1&gt;" in page
    ids = [attrs["id"] for _, attrs in elements.found if "id" in attrs]
    assert ids == [f"chart-{key}" for key in KEYS]


def test_only_what_is_made_up_is_marked(tmp_path: Path) -> None:
    assert MARK not in report_page("实际", [replace(part(tmp_path), synthetic=False)])


def test_a_folder_that_clearing_did_not_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotCleared, match=r"statement\.csv"):
        read_statement(tmp_path / "statement.csv")
    (tmp_path / "budget.csv").write_text("insurance,item\n职工,income\n", encoding="utf-8")
    with pytest.raises(NotCleared, match="label、amount"):
        budget_flows(tmp_path / "budget.csv")


def test_budget_flows_add_insurances_up_and_leave_sub_budgets_out(tmp_path: Path) -> None:
    text = (
        "insurance,item,label,amount,left\n职工,income,基金收入,100.00,100.00\n职工,reserve,风险储备金,-3.00,97.00\n"
        "职工,distributable,可分配总额,97.00,97.00\n职工,sub_budget,本地住院,90.00,\n"
        "居民,income,基金收入,50.00,50.00\n居民,reserve,风险储备金,-1.50,48.50\n"
    )
    (tmp_path / "budget.csv").write_text(text, encoding="utf-8")
    flows = budget_flows(tmp_path / "budget.csv")
    assert [(flow.label, flow.amount, flow.total) for flow in flows] == [
        ("基金收入", 15_000, False), ("风险储备金", -450, False), ("可分配总额", 14_550, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["-o", "page.html"], "--book", 2),
        (["--book", "nowhere", "-o", "page.html"], "nowhere", 2),
        (["--book", ".", "--cleared", ".", "--cleared", ".", "-o", "page.html"], "依次对应", 2),
        (["--book", ".", "-o", "page.txt"], ".html", 2),
        (["--cleared", ".", "-o", "page.html"], "proof.json", 1),
        (["--book", ".", "-o", "page.html"], "账册不可用", 1),
    ],
)
def test_report_says_what_it_lacks(
    words: list[str], said: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["report", *words])
    assert done.exit_code == code
    assert said in done.output.replace("\n", "")
    assert not (tmp_path / "page.html").exists()


def test_report_of_a_clearing(tmp_path: Path) -> None:
    folder = tmp_path / "cleared"
    folder.mkdir()
    (folder / "statement.csv").write_text(STATEMENT, encoding="utf-8")
    (folder / "budget.csv").write_text("insurance,item,label,amount,left\n", encoding="utf-8")
    proof = {"policy": {"id": "synthetic-city-dip"}, "run_id": "0123456789abcdef", "synthetic": True}
    (folder / "proof.json").write_text(json.dumps(proof), encoding="utf-8")
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["report", "--cleared", str(folder), "-o", str(page), "--title", "一年"])
    assert done.exit_code == 0, done.output
    text = page.read_text(encoding="utf-8")
    assert list(figures(text)) == ["waterfall"]
    assert "DIP 分值法" in text
    assert "-94.50" in text
    assert "0123456789ab" in text


def test_a_region_s_own_policy_is_known_from_its_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_examples(tmp_path, row("1") + row("2", hospital_id="H2", hospital_level="2")))
    monthly = {"prepay_share": '"0.9"', "prepay_period": '"month"', "pools": '"insurance"'}
    (tmp_path / "p.toml").write_text(policy_text(values=RATE | monthly), encoding="utf-8")
    words = ("--policy", "p.toml", "--scheme", "pack", "--weights", "w.csv", "--month", "2025-03", "--book", "book")
    done = CliRunner().invoke(app, ["settle", "cases.csv", *words])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["report", "--book", "book", "-o", "page.html"])
    assert done.exit_code == 0, done.output
    assert "DRG 费率法 2 例" in done.output
    made = part_of(tmp_path / "book", None)
    assert made.about["支付政策"] == "试验政策（small）"
    assert made.tiers["tier"].unique(maintain_order=True).to_list() == ["三级", "二级"]
    assert made.synthetic
