"""Which codes a result names, and which codes of a file are listed as unknown or grey."""

from __future__ import annotations

from pathlib import Path

from grouper.engine import grouper_of
from grouper.unknown_codes import UnknownCodes
from tests.oracle.dip_pack_folder import Row
from tests.unit.dip_engine_cases import Case, case, catalog, compiled, frame_of, results

A, B, C, D, E = "47.0100", "54.5904", "38.8609", "86.2200x011", "99.2503"


def used(folder: Path, row: Row, *cases: Case, **tables: list[Row]) -> list[str]:
    """Used codes of cases put through a catalog of one row."""
    return [one["used_codes"] for one in results(compiled(folder, catalog({"code": "row", **row}, **tables)), *cases)]


def test_diagnoses_in_the_order_of_the_record_each_once(tmp_path: Path) -> None:
    flag: list[Row] = [
        {"flag": "耐药", "role": "principal", "item": "A15.000x010"},
        {"flag": "耐药", "role": "other", "item": "U84.300"},
    ]
    row: Row = {"principal_dx": "A15|K35", "other_dx": "E10-E11", "any_dx": "I10|A15", "flag": "耐药", "px_mode": "any"}
    assert used(
        tmp_path,
        row,
        case("A15.000|U84.300|J18.900|E11.900|I10.x00x002|E11.900|A15.000|A15.100"),
        case("A15.000x010|E11.9zz|E11.9ZZ|E11.9yx|I10.X00X002"),
        case("A15.000x010|I10.x00x002"),
        flag=flag,
    ) == [
        "A15.000|U84.300|E11.900|I10.x00x002|A15.100",
        "A15.000x010|E11.9ZZ|E11.9Yx|I10.x00x002",
        "",
    ]


def test_a_condition_that_must_not_hold_names_no_code(tmp_path: Path) -> None:
    flag: list[Row] = [{"flag": "耐药", "role": "other", "item": "U84.300"}]
    row: Row = {"principal_dx": "A15", "flag": "!耐药", "px_mode": "any"}
    assert used(tmp_path, row, case("A15.000|U84.3", A), flag=flag) == ["A15.000"]


def test_procedures_of_the_alternatives_that_fit(tmp_path: Path) -> None:
    cases = {
        "principal": ({"px": f"{A}|{B}"}, f"{A}|{B}|{A}", f"|{A}"),
        "principal of several": ({"px": f"{A}+{B}|{B}+{C}|{A}|{A}+{D}"}, f"{A}|{C}|{B}|{E}", f"|{A}|{B}"),
        "related": ({"px": A, "related_px": f"{B}|{C}"}, f"{A}|{C}|{E}|{B}|{C}", f"|{A}|{C}|{B}"),
        "related of several": ({"px": A, "related_px": f"{B}+{C}|{C}+{D}|{E}"}, f"{A}|{D}|{C}", f"|{A}|{D}|{C}"),
        "related twice": ({"px": A, "related_px": f"{A}+{B}|{C}"}, f"{A}|{C}|{B}", f"|{A}|{C}"),
        "anywhere": ({"px": f"{A}|{B}", "px_mode": "anywhere"}, f"{C}|{B}|{A}", f"|{B}|{A}"),
        "anywhere of several": ({"px": f"{A}+{B}|{C}", "px_mode": "anywhere"}, f"{B}|{D}|{C}", f"|{C}"),
        "exact": ({"px": f"{A}+{B}|{A}", "px_mode": "exact"}, f"{B}|{A}|{D}|{B}", f"|{B}|{A}"),
        "none": ({"px_mode": "none"}, D, ""),
        "any": ({"px_mode": "any"}, A, ""),
    }  # fmt: skip
    conservative: list[Row] = [{"code": D, "name": "保守", "rule": "conservative", "principal_dx": ""}]
    for name, (row, procedures, expected) in cases.items():
        asked: Row = {"principal_dx": "K35", **row}
        found = used(tmp_path / name, asked, case("K35.900", procedures), excluded_px=conservative)
        assert found == [f"K35.900{expected}"], name


