"""Case files told in the words of a policy: who, when, insured how, at what cost; what is missing; nothing lost."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from api.core.pay_inputs import (
    group_values,
    read_decisions,
    read_hospitals,
    read_separate,
    unknown_cases,
)
from api.core.payable import PayableFiles, payable_frame
from budget.frames import PAYABLE_SCHEMA
from budget.pricing import price_cases
from grouper.intake import SourceInfo
from grouper.pipeline import GroupedBlock
from grouper.schemes import open_scheme
from reference_tables.payable_rules import payable_rules, read_payable_rules
from reference_tables.policy import Policy, load_policy, parse_policy
from reference_tables.problems import PROBLEM_SCHEMA, TablesRefused
from tests.unit.pay_examples import policy_text, row, write_examples
from tests.unit.small_dip_pack import write_small_dip


def read(folder: Path, cases: str, **more: object) -> tuple[pl.DataFrame, pl.DataFrame, PayableFiles]:
    """Cases and problems of one file, and the reader."""
    write_examples(folder, cases)
    policy = load_policy(folder / "p.toml")
    scheme = open_scheme(folder / "pack")
    values, _ = group_values(policy, scheme, str(folder / "w.csv"))
    files = PayableFiles([str(folder / "cases.csv")], scheme, policy, values, **more)  # type: ignore[arg-type]
    blocks = list(files.blocks())
    return pl.concat(block.cases for block in blocks), pl.concat(block.problems for block in blocks), files


def said(problems: pl.DataFrame) -> list[tuple[str, int, str]]:
    """Problems of payment by code, row and value."""
    return problems.filter(pl.col("code").str.starts_with("PA")).select("code", "row", "value").rows()


def test_a_case_in_the_words_of_the_policy(tmp_path: Path) -> None:
    cases, problems, _ = read(tmp_path, row("1") + row("2", hospital_level="二级", insurance_type="城乡居民"))
    assert cases.schema == PAYABLE_SCHEMA
    first = cases.row(0, named=True)
    assert {name: first[name] for name in ("tier", "insurance", "month", "group", "status", "discharge")} == {
        "tier": "三级", "insurance": "职工", "month": "2025-03", "group": "BR19", "status": "GROUPED",
        "discharge": date(2025, 3, 9),
    }  # fmt: skip
    amounts = ("total_cost_fen", "fund_by_item_fen", "patient_paid_fen", "self_funded_fen", "other_funds_fen")
    assert [first[name] for name in amounts] == [1_600_000, 1_100_000, 500_000, 100_000, 0]
    assert (cases["tier"][1], cases["insurance"][1]) == ("二级", "居民")
    assert said(problems) == []


def test_what_a_price_needs_and_a_record_lacks_is_told_and_the_case_is_unpaid(tmp_path: Path) -> None:
    faulty = {
        "no hospital": {"hospital_id": ""}, "no tier": {"hospital_level": ""}, "other tier": {"hospital_level": "1"},
        "no insurance": {"insurance_type": ""}, "not insured": {"insurance_type": "7"},
        "no date": {"discharge_date": ""}, "too early": {"discharge_date": "2024-12-31"}, "no cost": {"total_cost": ""},
        "negative": {"total_cost": "-5.20"}, "beyond belief": {"total_cost": "99999999999999"},
    }  # fmt: skip
    text = "".join(row(name, **other) for name, other in faulty.items())
    cases, problems, files = read(tmp_path, text + row("good"))
    assert cases["case_id"].to_list() == [*faulty, "good"]
    assert said(problems) == [
        ("PA04", 2, ""), ("PA05", 3, ""), ("PA05", 4, "一级"), ("PA06", 5, ""), ("PA07", 6, "7"), ("PA08", 7, ""),
        ("PA09", 8, "2024-12"), ("PA01", 9, ""), ("PA02", 10, "-5.20"), ("PA03", 11, "99999999999999.00"),
    ]  # fmt: skip
    priced = price_cases(cases, files.policy, files.values).frame
    assert priced["case_kind"].to_list() == ["unpaid"] * 10 + ["normal"]
    assert priced["package_fen"].to_list() == [0] * 10 + [1_650_000]
    assert priced["reason"][:3].to_list() == [
        "缺少医疗机构编号，暂不支付", *["医疗机构级别不详或不在政策所列级别中，暂不支付"] * 2,
    ]  # fmt: skip
    assert priced["cost_fen"][7:10].to_list() == [None, -520, 9_999_999_999_999_900]


def test_an_insurance_that_is_not_paid_is_named_as_it_was_written(tmp_path: Path) -> None:
    words = ["340", "全自费", "职工医疗", " 31O ", "其他"]
    text = "".join(row(str(at), insurance_type=word) for at, word in enumerate(words))
    cases, problems, files = read(tmp_path, text + row("paid", insurance_type="城镇职工"))
    assert cases["insurance"].to_list() == ["其他"] * 5 + ["职工"]
    told = problems.filter(pl.col("code").str.starts_with("PA")).select("code", "level", "row", "value")
    assert told.rows() == [
        ("PA07", "warn", 2, "340"), ("PA07", "warn", 3, "全自费"), ("PA15", "reject", 4, "职工医疗"),
        ("PA15", "reject", 5, "31O"), ("PA07", "warn", 6, "其他"),
    ]  # fmt: skip
    assert problems.filter(pl.col("row") == 4)["message"].to_list() == ["险种“职工医疗”无法识别，记为不支付"]
    priced = price_cases(cases, files.policy, files.values).frame
    assert priced["case_kind"].to_list() == ["unpaid"] * 5 + ["normal"]


def test_a_file_without_the_columns_of_payment_leaves_every_case_unpaid(tmp_path: Path) -> None:
    write_examples(tmp_path, "")
    bare = "case_id,sex,age_years,los_days,discharge_way,principal_dx\n1,1,60,8,1,I61.000\n2,2,50,4,1,I61.000\n"
    (tmp_path / "bare.csv").write_text(bare, encoding="utf-8")
    policy = load_policy(tmp_path / "p.toml")
    scheme = open_scheme(tmp_path / "pack")
    values, _ = group_values(policy, scheme, str(tmp_path / "w.csv"))
    (block,) = PayableFiles([str(tmp_path / "bare.csv")], scheme, policy, values).blocks()
    assert said(block.problems) == [("PA14", 2, ""), ("PA04", 2, ""), ("PA14", 3, ""), ("PA04", 3, "")]
    assert price_cases(block.cases, policy, values).frame["case_kind"].to_list() == ["unpaid", "unpaid"]


def test_nothing_is_paid_twice(tmp_path: Path) -> None:
    again = row("1", hospital_id="H2") + row("1") + row("") + row("")
    cases, problems, files = read(tmp_path, row("1") + again)
    assert cases["status"].to_list() == ["GROUPED", "GROUPED", "DUPLICATE", "GROUPED", "GROUPED"]
    assert said(problems) == [("PA11", 4, "1")]
    assert (
        price_cases(cases, files.policy, files.values).frame["package_fen"].to_list()
        == [1_650_000] * 2 + [0] + [1_650_000] * 2
    )


def test_what_the_patient_paid(tmp_path: Path) -> None:
    text = row("both") + row("fund alone", self_pay="") + row("no fund", fund_pay="", own_pay="")
    cases, problems, files = read(
        tmp_path, text + row("nothing", self_pay="", fund_pay="") + row("wrong", fund_pay="-1")
    )
    assert cases["patient_paid_fen"].to_list() == [500_000, 500_000, None, None, 500_000]
    assert said(problems) == [("PA14", 4, ""), ("PA14", 5, ""), ("PA12", 6, "-1.00")]
    assert cases["fund_by_item_fen"].to_list() == [1_100_000, 1_100_000, None, None, None]
    assert price_cases(cases, files.policy, files.values).frame["fund_fen"].to_list() == [
        1_150_000, 1_150_000, None, None, 1_150_000,
    ]  # fmt: skip


def test_a_part_of_the_cost_is_never_more_than_the_whole(tmp_path: Path) -> None:
    """16,000.00 yuan in all: 160,000.00 paid by the fund for it is a slip, and a low case would be paid that much."""
    text = row("fund", fund_pay="160000.00") + row("patient", self_pay="16000.01") + row("all", fund_pay="16000.00")
    cases, problems, files = read(tmp_path, text + row("low", "100.00", fund_pay="11000.00"))
    assert said(problems) == [
        ("PA16", 2, "160000.00"), ("PA16", 3, "17000.01"), ("PA14", 3, ""),
        ("PA16", 5, "11000.00"), ("PA16", 5, "5000.00"), ("PA16", 5, "1000.00"), ("PA14", 5, ""),
    ]  # fmt: skip
    assert cases["fund_by_item_fen"].to_list() == [None, 1_100_000, 1_600_000, None]
    assert cases["patient_paid_fen"].to_list() == [500_000, None, 500_000, None]
    assert price_cases(cases, files.policy, files.values).frame["fund_fen"].to_list() == [
        1_150_000,
        None,
        1_150_000,
        None,
    ]


def test_length_of_stay_is_counted_where_it_is_not_given(tmp_path: Path) -> None:
    header_day = {"los_days": ""}
    cases, _, _ = read(tmp_path, row("1", **header_day))
    assert cases["los_days"].to_list() == [None]
    frame = pl.DataFrame({"admission_time": [date(2025, 3, 1), date(2025, 3, 9), date(2025, 3, 10)]})
    given = frame.with_columns(pl.col("admission_time").cast(pl.Datetime("us")))
    given = given.with_columns(
        pl.lit(date(2025, 3, 9)).cast(pl.Datetime("us")).alias("discharge_time"),
        row=pl.int_range(2, 5, dtype=pl.UInt32), case_id=pl.lit("1"),
    )  # fmt: skip
    assert _frame(given)["los_days"].to_list() == [8, 1, None]


def _frame(cases: pl.DataFrame, fmt: str = "flat") -> pl.DataFrame:
    """PAYABLE of cases without groups."""
    results = pl.DataFrame(
        {name: [""] * cases.height for name in ("mdc", "drg", "name")} | {"status": ["GROUPED"] * cases.height}
    )
    source = SourceInfo.__new__(SourceInfo)
    object.__setattr__(source, "path", "f.csv")
    object.__setattr__(source, "format", fmt)
    block = GroupedBlock(source, cases, results, pl.DataFrame(schema=PROBLEM_SCHEMA))
    return payable_frame(block, policy())[0]


def policy(text: str | None = None) -> Policy:
    return parse_policy(policy_text() if text is None else text)


def test_parts_of_the_cost_by_either_bill() -> None:
    base = {"row": [2, 3, 4], "case_id": ["1", "2", "3"]}
    settlement = {
        "fee_western_drug_fen": [100, None, None],
        "fee_herbal_fen": [10, 5, None],
        "fee_material_fen": [7, None, None],
    }
    page = {
        "page_western_drug_fen": [999, 999, 40],
        "page_chinese_treatment_fen": [1, 1, 2],
        "page_operative_fen": [0, 0, 8],
    }
    frame = pl.DataFrame({**base, **settlement, **page}, schema_overrides={"row": pl.UInt32})
    found = _frame(frame).select("drug_fen", "consumable_fen", "tcm_fen", "tcm_base_fen").rows()
    # The third case has no settlement list: the front page counts, Chinese treatment told apart.
    assert found == [(110, 7, 10, 117), (5, 0, 5, 5), (40, None, 2, 50)]


def test_the_self_paid_amount_of_a_front_page_is_all_that_the_patient_paid() -> None:
    frame = pl.DataFrame(
        {"row": [2], "case_id": ["1"], "total_cost_fen": [900], "self_pay_fen": [300]},
        schema_overrides={"row": pl.UInt32},
    )
    assert _frame(frame, "hqms")["patient_paid_fen"].to_list() == [300]
    assert _frame(frame, "flat")["patient_paid_fen"].to_list() == [None]
    kept = pl.concat([frame.with_columns(source_format=pl.lit(name)) for name in ("n041", " ", "4101")])
    assert _frame(kept, "flat")["patient_paid_fen"].to_list() == [300, None, None], "as it was first written"


def test_a_register_of_hospitals_goes_before_the_record(tmp_path: Path) -> None:
    register = tmp_path / "h.csv"
    register.write_text("hospital_id,name,tier,county_group,beds\nH1,一院,二级,甲县,10\nH2,二院,,,\n", encoding="utf-8")
    hospitals = read_hospitals(register, policy())
    text = row("1") + row("2", hospital_id="H2") + row("3", hospital_id="H3") + row("4", hospital_id="H3")
    cases, problems, _ = read(tmp_path, text, hospitals=hospitals)
    told = cases.select("hospital_name", "tier", "county_group").rows()
    assert told == [("一院", "二级", "甲县"), ("二院", "三级", None), (None, "三级", None), (None, "三级", None)]
    assert said(problems) == [("PA13", 0, "H3")]


def test_every_fault_of_a_register_at_once(tmp_path: Path) -> None:
    register = tmp_path / "h.csv"
    register.write_text("hospital_id,tier\nH1,二级\n,三级\nH1,三甲\n", encoding="utf-8")
    with pytest.raises(TablesRefused) as refused:
        read_hospitals(register, policy())
    assert [(item.code, item.row) for item in refused.value.problems] == [("PA27", 3), ("PA26", 4), ("PA25", 4)]


def test_separately_paid_amounts_leave_the_package(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("case_id,amount,hospital_id\n1,1000,\n1,0.5,\n2,300,H2\n2,200,\n9,1,\n", encoding="utf-8")
    separate = read_separate(path)
    text = row("1") + row("2", hospital_id="H2") + row("2")
    cases, _, files = read(tmp_path, text + row("3", cost="500"), separate=separate)
    assert cases["separate_fen"].to_list() == [100_050, 30_000, 20_000, 0]
    priced = price_cases(cases, files.policy, files.values).frame
    assert priced["cost_fen"].to_list() == [1_499_950, 1_570_000, 1_580_000, 50_000]
    assert [problem.value for problem in unknown_cases(separate, files.seen, "s.csv")] == ["9"]


def test_faults_of_separately_paid_amounts(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("case_id,amount\n1,-1\n2,1.234\n,5\n3,一千\n4,\n5,1.\n", encoding="utf-8")
    with pytest.raises(TablesRefused) as refused:
        read_separate(path)
    found = [(item.code, item.row) for item in refused.value.problems]
    assert found == [("PA20", 2), ("PA20", 3), ("PA27", 4), ("PA20", 5), ("PA20", 6), ("PA20", 7)]


def test_decisions_in_words(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("case_id,decision,amount\n1,按项目,\n2,adjusted,23456.7\n3,不予,\n4,同意,\n", encoding="utf-8")
    assert read_decisions(path, policy()).rows() == [
        ("1", None, "by_item", None), ("2", None, "adjusted", 2_345_670), ("3", None, "refused", None),
        ("4", None, "by_item", None),
    ]  # fmt: skip
    path.write_text(
        "case_id,decision,amount\n1,也许,\n2,adjusted,\n2,refused,\n,adjusted,x\n3,不予,5.00\n4,同意,5\n",
        encoding="utf-8",
    )
    with pytest.raises(TablesRefused) as refused:
        read_decisions(path, policy())
    found = [(item.code, item.row) for item in refused.value.problems]
    assert found == [("PA21", 2), ("PA22", 3), ("PA27", 5), ("PA20", 5), ("PA30", 6), ("PA30", 7), ("PA23", 4)]


def test_scores_of_a_dip_pack_are_its_values(tmp_path: Path) -> None:
    scheme = open_scheme(write_small_dip(tmp_path / "dip"))
    values, table = group_values(
        policy(policy_text("dip", {"reference": '"SCORE"', "score_unit": '"3"'})), scheme, None
    )
    assert table is None
    found = values.get("BX-3", "三级", "职工")
    assert found.weight is not None
    assert (found.weight * 10_000, found.peer_average) == (5_123_456, None)


def test_nothing_to_price_by(tmp_path: Path) -> None:
    write_examples(tmp_path, row("1"))
    scheme = open_scheme(tmp_path / "pack")
    with pytest.raises(TablesRefused, match="PA29"):
        group_values(policy(), scheme, None)
    with pytest.raises(TablesRefused, match="PA28"):
        group_values(load_policy("shenzhen-2014"), scheme, None)


def test_words_and_columns_of_the_rules_are_checked() -> None:
    rules = payable_rules()
    assert (rules.insurance["390"], rules.tier["3"], rules.decision[""]) == ("居民", "三级", "rule")
    with pytest.raises(ValueError, match=r"payable\.toml"):
        read_payable_rules("[insurance]\n")
    good = """[insurance]
a = ["1"]
b = [{two}]
[tier]
[decision]
by_item = []
adjusted = []
refused = []
rule = []
[patient_paid]
whole = []
[[cost_set]]
name = "x"
drug = ["{column}"]
consumable = []
tcm = []
tcm_base = []
"""
    assert read_payable_rules(good.format(two='"2"', column="fee_bed_fen")).insurance == {"1": "a", "2": "b"}
    with pytest.raises(ValueError, match="twice"):
        read_payable_rules(good.format(two='"1"', column="fee_bed_fen"))
    with pytest.raises(ValueError, match="no column of money"):
        read_payable_rules(good.format(two='"2"', column="sex"))
