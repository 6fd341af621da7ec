"""Canonical columns: the committed files are valid, and the loader names every rule a file breaks."""

import polars as pl
import pytest

from reference_tables.columns import (
    FORMATS,
    ColumnsError,
    case_schema,
    columns,
    fold_header,
    frame_columns,
    load_columns,
)

GOOD = """
[weight_g]
dtype = "Int32"
unit = "g"
label = "体重"
meaning = "weight"
flat = ["weight"]
"""


def test_what_grouping_reads_is_always_in_the_frame() -> None:
    assert set(frame_columns()) == {
        "row", "case_id", "defect", "sex", "age_years", "age_days", "newborn_birth_weight_g",
        "newborn_admission_weight_g", "los_days", "icu_hours", "discharge_way", "department",
        "diagnoses", "procedures",
    }  # fmt: skip


def test_schema_keeps_canonical_order_and_types() -> None:
    schema = case_schema(["total_cost_fen", "admission_time"])
    assert next(iter(schema)) == "row"
    assert list(schema).index("diagnoses") < list(schema).index("total_cost_fen")
    assert schema["diagnoses"] == pl.List(pl.String)
    assert schema["total_cost_fen"] == pl.Int64()
    assert schema["admission_time"] == pl.Datetime("us")


def test_every_money_column_is_whole_fen() -> None:
    money = [column for name, column in columns().items() if name.endswith("_fen")]
    assert len(money) > 40
    assert all(column.dtype == pl.Int64() and column.unit == "fen" for column in money)


def test_no_column_keeps_a_name_an_address_or_an_identity_number() -> None:
    personal = {
        "psn_name",
        "certno",
        "curr_addr",
        "coner_name",
        "coner_tel",
        "emp_addr",
        "a11",
        "a20",
        "姓名",
        "身份证号",
    }
    kept = {
        fold_header(alias).rpartition(".")[2]
        for column in columns().values()
        for fmt in FORMATS
        for alias in column.aliases(fmt)
    }
    assert not personal & kept


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("年龄（岁）", "年龄(岁)"),
        ("\ufeffCase_ID ", "case_id"),
        ("Ａ１２Ｃ", "a12c"),
        ("住院 次数", "住院次数"),
    ],
)
def test_header_cells_are_compared_folded(left: str, right: str) -> None:
    assert fold_header(left) == fold_header(right)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('dtype = "Int32"', 'dtype = "Int33"'), "needs a known dtype"),
        (('unit = "g"', 'unit = "stone"'), "unit stone is not known"),
        (('unit = "g"', 'colour = "g"'), "unknown key colour"),
        (('unit = "g"', 'unit = "fen"'), "money is Int64"),
        (('unit = "g"', 'required_for = ["fun"]'), "unknown purpose"),
        (('unit = "g"', 'sensitivity = "secret"'), "sensitivity secret"),
        (('unit = "g"', 'parallel = "codes"'), "refers to codes"),
        (('flat = ["weight"]', ""), "must have sources"),
        (('flat = ["weight"]', 'flat = ["weight{n}"]'), "only as a numbered name"),
        (('flat = ["weight"]', 'flat = { joined = ["weight"] }'), "role joined does not fit"),
        (('flat = ["weight"]', "flat = []"), "must be a list of names"),
        (('flat = ["weight"]', '4101 = ["weight"]'), "is not node.field"),
    ],
)
def test_a_broken_columns_file_names_the_rule(change: tuple[str, str], complaint: str) -> None:
    with pytest.raises(ColumnsError, match=complaint):
        load_columns({"test.toml": GOOD.replace(*change)})


def test_one_alias_for_two_columns_is_refused_unless_shared() -> None:
    second = GOOD.replace("[weight_g]", "[other_g]")
    with pytest.raises(ColumnsError, match="weight stands for weight_g and for other_g"):
        load_columns({"a.toml": GOOD, "b.toml": second})
    shared = 'shared = ["weight"]\nflat'
    both = load_columns({"a.toml": GOOD.replace("flat", shared), "b.toml": second.replace("flat", shared)})
    assert list(both) == ["weight_g", "other_g"]
    with pytest.raises(ColumnsError, match="stands twice"):
        load_columns({"a.toml": GOOD, "b.toml": GOOD})
