"""The plain reading of a DIP pack: effective procedure, rows that fit and their order, natures, mixed groups."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from grouper.dip.reader import DipReader, score_of
from grouper.result import Reason
from reference_tables.packs import read_pack
from tests.oracle.dip_pack_folder import DipText, Row, layer
from tests.unit.explained_dip_pack import pack_in, record


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> DipReader:
    return DipReader(pack_in(tmp_path_factory.mktemp("pack") / "示例"))


def reader_of(folder: Path, *core: Row, **tables: list[Row]) -> DipReader:
    """A pack of one specific layer A with these core rows."""
    rows = [{"layer": "A", **row} for row in core]
    return DipReader(read_pack(DipText({"layer": [layer("A", 1)], "core": rows, **tables}).write(folder)))


def steps(reader: DipReader, diagnoses: str, procedures: str) -> list[tuple[int, str, str]]:
    case = reader.read(record(diagnoses, procedures))
    return [(item.place, item.code, step.value) for item, step in reader.cleaned(case)]


def fits(reader: DipReader, diagnoses: str, procedures: str = "", **values: object) -> list[str]:
    """The rows that fit, layer by layer, best first; `?` marks one that lacks a number."""
    found = reader.fits(reader.read(record(diagnoses, procedures, **values)))
    return [
        fit.row.row.code + ("?" if fit.lacking is not Reason.NONE else "") for fits in found.values() for fit in fits
    ]


def test_the_first_procedure_that_may_stand_is_the_effective_one(reader: DipReader) -> None:
    assert steps(reader, "O34.200", "00.4000|45.2302|74.1x01|74.1x02") == [
        (0, "00.4000", "NOT_PRINCIPAL"), (1, "45.2302", "OTHER_PRINCIPAL"), (2, "74.1X01", "EFFECTIVE"),
        (3, "74.1X02", "NOT_REACHED"),
    ]  # fmt: skip
    assert reader.read(record("O34.200", "00.4000|45.2302|74.1x01")).effective == (2, "74.1X01")


def test_a_procedure_bound_to_principal_diagnoses_stands_with_them(reader: DipReader) -> None:
    assert steps(reader, "K35.900", "45.2302") == [(0, "45.2302", "EFFECTIVE")]
    assert steps(reader, "A09.900", "|45.2302") == [(1, "45.2302", "EFFECTIVE")]
    assert steps(reader, "A10.900", "45.2302") == [(0, "45.2302", "OTHER_PRINCIPAL")]


def test_a_conservative_procedure_ends_the_search_or_is_passed_over(reader: DipReader, tmp_path: Path) -> None:
    assert steps(reader, "K35.900", "00.0100|47.0100") == [
        (0, "00.0100", "CONSERVATIVE"), (1, "47.0100", "NOT_REACHED"),
    ]  # fmt: skip
    assert reader.read(record("K35.900", "00.0100|47.0100")).effective is None
    skipping = DipReader(pack_in(tmp_path, conservative="skip"))
    assert steps(skipping, "K35.900", "00.0100|47.0100") == [(0, "00.0100", "PASSED_OVER"), (1, "47.0100", "EFFECTIVE")]


def test_a_code_nobody_knows_may_be_the_effective_procedure(reader: DipReader) -> None:
    case = reader.read(record("K35.900", "ZZ|47.0100"))
    assert (case.operation, fits(reader, "K35.900", "ZZ|47.0100")) == ("ZZ", [])


def test_why_a_principal_diagnosis_opens_nothing(reader: DipReader) -> None:
    found = [reader.refused(reader.read(record(codes))) for codes in ("", "|K35.900", " ", "i10.x00 ", "I10.x00x002")]
    missing, blocked = Reason.PRINCIPAL_MISSING, Reason.PRINCIPAL_BLOCKED
    assert found == [missing, missing, missing, blocked, Reason.NONE]


def test_the_order_of_precedence(reader: DipReader) -> None:
    # BX-13 is narrower; BX-12 asks for two codes, BX-11 for one.
    assert fits(reader, "O34.200", "74.1x01|38.8609") == ["BX-13", "BX-12", "BX-11"]
    assert fits(reader, "O34.300", "74.1x01|38.8609") == ["BX-12", "BX-11"]
    assert fits(reader, "O34.300", "74.1x02") == ["BX-11"]
    # XQ goes by number alone: XQ-1 asks for more, but would win all the same as the first.
    assert fits(reader, "K35.900", "47.0100|96.7201|39.9500x007") == ["XQ-1", "XQ-2", "JC-22"]
    assert fits(reader, "K35.900", "96.7201|39.9500") == ["XQ-2"]


def test_number_and_place_decide_between_equals(tmp_path: Path) -> None:
    reader = reader_of(
        tmp_path,
        {"code": "late", "number": 9, "principal_dx": "K35", "px": "47.0100"},
        {"code": "first", "number": 3, "principal_dx": "K35.9|K36", "px": "47.0100|47.0900"},
        {"code": "second", "number": 3, "principal_dx": "K35.9", "px": "47.0100|47.1100"},
        {"code": "any", "number": 1, "px": "47.0100"},
        {"code": "whole", "number": 8, "principal_dx": "K35.900", "px": "47.0100"},
        {"code": "range", "number": 2, "principal_dx": "K30.0-K36", "px": "47.0100"},
    )
    assert fits(reader, "K35.900", "47.0100") == ["whole", "first", "second", "range", "late", "any"]


def test_most_codes_of_a_matching_alternative_count(tmp_path: Path) -> None:
    reader = reader_of(
        tmp_path,
        {"code": "one", "principal_dx": "Z51", "px": "99.2503|99.2800x005"},
        {"code": "two", "principal_dx": "Z51", "px": "99.2503|99.2503+99.2800x005"},
        {"code": "related", "principal_dx": "Z51", "px": "99.2503", "related_px": "99.2800x005|99.2800x005+99.2504"},
    )
    assert fits(reader, "Z51.100", "99.2503|99.2800x005") == ["two", "related", "one"]
    assert fits(reader, "Z51.100", "99.2503|99.2504|99.2800x005") == ["related", "two", "one"]
    assert fits(reader, "Z51.100", "99.2503") == ["one", "two"]


def test_related_procedures_stand_beside_the_principal_one(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, {"code": "twice", "principal_dx": "Z51", "px": "99.2503", "related_px": "99.2503"})
    assert fits(reader, "Z51.100", "99.2503|99.2504") == []
    assert fits(reader, "Z51.100", "99.2503|99.2503") == ["twice"]


def test_exact_compares_the_set_of_procedures_without_conservative_ones(reader: DipReader) -> None:
    assert fits(reader, "K35.900", "54.5904|47.0100|54.5904") == ["JC-21"]
    assert fits(reader, "K35.900", "47.0100|54.5904|00.0100") == ["JC-21", "JC-22"]
    assert fits(reader, "K35.900", "47.0100|54.5904|99.9999") == ["JC-22"]
    assert fits(reader, "K35.900", "47.0100|54.5904|00.4000") == ["JC-22"]
    assert fits(reader, "K35.900", "00.0100|47.0100|54.5904") == ["JC-23"]


def test_all_codes_of_an_alternative_with_the_principal_one_among_them(reader: DipReader) -> None:
    assert fits(reader, "C34.900", "40.3x00|32.4100") == fits(reader, "C34.900", "32.4100|40.3X00") == ["JC-24"]
    assert fits(reader, "C34.900", "32.4100") == fits(reader, "C34.900", "47.0100|32.4100|40.3x00") == []


def test_conservative_rows_take_only_cases_without_an_effective_procedure(reader: DipReader) -> None:
    assert fits(reader, "K35.900") == fits(reader, "K35.900", "00.4000") == ["JC-23"]
    assert fits(reader, "K35.900", "47.0900") == []


def test_flags_and_other_diagnoses(reader: DipReader) -> None:
    assert fits(reader, "A15.000x010") == ["BX-14"]
    assert fits(reader, "A16.000|J18.900|u84.300") == ["BX-14"]
    assert fits(reader, "A16.000|A15.000x010") == ["BX-15"]
    assert fits(reader, "T20.200|T31.000") == ["BX-16"]
    assert fits(reader, "T20.200|T31.100|T33.000") == fits(reader, "T20.200") == []


def test_a_diagnosis_anywhere_and_numbers(reader: DipReader) -> None:
    newborn = {"age_years": 0, "age_days": 3}
    assert fits(reader, "P07.000", **newborn, newborn_birth_weight_g=1499) == ["XQ-3"]
    assert fits(reader, "Q20.000|P07.000", **newborn, newborn_birth_weight_g=1000) == ["XQ-3"]
    assert fits(reader, "P07.000", **newborn, newborn_birth_weight_g=1500) == []
    assert fits(reader, "P07.000", **newborn) == fits(reader, "P07.000", age_years=0, newborn_birth_weight_g=1200)
    assert fits(reader, "P07.000", **newborn) == ["XQ-3?"]
    assert fits(reader, "P07.000", age_years=1, newborn_birth_weight_g=1200) == []
    assert fits(reader, "P07.000", age_years=0, age_days=29) == []
    assert fits(reader, "P07.000", age_years=2, age_days=3, newborn_birth_weight_g=1200) == []


@pytest.mark.parametrize(
    ("values", "lacking"),
    [
        ({"age_years": 0, "age_days": 3}, Reason.WEIGHT_UNKNOWN),
        ({"age_years": 0}, Reason.AGE_DAYS_UNKNOWN),
        ({"age_years": None}, Reason.AGE_UNKNOWN),
        ({"age_years": None, "newborn_birth_weight_g": 1200}, Reason.AGE_UNKNOWN),
        ({"age_years": 0, "age_days": 3, "newborn_birth_weight_g": float("nan")}, Reason.WEIGHT_UNKNOWN),
        ({"age_years": 0, "age_days": 3, "newborn_birth_weight_g": 0}, Reason.WEIGHT_UNKNOWN),
        ({"age_years": 0, "age_days": 3, "newborn_birth_weight_g": 12345}, Reason.WEIGHT_UNKNOWN),
    ],
)
def test_what_is_lacking(reader: DipReader, values: dict[str, object], lacking: Reason) -> None:
    (fit, *_), *_ = reader.fits(reader.read(record("P07.000", **values))).values()
    assert (fit.row.row.code, fit.lacking) == ("XQ-3", lacking)


def test_natures(reader: DipReader, tmp_path: Path) -> None:
    # 00.0901: the pack's own table. 36.1200 is 手术, 00.6600 介入治疗, 45.2302 诊断性操作 in the code book.
    codes = ("", "00.0901", "36.1200", "00.6600", "45.2302", "ZZ")
    assert [reader.nature(code) for code in codes] == [1, 3, 4, 4, 2, 1]
    assert DipReader(pack_in(tmp_path, unknown_nature="3")).nature("ZZ") == 3


def test_mixed_groups_from_fine_to_coarse(reader: DipReader) -> None:
    asked = [("A09.000", 1), ("A09.900", 1), ("A09.000", 3), ("A09.000", 4), ("K36.X00", 2), ("K94.X00", 2), ("K", 2)]
    found = [reader.mixed_group(*pair) for pair in asked]
    assert [(row.code, row.level, row.item) if row else None for row in found] == [
        ("A09.0-1", "subcategory", "A09.0"), ("A09-1", "category", "A09"), ("A09-3", "category", "A09"), None,
        ("K-2", "chapter", "K00-K93"), None, None,
    ]  # fmt: skip


def test_a_dagger_scope_wins_over_a_plain_one(reader: DipReader) -> None:
    dagger, plain = reader.mixed_group("A17.000+G01*", 1), reader.mixed_group("A17.000", 1)
    assert dagger is not None
    assert plain is not None
    assert (dagger.code, dagger.item, plain.code, plain.item) == ("A17+-1", "A17+", "A17-1", "A17")


def test_why_there_is_no_group(reader: DipReader) -> None:
    found = [reader.no_group(code) for code in ("ZZZ", "A00.000", "A00.000X001", "A15.000X010")]
    assert found == [
        Reason.PRINCIPAL_UNKNOWN, Reason.PRINCIPAL_GRAY, Reason.NO_DIP_GROUP, Reason.NO_DIP_GROUP,
    ]  # fmt: skip


def test_a_whole_code_of_the_pack_is_known(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, {"code": "own", "principal_dx": "K35.999X999", "px": "47.0100"})
    assert reader.no_group("K35.999X999") is Reason.NO_DIP_GROUP
    assert reader.no_group("K35.999X998") is Reason.PRINCIPAL_UNKNOWN


def test_rows_of_very_many_categories_are_found_as_well(tmp_path: Path) -> None:
    reader = reader_of(
        tmp_path,
        {"code": "wide", "principal_dx": "A00-U99", "px": "47.0100"},
        {"code": "narrow", "principal_dx": "K35", "px": "47.0100"},
        {"code": "any", "px": "47.0100"},
    )
    assert [row.row.code for row in reader.tried("K35.900")] == ["wide", "narrow", "any"]
    assert [row.row.code for row in reader.tried("J18.900")] == ["wide", "any"]
    assert fits(reader, "K35.900", "47.0100") == ["wide", "narrow", "any"]
    assert fits(reader, "V35.900", "47.0100") == ["any"]


def test_scores_are_rounded_half_up() -> None:
    assert score_of(Decimal("0.0001"), Decimal("0.5")) == Decimal("0.0001")
    assert score_of(Decimal("0.0001"), Decimal("0.4999")) == 0
    assert score_of(Decimal("9999999999.9999"), Decimal("999999.9999")) == Decimal("9999999998999900.0000")
    assert score_of(None, Decimal(2)) is None