def test_a_mixed_group_names_the_principal_diagnosis_and_the_procedure_that_decided_it(tmp_path: Path) -> None:
    levels = (1, 3, 4)
    mixed: list[Row] = [
        {"code": f"K35-{nature}", "name": "综合", "level": "category", "scope": "K35", "nature": nature}
        for nature in levels
    ]
    excluded: list[Row] = [{"code": D, "name": "不作主要", "rule": "not_principal", "principal_dx": ""}]
    row: Row = {"principal_dx": "Z99.9", "px_mode": "none"}
    cases = [case("K35.900|E11.900", A), case("K35.900", f"{D}|{E}|{A}"), case("K35.900", D), case("K35.900", "zz.x")]
    assert used(tmp_path / "1", row, *cases, case("Z98.800", A), mixed=mixed, excluded_px=excluded) == [
        f"K35.900|{A}",
        f"K35.900|{E}",
        "K35.900",
        "K35.900",
        "",
    ]
    text = catalog({"code": "row", **row}, mixed=mixed, meta={"unknown_nature": "3"})
    (unknown,) = results(compiled(tmp_path / "2", text), case("K35.900", " zz.x"))
    assert (unknown["dip"], unknown["used_codes"]) == ("K35-3", "K35.900|ZZ.x")


def test_unknown_and_grey_codes_are_listed_with_what_becomes_of_them(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog(
            {"code": "row", "principal_dx": "A00.000|A00.1|A01", "px": "47.0100|00.0100"},
            primary_care=[{"number": 1, "principal_dx": "A01.9zz", "px": "99.9999"}],
        ),
    )
    cases = frame_of(
        [
            case("A00.000|A01.001+K77.0*|A01.9zz", "00.0100|99.9999"),  # the catalog names them all, or the book does
            case("A00.100|A01.9zy|nonsense|", "|99.nope|00.0200|47.0100"),
        ]
    )
    found = UnknownCodes(scheme).problems(cases, grouper_of(scheme).encode(cases), file="m.csv")
    assert found.select("row", "code", "field", "value").rows() == [
        (3, "GR01", "diagnoses", "nonsense"),
        (3, "GR01", "diagnoses", "A01.9zy"),
        (3, "GR03", "diagnoses", "A00.100"),
        (3, "GR02", "procedures", "99.nope"),
        (3, "GR04", "procedures", "00.0200"),
    ]
    assert found["message"].to_list() == [
        "诊断编码不在目录：nonsense，不参与分组",
        "诊断编码不在目录：A01.9zy，只按所属类目、亚目参与分组",
        "诊断灰码：A00.100，只按所属类目、亚目参与分组",
        "手术操作编码不在目录：99.nope，不符合任何核心病种要求的手术操作，作主要手术操作时只按其性质归入综合病种",
        "手术操作灰码：00.0200，不符合任何核心病种要求的手术操作，作主要手术操作时只按其性质归入综合病种",
    ]


def test_several_codes_in_the_place_of_one_are_told_how_to_stand_apart(tmp_path: Path) -> None:
    scheme = compiled(tmp_path, catalog({"code": "row", "principal_dx": "A00"}))
    glued = ("K35.900;I10.x00", "K35.900，I10.x00", "Ｋ35.900", "K35.900 I10.x00")
    cases = frame_of([case("|".join(glued)), case("nonsense", "47.0100;47.0900"), case(" nonsense ", "zz")])
    found = UnknownCodes(scheme).problems(cases, grouper_of(scheme).encode(cases))
    told = {row["value"]: "须用半角 | 隔开" in row["message"] for row in found.rows(named=True)}
    apart = dict.fromkeys((*glued, "47.0100;47.0900"), True)
    assert told == {**apart, "nonsense": False, " nonsense ": False, "zz": False}
