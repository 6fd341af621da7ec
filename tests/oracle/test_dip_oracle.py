"""The DIP oracle itself: worked cases and small catalogs whose answers a person wrote down."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.oracle.dip_oracle import DipAnswer, DipCase, DipOracle
from tests.oracle.dip_pack_folder import DipText, Row, layer
from tests.oracle.dip_sample_pack import sample_pack
from tests.oracle.dip_tables import Item, alternatives_of, items_of, span_of
from tests.oracle.dip_worked_cases import WorkedCase, worked_cases


@pytest.fixture(scope="module")
def national(tmp_path_factory: pytest.TempPathFactory) -> DipOracle:
    return DipOracle(sample_pack().write(tmp_path_factory.mktemp("national")))


@pytest.mark.parametrize("worked", worked_cases(), ids=lambda worked: worked.case.case_id)
def test_worked_cases(national: DipOracle, worked: WorkedCase) -> None:
    answer = national.group(worked.case)
    assert worked.agrees(answer), answer


def test_the_answer_has_every_column(national: DipOracle) -> None:
    case = DipCase(diagnoses=("K35.900x003",), procedures=("47.0100", "99.1800"))
    assert national.group(case) == DipAnswer(
        "GROUPED", "", "core", "JC", "JC-3625", "病种 JC-3625", None, "", Decimal(1), None, True, 1,
        "K35.900x003|47.0100",
    )  # fmt: skip
    assert national.group(DipCase(diagnoses=("I25.1",), procedures=("36.1200",)))[2:6] == (
        "mixed", "category", "I25-4", "综合病种 I25",
    )  # fmt: skip
    assert national.group(DipCase(diagnoses=("I25.1",), defect="GE01")) == DipAnswer("INVALID", "GE01")


def small(tmp_path: Path, *core: Row, precedence: str = "specific", **tables: list[Row]) -> DipOracle:
    """A catalog of one layer L with these core rows, and other tables; `meta` as (key, value) rows."""
    meta = {str(row["key"]): str(row["value"]) for row in tables.pop("meta", [])}
    rows: list[Row] = [{"layer": "L", **row} for row in core]
    text = DipText({"layer": [layer("L", 1, precedence)], "core": rows, **tables}, meta)
    return DipOracle(text.write(tmp_path))


def dip(oracle: DipOracle, diagnoses: str, procedures: str = "", **values: int) -> str:
    """The group (or the reason) of a case with codes joined by |."""
    case = DipCase(diagnoses=tuple(diagnoses.split("|")), procedures=tuple(procedures.split("|")), **values)
    answer = oracle.group(case)
    return answer.dip or answer.reason


@pytest.mark.parametrize(
    ("cell", "code", "holds"),
    [
        ("A09", "A09.900", True), ("A09", "A09", True), ("A09", "A0", False), ("A09.0", "A09.000X001", True),
        ("A09.0", "A09", False), ("A09.0", "A09.900", False), ("A15-A16", "A16.900", True),
        ("A15-A16", "A17.000", False), ("A15-A16", "A1", False), ("A15.3-A16", "A15.200", False),
        ("A15.3-A16", "A15.300", True), ("A15.3-A16", "A16.900", True), ("M47.0+", "M47.000+G99.2*", True),
        ("M47.0+", "M47.000", False), ("G01*", "G01.X00*", True), ("G01*", "G01.X00", False),
        ("A17+", "A17.000+G01*", True), ("I10.x00", "I10.X00", True), ("I10.x00", "I10.X00X002", False),
        ("I10.X", "I10.X00", True), ("M47.000+G99.2*", "M47.000+G99.2*", True),
    ],
)  # fmt: skip
def test_items_of_diagnosis_cells(cell: str, code: str, holds: bool) -> None:
    (item,) = items_of(cell)
    assert item.holds(code) is holds


def test_cells() -> None:
    assert items_of("A09.0|C00-C75.1|M47.0+|I10.x00") == (
        Item("A09.0", "A09.0", "", whole=False),
        Item("C00", "C75.1", "", whole=False),
        Item("M47.0", "M47.0", "+", whole=False),
        Item("I10.X00", "I10.X00", "", whole=True),
    )
    assert [item.narrowness for item in items_of("A09.0|C00-C75.1|M47.0+|A17|I10.x00")] == [4, 3, 4, 3, 9]
    assert items_of("*") == items_of("") == ()
    assert alternatives_of("99.2503+99.2800x005|74.1x01") == ({"99.2503", "99.2800X005"}, {"74.1X01"})
    assert [span_of(cell) for cell in ("", "0-28", "29-", "-28")] == [None, (0, 28), (29, None), (None, 28)]


def test_px_modes(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"code": "EXACT", "principal_dx": "A01", "px_mode": "exact", "px": "38.0100+38.0200|38.0300"},
        {"code": "WHERE", "principal_dx": "A01", "px_mode": "anywhere", "px": "38.0400+38.0500"},
        {"code": "FIRST", "principal_dx": "A01", "px": "38.0600+38.0700"},
        {"code": "NONE", "principal_dx": "A01"},
        {"code": "ANY", "principal_dx": "A02", "px_mode": "any"},
    ]
    oracle = small(tmp_path, *rows)
    assert dip(oracle, "A01.0", "38.0200|38.0100|38.0200") == "EXACT"
    assert dip(oracle, "A01.0", "38.0200|38.0100|99.9999") == "PRINCIPAL_UNKNOWN"
    assert dip(oracle, "A01.0", "38.0300") == "EXACT"
    assert dip(oracle, "A01.0", "38.0100|38.0300") == "PRINCIPAL_UNKNOWN"
    assert dip(oracle, "A01.0", "38.0300|38.0400||38.0500") == "WHERE"
    assert dip(oracle, "A01.0", "38.0700|38.0600") == "FIRST"
    assert dip(oracle, "A01.0", "38.0100|38.0600|38.0700") == "PRINCIPAL_UNKNOWN"
    assert dip(oracle, "A01.0", "|") == "NONE"
    assert dip(oracle, "A01.0") == "NONE"
    assert dip(oracle, "A02.0") == dip(oracle, "A02.0", "38.0100") == "ANY"


def test_a_repeated_principal_procedure_is_also_an_other_procedure(tmp_path: Path) -> None:
    oracle = small(tmp_path, {"code": "TWICE", "px": "38.0100", "related_px": "38.0100"})
    assert dip(oracle, "A01.0", "38.0100|38.0100") == "TWICE"
    assert dip(oracle, "A01.0", "38.0100|38.0200") == "PRINCIPAL_UNKNOWN"


EXCLUDED: list[Row] = [
    {"code": "38.0100", "rule": "conservative"},
    {"code": "38.0200", "rule": "not_principal"},
    {"code": "38.0300", "rule": "with_principal", "principal_dx": "A01|B02"},
    {"code": "38.0300", "rule": "conservative"},
]


def test_the_effective_principal_procedure(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"code": "P3", "px": "38.0300"},
        {"code": "P4", "px": "38.0400", "related_px": "38.0200|38.0100"},
        {"code": "P5", "px": "38.0500"},
        {"code": "NONE"},
    ]
    oracle = small(tmp_path, *rows, excluded_px=EXCLUDED)
    assert dip(oracle, "A01.0", "38.0300") == "P3"
    assert dip(oracle, "C03.0", "38.0300") == "NONE"
    assert dip(oracle, "C03.0", "38.0300|38.0500") == "P5"
    assert dip(oracle, "A01.0", "38.0200|38.0500") == "P5"
    assert dip(oracle, "A01.0", "38.0200|38.0400") == "P4"
    assert dip(oracle, "A01.0", "38.0400|38.0100") == "P4"
    assert dip(oracle, "A01.0", "38.0100|38.0500") == "NONE"
    assert dip(oracle, "A01.0", "38.0200|38.0100|38.0500") == "NONE"
    assert dip(oracle, "A01.0", "99.9999|38.0500") == "PRINCIPAL_UNKNOWN"


def test_the_effective_principal_procedure_behind_a_conservative_one(tmp_path: Path) -> None:
    rows: list[Row] = [{"code": "P5", "px": "38.0500"}, {"code": "NONE"}]
    skip: list[Row] = [{"key": "conservative", "value": "skip"}]
    oracle = small(tmp_path, *rows, excluded_px=EXCLUDED, meta=skip)
    assert dip(oracle, "A01.0", "38.0100|38.0500") == "P5"
    assert dip(oracle, "A01.0", "38.0100") == "NONE"


def test_exact_leaves_conservative_procedures_out(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"code": "FOUR", "px_mode": "exact", "px": "38.0400"},
        {"code": "TWO_FOUR", "px_mode": "exact", "px": "38.0200+38.0400"},
    ]
    oracle = small(tmp_path, *rows, excluded_px=EXCLUDED)
    assert dip(oracle, "A01.0", "38.0400|38.0100") == "FOUR"
    assert dip(oracle, "A01.0", "38.0200|38.0400") == "TWO_FOUR"
    assert dip(oracle, "A01.0", "38.0100|38.0400") == "PRINCIPAL_UNKNOWN"


def test_precedence(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"code": "ANY", "px_mode": "any", "number": 1},
        {"code": "WIDE", "principal_dx": "A00-A09.3", "px_mode": "any", "number": 2},
        {"code": "NARROW", "principal_dx": "B01|A01.0", "px_mode": "any", "number": 9},
        {"code": "ONE", "principal_dx": "A02", "px": "38.0100", "number": 8},
        {"code": "TWO", "principal_dx": "A02", "px": "38.0100|38.0100+38.0200", "number": 7},
        {"code": "PAIR", "principal_dx": "A02", "px": "38.0100", "related_px": "38.0200", "number": 6},
        {"code": "LATE", "principal_dx": "A02", "px": "38.0100", "related_px": "38.0200", "number": 6},
        {"code": "WHOLE", "principal_dx": "A02.100", "px_mode": "any", "number": 10},
    ]
    oracle = small(tmp_path / "specific", *rows)
    assert dip(oracle, "A01.0") == "NARROW"
    assert dip(oracle, "A01.1") == "WIDE"
    assert dip(oracle, "A02.0", "38.0100") == "TWO" != dip(oracle, "A02.0", "38.0300")
    assert dip(oracle, "A02.0", "38.0100|38.0200") == "PAIR"
    assert dip(oracle, "A02.100", "38.0100|38.0200") == "WHOLE"
    assert dip(oracle, "Z00.0") == "ANY"
    by_number = small(tmp_path / "number", *rows, precedence="number")
    assert {dip(by_number, code, "38.0100|38.0200") for code in ("A01.0", "A02.0", "A02.100", "Z00.0")} == {"ANY"}
    fits = oracle.group(DipCase(diagnoses=("A02.100",), procedures=("38.0100", "38.0200")))
    assert fits.rows_fit == 7


def test_other_diagnoses_any_diagnosis_and_flags(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"code": "OTHER", "principal_dx": "A01", "other_dx": "C00-C75"},
        {"code": "ANYWHERE", "any_dx": "P07"},
        {"code": "FLAGGED", "principal_dx": "A02", "flag": "耐药"},
        {"code": "NOT", "principal_dx": "A02|A03", "flag": "!耐药"},
    ]
    flag: list[Row] = [
        {"flag": "耐药", "role": "principal", "item": "A02.000x001"},
        {"flag": "耐药", "role": "other", "item": "U84.300"},
    ]
    oracle = small(tmp_path, *rows, flag=flag)
    assert dip(oracle, "A01.0|C50.0") == "OTHER"
    assert dip(oracle, "C50.0|A01.0") == "PRINCIPAL_UNKNOWN"
    assert dip(oracle, "P07.1") == dip(oracle, "Z00.0|P07.1") == "ANYWHERE"
    assert dip(oracle, "A02.000x001") == dip(oracle, "A02.1|U84.300") == "FLAGGED"
    assert dip(oracle, "A02.1") == dip(oracle, "A03.1|A02.000x001") == "NOT"
    used = oracle.group(DipCase(diagnoses=("A02.1", "I10.x00", "u84.300", "U84.300"))).used_codes
    assert used == "A02.1|U84.300"


def test_unknown_numbers_matter_only_before_the_answer(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"code": "FIRST", "principal_dx": "A01", "px": "38.0100", "number": 1},
        {"code": "NEWBORN", "principal_dx": "A01", "age_days": "-28", "birth_weight_g": "500-", "number": 2},
        {"code": "REST", "principal_dx": "A01", "number": 3},
    ]
    oracle = small(tmp_path, *rows, precedence="number")
    assert dip(oracle, "A01.0", "38.0100") == "FIRST"
    assert dip(oracle, "A01.0", age_days=28, newborn_birth_weight_g=500) == "NEWBORN"
    assert dip(oracle, "A01.0", age_days=29) == dip(oracle, "A01.0", age_years=1) == "REST"
    assert dip(oracle, "A01.0", age_days=3, newborn_birth_weight_g=499) == "REST"
    assert dip(oracle, "A01.0", newborn_birth_weight_g=499) == "REST"
    assert dip(oracle, "A01.0", age_days=3) == "WEIGHT_UNKNOWN"
    assert dip(oracle, "A01.0", age_years=0, newborn_birth_weight_g=900) == "AGE_DAYS_UNKNOWN"
    assert dip(oracle, "A01.0", age_years=0) == "AGE_DAYS_UNKNOWN"
    assert dip(oracle, "A01.0", newborn_birth_weight_g=900) == "AGE_UNKNOWN"


MIXED: list[Row] = [
    {"code": "CHAPTER", "level": "chapter", "scope": "A00-B99", "nature": 1},
    {"code": "PLAIN", "level": "category", "scope": "A17", "nature": 1},
    {"code": "DAGGER", "level": "category", "scope": "A17+", "nature": 1},
    {"code": "SUB", "level": "subcategory", "scope": "A17.8", "nature": 1},
    {"code": "SUB2", "level": "subcategory", "scope": "A17.8", "nature": 2},
    {"code": "STAR", "level": "category", "scope": "G01*", "nature": 4},
]


def test_mixed_groups(tmp_path: Path) -> None:
    nature: list[Row] = [{"code": "47.0100", "nature": 1}, {"code": "38.0X00", "nature": 4}]
    oracle = small(tmp_path / "one", mixed=MIXED, nature=nature)
    assert dip(oracle, "A17.9") == "PLAIN"
    assert dip(oracle, "A17.000+G01*") == "DAGGER"
    assert dip(oracle, "A17.800+G01*") == "SUB"
    assert dip(oracle, "A18.0", "47.0100") == dip(oracle, "B99.0", "99.9999") == "CHAPTER"
    assert dip(oracle, "A17.8", "44.1401") == "SUB2"
    assert dip(oracle, "A17.0", "44.1401") == "PRINCIPAL_UNKNOWN"
    assert dip(oracle, "G01*", "38.0x00") == dip(oracle, "G01*", "47.0901") == "STAR"
    second: list[Row] = [{"key": "unknown_nature", "value": "2"}]
    unknown = small(tmp_path / "two", mixed=MIXED, meta=second)
    assert dip(unknown, "A17.8", "99.9999") == "SUB2"


def test_reasons_without_a_group(tmp_path: Path) -> None:
    rows: list[Row] = [{"code": "ROW", "principal_dx": "A99.9000", "px": "38.0100"}]
    oracle = small(tmp_path, *rows, excluded_dx=[{"code": "I10.x00"}])
    assert dip(oracle, " i10.X00 ") == "PRINCIPAL_BLOCKED"
    assert dip(oracle, "A00.000x001") == dip(oracle, "A99.9000") == "NO_DIP_GROUP"
    assert dip(oracle, "A00.000") == "PRINCIPAL_GRAY"
    assert dip(oracle, "A00.0") == dip(oracle, "K99.900") == "PRINCIPAL_UNKNOWN"
    assert dip(oracle, "  |A00.000x001") == "PRINCIPAL_MISSING"
    assert oracle.group(DipCase(diagnoses=None, procedures=None)).reason == "PRINCIPAL_MISSING"
    assert oracle.group(DipCase(diagnoses=(None, "A99.9000"))).reason == "PRINCIPAL_MISSING"


def test_scores_and_primary_care(tmp_path: Path) -> None:
    rows: list[Row] = [{"code": "ROW", "principal_dx": "A01", "px_mode": "any"}]
    care: list[Row] = [
        {"number": 1, "principal_dx": "A01.0", "px": ""},
        {"number": 2, "principal_dx": "A01.1", "px": "38.0100|38.0200+38.0300"},
    ]
    oracle = small(tmp_path, *rows, score=[{"code": "ROW", "score": "123.4567"}], primary_care=care)
    answer = oracle.group(DipCase(diagnoses=("A01.0",)))
    assert (answer.base_score, answer.factor, answer.score) == (Decimal("123.4567"), 1, Decimal("123.4567"))

    def marked(principal: str, *procedures: str) -> bool:
        return oracle.group(DipCase(diagnoses=(principal,), procedures=procedures)).primary_care

    assert [marked("A01.0"), marked("A01.0", "38.0100")] == [True, False]
    assert [marked("A01.1"), marked("A01.1", "38.0100"), marked("A01.1", "38.0300", "38.0200")] == [False, True, True]
    assert [marked("A01.1", "38.0400", "38.0100"), marked("A01.1", "38.0200")] == [False, False]
