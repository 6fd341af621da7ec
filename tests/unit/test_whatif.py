"""What-if: one change at a time, in the case's order, against hand-made expectations."""

from __future__ import annotations

import orjson
import polars as pl
import pytest

from grouper.compile import CompiledScheme
from grouper.engine import group_cases
from grouper.whatif import RECORD_NOTE, Change, WhatIf, what_if
from grouper.whatif_text import whatif_lines, whatif_text
from tests.differential.compare import folder_of, frame_of, scheme_of
from tests.oracle.difficult import DifficultCases
from tests.unit.explained_pack import case, scheme_in

NOT_MET = "主要诊断列在某MDC，但该MDC的其他条件（如性别、年龄）或其下各组的规则均不符"


@pytest.fixture(scope="module")
def scheme(tmp_path_factory: pytest.TempPathFactory) -> CompiledScheme:
    return scheme_in(tmp_path_factory.mktemp("pack") / "示例")


def outcomes(found: WhatIf) -> list[tuple[str, int, str, str, tuple[str, ...]]]:
    return [(item.change.value, item.place, item.code, item.drg, item.changed) for item in found.variants]


def test_every_change_in_the_order_of_the_case(scheme: CompiledScheme) -> None:
    found = what_if(case("D1|D3|M2", "P1|P9"), scheme)
    assert (found.as_is.change, found.as_is.drg, found.as_is.changed) == (Change.AS_IS, "BB11", ())
    everything = ("status", "mdc", "adrg", "drg")
    assert outcomes(found) == [
        ("PRINCIPAL_DX", 1, "D3", "C000", everything),
        ("PRINCIPAL_DX", 2, "M2", "0000", everything),
        ("PRINCIPAL_PX", 1, "P9", "0000", everything),
        ("DROP_DX", 0, "D1", "0000", everything),
        ("DROP_DX", 1, "D3", "BB11", ()),
        ("DROP_DX", 2, "M2", "0000", everything),
        ("DROP_PX", 0, "P1", "0000", everything),
        ("DROP_PX", 1, "P9", "BB11", ()),
    ]


def test_the_old_principal_becomes_another_code(scheme: CompiledScheme) -> None:
    found = what_if(case("D5|D2|M2", age_years=70), scheme)
    (variant,) = [item for item in found.variants if item.change is Change.PRINCIPAL_DX and item.code == "D2"]
    assert (variant.drg, variant.severity) == ("BB11", "MCC")


def test_a_dropped_principal_is_not_refilled(scheme: CompiledScheme) -> None:
    found = what_if(case("D2", "P9|P1|P2x3"), scheme)
    assert found.as_is.drg == "BC15"
    dropped = {item.code: item.drg for item in found.variants if item.change is Change.DROP_PX}
    assert dropped == {"P9": "BC15", "P1": "0000", "P2x3": "0000"}


def test_a_missing_principal_is_no_code_to_move_or_drop(scheme: CompiledScheme) -> None:
    found = what_if(case("|D1|M2", "P1"), scheme)
    assert [(item.change.value, item.code) for item in found.variants] == [
        ("PRINCIPAL_DX", "D1"), ("PRINCIPAL_DX", "M2"), ("DROP_DX", "D1"), ("DROP_DX", "M2"), ("DROP_PX", "P1"),
    ]  # fmt: skip
    assert found.variants[0].drg == "BB11"


def test_severity_alone_is_no_change_of_group(scheme: CompiledScheme) -> None:
    found = what_if(case("D2|M2|C1", "P1|P2x3"), scheme)
    (dropped,) = [item for item in found.variants if item.change is Change.DROP_DX and item.code == "M2"]
    assert (found.as_is.severity, dropped.severity, dropped.drg, dropped.changed) == ("MCC", "CC", "BC11", ())


def test_a_case_without_codes_has_no_variants(scheme: CompiledScheme) -> None:
    found = what_if(case(), scheme)
    assert found.variants == ()
    assert "没有可以变动的编码" in whatif_text(found)


def test_a_refused_case_stays_refused(scheme: CompiledScheme) -> None:
    found = what_if(case("D1|D2", sex=9), scheme)
    assert {item.status for item in (found.as_is, *found.variants)} == {"INVALID"}


def test_names_come_from_the_code_books(scheme: CompiledScheme) -> None:
    found = what_if(case("D1|j18.900|J18.900"), scheme)
    names = [item.code_name for item in found.variants if item.change is Change.PRINCIPAL_DX]
    assert names == ["", "肺炎"]


def test_json_carries_the_note(scheme: CompiledScheme) -> None:
    plain = what_if(case("D1|M2", "P1"), scheme).to_dict()
    assert orjson.loads(orjson.dumps(plain)) == plain
    assert plain["note"] == RECORD_NOTE
    assert "依据病历" in RECORD_NOTE
    assert plain["variants"][0] == {
        "change": "PRINCIPAL_DX", "place": 1, "code": "M2", "code_name": "", "status": "UNGROUPED",
        "reason": "NO_MDC", "mdc": "0000", "adrg": "00", "drg": "0000", "name": "未入组", "severity": "",
        "changed": ["status", "mdc", "adrg", "drg"],
    }  # fmt: skip


def test_the_text(scheme: CompiledScheme) -> None:
    found = what_if(case("D1|M2", "P1"), scheme)
    assert whatif_text(found).splitlines() == [
        "病例 K1（第 2 行）",
        "方案 示例（示例）",
        "方案未经核验",
        "原样 BB11  name of BB11  正常入组  （MDCB → BB1 → BB11）  MCC",
        "换主要诊断（原主要诊断移到其他诊断之首）",
        "  M2：状态、MDC、ADRG、DRG改变",
        "    0000  未入组  （0000 → 00 → 0000）  主要诊断不在任何MDC",
        "去掉一个诊断（去掉主要诊断时该位置留空）",
        "  D1（主要诊断）：状态、MDC、ADRG、DRG改变",
        "    0000  未入组  （0000 → 00 → 0000）  主要诊断为空，不能进入任何MDC",
        "  M2：状态、MDC、ADRG、DRG改变",
        f"    0000  未入组  （0000 → 00 → 0000）  {NOT_MET}",
        "去掉一个手术操作（去掉主要手术操作时该位置留空）",
        "  P1（主要手术操作）：状态、MDC、ADRG、DRG改变",
        f"    0000  未入组  （0000 → 00 → 0000）  {NOT_MET}",
        RECORD_NOTE,
    ]


def test_only_one_case_is_compared(scheme: CompiledScheme) -> None:
    with pytest.raises(ValueError, match="got 2"):
        what_if(pl.concat([case("D1")] * 2), scheme)


def test_real_cases_keep_their_own_answer_and_the_count_of_changes() -> None:
    scheme = scheme_of("chs-drg-1.1")
    frame = frame_of(list(DifficultCases(folder_of("chs-drg-1.1")).rows(60, 41)))
    batch = group_cases(frame, scheme)
    for at in range(frame.height):
        found = what_if(frame[at], scheme)
        expected = batch.row(at, named=True)
        assert (found.as_is.status, found.as_is.drg, found.as_is.reason) == (
            expected["status"], expected["drg"], expected["reason"],
        )  # fmt: skip
        lists = [frame[name].to_list()[at] for name in ("diagnoses", "procedures")]
        kept = sum(len([code for code in codes if code]) for codes in lists)
        moved = sum(len([code for code in codes[1:] if code]) for codes in lists)
        assert len(found.variants) == kept + moved
        assert len(whatif_lines(found)) > len(found.variants)
