"""The Chinese text of a DIP trace, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from grouper.dip.compile import CompiledDip, compile_dip
from grouper.dip.trace import explain_dip_case
from grouper.dip.trace_text import trace_lines, trace_text
from grouper.text_lines import LineKind
from reference_tables.packs import DipPack, read_pack
from tests.oracle.dip_pack_folder import DipText, layer
from tests.unit.explained_dip_pack import case, pack_in


@pytest.fixture(scope="module")
def scheme(tmp_path_factory: pytest.TempPathFactory) -> CompiledDip:
    return compile_dip(pack_in(tmp_path_factory.mktemp("pack") / "示例"))


def lines_of(scheme: CompiledDip, diagnoses: str, procedures: str = "", **values: object) -> list[str]:
    return trace_text(explain_dip_case(case(diagnoses, procedures, **values), scheme)).splitlines()


def part(lines: list[str], heading: str) -> list[str]:
    """The lines of one part, without its heading."""
    found: list[str] = []
    for line in lines[lines.index(heading) + 1 :]:
        if not line.startswith(" "):
            break
        found.append(line.strip())
    return found


def test_the_short_text_of_a_core_group(scheme: CompiledDip) -> None:
    assert lines_of(scheme, "O34.200|J18.900", "00.4000|74.1x01|38.8609") == [
        "病例 K1（第 2 行）",
        "方案 示例（示例）",
        "方案未经核验",
        "结果 BX-13  病种 BX-13  正常入组  （核心病种，层 BX）",
        "  方案没有该病种的分值",
        "病例资料",
        "  年龄 40 岁，性别 男",
        "  主要诊断：O34.200 为以前的子宫手术瘢痕给予的孕产妇医疗【灰码】  ← BX-13（O34.2）",
        "  其他诊断 1：J18.900 肺炎",
        "  主要手术操作：00.4000 单根血管操作",
        "  其他手术操作 1：74.1x01 剖宫产术，子宫下段横切口  ← BX-13（74.1x01）",
        "  其他手术操作 2：38.8609 子宫动脉结扎术",
        "有效主要手术操作",
        "  00.4000 单根血管操作：不可作为主要手术操作，看下一个",
        "  74.1x01 剖宫产术，子宫下段横切口：作为主要手术操作入组",
        "  38.8609 子宫动脉结扎术：不作主要手术操作，可作相关手术操作",
        "逐层判定",
        "  XQ 层 XQ：试 3 行，均不符合",
        "  BX 层 BX：试 3 行，3 行符合；次序：主要诊断范围窄者先，手术操作要求多者先，序号小者先",
        "    BX-13 病种 BX-13：入组：主要诊断 O34.200 属于 O34.2；主要手术操作 74.1x01 在列",
        "    BX-11 病种 BX-11：也符合，但 BX-13 主要诊断范围更窄（4 对 3）：主要诊断 O34.200 属于 O34；"
        "主要手术操作 74.1x01 在列",
        "    BX-12 病种 BX-12：也符合，但 BX-13 主要诊断范围更窄（4 对 3）：主要诊断 O34.200 属于 O34；"
        "主要手术操作 74.1x01 在列；其他手术操作 38.8609 为相关手术操作",
    ]


def test_the_text_of_a_mixed_group(scheme: CompiledDip) -> None:
    lines = lines_of(scheme, "K35.900", "47.0900|00.4000")
    assert lines[3:5] == ["结果 K-4  章  正常入组  （综合病种，章）", "  方案没有该病种的分值"]
    assert "  主要手术操作：47.0900 其他阑尾切除术【灰码】  ← K-4（相关手术）" in lines
    assert part(lines, "综合病种") == [
        "没有核心病种：主要手术操作不在列有该诊断的任何一行",
        "治疗性质 4 相关手术（编码目录类别 手术）",
        "K-4 章：章 K00-K93，相关手术",
    ]
    assert part(lines, "邻近的行为何未入") == [
        "JC-21 病种 JC-21：全部手术操作应恰为 47.0100+54.5904，本例为 47.0900、00.4000",
        "JC-22 病种 JC-22：主要手术操作 47.0900 不在 47.0100",
        "JC-23 病种 JC-23：有主要手术操作 47.0900，本行只收保守治疗",
    ]


@pytest.mark.parametrize(
    ("diagnoses", "procedures", "lines"),
    [
        (
            "A09.900",
            "00.0901",
            ["没有核心病种：没有一行列有该主要诊断", "治疗性质 3 治疗性操作（按方案的手术操作性质表）"],
        ),
        ("K36.x00", "ZZ", ["治疗性质 1 保守治疗（方案和编码目录都没有该手术操作的性质，按方案的约定）"]),
        (
            "C34.900",
            "00.0100",
            [
                "没有核心病种：本例没有有效主要手术操作，而列有该诊断的各行都要求手术操作",
                "治疗性质 1 保守治疗（没有有效主要手术操作）",
                "亚目、类目、章都没有该主要诊断、该治疗性质的综合病种",
            ],
        ),
        ("T20.200", "", ["没有核心病种：列有该诊断和手术操作的各行还有别的条件不符"]),
    ],
)
def test_why_not_a_core_group(scheme: CompiledDip, diagnoses: str, procedures: str, lines: list[str]) -> None:
    assert set(lines) <= set(part(lines_of(scheme, diagnoses, procedures), "综合病种"))


@pytest.mark.parametrize(
    ("diagnoses", "procedures", "values", "row"),
    [
        ("K35.900", "96.7201|39.9500x007", {}, "XQ-1 病种 XQ-1：入组：手术操作中有 96.7201、39.9500x007"),
        (
            "P07.000", "", {"age_years": 0, "age_days": 9, "newborn_birth_weight_g": 1234},
            "XQ-3 病种 XQ-3：入组：诊断 P07.000 属于 P07；天龄 9 天，在 0-28 天内；"
            "新生儿体重 1234 克，在 1000-1499 克内；不看手术操作",
        ),
        (
            "A16.000|U84.300", "", {},
            "BX-14 病种 BX-14：入组：主要诊断 A16.000 属于 A15-A16；诊断 U84.300 列在“耐药”；"
            "没有有效主要手术操作（保守治疗）",
        ),
        (
            "T21.200|T31.000", "", {},
            "BX-16 病种 BX-16：入组：主要诊断 T21.200 属于 T21.2；其他诊断 T31.000 属于 T31.0；"
            "没有有效主要手术操作（保守治疗）",
        ),
        (
            "C34.900", "40.3x00|32.4100", {},
            "JC-24 病种 JC-24：入组：主要诊断 C34.900 属于 C34；主要手术操作 40.3x00 在列（40.3x00、32.4100 同时存在）",
        ),
        (
            "K35.900", "47.0100|54.5904", {},
            "JC-21 病种 JC-21：入组：主要诊断 K35.900 属于 K35；全部手术操作恰为 47.0100、54.5904",
        ),
        (
            "P07.000", "", {"age_years": 0, "age_days": 9},
            "XQ-3 病种 XQ-3：不能判定：新生儿体重未知，本行要求 1000-1499 克",
        ),
        ("P07.000", "", {"age_years": 0}, "XQ-3 病种 XQ-3：不能判定：天龄未知，本行要求天龄 0-28 天；"
         "新生儿体重未知，本行要求 1000-1499 克"),
    ],
)  # fmt: skip
def test_rows_that_decided(
    scheme: CompiledDip, diagnoses: str, procedures: str, values: dict[str, object], row: str
) -> None:
    assert row in part(lines_of(scheme, diagnoses, procedures, **values), "逐层判定")


@pytest.mark.parametrize(
    ("diagnoses", "procedures", "values", "row"),
    [
        ("A16.000", "", {}, "BX-14 病种 BX-14：没有“耐药”所列的诊断"),
        ("A16.000|U84.300", "", {}, "BX-15 病种 BX-15：有“耐药”所列的诊断，本行要求没有"),
        ("T20.200|T31.100", "", {}, "BX-16 病种 BX-16：其他诊断中没有 T31.0、T32.0"),
        ("C34.900", "32.4100", {}, "JC-24 病种 JC-24：主要手术操作 32.4100 须与 40.3x00 同时存在"),
        ("C34.900", "", {}, "JC-24 病种 JC-24：没有有效主要手术操作"),
        ("O34.300", "74.1x01", {}, "BX-12 病种 BX-12：其他手术操作中没有相关手术操作 38.8609"),
        ("P07.000", "", {"age_years": 2}, "XQ-3 病种 XQ-3：年龄 2 岁，不在天龄 0-28 天内"),
        (
            "P07.000", "", {"age_years": 0, "age_days": 30, "newborn_birth_weight_g": 800},
            "XQ-3 病种 XQ-3：天龄 30 天，不在 0-28 天内；新生儿体重 800 克，不在 1000-1499 克内",
        ),
    ],
)  # fmt: skip
def test_rows_that_came_near(
    scheme: CompiledDip, diagnoses: str, procedures: str, values: dict[str, object], row: str
) -> None:
    assert row in part(lines_of(scheme, diagnoses, procedures, **values), "邻近的行为何未入")


def test_scores_levels_and_the_mark(scheme: CompiledDip) -> None:
    lines = lines_of(scheme, "K35.900|E11.900|A41.900", "47.0100", age_years=75)
    assert lines[4:6] == ["  分值 123.4501（基准分值 100.0001 × 校正系数 1.2345）", "  基层病种（第 7 号）"]
    assert part(lines, "辅助目录") == [
        "CCI 轻 一至二分：校正系数 1.05（本病种）",
        "年龄 老 七十岁以上：校正系数 1.2345（各病种通用），取最高者即此",
        "次诊 有：该病种没有校正系数",
    ]
    assert "  分值 55" in lines_of(scheme, "A09.900")


def test_procedures_that_cannot_stand(scheme: CompiledDip) -> None:
    assert part(lines_of(scheme, "O34.300", "45.2302|00.0100|74.1x01"), "有效主要手术操作") == [
        "45.2302 电子结肠镜检查：主要诊断为 A00-A09、K20-K93 时才可作为主要手术操作，看下一个",
        "00.0100 头和颈部血管治疗性超声：按保守治疗入组，本例没有有效主要手术操作",
        "74.1x01 剖宫产术，子宫下段横切口：不作主要手术操作，可作相关手术操作",
        "没有有效主要手术操作，按保守治疗判定",
    ]
    assert part(lines_of(scheme, "K35.900", "45.2302"), "有效主要手术操作") == [
        "45.2302 电子结肠镜检查：主要诊断属于 A00-A09、K20-K93，作为主要手术操作入组"
    ]
    assert "有效主要手术操作" not in lines_of(scheme, "K35.900", "47.0100|00.0100")


def test_conservative_treatment_passed_over(tmp_path: Path) -> None:
    lines = lines_of(compile_dip(pack_in(tmp_path, conservative="skip")), "K35.900", "00.0100|47.0100")
    assert part(lines, "有效主要手术操作")[0] == "00.0100 头和颈部血管治疗性超声：按保守治疗看待，看下一个"


def test_cases_without_a_group(scheme: CompiledDip) -> None:
    blocked = lines_of(scheme, "I10.x00")
    assert "  原因 PRINCIPAL_BLOCKED：按分组方案该编码不作为主要诊断" in blocked
    assert part(blocked, "逐层判定") == ["方案不接受该编码作主要诊断，不再逐层判定"]
    missing = lines_of(scheme, "|K35.900", "00.0100")
    assert missing[3:5] == ["结果 未入组", "  原因 PRINCIPAL_MISSING：主要诊断为空，不能进入任何病种"]
    assert not {"逐层判定", "有效主要手术操作", "综合病种"} & set(missing)
    unknown = lines_of(scheme, "P07.000", age_years=0, age_days=3)
    assert unknown[3:5] == ["结果 数据无效", "  原因 WEIGHT_UNKNOWN：缺少分组所需的新生儿体重"]
    assert "  年龄 0 岁，性别 男，天龄 3 天，新生儿出生体重未知" in unknown


def test_the_full_text_holds_every_row(scheme: CompiledDip) -> None:
    trace = explain_dip_case(case("T20.200", "47.0100"), scheme)
    lines = trace_text(trace, full=True).splitlines()
    assert part(lines, "逐层判定") == [
        "XQ 层 XQ：试 3 行，均不符合",
        "XQ-1 病种 XQ-1：不符合：手术操作中没有 39.9500x007、96.7201",
        "XQ-2 病种 XQ-2：不符合：手术操作中没有 96.7201",
        "XQ-3 病种 XQ-3：不符合：诊断中没有 P07；年龄 40 岁，不在天龄 0-28 天内",
        "BX 层 BX：试 1 行，均不符合",
        "BX-16 病种 BX-16：不符合：其他诊断中没有 T31.0、T32.0；有主要手术操作 47.0100，本行只收保守治疗",
        "JC 层 JC：没有涉及该主要诊断的行",
    ]
    assert "邻近的行为何未入" not in lines
    other = explain_dip_case(case("O34.300", "74.1x01"), scheme)
    assert "    BX-13 病种 BX-13：不符合：主要诊断 O34.300 不属于 O34.2" in trace_text(other, full=True).splitlines()


def test_long_cells_and_many_rows_are_cut_short(tmp_path: Path) -> None:
    codes = "|".join(f"47.{number:04}" for number in range(8))
    rows = [{"layer": "A", "code": f"A-{n}", "principal_dx": "K35", "px": f"{codes}|48.{n:04}"} for n in range(1, 16)]
    pack = read_pack(DipText({"layer": [layer("A", 1)], "core": rows}).write(tmp_path))
    assert isinstance(pack, DipPack)
    near = part(lines_of(compile_dip(pack), "K35.900", "54.5904"), "邻近的行为何未入")
    assert len(near) == 13
    assert near[0] == (
        "A-1 病种 A-1：主要手术操作 54.5904 不在 47.0000、47.0001、47.0002、47.0003、47.0004、47.0005 等 9 项"
    )
    assert near[-1] == "另有 3 行，见完整判定"


def test_the_nearest_rows_come_first(scheme: CompiledDip) -> None:
    near = part(lines_of(scheme, "O34.200|P07.000", "32.4100", age_years=3), "邻近的行为何未入")
    assert [line.split()[0] for line in near] == ["BX-11", "BX-13", "XQ-3", "BX-12"]


def test_lines_carry_their_kind(scheme: CompiledDip) -> None:
    lines = trace_lines(explain_dip_case(case("O34.200", "00.4000|74.1x01"), scheme))
    kinds = {line.text.split("：")[0].split(" ")[0]: line.kind for line in lines}
    wanted = {
        "病例": LineKind.TITLE, "结果": LineKind.ANSWER, "逐层判定": LineKind.SECTION, "BX-13": LineKind.MET,
        "BX-11": LineKind.PASSED, "BX-12": LineKind.FAILED, "XQ": LineKind.PASSED, "00.4000": LineKind.PASSED,
        "74.1x01": LineKind.MET, "方案未经核验": LineKind.NOTE,
    }  # fmt: skip
    assert {name: kinds[name] for name in wanted} == wanted
