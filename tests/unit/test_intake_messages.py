"""Settlement-list messages: envelopes, both value sets, the principal, sums, durations, 4101A and its companion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from grouper.intake import read_cases
from tests.unit.intake_files import read, refusal, told, write


def dx(code: str, flag: str = "0", kind: str = "1", **more: Any) -> dict[str, Any]:
    return {"diag_type": kind, "maindiag_flag": flag, "diag_code": code, "diag_name": f"名{code}", **more}


def px(code: str, kind: str = "2", **more: Any) -> dict[str, Any]:
    return {"oprn_oprt_type": kind, "oprn_oprt_code": code, "oprn_oprt_name": f"术{code}", **more}


def message(setlinfo: dict[str, Any] | None = None, **nodes: Any) -> dict[str, Any]:
    base = {"setl_id": "S1", "mdtrt_id": "M1", "gend": "1", "brdy": "1980-05-05", "age": "45", "dscg_way": "1"}
    base |= {"adm_time": "2026-03-01 10:00:00", "dscg_time": "2026-03-05 10:00:00", "act_ipt_days": "4"}
    body = {"setlinfo": base | (setlinfo or {}), "diseinfo": [dx("I10.x00", "1")], "oprninfo": [], **nodes}
    return {"infno": "4101", "input": body}


def case(folder: Path, value: Any, **options: object) -> tuple[dict[str, Any], pl.DataFrame]:
    """The one case of one message, and the problems."""
    cases, problems = read(write(folder, orjson.dumps(value), "list.json"), **options)
    assert cases.height == 1
    return cases.row(0, named=True), problems


def test_the_principal_comes_first_whatever_the_order(tmp_path: Path) -> None:
    rows = [dx("E11.900"), dx("N18.900", adm_cond_type="2"), dx("I10.x00", "1", adm_cond_type="1"), dx("Z99.200")]
    row, problems = case(tmp_path, message(diseinfo=rows))
    assert row["diagnoses"] == ["I10.x00", "E11.900", "N18.900", "Z99.200"]
    assert row["dx_on_admission"] == ["1", "", "2", ""]
    assert row["dx_names"] == ["名I10.x00", "名E11.900", "名N18.900", "名Z99.200"]
    assert problems.is_empty()


@pytest.mark.parametrize(
    "rows",
    [
        [dx("I10.x00", "1", "1"), dx("E11.900", "0", "1"), dx("BNX020", "1", "2"), dx("ZYVXAE0", "0", "3")],
        [dx("I10.x00", "1", "1"), dx("E11.900", "0", "2"), dx("A04.01.01", "1", "3"), dx("B01.02.03.04", "0", "4")],
        [dx("I10.x00", "1", ""), dx("A08.01.05.", "1", "2"), dx("E11.900", "0", "2")],
    ],
)
def test_both_value_sets_of_the_diagnosis_type(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    row, problems = case(tmp_path, message(diseinfo=rows))
    assert row["diagnoses"] == ["I10.x00", "E11.900"]
    assert problems.is_empty()


def test_no_principal_leaves_its_place_empty(tmp_path: Path) -> None:
    row, problems = case(tmp_path, message(diseinfo=[dx("I10.x00"), dx("E11.900")]))
    assert row["diagnoses"] == ["", "I10.x00", "E11.900"]
    assert row["defect"] is None
    assert told(problems) == [(1, "IN26", "diagnoses", "")]


def test_two_principals_make_the_record_unfit(tmp_path: Path) -> None:
    row, problems = case(tmp_path, message(diseinfo=[dx("I10.x00", "1"), dx("E11.900", "1")]))
    assert row["defect"] == "IN27"
    assert row["diagnoses"] == ["", "I10.x00", "E11.900"]
    assert told(problems) == [(1, "IN27", "diagnoses", "I10.x00、E11.900")]


def test_procedures_and_what_runs_parallel(tmp_path: Path) -> None:
    rows = [
        px("38.9300", oprn_oprt_date="2026-03-02"),
        px("39.9500", "1", oprn_oprt_date="2026-03-03", anst_way="01", oper_dr_code="D1"),
        px("", "2"),
    ]
    row, problems = case(tmp_path, message(oprninfo=rows))
    assert row["procedures"] == ["39.9500", "38.9300"]
    assert [time.day for time in row["px_begin"]] == [3, 2]
    assert row["px_anaesthesia"] == ["01", ""]
    assert [bool(surgeon) for surgeon in row["px_surgeon"]] == [True, False]
    assert told(problems) == [(1, "IN40", "procedures", "术")]
    assert case(tmp_path, message(oprninfo=[px("38.9300")]))[0]["procedures"] == ["", "38.9300"]
    twice, problems = case(tmp_path, message(oprninfo=[px("38.9300", "1"), px("39.9500", "1")]))
    assert twice["defect"] == "IN28"


def test_a_code_sent_as_a_number_is_told_and_left(tmp_path: Path) -> None:
    row, problems = case(tmp_path, message(oprninfo=[px("x", "1") | {"oprn_oprt_code": 3.09}]))
    assert row["procedures"] == ["3.09"]
    assert told(problems) == [(1, "IN38", "procedures", "3.09")]


def test_money_adds_up_to_the_fen(tmp_path: Path) -> None:
    items = [
        {"med_chrgitm": "01", "amt": "0.10", "claa_sumfee": "0.10"},
        {"med_chrgitm": "1", "amt": 0.2, "claa_sumfee": 0.1},
        {"med_chrgitm": "09", "amt": "1000.01", "claa_sumfee": None},
    ]
    row, problems = case(
        tmp_path,
        message({"psn_selfpay": 12.5}, iteminfo=items, payinfo=[{"fund_payamt": "1.1"}, {"fund_payamt": "2.2"}]),
    )
    assert row["fee_bed_fen"] == 30
    assert row["fee_western_drug_fen"] == 100_001
    assert row["total_cost_fen"] == 100_031
    assert row["fund_pay_fen"] == 330
    assert row["self_pay_fen"] == 1250
    assert row["fee_herbal_fen"] is None
    assert row["cost_class_a_fen"] is None, "a sum with an unreadable or missing part is unknown"
    assert problems.is_empty()


def test_durations_and_intensive_care(tmp_path: Path) -> None:
    stays = [
        {"scs_cutd_ward_type": "CCU", "scs_cutd_inpool_time": "2026-03-01 11:00:00",
         "scs_cutd_exit_time": "2026-03-02 11:00:00", "scs_cutd_sum_dura": "1/0/0"},
        {"scs_cutd_ward_type": "其他", "scs_cutd_inpool_time": "", "scs_cutd_sum_dura": "0/1/30"},
    ]  # fmt: skip
    row, problems = case(
        tmp_path, message({"vent_used_dura": "1/13/24", "pwcry_bfadm_coma_dura": "一天"}, icuinfo=stays)
    )
    assert row["ventilator_minutes"] == 2244
    assert (row["icu_minutes"], row["icu_hours"]) == (1530, 25.5)
    assert [time and time.hour for time in row["icu_in"]] == [11, None]
    assert row["icu_unit"] == ["CCU", "其他"]
    assert told(problems) == [(1, "IN36", "coma_before_minutes", "一天")]
    parts = {"vent_used_days": 1, "vent_used_h_cnt": 2, "vent_used_m_cnt": 3}
    assert case(tmp_path, message(parts))[0]["ventilator_minutes"] == 1440 + 120 + 3


def test_newborn_ages_weights_and_spelling_variants(tmp_path: Path) -> None:
    newborn = {"age": None, "nwb_age": "12", "nwbbirwt": "2500.00", "nwbadmwt": 2610.5, "mul_nwb_bir_wt": "2300,2400"}
    row, problems = case(tmp_path, message(newborn))
    assert (row["age_years"], row["age_days"]) == (0, 12)
    assert (row["newborn_birth_weight_g"], row["newborn_admission_weight_g"]) == (2500, 2610)
    assert row["newborn_birth_weights_g"] == [2300, 2400]
    assert problems.is_empty()


def test_no_personal_field_survives(tmp_path: Path) -> None:
    personal = {"psn_name": "张三丰", "certno": "11010119800505", "curr_addr": "某路1号", "coner_tel": "1390000",
                "hi_no": "HI-42", "emp_name": "某厂", "chfpdr_name": "李医生"}  # fmt: skip
    row, problems = case(tmp_path, message(personal))
    everything = str(row) + str(problems.to_dicts())
    assert not any(value in everything for value in personal.values())
    assert row["person_id"].startswith("p:")
    assert problems.is_empty(), "known and dropped is not unknown"


def test_unknown_fields_are_told_once_a_name(tmp_path: Path) -> None:
    odd = orjson.dumps(message({"foo": 1}, extra=[{"x": 1}], oprninfo=[px("38.9300", "1", bar=1)]))
    path = write(tmp_path, b"\n".join([odd] * 3), "list.ndjson")
    for size in (1, 2, 100):
        cases, problems = read(path, block_rows=size)
        assert cases.height == 3
        assert sorted(problems["message"]) == sorted(
            f"报文中有未知字段{name}，出现3次，已忽略" for name in (".extra", "oprninfo.bar", "setlinfo.foo")
        )


@pytest.mark.parametrize("indent", [True, False])
def test_one_message_an_array_bare_and_wrapped(tmp_path: Path, indent: bool) -> None:
    one = message()
    option = orjson.OPT_INDENT_2 if indent else 0
    shapes = [one, one["input"], [one], [one["input"]], {"output": one["input"]}, {"input": [one["input"]]}]
    rows = []
    for shape in shapes:
        cases, problems = read(write(tmp_path, orjson.dumps(shape, option=option), "list.json"))
        assert problems.is_empty()
        rows += cases.to_dicts()
    assert len(rows) == len(shapes)
    assert all(row == rows[0] for row in rows)


def test_lines_of_messages_keep_their_numbers(tmp_path: Path) -> None:
    good = orjson.dumps(message())
    lines = [good, b'{"input": {', b"", b"[1, 2]", b'{"input": {"payinfo": []}}', good]
    path = write(tmp_path, b"\n".join(lines), "list.ndjson")
    for size in (1, 2, 100):
        cases, problems = read(path, block_rows=size)
        assert cases["row"].to_list() == [1, 2, 4, 5, 6]
        assert cases["defect"].to_list() == [None, "IN25", "IN25", "IN25", None]
        assert problems["row"].to_list() == [2, 4, 5]


def test_a_first_line_longer_than_what_is_sniffed(tmp_path: Path) -> None:
    long = message({"fixmedins_name": "院" * 200_000})
    cases, _ = read(write(tmp_path, orjson.dumps(long) + b"\n" + orjson.dumps(message()), "list.ndjson"))
    assert cases["row"].to_list() == [1, 2]


@pytest.mark.parametrize(
    "body",
    [
        {"setlinfo": [{"gend": "1"}, {"gend": "2"}]},
        {"setlinfo": {}, "diseinfo": "I10"},
        {"setlinfo": {}, "diseinfo": [1]},
    ],
)
def test_nodes_of_another_shape_make_a_broken_record(tmp_path: Path, body: dict[str, Any]) -> None:
    cases, problems = read(write(tmp_path, orjson.dumps([message(), {"input": body}]), "list.json"))
    assert cases["defect"].to_list() == [None, "IN25"]
    assert problems["row"].to_list() == [2]


def test_null_nodes_and_odd_values(tmp_path: Path) -> None:
    row, problems = case(tmp_path, message({"age": [45], "gend": 1, "medcasno": {"a": 1}}, oprninfo=None, icuinfo=None))
    assert (row["sex"], row["age_years"], row["procedures"]) == (1, 45, [])
    assert told(problems) == [(1, "IN30", "age_years", "[45]"), (1, "IN43", "age_years", "45岁")]


def test_gb18030_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = orjson.dumps(message({"fixmedins_name": "某某医院"})).decode()
    for encoding in ("gb18030", "utf-8-sig", "utf-16"):
        cases, _ = read(write(tmp_path, text, "list.json", encoding))
        assert cases["hospital_name"].to_list() == ["某某医院"]


def bare_4101a(number: str) -> dict[str, Any]:
    body = {"setlinfo": {"setl_id": number, "dscg_way": "1", "adm_time": "2026-03-01 08:00:00"}}
    return {"infno": "4101A", "input": body | {"diseinfo": [dx("I10.x00", "1")]}}


def test_4101a_alone_cannot_be_grouped_and_says_why(tmp_path: Path) -> None:
    row, problems = case(tmp_path, bare_4101a("S1"))
    assert next(read_cases(tmp_path / "list.json")).source.format == "4101A"
    assert row["defect"] == "IN46"
    assert told(problems) == [(1, "IN46", "", "性别、年龄")]
    assert "结算ID" in problems["message"][0]
    nameless = {key: value for key, value in bare_4101a("S1").items() if key != "infno"}
    assert case(tmp_path, nameless)[0]["defect"] == "IN46"


def test_4101a_with_a_companion_table(tmp_path: Path) -> None:
    lines = b"\n".join(orjson.dumps(bare_4101a(number)) for number in ("S1", "S2", "S3", "S4"))
    path = write(tmp_path, lines, "list.ndjson")
    table = "settlement_id,sex,age_years,birth_date,total_cost\nS1,1,33,,10.5\nS2,2,,2026-02-20,\nS4,1,1,,\nS4,2,2,,\n"
    companion = write(tmp_path, table, "companion.csv")
    cases, problems = read(path, companion=companion)
    assert cases["sex"].to_list() == [1, 2, None, None]
    assert cases.select("age_years", "age_days").rows() == [(33, None), (0, 9), (None, None), (None, None)]
    assert cases["total_cost_fen"].to_list() == [1050, None, None, None]
    assert cases["defect"].to_list() == [None, None, "IN46", "IN46"]
    assert cases["diagnoses"].to_list() == [["I10.x00"]] * 4
    assert sorted(problems["code"]) == ["IN43", "IN46", "IN46", "IN49"]
    keyless = write(tmp_path, "case_id,sex\n1,1\n", "keyless.csv")
    assert [problem.code for problem in refusal(path, companion=keyless)] == ["IN50"]


def test_grouping_columns_only(tmp_path: Path) -> None:
    path = write(tmp_path, orjson.dumps(message({"age": "", "nwb_age": ""})), "list.json")
    few, _ = read(path, columns="grouping")
    every, _ = read(path)
    shared = [name for name in few.columns if name in every.columns]
    assert few.select(shared).equals(every.select(shared))
    assert "total_cost_fen" not in few.columns
    assert few["age_years"].to_list() == [45]


_WHOLE = orjson.dumps(message()).decode()
_DOUBLED = _WHOLE.replace('"gend":"1"', '"gend":"1","gend":"2"')


@pytest.mark.parametrize("text", [
    f"[{_WHOLE},{_DOUBLED},{_WHOLE}]",
    f'{{"infno":"4101","input":[{_WHOLE},{_DOUBLED},{_WHOLE}]}}',
    f"{_WHOLE}\n{_DOUBLED}\n{_WHOLE}\n",
])  # fmt: skip
def test_a_name_given_twice_is_told_and_not_passed_over(tmp_path: Path, text: str) -> None:
    cases, problems = read(write(tmp_path, text, "list.json"))
    assert cases["defect"].to_list() == [None, "IN25", None]
    assert told(problems) == [(2, "IN25", "", "")]
    assert "input.setlinfo.gend 给了两次" in problems["message"][0]


def test_names_in_texts_are_no_names(tmp_path: Path) -> None:
    setlinfo = {"setl_id": 'S"gend":1 :', "psn_name": '{"gend": "1", "gend": "2"}'}
    row, problems = case(tmp_path, message(setlinfo))
    assert row["case_id"] == 'S"gend":1 :'
    assert problems.is_empty()


@pytest.mark.parametrize(("text", "place"), [
    (f'{{"infno":"4101","input":[{_WHOLE}],"input":[{_WHOLE}]}}', "input"),
    (f'{{"infno":"4101","head":{{"a":1,"b":{{"c":1,"c":2}}}},"input":[{_WHOLE}]}}', "head.b.c"),
])  # fmt: skip
def test_a_name_given_twice_around_the_messages_refuses_the_file(tmp_path: Path, text: str, place: str) -> None:
    (problem,) = refusal(write(tmp_path, text, "list.json"))
    assert (problem.code, problem.args["reason"]) == ("IN11", f"{place} 给了两次，只能给一次")
