"""What comes before and after the core groups: cleaning, mixed groups, unknown numbers, marks, scores, reasons."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.oracle.dip_pack_folder import Row, layer
from tests.unit.dip_engine_cases import case, catalog, compiled, groups, results

A, B, C, D = "47.0100", "54.5904", "38.8609", "86.2200x011"
OPERATION, THERAPY, DIAGNOSTIC, INTERVENTION = "47.0100", "99.2503", "45.1300x004", "36.0700"


def excluded(code: str, rule: str, principal: str = "") -> Row:
    return {"code": code, "name": "不作主要", "rule": rule, "principal_dx": principal}


ROWS: tuple[Row, ...] = (
    {"code": "A", "principal_dx": "K35", "px": A},
    {"code": "B", "principal_dx": "K35", "px": B},
    {"code": "none", "principal_dx": "K35", "px_mode": "none"},
)


def test_a_procedure_that_is_not_principal_gives_way_to_the_next(tmp_path: Path) -> None:
    scheme = compiled(tmp_path, catalog(*ROWS, excluded_px=[excluded(C, "not_principal")]))
    given = [f"{C}|{A}", f"|{C}||{B}|{A}", f"{C}|{C}", C, ""]
    assert groups(scheme, *(case("K35.900", px) for px in given)) == ["A", "B", "none", "none", "none"]


def test_a_procedure_that_asks_for_certain_principal_diagnoses(tmp_path: Path) -> None:
    rows = [{"code": name, "principal_dx": dx, "px": A} for name, dx in (("K35", "K35"), ("K36", "K36"))]
    rows += [{"code": f"{dx}B", "principal_dx": dx, "px": B} for dx in ("K35", "K36")]
    scheme = compiled(tmp_path, catalog(*rows, excluded_px=[excluded(A, "with_principal", "K35.9|K36.x00x001")]))
    found = {"K35.900": "K35", "K35.000": "K35B", "K36.x00": "K36B", "K36.x00x001": "K36"}
    assert dict(zip(found, groups(scheme, *(case(dx, f"{A}|{B}") for dx in found)), strict=True)) == found


@pytest.mark.parametrize(("setting", "expected"), [("case", ["none", "A", "none"]), ("skip", ["A", "A", "none"])])
def test_a_conservative_procedure_makes_the_case_conservative_or_is_skipped(
    tmp_path: Path, setting: str, expected: list[str]
) -> None:
    scheme = compiled(
        tmp_path, catalog(*ROWS, excluded_px=[excluded(C, "conservative")], meta={"conservative": setting})
    )
    assert groups(scheme, *(case("K35.900", px) for px in (f"{C}|{A}", f"{A}|{C}", C))) == expected


def test_an_excluded_procedure_still_counts_beside_and_anywhere(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog(
            {"code": "related", "principal_dx": "K35", "px": A, "related_px": C},
            {"code": "anywhere", "principal_dx": "K36", "px_mode": "anywhere", "px": D},
            excluded_px=[excluded(C, "not_principal"), excluded(D, "conservative")],
        ),
    )
    assert groups(scheme, case("K35.900", f"{C}|{A}"), case("K36.x00", D)) == ["related", "anywhere"]


def test_a_combination_leaves_conservative_procedures_out_and_keeps_the_others(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog(
            {"code": "A", "principal_dx": "K35", "px_mode": "exact", "px": A},
            {"code": "A+B", "principal_dx": "K35", "px_mode": "exact", "px": f"{A}+{B}"},
            excluded_px=[excluded(C, "conservative"), excluded(B, "not_principal")],
        ),
    )
    found = {
        f"{A}|{C}": "A", f"{B}|{A}": "A+B", f"{A}|{C}|{B}": "A+B", f"{C}|{A}": "", B: "", A: "A",
        f"{A}|{C}|99.nope": "",
    }  # fmt: skip
    assert dict(zip(found, groups(scheme, *(case("K35.900", px) for px in found)), strict=True)) == found


def test_an_unknown_procedure_is_a_procedure(tmp_path: Path) -> None:
    scheme = compiled(tmp_path, catalog(*ROWS))
    assert groups(scheme, case("K35.900", f"99.nope|{A}"), case("K35.900", f"{A}|99.nope")) == ["", "A"]


def mixed(code: str, level: str, scope: str, nature: int) -> Row:
    return {"code": code, "name": f"综合 {code}", "level": level, "scope": scope, "nature": nature}


def test_mixed_groups_by_nature(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog(
            {"code": "core", "principal_dx": "Z99.9", "px_mode": "none"},
            mixed=[mixed(f"K35-{nature}", "category", "K35", nature) for nature in (1, 2, 3, 4)],
            nature=[{"code": B, "nature": 2}],
            meta={"unknown_nature": "3"},
            excluded_px=[excluded(C, "conservative")],
        ),
    )
    found = {
        "": "K35-1", C: "K35-1", DIAGNOSTIC: "K35-2", THERAPY: "K35-3", OPERATION: "K35-4", INTERVENTION: "K35-4",
        B: "K35-2", "99.nope": "K35-3", f"{OPERATION}|{THERAPY}": "K35-4",
    }  # fmt: skip
    assert dict(zip(found, groups(scheme, *(case("K35.900", px) for px in found)), strict=True)) == found
    row = results(scheme, case("K35.900"))[0]
    assert (row["kind"], row["layer"], row["rows_fit"], row["name"]) == ("mixed", "category", 0, "综合 K35-1")


def test_mixed_groups_finest_level_first_and_marked_scopes_before_plain_ones(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog(
            {"code": "core", "principal_dx": "Z99.9", "px_mode": "none"},
            mixed=[
                mixed("chapter", "chapter", "A00-B99", 1),
                mixed("A17", "category", "A17", 1),
                mixed("A17+", "category", "A17+", 1),
                mixed("A18", "category", "A18", 1),
                mixed("A18.0", "subcategory", "A18.0", 1),
            ],
        ),
    )
    found = {"A17.000+G01*": "A17+", "A17.0": "A17", "A18.000": "A18.0", "A18.100": "A18", "B20.000": "chapter"}
    assert dict(zip(found, groups(scheme, *map(case, found)), strict=True)) == found
    assert [row["layer"] for row in results(scheme, *map(case, found))] == [
        "category", "category", "subcategory", "category", "chapter"
    ]  # fmt: skip


def test_why_a_case_is_in_no_group(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog(
            {"code": "any", "principal_dx": "*", "px": A},
            {"code": "K35", "principal_dx": "K35", "px_mode": "none"},
            excluded_dx=[{"code": code, "name": "灰码"} for code in ("K35.9", "K35.902", "k35.903", "I10.x00")],
        ),
    )
    given = {
        "": "PRINCIPAL_MISSING", "|K35.900": "PRINCIPAL_MISSING", "  |K35.900": "PRINCIPAL_MISSING",
        "I10.x00": "PRINCIPAL_BLOCKED", "I10.X00": "PRINCIPAL_BLOCKED", "K35.902": "PRINCIPAL_BLOCKED",
        "K35.903": "PRINCIPAL_BLOCKED", "K35.9": "PRINCIPAL_BLOCKED", " k35.9": "PRINCIPAL_BLOCKED",
        "K35.9zz": "", "K35.900": "", "I10.x00x002": "NO_DIP_GROUP", "A00.000": "PRINCIPAL_GRAY",
        "I10.xzz": "PRINCIPAL_UNKNOWN", "nonsense": "PRINCIPAL_UNKNOWN",
    }  # fmt: skip
    found = results(scheme, *map(case, given))
    assert dict(zip(given, (row["reason"] for row in found), strict=True)) == given
    for row in found:
        assert row["status"] == ("UNGROUPED" if row["reason"] else "GROUPED")
        assert bool(row["reason_zh"]) is bool(row["reason"])
        assert "MDC" not in row["reason_zh"]
        if row["reason"]:
            assert (row["kind"], row["dip"], row["factor"], row["score"], row["rows_fit"]) == ("", "", None, None, 0)
    # What opens nothing by itself still fits a row of any principal diagnosis; what is barred does not.
    assert groups(scheme, case("nonsense", A), case("A00.000", A), case("I10.x00", A), case("", A)) == [
        "any", "any", "", ""
    ]  # fmt: skip


def test_a_defect_of_the_record_comes_before_everything(tmp_path: Path) -> None:
    scheme = compiled(tmp_path, catalog(*ROWS))
    rows = results(scheme, case("K35.900", defect="IN30"), case("", defect="QUALITY_REJECT"), case("K35.900"))
    assert [(row["status"], row["reason"], row["dip"]) for row in rows] == [
        ("INVALID", "IN30", ""), ("INVALID", "QUALITY_REJECT", ""), ("GROUPED", "", "none")
    ]  # fmt: skip
    assert [row["used_codes"] for row in rows] == ["", "", "K35.900"]


LIGHT: Row = {"any_dx": "P07", "age_days": "0-28", "birth_weight_g": "-1499"}
ANY_PX: Row = {"px_mode": "any"}
NEWBORN: tuple[Row, ...] = (
    {**ANY_PX, "layer": "1", "code": "light", "number": 1, **LIGHT},
    {**ANY_PX, "layer": "1", "code": "old", "number": 2, "any_dx": "P07", "age_days": "29-"},
    {**ANY_PX, "layer": "2", "code": "heavy", "number": 3, "principal_dx": "P07", "birth_weight_g": "2500-"},
    {**ANY_PX, "layer": "2", "code": "rest", "number": 4, "principal_dx": "P07"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("years", "days", "grams", "expected"),
    [
        (0, 0, 1499, "light"),
        (0, 28, 1, "light"),
        # what can be no weight is unknown
        (0, 28, 0, "WEIGHT_UNKNOWN"),
        (0, 28, -5, "WEIGHT_UNKNOWN"),
        (40, None, 0, "WEIGHT_UNKNOWN"),
        (40, None, 9999, "heavy"),
        (40, None, 10000, "WEIGHT_UNKNOWN"),
        # days of a first year beside years: the years stand
        (3, 5, 1000, "rest"),
        (1, 364, 1000, "rest"),
        (1, 365, 1000, "old"),
        (0, 28, 1500, "rest"),
        (0, 29, 1499, "old"),
        (0, 5, 2500, "heavy"),
        (0, 5, None, "WEIGHT_UNKNOWN"),
        (0, 29, None, "old"),
        (0, None, 1499, "AGE_DAYS_UNKNOWN"),
        (None, None, 1499, "AGE_UNKNOWN"),
        (0, None, None, "AGE_DAYS_UNKNOWN"),
        (None, None, None, "AGE_UNKNOWN"),
        # the first row cannot fit, the second might
        (0, None, 2500, "AGE_DAYS_UNKNOWN"),
        # days are known without years
        (None, 28, 1000, "light"),
        # too old for any range of days; the weight of the row before the last is still asked for
        (1, None, 2500, "heavy"),
        (40, None, 1000, "rest"),
        (40, None, None, "WEIGHT_UNKNOWN"),
    ],
)
def test_ranges_and_unknown_numbers(
    tmp_path: Path, years: int | None, days: int | None, grams: int | None, expected: str
) -> None:
    layers = (layer("1", 1, "number"), layer("2", 2, "number"))
    scheme = compiled(tmp_path, catalog(*NEWBORN, layers=layers))
    one = case("P07.200", age_years=years, age_days=days, newborn_birth_weight_g=grams)
    row = results(scheme, one)[0]
    assert (row["dip"] or row["reason"]) == expected
    assert row["status"] == ("GROUPED" if row["dip"] else "INVALID")


def test_an_unknown_number_of_a_row_that_would_lose_does_no_harm(tmp_path: Path) -> None:
    asks = {"principal_dx": "K35", "px": A, "birth_weight_g": "0-999"}
    rows: tuple[Row, ...] = (
        {**asks, "code": "wide", "number": 1},
        {"code": "narrow", "number": 2, "principal_dx": "K35.9", "px": A},
        {**asks, "code": "late", "layer": "M", "number": 3, "principal_dx": "K35.9"},
        {**asks, "code": "two", "number": 4, "principal_dx": "K36", "px": f"{A}+{B}"},
        {"code": "one", "number": 5, "principal_dx": "K36", "px": A},
    )
    scheme = compiled(tmp_path, catalog(*rows, layers=(layer("L", 1), layer("M", 2))))
    found = results(scheme, case("K35.900", A), case("K35.000", A), case("K36.x00", A), case("K36.x00", f"{A}|{B}"))
    assert [row["dip"] or row["reason"] for row in found] == ["narrow", "WEIGHT_UNKNOWN", "one", "WEIGHT_UNKNOWN"]
    # An unknown number is in no range: such a row is not among those that fit.
    assert [row["rows_fit"] for row in found] == [1, 0, 1, 0]


def test_the_mark_of_primary_care(tmp_path: Path) -> None:
    scheme = compiled(
        tmp_path,
        catalog(
            {"code": "core", "principal_dx": "K35|K36|K37", "px_mode": "any"},
            mixed=[mixed("I10-1", "category", "I10", 1)],
            primary_care=[
                {"number": 1, "principal_dx": "K35", "px": ""},
                {"number": 2, "principal_dx": "K36.9|K36.x", "px": f"{A}|{B}+{C}"},
                {"number": 3, "principal_dx": "I10|N39", "px": ""},
            ],
            excluded_px=[excluded(D, "conservative")],
        ),
    )
    found = {
        ("K35.900", ""): True, ("K35.900", D): True, ("K35.900", A): False, ("K36.x00", A): True,
        ("K36.x00", f"{C}|{B}"): True, ("K36.x00", B): False, ("K36.x00", f"{D}|{A}"): False, ("K36.x00", ""): False,
        ("K37.x00", ""): False, ("I10.x00x002", ""): True, ("N39.900", ""): False,
    }  # fmt: skip
    assert [row["primary_care"] for row in results(scheme, *(case(*one) for one in found))] == list(found.values())


def test_scores(tmp_path: Path) -> None:
    score = {"cases": "20", "share": "", "cv": "", "mean_cost_fen": ""}
    scheme = compiled(
        tmp_path,
        catalog(
            *({"code": name, "principal_dx": dx, "px_mode": "any"} for name, dx in (("K35", "K35"), ("K36", "K36"))),
            mixed=[mixed("I10-1", "category", "I10", 1)],
            score=[{"code": "K35", "score": "812.3456", **score}, {"code": "I10-1", "score": "90.5", **score}],
        ),
    )
    rows = results(scheme, case("K35.900"), case("K36.x00"), case("I10.x00x002"))
    assert [(row["base_score"], row["auxiliary"], row["factor"], row["score"]) for row in rows] == [
        (Decimal("812.3456"), "", Decimal("1.0000"), Decimal("812.3456")),
        (None, "", Decimal("1.0000"), None),
        (Decimal("90.5000"), "", Decimal("1.0000"), Decimal("90.5000")),
    ]


def test_scores_times_factor_round_half_up_once(tmp_path: Path) -> None:
    level = {"dimension": "AGE", "name": "老年", "level": "OLD", "order": 1, "rule": "NL >= 65"}
    bases = {"K35": "0.0001", "K36": "100.0001", "K37": "999999.9999", "I10-1": "10"}
    factors = {"K35": "0.5", "K36": "1.2345", "*": "0.4999"}
    scheme = compiled(
        tmp_path,
        catalog(
            *({"code": name, "principal_dx": name, "px_mode": "any"} for name in ("K35", "K36", "K37")),
            mixed=[mixed("I10-1", "category", "I10", 1)],
            score=[{"code": code, "score": score} for code, score in bases.items()],
            aux_level=[level],
            aux_factor=[
                {"code": code, "dimension": "AGE", "level": "OLD", "factor": factor} for code, factor in factors.items()
            ],
        ),
    )
    old = [case(code, age_years=65) for code in ("K35.900", "K36.x00", "K37.x00", "I10.x00x002", "nonsense")]
    rows = results(scheme, *old, case("K35.900", age_years=64))
    assert [(row["auxiliary"], row["factor"], row["score"]) for row in rows] == [
        ("AGE:OLD", Decimal("0.5000"), Decimal("0.0001")),  # 0.00005
        ("AGE:OLD", Decimal("1.2345"), Decimal("123.4501")),  # 123.45012345
        ("AGE:OLD", Decimal("0.4999"), Decimal("499900.0000")),  # 499899.99995001
        ("", Decimal("1.0000"), Decimal("10.0000")),
        ("", None, None),
        ("", Decimal("1.0000"), Decimal("0.0001")),
    ]
