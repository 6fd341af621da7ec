"""One case and many, through the service: the same answers as a file of them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from small_service import SmallService, small_service

CASE: dict[str, Any] = {
    "sex": 1, "age_years": 60, "los_days": 8, "discharge_way": "1", "diagnoses": ["I61.000"], "procedures": [],
    "total_cost_fen": 1600000, "fund_pay_fen": 1100000, "self_pay_fen": 400000, "own_pay_fen": 100000,
    "hospital_level": "3", "insurance_type": "310", "discharge_time": "2025-03-09T00:00:00",
}  # fmt: skip


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallService]:
    with small_service(tmp_path_factory.mktemp("service")) as made:
        yield made


def test_one_case_with_everything(here: SmallService) -> None:
    answer = here.client("H1").post(
        "/v1/group", params={"trace": True, "whatif": True, "pay": True}, json=CASE
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["drg"], found["status"]) == ("BR19", "GROUPED")
    # 1.5 x 10000 x 1.1; the fund pays it less 4000 + 1000.
    assert (found["payment"]["package"], found["payment"]["fund"]) == ("16500.00", "11500.00")
    assert found["trace"]["answer"]["drg"] == "BR19"
    assert found["whatif"]


@pytest.mark.parametrize("shape", ["rows", "columns", "parquet", "arrow"])
@pytest.mark.parametrize("media", ["rows", "columns", "ndjson", "parquet", "arrow"])
def test_many_cases_in_every_shape(here: SmallService, media: str, shape: str) -> None:
    cases = [{**CASE, "case_id": f"A{at}", "age_years": age} for at, age in enumerate((3, 40, 90))]
    body, kind = _body(cases, media)
    answer = here.client("office").post(
        "/v1/group/batch", params={"shape": shape, "pay": True}, content=body, headers={"Content-Type": kind}
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    frame = _frame(answer.content, shape)
    assert frame["case_id"].to_list() == ["A0", "A1", "A2"]
    assert frame["drg"].to_list() == ["BR19"] * 3
    assert [str(value) for value in frame["package"]] == ["16500.00"] * 3


def _body(cases: list[dict[str, Any]], media: str) -> tuple[bytes, str]:
    columns = {name: [case[name] for case in cases] for name in cases[0]}
    frame = pl.DataFrame(columns).with_columns(pl.col("discharge_time").str.to_datetime())
    frame = frame.with_columns(pl.col("procedures").cast(pl.List(pl.String)))
    buffer = io.BytesIO()
    if media == "ndjson":
        return b"\n".join(map(orjson.dumps, cases)), "application/x-ndjson"
    if media == "parquet":
        frame.write_parquet(buffer)
        return buffer.getvalue(), "application/vnd.apache.parquet"
    if media == "arrow":
        frame.write_ipc_stream(buffer)
        return buffer.getvalue(), "application/vnd.apache.arrow.stream"
    return orjson.dumps({"cases": cases} if media == "rows" else {"columns": columns}), "application/json"


def _frame(data: bytes, shape: str) -> pl.DataFrame:
    if shape == "parquet":
        return pl.read_parquet(io.BytesIO(data))
    if shape == "arrow":
        return pl.read_ipc_stream(io.BytesIO(data))
    return pl.DataFrame(orjson.loads(data)[shape], infer_schema_length=None)


@pytest.mark.parametrize(
    ("case", "code", "field"),
    [
        ({**CASE, "sex": "1"}, "SV37", "sex"), ({**CASE, "sex": True}, "SV37", "sex"),
        ({**CASE, "sex": 999}, "SV37", "sex"), ({**CASE, "diagnoses": "I61.000"}, "SV37", "diagnoses"),
        ({**CASE, "diagnoses": [1]}, "SV37", "diagnoses"),
        ({**CASE, "discharge_time": "now"}, "SV37", "discharge_time"),
        ({**CASE, "nonsense": 1}, "SV38", "nonsense"), ({**CASE, "row": 1}, "SV38", "row"),
        ({**CASE, "total_cost_fen": 1.5}, "SV37", "total_cost_fen"), ({**CASE, "age_years": -4}, "SV37", "age_years"),
        ({**CASE, "age_years": 500}, "SV37", "age_years"), ({**CASE, "age_days": 366}, "SV37", "age_days"),
        ({**CASE, "los_days": -1}, "SV37", "los_days"), ({**CASE, "icu_hours": -0.5}, "SV37", "icu_hours"),
        ({**CASE, "newborn_birth_weight_g": 10**9}, "SV37", "newborn_birth_weight_g"),
        ({**CASE, "total_cost_fen": -1}, "SV37", "total_cost_fen"),
        ({**CASE, "diagnoses": ["I61.\x00000"]}, "SV37", "diagnoses"),
        ({**CASE, "department": "外科\x1b[31m"}, "SV37", "department"),
        ({**CASE, "discharge_time": "0001-01-01T00:00:00"}, "SV37", "discharge_time"),
    ],
)  # fmt: skip
def test_what_is_not_as_described(here: SmallService, case: Any, code: str, field: str) -> None:
    for path, body in (("/v1/group", case), ("/v1/group/batch", {"cases": [case]})):
        answer = here.client("H1").post(path, json=body)
        assert answer.status_code == 422
        assert (answer.json()["code"], answer.json()["args"]["field"]) == (code, field)
        assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize("body", [[], None])
def test_what_is_no_case_is_told(here: SmallService, body: Any) -> None:
    media = {"Content-Type": "application/json"}
    answer = here.client("H1").post("/v1/group", content=orjson.dumps(body), headers=media)
    assert (answer.status_code, answer.json()["code"]) == (422, "SV09")
    many = here.client("H1").post("/v1/group/batch", json={"cases": [body]})
    assert (many.status_code, many.json()["code"]) == (422, "SV37")


def test_what_is_expected_is_said(here: SmallService) -> None:
    client = here.client("H1")
    for field, value, expected in (
        ("age_years", 500, "0 至 130 的整数"),
        ("diagnoses", ["I61.000"] * 201, "不超过 200 项的列表，给出了 201 项"),
        ("department", "外" * 201, "不超过 200 字的文本，给出了 201 字"),
        ("diagnoses", ["I61.000", 7], "文本的列表（第 2 项不是）"),
    ):
        answer = client.post("/v1/group", json={**CASE, field: value}).json()
        assert answer["args"]["expected"] == expected
        assert f"第 1 例的 {field}" in answer["detail"]


@pytest.mark.parametrize(("field", "value"), [
    ("age_years", 500), ("los_days", -1), ("total_cost_fen", -1), ("age_years", float("nan")), ("age_years", 60.5),
    ("department", "\x07"), ("diagnoses", ["I61.000", "\x00"]), ("icu_hours", float("inf")),
])  # fmt: skip
@pytest.mark.parametrize("media", ["parquet", "arrow"])
def test_tables_are_checked_like_rows(here: SmallService, media: str, field: str, value: Any) -> None:
    good = pl.DataFrame({"sex": [1, 1], "age_years": [60, 60], "diagnoses": [["I61.000"], ["I61.000"]]})
    first = good[field].to_list()[0] if field in good.columns else None
    frame = good.with_columns(pl.Series(field, [first, value], strict=False))
    buffer = io.BytesIO()
    frame.write_parquet(buffer) if media == "parquet" else frame.write_ipc_stream(buffer)
    kind = "application/vnd.apache." + ("parquet" if media == "parquet" else "arrow.stream")
    answer = here.client("H1").post("/v1/group/batch", content=buffer.getvalue(), headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (422, "SV37"), answer.text
    assert (answer.json()["args"]["field"], answer.json()["args"]["row"]) == (field, 2)


def test_a_sex_that_cannot_be_grouped_is_answered_as_in_a_file(here: SmallService) -> None:
    found = here.client("H1").post("/v1/group", json={**CASE, "sex": 7}).json()
    assert (found["status"], found["reason"]) == ("INVALID", "SEX_INVALID")


def test_blanks_around_codes_count_for_nothing(here: SmallService) -> None:
    case = {**CASE, "diagnoses": [" I61.000 "]}
    assert here.client("H1").post("/v1/group", json=case).json()["drg"] == "BR19"
    many = here.client("H1").post("/v1/group/batch", json={"cases": [case]})
    assert many.json()["rows"][0]["drg"] == "BR19"


def test_a_hospital_asks_for_itself_alone(here: SmallService) -> None:
    other = {**CASE, "hospital_id": "H2"}
    for path, body in (
        ("/v1/group", other),
        ("/v1/group?pay=true", other),
        ("/v1/group/batch", {"cases": [CASE, other]}),
    ):
        refused = here.client("H1").post(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "SV02")
        assert here.client("H2").post(path, json=body).status_code == 200
        assert here.client("office").post(path, json=body).status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[[[[", b"\xff\xfe", b'{"cases": 1}', b'{"columns": {"sex": [1], "age_years": []}}']
)
def test_bodies_that_are_none(here: SmallService, body: bytes) -> None:
    for path in ("/v1/group", "/v1/group/batch"):
        answer = here.client("H1").post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422


def test_too_many(tmp_path: Path) -> None:
    with small_service(tmp_path, max_cases=2) as made:
        answer = made.client("H1").post("/v1/group/batch", json={"cases": [CASE] * 3})
    assert (answer.status_code, answer.json()["code"]) == (413, "SV07")


def test_an_empty_case_is_answered(here: SmallService) -> None:
    answer = here.client("H1").post("/v1/group", json={})
    assert (answer.status_code, answer.json()["status"]) == (200, "INVALID")
    more = here.client("H1").post("/v1/group", params={"trace": True, "whatif": True, "pay": True}, json={})
    assert (more.status_code, more.json()["status"]) == (200, "INVALID")
    many = here.client("H1").post("/v1/group/batch", json={"cases": [{}, {}]})
    assert [row["status"] for row in many.json()["rows"]] == ["INVALID", "INVALID"]


def test_reference(here: SmallService) -> None:
    client = here.client("policy")
    codes = client.get("/v1/codes", params={"q": "i63.9", "kind": "dx"}).json()["items"]
    assert codes[0]["code"].startswith("I63.9")
    assert client.get("/v1/codes", params={"q": "切除术", "kind": "px"}).json()["items"][0]["kind"] == "px"
    assert client.get("/v1/schemes/current").json()["policy"] == "small"
    assert "synthetic-city-dip" in {item["id"] for item in client.get("/v1/policies").json()["items"]}
    policy = client.get("/v1/policies/synthetic-city-dip").json()
    assert any(item["key"] == "point_value" for item in policy["settings"])
    assert policy["commands"]["clear"]["can_run"]
    parameters = {item["key"]: item for item in client.get("/v1/policy-parameters").json()["items"]}
    assert {item["key"] for item in policy["settings"]} <= parameters.keys()
    assert parameters["point_value"]["needed"]
    tables = {item["id"]: item for item in client.get("/v1/weight-tables").json()["items"]}
    assert tables["suzhou-2023"]["groups"] == 648
    assert client.get("/v1/policies/nobody").status_code == 404
    kinds = {item["code"]: item for item in client.get("/v1/problems").json()["items"]}
    assert kinds["SV03"]["message"] == "没有〔事物〕 〔值〕"
    assert kinds["SV03"]["arguments"] == ["how", "value", "what"]
    for kind in kinds.values():
        for text in (kind["message"], kind["fix"]):
            assert "{" not in text, kind["code"]
            assert not text or re.search(r"\w", re.sub("〔[^〕]*〕", "", text)), f"{kind['code']} says nothing: {text}"
    assert any(item["name"] == "sex" for item in client.get("/v1/columns").json()["items"])
    assert client.get("/v1/schemes").json()["items"]
    assert client.post("/v1/group", json=CASE).status_code == 403
