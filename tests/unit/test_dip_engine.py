"""Core groups: what a row asks, one condition at a time, and which of several fitting rows wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle.dip_pack_folder import Row, layer
from tests.unit.dip_engine_cases import case, catalog, compiled, groups, results

A, B, C, D = "47.0100", "54.5904", "38.8609", "86.2200x011"
NONE = ""


def test_a_category_a_subcategory_a_range_and_a_whole_code(tmp_path: Path) -> None:
    # A code that no book has falls under what it begins with.
    scheme = compiled(
        tmp_path,
        catalog(
            {"code": "sub", "principal_dx": "K35.0"},
            {"code": "category", "principal_dx": "K36"},
            {"code": "range", "principal_dx": "K40-K42"},
            {"code": "within", "principal_dx": "K50.5-K52.1"},
            {"code": "whole", "principal_dx": "K60.000x001"},
        ),
    )
    found = {
        "K35.000": "sub", "K35.0": "sub", "k35.0x9": "sub", " K35.003 ": "sub", "K35.900": NONE, "K35": NONE,
        "K36.x00": "category", "K36": "category", "K36.9zz": "category", "K37.x00": NONE,
        "K40.900": "range", "K42.900": "range", "K43.900": NONE,
        "K50.400": NONE, "K50.500": "within", "K51.9xx": "within", "K52.1zz": "within", "K52.200": NONE,
        "K60.000x001": "whole", "K60.000": NONE, "K60.000x0011": NONE,
    }  # fmt: skip
    assert dict(zip(found, groups(scheme, *map(case, found)), strict=True)) == found


def test_dagger_and_asterisk(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog(
            {"code": "dagger", "principal_dx": "A17+"},
            {"code": "asterisk", "principal_dx": "G01*"},
            {"code": "plain", "principal_dx": "A17"},
        ),
    )
    cases = ["A17.000+G01*", "A17.000", "G01*", "G01.x00", "A17.0zz+M99*", "G01*+A17"]
    assert groups(scheme, *map(case, cases)) == ["dagger", "plain", "asterisk", NONE, "dagger", "asterisk"]


def test_other_diagnoses_any_diagnosis_and_named_conditions(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog(
            {"code": "other", "number": 1, "principal_dx": "K35", "other_dx": "E10-E11"},
            {"code": "anywhere", "number": 2, "any_dx": "P07"},
            {"code": "flagged", "number": 3, "principal_dx": "A15", "flag": "耐药"},
            {"code": "not flagged", "number": 4, "principal_dx": "A15", "flag": "!耐药"},
            flag=[
                {"flag": "耐药", "role": "principal", "item": "A15.000x010"},
                {"flag": "耐药", "role": "other", "item": "U84.300"},
            ],
        ),
    )
    found = {
        "K35.900|E11.900": "other", "K35.900|I10.x00|E10.900": "other", "K35.900": NONE, "E11.900|K35.900": NONE,
        "P07.200": "anywhere", "K80.100|P07.300": "anywhere",
        "A15.000x010": "flagged", "A15.000|U84.300": "flagged", "A15.000": "not flagged",
        "A15.100|A15.000x010": "not flagged",
    }  # fmt: skip
    assert dict(zip(found, groups(scheme, *map(case, found)), strict=True)) == found


@pytest.mark.parametrize(
    ("mode", "px", "fits", "fits_not"),
    [
        ("any", "", ["", A, f"{A}|{B}"], []),
        ("none", "", ["", "|"], [A, "99.nope", f"|{A}"]),
        ("principal", f"{A}|{B}", [A, B, f"{A}|{C}", f"|{A}"], ["", C, f"{C}|{A}"]),
        ("principal", f"{A}+{B}", [f"{A}|{B}", f"{B}|{A}", f"{A}|{C}|{B}", f"{A}|{A}|{B}"], [A, f"{C}|{A}|{B}"]),
        ("anywhere", f"{A}|{B}", [A, f"{C}|{B}", f"{C}|{A}|{B}"], ["", C]),
        ("anywhere", f"{A}+{B}", [f"{C}|{A}|{B}", f"{B}|{A}"], [A, f"{A}|{C}"]),
        ("exact", f"{A}|{B}+{C}", [A, f"{A}|{A}", f"{C}|{B}", f"{B}|{C}|{B}", f"|{A}"], ["", f"{A}|{B}|{C}", B]),
        ("exact", f"{A}|{A}+{B}", [A, f"{A}|{B}"], [f"{A}|99.nope", f"{A}|{B}|99.nope", f"{A}|{C}"]),
    ],
)  # fmt: skip
def test_procedures(tmp_path: Path, mode: str, px: str, fits: list[str], fits_not: list[str]) -> None:
    scheme = compiled(tmp_path, catalog({"code": "row", "principal_dx": "K35", "px_mode": mode, "px": px}))
    assert groups(scheme, *(case("K35.900", codes) for codes in fits)) == ["row"] * len(fits)
    assert groups(scheme, *(case("K35.900", codes) for codes in fits_not)) == [NONE] * len(fits_not)


def test_procedures_compare_in_any_case_of_letters(tmp_path: Path) -> None:
    scheme = compiled(tmp_path, catalog({"code": "row", "principal_dx": "K35", "px": "86.2200x011"}))
    given = ["86.2200x011", "86.2200X011", " 86.2200x011"]
    assert groups(scheme, *(case("K35.900", code) for code in given)) == ["row"] * 3


def test_related_procedures_stand_beside_the_principal_one(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog({"code": "row", "principal_dx": "O34", "px": A, "related_px": f"{B}|{C}+{D}|{A}"}),
    )
    found = {
        f"{A}|{B}": "row", f"{A}|{D}|{C}": "row", f"{A}|{A}": "row", f"{A}|": NONE,
        A: NONE, f"{A}|{C}": NONE, f"{B}|{A}": NONE,
    }  # fmt: skip
    assert dict(zip(found, groups(scheme, *(case("O34.200", codes) for codes in found)), strict=True)) == found


def test_layers_are_tried_in_order_and_the_first_with_a_row_wins(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog(
            {"layer": "late", "code": "narrow", "number": 1, "principal_dx": "K35.9", "px": A},
            {"layer": "early", "code": "wide", "number": 2, "principal_dx": "K35-K37", "px_mode": "any"},
            layers=(layer("late", 2), layer("early", 1)),
        ),
    )
    assert [(row["dip"], row["layer"], row["rows_fit"]) for row in results(scheme, case("K35.900", A))] == [
        ("wide", "early", 1)
    ]


SPECIFIC, NUMBER = layer("L", 1, "specific"), layer("L", 1, "number")


@pytest.mark.parametrize(
    ("rows", "diagnoses", "procedures", "specific", "by_number"),
    [
        # the narrower item; any principal diagnosis is the widest
        ([("1", "*", A, ""), ("2", "K35", A, ""), ("3", "K35.9", A, "")], "K35.900", A, "3", "1"),
        ([("1", "K35.9", A, ""), ("2", "K35.900", A, "")], "K35.900", A, "2", "1"),
        # a range is as wide as its shorter end; only items that match count
        ([("1", "K35-K36.9", A, ""), ("2", "K30.0-K38.9", A, "")], "K35.900", A, "2", "1"),
        ([("1", "K35|K80.1", A, ""), ("2", "K35.9|K80", A, "")], "K80.100", A, "1", "1"),
        ([("1", "K35|K80.1", A, ""), ("2", "K35.9|K80", A, "")], "K35.900", A, "2", "1"),
        # more procedures asked for, related ones counted with them; only alternatives that fit count
        ([("1", "K35", A, ""), ("2", "K35", f"{A}+{B}", "")], "K35.900", f"{A}|{B}", "2", "1"),
        ([("1", "K35", A, ""), ("2", "K35", A, B)], "K35.900", f"{A}|{B}", "2", "1"),
        ([("1", "K35", A, B), ("2", "K35", f"{A}+{B}", C)], "K35.900", f"{A}|{B}|{C}", "2", "1"),
        ([("1", "K35", A, f"{B}+{C}"), ("2", "K35", f"{A}+{B}", "")], "K35.900", f"{A}|{B}|{C}", "1", "1"),
        ([("1", "K35", f"{A}|{B}+{C}", ""), ("2", "K35", f"{A}+{D}", "")], "K35.900", f"{A}|{D}", "2", "1"),
        # the item comes before the number of procedures
        ([("1", "K35", f"{A}+{B}", ""), ("2", "K35.9", A, "")], "K35.900", f"{A}|{B}", "2", "1"),
        # then the lowest number, whatever the order in the file
        ([("9", "K35", f"{A}|{C}", ""), ("5", "K35", f"{A}|{B}", "")], "K35.900", A, "5", "5"),
    ],
)  # fmt: skip
def test_precedence(
    tmp_path: Path,
    rows: list[tuple[str, str, str, str]],
    diagnoses: str,
    procedures: str,
    specific: str,
    by_number: str,
) -> None:
    core = [
        {"code": number, "number": number, "principal_dx": dx, "px": px, "related_px": related}
        for number, dx, px, related in rows
    ]
    for name, order, expected in (("specific", SPECIFIC, specific), ("number", NUMBER, by_number)):
        scheme = compiled(tmp_path / name, catalog(*core, layers=(order,)))
        found = results(scheme, case(diagnoses, procedures))[0]
        assert (found["dip"], found["rows_fit"]) == (expected, len(rows)), name


def exact(of: str, code: str, number: int, principal: str, px: str) -> Row:
    return {"layer": of, "code": code, "number": number, "principal_dx": principal, "px_mode": "exact", "px": px}


def test_rows_of_combinations_and_of_principal_procedures_stand_in_one_order(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog(
            exact("1", "pair", 1, "K35.9", f"{A}+{B}"),
            {"layer": "1", "code": "one", "number": 2, "principal_dx": "K35.9", "px": A},
            exact("1", "wide", 3, "K35", f"{A}|{C}"),
            exact("2", "late", 4, "K35", f"{A}+{C}|{D}"),
            {"layer": "2", "code": "late too", "number": 5, "principal_dx": "K35", "px": D},
            {**exact("2", "aged", 6, "K36", A), "age_days": "0-28"},
            {**exact("2", "ill", 7, "K36", A), "other_dx": "E11"},
            layers=(layer("1", 1), layer("2", 2)),
        ),
    )  # fmt: skip
    found = results(
        scheme,
        case("K35.900", f"{A}|{B}"),  # both fit, the pair asks for two
        case("K35.900", A),  # the principal procedure by the narrower item, the combination by the wider one
        case("K35.900", C),
        case("K35.900", f"{C}|{A}"),  # no row of the first layer
        case("K35.900", f"{A}|{C}"),  # one of the first layer: the second layer's does not count
        case("K35.900", D),  # a combination and a principal procedure tie but for the number
        case("K36.x00", A, age_years=0, age_days=3),
        case("K36.x00|E11.900", A, age_years=0, age_days=30),
        case("K36.x00|E11.900", A, age_years=0),
        case("K36.x00", A),
    )
    assert [(row["dip"] or row["reason"], row["rows_fit"]) for row in found] == [
        ("pair", 2), ("one", 2), ("wide", 1), ("late", 1), ("one", 1), ("late", 2), ("aged", 1), ("ill", 1),
        ("AGE_DAYS_UNKNOWN", 0), (found[-1]["reason"], 0),
    ]  # fmt: skip


def test_a_row_that_fits_in_several_ways_counts_once(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog(
            {
                "code": "many",
                "number": 2,
                "principal_dx": "K35|K35.9|K35.900",
                "px": f"{A}|{A}+{B}|{A}+{C}",
                "related_px": f"{B}|{B}+{C}",
            },
            {"code": "one", "number": 1, "principal_dx": "K35.9", "px_mode": "any"},
        ),
    )
    found = results(scheme, case("K35.900", f"{A}|{B}|{C}"))[0]
    assert (found["dip"], found["rows_fit"]) == ("many", 2)
