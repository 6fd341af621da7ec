"""The oracle's walk, retry and input check on hand-made packs, and its independence of the engine."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.oracle.oracle import Case
from tests.oracle.small_scheme import ADULT, UNGROUPED, case, scheme

# --- the walk -------------------------------------------------------------------------------------------


def test_the_lowest_order_wins_at_every_level(tmp_path: Path) -> None:
    oracle = scheme(
        tmp_path,
        mdc=[("MDCC", "", 9), ("MDCB", "", 10), ("MDCD", "", 2)],
        adrg=[("DB1", "MDCD", "", 30), ("DB2", "MDCD", "", 4), ("BB1", "MDCB", ""), ("CB1", "MDCC", "")],
        drg=[("DB21", "DB2", "", 7), ("DB23", "DB2", "", 6), ("DB11", "DB1", ""), ("CB19", "CB1", "")],
    )
    assert oracle.group(ADULT) == ("MDCD", "DB2", "DB23")


def test_equal_orders_go_by_the_file(tmp_path: Path) -> None:
    oracle = scheme(tmp_path, drg=[("BB15", "BB1", "", 1), ("BB11", "BB1", "", 1)])
    assert oracle.group(ADULT) == ("MDCB", "BB1", "BB15")


def test_an_adrg_without_a_matching_drg_is_passed_over(tmp_path: Path) -> None:
    oracle = scheme(
        tmp_path,
        adrg=[("BB1", "MDCB", "1"), ("BB2", "MDCB", "1"), ("BB3", "MDCB", "1")],
        drg=[("BB11", "BB1", "QTZD in DI_B"), ("BB39", "BB3", "1")],
    )
    assert oracle.group(case("D1")) == ("MDCB", "BB3", "BB39")
    assert oracle.group(case("D1|D3")) == ("MDCB", "BB1", "BB11")


def test_an_mdc_without_a_matching_adrg_is_passed_over(tmp_path: Path) -> None:
    oracle = scheme(
        tmp_path,
        mdc=[("MDCA", ""), ("MDCB", "ZYZD in DI_A"), ("MDCC", "ZYZD in DI_A")],
        adrg=[("AA1", "MDCA", "ZYSS in OP_B"), ("BB1", "MDCB", "ZYSS in OP_A"), ("CB1", "MDCC", "1")],
        drg=[("AA19", "AA1", "1"), ("BB11", "BB1", "NL > 60"), ("CB19", "CB1", "ZYSS not in OP_B")],
    )
    assert oracle.group(case("D1", "P4")) == ("MDCA", "AA1", "AA19")
    assert oracle.group(case("D1", "P1", age_years=61)) == ("MDCB", "BB1", "BB11")
    assert oracle.group(case("D1", "P1")) == ("MDCC", "CB1", "CB19")
    assert oracle.group(case("D1", "")) == ("MDCC", "CB1", "CB19")
    assert oracle.group(case("D9", "P1")) == UNGROUPED


def test_qy_and_x00_are_ordinary_rows_but_x00_comes_last(tmp_path: Path) -> None:
    oracle = scheme(
        tmp_path,
        mdc=[("MDCO", "ZYZD in {DI_A, DI_B}")],
        adrg=[("O00", "MDCO", "", 1), ("OQY", "MDCO", "ZYSS in OP_A", 2), ("OT1", "MDCO", "ZYZD in DI_A", 3)],
        drg=[("O000", "O00", "", 1), ("OQY", "OQY", "", 1), ("OT19", "OT1", "", 1)],
    )
    assert oracle.group(case("D1", "P1")) == ("MDCO", "OQY", "OQY")
    assert oracle.group(case("D1", "P9")) == ("MDCO", "OT1", "OT19")
    assert oracle.group(case("D3", "P9")) == ("MDCO", "O00", "O000")


def test_the_rows_of_zeros_come_last_at_every_level(tmp_path: Path) -> None:
    oracle = scheme(
        tmp_path,
        mdc=[("0000", "", 0), ("MDCB", "ZYZD in DI_A", 5)],
        adrg=[("000", "0000", "", 0), ("BB1", "MDCB", "", 7), ("B00", "MDCB", "", 1)],
        drg=[
            ("0000", "000", "", 0),
            ("E000", "BB1", "", 1),
            ("BB15", "BB1", "NL > 60", 2),
            ("B000", "B00", ""),
        ],
    )
    assert oracle.group(case("D1", age_years=61)) == ("MDCB", "BB1", "BB15")
    assert oracle.group(case("D1")) == ("MDCB", "BB1", "E000")
    assert oracle.group(case("D9")) == ("0000", "000", "0000")


def test_nothing_matches(tmp_path: Path) -> None:
    closed: dict[str, object] = {"mdc": [("MDCB", "0")]}
    assert scheme(tmp_path, **closed).group(ADULT) == UNGROUPED
    meta = {"ungrouped_mdc": "", "ungrouped_adrg": "KBB", "ungrouped_drg": "KBBZ"}
    assert scheme(tmp_path, **closed, meta=meta).group(ADULT) == ("", "KBB", "KBBZ")
    assert scheme(tmp_path, **closed, meta={"ungrouped_drg": "QQQQ"}).group(ADULT) == ("0000", "00", "QQQQ")


# --- the retry ------------------------------------------------------------------------------------------

RETRY: dict[str, object] = {
    "mdc": [("MDCB", "ZYZD in DI_A")],
    "adrg": [
        ("BB1", "MDCB", "ZYSS in OP_A and length(OP_A ∩ {ZYSS, QTSS}) = 1 and QTSS not in OP_B"),
        ("BB2", "MDCB", "ZYSS in OP_B"),
    ],
    "drg": [("BB19", "BB1", ""), ("BB29", "BB2", "")],
    "meta": {"retry": "each_other_procedure_alone"},
}


@pytest.mark.parametrize(
    ("procedures", "drg"),
    [
        ("P9|P1", "BB19"),
        ("P9|P4|P1", "BB29"),
        ("P9|P1|P4", "BB19"),
        ("P9|P8|P7|P4", "BB29"),
        # As the only procedure: P1 alone counts one.
        ("P9|P1|P2", "BB19"),
        # The principal procedure is not tried alone: P1 with P2 is no BB1, P2 alone is.
        ("P1|P2", "BB19"),
        ("P1|P9|P2", "BB19"),
        ("P1|P9|P4", "BB29"),
        # A principal procedure recorded twice is an other procedure as well.
        ("P1|P1|P4", "BB19"),
        # One procedure only, even if it is not in the principal's place: no retry.
        ("|P1", "0000"),
        ("P9", "0000"),
        ("|P9|P1", "BB19"),
        ("P9|P8", "0000"),
    ],
)
def test_retry_with_each_other_procedure_alone(tmp_path: Path, procedures: str, drg: str) -> None:
    assert scheme(tmp_path, **RETRY).group(case("D1", procedures))[2] == drg


def test_no_retry_unless_the_pack_says_so(tmp_path: Path) -> None:
    assert scheme(tmp_path, **{**RETRY, "meta": {}}).group(case("D1", "P9|P1")) == UNGROUPED


def test_no_retry_for_a_case_that_ends_in_an_x00(tmp_path: Path) -> None:
    adrg = [("BB1", "MDCB", "ZYSS in OP_A"), ("B00", "MDCB", "")]
    drg = [("BB19", "BB1", ""), ("B000", "B00", "")]
    oracle = scheme(tmp_path, **{**RETRY, "adrg": adrg, "drg": drg})
    assert oracle.group(case("D1", "P9|P1")) == ("MDCB", "B00", "B000")


def test_retry_without_success_keeps_the_ungrouped_answer(tmp_path: Path) -> None:
    meta = {
        "retry": "each_other_procedure_alone",
        "ungrouped_mdc": "X",
        "ungrouped_adrg": "Y",
        "ungrouped_drg": "Z",
    }
    oracle = scheme(tmp_path, **{**RETRY, "meta": meta})
    assert oracle.group(case("D1", "P9|P8")) == ("X", "Y", "Z")
    assert oracle.group(case("D1", "P9|P1")) == ("MDCB", "BB1", "BB19")


def test_retry_also_leaves_the_schemes_own_row_of_zeros(tmp_path: Path) -> None:
    oracle = scheme(
        tmp_path,
        mdc=[("MDCB", "ZYSS in OP_A"), ("0000", "")],
        adrg=[("BB1", "MDCB", ""), ("000", "0000", "")],
        drg=[("BB19", "BB1", ""), ("0000", "000", "")],
        meta=RETRY["meta"],
    )
    assert oracle.group(case("D1", "P9|P1")) == ("MDCB", "BB1", "BB19")
    assert oracle.group(case("D1", "P9|P8")) == ("0000", "000", "0000")


# --- the input check ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "invalid"),
    [
        ({}, False),
        ({"sex": 2}, False),
        ({"sex": 0}, True),
        ({"sex": 9}, True),
        ({"sex": None}, True),
        ({"age_years": None}, True),
        ({"age_years": None, "age_days": 5, "newborn_birth_weight_g": 3000}, True),
        ({"age_years": 1}, False),
        ({"age_years": 0}, True),
        ({"age_years": 0, "age_days": 29}, False),
        ({"age_years": 0, "age_days": 28}, True),
        ({"age_years": 0, "age_days": 28, "newborn_birth_weight_g": 3000}, False),
        ({"age_years": 0, "age_days": 28, "newborn_birth_weight_g": 0}, False),
        ({"age_years": 0, "age_days": 28, "newborn_admission_weight_g": 3000}, True),
        ({"age_years": 0, "age_days": 0}, True),
        ({"age_years": 1, "age_days": 5}, False),
        ({"diagnoses": ()}, False),
        ({"diagnoses": (), "procedures": ()}, False),
    ],
)
def test_input_check(tmp_path: Path, values: dict[str, object], invalid: bool) -> None:
    expected = UNGROUPED if invalid else ("MDCB", "BB1", "BB19")
    assert scheme(tmp_path).group(replace(ADULT, **values)) == expected


def test_input_check_asks_for_the_weight_of_the_edition(tmp_path: Path) -> None:
    oracle = scheme(tmp_path, meta={"newborn_weight": "admission"})
    newborn = replace(ADULT, age_years=0, age_days=3)
    assert oracle.group(replace(newborn, newborn_birth_weight_g=3000)) == UNGROUPED
    assert oracle.group(replace(newborn, newborn_admission_weight_g=3000))[2] == "BB19"


def test_the_manifest_may_state_the_edition_of_the_weight(tmp_path: Path) -> None:
    newborn = replace(ADULT, age_years=0, age_days=3, newborn_admission_weight_g=3000)
    (tmp_path / "manifest.toml").write_text('newborn_weight = "admission"', encoding="utf-8")
    assert scheme(tmp_path).group(newborn)[2] == "BB19"
    (tmp_path / "manifest.toml").write_text('newborn_weight = "birth"', encoding="utf-8")
    assert scheme(tmp_path).group(newborn) == UNGROUPED


def test_answer_of_an_invalid_case(tmp_path: Path) -> None:
    nobody = replace(ADULT, sex=0)
    meta = {"invalid_mdc": "", "invalid_adrg": "", "invalid_drg": "", "retry": "each_other_procedure_alone"}
    assert scheme(tmp_path, meta=meta).group(nobody) == ("", "", "")
    assert scheme(tmp_path, meta={"invalid_drg": "ERR"}).group(nobody) == ("0000", "00", "ERR")
    assert scheme(tmp_path, meta={"ungrouped_drg": "KBBZ"}).group(nobody) == UNGROUPED


# --- reading cases, and keeping apart from the engine ----------------------------------------------------


def test_case_from_a_flat_row() -> None:
    row = {
        "case_id": "7", "sex": "2", "age": "0", "age_days": "3.9", "weight": "1499.5", "los_days": "",
        "discharge_way": " 5 ", "diagnoses": "|D1||D2 ", "procedures": " P1", "icu_hours": "1.5",
        "department": "儿科",
    }  # fmt: skip
    assert Case.from_row(row) == Case(
        sex=2, age_years=0, age_days=3, newborn_birth_weight_g=1499, newborn_admission_weight_g=1499,
        los_days=None, icu_hours=1.5, discharge_way="5", department="儿科",
        diagnoses=("", "D1", "", "D2"), procedures=("P1",),
    )  # fmt: skip


ORACLE_FILES = ("oracle.py", "rules.py")


def test_the_oracle_imports_nothing_of_the_engine() -> None:
    allowed = set(sys.stdlib_module_names) | {"tests.oracle.rules"}
    for name in ORACLE_FILES:
        for node in ast.walk(ast.parse((Path(__file__).parent / name).read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            for module in modules:
                assert module in allowed or module.split(".")[0] in allowed, f"{name} imports {module}"


def test_the_oracle_runs_where_the_engine_cannot_be_imported() -> None:
    program = (
        "import sys\n"
        "for name in ('grouper', 'reference_tables', 'api', 'polars', 'numpy'):\n"
        "    sys.modules[name] = None\n"
        "import tests.oracle.oracle\n"
        "print(tests.oracle.oracle.Case(sex=1).sex)\n"
    )
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout == "1\n"
