"""What-if by DIP: one change at a time, in the case's order, against hand-made expectations."""

from __future__ import annotations

from decimal import Decimal

import orjson
import pytest

from grouper.dip.compile import CompiledDip, compile_dip
from grouper.single import group_one
from grouper.whatif import RECORD_NOTE, Change, WhatIf, what_if
from grouper.whatif_text import whatif_lines, whatif_text
from tests.differential.dip_compare import frame_of, scheme_of
from tests.oracle.difficult_dip import DifficultDipCases
from tests.oracle.dip_sample_pack import sample_pack
from tests.unit.explained_dip_pack import case, pack_in


@pytest.fixture(scope="module")
def scheme(tmp_path_factory: pytest.TempPathFactory) -> CompiledDip:
    return compile_dip(pack_in(tmp_path_factory.mktemp("pack") / "示例"))


def outcomes(found: WhatIf) -> list[tuple[str, int, str, str, tuple[str, ...]]]:
    return [(item.change.value, item.place, item.code, item.group, item.changed) for item in found.variants]


def test_every_change_in_the_order_of_the_case(scheme: CompiledDip) -> None:
    found = what_if(case("O34.300|K35.900", "74.1x01|38.8609|47.0100"), scheme)
    assert (found.as_is.change, found.as_is.group, found.as_is.changed) == (Change.AS_IS, "BX-12", ())
    to_none = ("status", "kind", "dip", "base_score")
    assert outcomes(found) == [
        ("PRINCIPAL_DX", 1, "K35.900", "K-4", ("kind", "dip", "base_score")),
        ("PRINCIPAL_PX", 1, "38.8609", "", to_none),
        ("PRINCIPAL_PX", 2, "47.0100", "", to_none),
        ("DROP_DX", 0, "O34.300", "", to_none),
        ("DROP_DX", 1, "K35.900", "BX-12", ()),
        ("DROP_PX", 0, "74.1x01", "", to_none),
        ("DROP_PX", 1, "38.8609", "BX-11", ("dip", "base_score")),
        ("DROP_PX", 2, "47.0100", "BX-12", ()),
    ]


def test_scores_stand_beside_each_group_and_decide_no_order(scheme: CompiledDip) -> None:
    found = what_if(case("A09.900|K35.900|E11.900", "47.0100", age_years=75), scheme)
    assert (found.as_is.group, found.as_is.score) == ("", None)
    shown = [(item.code, item.kind, item.group, item.base_score, item.factor, item.score) for item in found.variants]
    operated = ("K35.900", "core", "JC-22", Decimal("100.0001"), Decimal("1.2345"), Decimal("123.4501"))
    conservative = ("47.0100", "mixed", "A09-1", Decimal(55), Decimal(1), Decimal(55))
    assert (shown[0], shown[-1]) == (operated, conservative)
    assert [item.primary_care for item in (found.variants[0], found.variants[-1])] == [True, True]


def test_a_dropped_principal_procedure_leaves_its_place_to_the_next(scheme: CompiledDip) -> None:
    found = what_if(case("O34.300", "00.4000|74.1x01"), scheme)
    dropped = {item.code: item.group for item in found.variants if item.change is Change.DROP_PX}
    assert (found.as_is.group, dropped) == ("BX-11", {"00.4000": "BX-11", "74.1x01": ""})


def test_costs_of_the_case_count_in_every_variant(scheme: CompiledDip) -> None:
    found = what_if(case("K35.900|K36.x00", "47.0100|00.4000", total_cost_fen=1_500_000), scheme)
    kept = [item for item in found.variants if item.group == "JC-22"]
    assert [(item.auxiliary, item.factor) for item in (found.as_is, *kept)] == [("费用:高", Decimal(2))] * (
        1 + len(kept)
    )
    assert len(kept) == 3


def test_a_refused_case_stays_refused(scheme: CompiledDip) -> None:
    found = what_if(case("K35.900|P07.000", age_years=0, age_days=3), scheme)
    assert (found.as_is.status, found.as_is.reason) == ("INVALID", "WEIGHT_UNKNOWN")
    (dropped,) = [item for item in found.variants if item.change is Change.DROP_DX and item.code == "P07.000"]
    assert (dropped.group, dropped.changed) == ("JC-23", ("status", "kind", "dip"))


def test_as_json(scheme: CompiledDip) -> None:
    plain = what_if(case("K35.900", "47.0100|47.0900"), scheme).to_dict()
    assert orjson.loads(orjson.dumps(plain)) == plain
    assert plain["note"] == RECORD_NOTE
    assert plain["variants"][0] == {
        "change": "PRINCIPAL_PX", "place": 1, "code": "47.0900", "code_name": "其他阑尾切除术", "status": "GROUPED",
        "reason": "", "name": "章", "kind": "mixed", "layer": "chapter", "layer_name": "", "dip": "K-4",
        "base_score": None,
        "auxiliary": "", "factor": "1.0000", "score": None, "primary_care": False,
        "changed": ["kind", "dip", "base_score"],
    }  # fmt: skip


def test_the_text(scheme: CompiledDip) -> None:
    found = what_if(case("K35.900|J18.900", "47.0100"), scheme)
    assert whatif_text(found).splitlines() == [
        "病例 K1（第 2 行）",
        "方案 示例（示例）",
        "方案未经核验",
        "原样 JC-22  病种 JC-22  正常入组  （核心病种，层 JC）  分值 100.0001",
        "换主要诊断（原主要诊断移到其他诊断之首）",
        "  J18.900 肺炎：状态、病种类型、病种、基准分值改变",
        "    未入组  目录中没有对应的核心病种或综合病种",
        "去掉一个诊断（去掉主要诊断时该位置留空）",
        "  K35.900（主要诊断）：状态、病种类型、病种、基准分值改变",
        "    未入组  主要诊断为空，不能进入任何病种",
        "  J18.900 肺炎：不变，JC-22",
        "去掉一个手术操作（去掉主要手术操作时该位置留空）",
        "  47.0100 腹腔镜下阑尾切除术（主要手术操作）：病种、基准分值改变",
        "    JC-23  病种 JC-23  正常入组  （核心病种，层 JC）",
        RECORD_NOTE,
    ]


def test_cases_of_the_national_sample_keep_their_own_answer(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = str(sample_pack().write(tmp_path_factory.mktemp("sample")))
    cases = list(DifficultDipCases(folder).cases(60, 43))
    frame, scheme = frame_of(cases), scheme_of(folder)
    for at, given in enumerate(frame.iter_rows(named=True)):
        found, expected = what_if(frame[at], scheme), group_one(given, scheme)
        as_is = found.as_is
        assert (as_is.status, as_is.reason, as_is.group, as_is.score) == (
            expected.status, expected.reason, expected.dip, expected.score,
        )  # fmt: skip
        lists = [given[name] or [] for name in ("diagnoses", "procedures")]
        assert len(found.variants) == sum(bool(code) for codes in lists for code in [*codes, *codes[1:]])
        assert len(whatif_lines(found)) > len(found.variants)
