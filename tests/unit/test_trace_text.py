"""The Chinese text of a trace, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from grouper.compile import CompiledScheme
from grouper.schemes import open_scheme
from grouper.text_lines import LineKind
from grouper.trace import explain_case
from grouper.trace_text import trace_lines, trace_text
from tests.oracle.pack_folder import PackText
from tests.unit.explained_pack import RETRYING, case, scheme_in


@pytest.fixture(scope="module")
def scheme(tmp_path_factory: pytest.TempPathFactory) -> CompiledScheme:
    return scheme_in(tmp_path_factory.mktemp("pack") / "示例")


def test_the_short_text_in_full(scheme: CompiledScheme) -> None:
    trace = explain_case(case("D1|M1|Z9", "P1|P2x3", los_days=2, discharge_way="1"), scheme)
    assert trace_text(trace).splitlines() == [
        "病例 K1（第 2 行）",
        "方案 示例（示例）",
        "方案未经核验",
        "结果 BC11  name of BC11  正常入组  （MDCB → BC1 → BC11）",
        "  严重程度 CC",
        "病例资料",
        "  年龄 40 岁，性别 男，住院天数 2，离院方式 1",
        "  主要诊断：D1  ← MDCB（DI_B）",
        "  其他诊断 1：M1  ← BC11（CC）",
        "  其他诊断 2：Z9【不在目录】",
        "  主要手术操作：P1  ← BC1（OP_B）",
        "  其他手术操作 1：P2x3  ← BC1（OP_B）",
        "判定路径",
        "  MDCA name of MDCA：条件成立（无附加条件），其中 1 个 ADRG 均不符合，继续往下",
        "  MDCB name of MDCB：主要诊断 D1 属于 DI_B",
        "    规则 ZYZD in DI_B",
        "    BB1 name of BB1：条件成立（主要诊断 D1 属于 DI_B1；主要手术操作 P1 属于 OP_B），"
        "其中 1 个 DRG 均不符合，继续往下",
        "    BC1 name of BC1：主要手术操作或其他手术操作中属于 OP_B 的不同编码有 2 个，符合 >= 2",
        "      规则 length(OP_B ∩ {ZYSS, QTSS}) >= 2",
        "      BC11 name of BC11：其他诊断 M1 为 CC",
        "        规则 QTZD in {MCC, CC}",
        "并发症与合并症",
        "  M1：MCC，主要诊断在排除表 EX_1 内，不计",
        "  M1：CC，无排除表，计入，满足了入组条件",
        "邻近的组为何未入",
        "  BB11 name of BB11：其他诊断 M1 列为 MCC，主要诊断在其排除表 EX_1 内，不计",
    ]


def test_the_full_text_holds_every_row_with_its_rule(scheme: CompiledScheme) -> None:
    trace = explain_case(case("D3", "P9|P7", age_years=70), scheme)
    text = trace_text(trace, full=True)
    rows = [line for line in text.splitlines() if line.lstrip().startswith("规则 ")]
    assert len(rows) == len(trace.walks[0].rows) == 4
    assert "    规则 ZYZD in DI_C and not ({ZYSS, QTSS} in OP_X)" in text.splitlines()
    assert "  MDCC name of MDCC：不成立：其他手术操作 P7 属于 OP_X，而规则要求不属于" in text.splitlines()
    assert "输入检查\n  通过\n" in text


def test_an_unknown_number_that_decided_is_shown_among_the_facts(scheme: CompiledScheme) -> None:
    lines = trace_text(explain_case(case("D2"), scheme)).splitlines()
    assert "  年龄 40 岁，性别 男，住院天数未知" in lines
    text = trace_text(explain_case(case("D2"), scheme), full=True)
    assert "BR1 name of BR1：不成立：住院天数未知，不能满足 ZYTS > 3" in text


def test_alternatives_are_counted(scheme: CompiledScheme) -> None:
    text = trace_text(explain_case(case("D2", "P1"), scheme))
    assert "  BB1 name of BB1：主要诊断不属于 DI_B1（共 2 种情形，均不成立，此为最接近的一种）" in text.splitlines()


def test_retries_are_told_apart(tmp_path: Path) -> None:
    trace = explain_case(case("D1|M2", "P8|P1", los_days=1), scheme_in(tmp_path, meta=RETRYING))
    lines = trace_text(trace).splitlines()
    at = lines.index("判定路径")
    assert lines[at + 1 : at + 4] == [
        "  按原有手术操作判定",
        "  没有任何一行成立",
        "  重试第 1 次，只以手术操作 P1 判定",
    ]
    assert "  其他手术操作 1：P1  ← BB1（OP_B，作为主要手术操作）" in lines


def test_retries_in_vain_show_the_first_walk(tmp_path: Path) -> None:
    trace = explain_case(case("D1", "P8|P9", los_days=1), scheme_in(tmp_path, meta=RETRYING))
    lines = trace_text(trace).splitlines()
    assert lines[lines.index("判定路径") + 1 :][:4] == [
        "  按原有手术操作判定",
        "  MDCA name of MDCA：条件成立（无附加条件），其中 1 个 ADRG 均不符合，继续往下",
        "  MDCB name of MDCB：条件成立（主要诊断 D1 属于 DI_B），其中 3 个 ADRG 均不符合，继续往下",
        "  没有任何一行成立",
    ]


def test_a_refused_case_says_why_and_how_to_mend(scheme: CompiledScheme) -> None:
    lines = trace_text(explain_case(case("D1", sex=9, row=None, case_id=None), scheme)).splitlines()
    assert lines[0] == "病例 （无病例号）"
    assert "  原因 SEX_INVALID：性别缺失或无效，应为1（男）或2（女）" in lines
    assert "  处理 核对病案首页性别后重新上传" in lines
    assert "  输入检查未通过，不再逐行判定" in lines
    assert not any(line.startswith("判定路径") for line in lines)


def test_a_barred_principal(tmp_path: Path) -> None:
    lines = trace_text(explain_case(case("D1", "P1"), scheme_in(tmp_path, barred=("D1",)))).splitlines()
    assert "  方案不接受该编码作主要诊断，不再逐行判定" in lines


def test_lines_carry_their_kind(scheme: CompiledScheme) -> None:
    lines = trace_lines(explain_case(case("D1|M1", "P1|P2x3"), scheme))
    kinds = {line.text.split("：")[0].split(" ")[0]: line.kind for line in lines}
    assert kinds["病例"] is LineKind.TITLE
    assert kinds["结果"] is LineKind.ANSWER
    assert kinds["判定路径"] is LineKind.SECTION
    assert kinds["BC11"] is LineKind.MET
    assert kinds["BB11"] is LineKind.FAILED
    assert kinds["MDCA"] is LineKind.PASSED
    assert kinds["方案未经核验"] is LineKind.NOTE


def test_many_near_rows_are_cut_short(tmp_path: Path) -> None:
    letters = "ABCDEFGHIJKLMN"
    folder = PackText(
        mdc=[("MDCB", "ZYZD in DI_B")],
        adrg=[(f"B{letter}1", "MDCB", "ZYZD in DI_B and NL > 90") for letter in letters] + [("B00", "MDCB", "")],
        drg=[(f"B{letter}19", f"B{letter}1", "") for letter in letters] + [("B000", "B00", "")],
        sets={"DI_B": ["D1"]},
    ).write(tmp_path)
    lines = trace_text(explain_case(case("D1"), open_scheme(folder))).splitlines()
    near = lines[lines.index("邻近的组为何未入") + 1 :]
    assert len(near) == 13
    assert near[0] == "  BA1 name of BA1：年龄 40 岁，不符合 NL > 90"
    assert near[-1] == "  另有 2 行，见完整判定"
