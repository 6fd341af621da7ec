"""Handing in months: what is accepted, what is not, and that nothing is taken twice or lost."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_service import MARCH, SETUP, SmallService, small_service

from api.service.jobs import find_job
from api.service.roles import Role
from api.service.tokens import NoHospital, create_token
from api.service.worker import JobContext
from tests.unit.pay_examples import HEADER, RATE, policy_text, row

FORMATS = {
    "n041.csv": (
        "ZZJGDM,BAH,ZYCS,XB,NL,CYSJ,SJZYTS,JBDM,LYFS,YLFKFS,ZFY,ZFJE\nH1,1,1,1,60,2025-03-09,8,I61.000,1,1,16000,5000\n"
    ),
    "hqms.csv": (
        "A01,A48,A49,A12C,A14,B15,B20,C03C,B34C,A46C,D01,D09\n"
        "H1,2,1,1,60,2025-03-09 10:00:00,8,I61.000,1,01,16000,5000\n"
        "H1,3,1,1,60,2025-03-09 10:00:00,8,I61.000,1,01,,5000\n"
    ),
    "4101.json": (
        '{"infno":"4101","input":{"setlinfo":{"setl_id":"S1","gend":"1","age":"60","dscg_way":"1","act_ipt_days":"8",'
        '"adm_time":"2025-03-01 10:00:00","dscg_time":"2025-03-09 10:00:00","hi_type":"310","fixmedins_code":"H1",'
        '"psn_selfpay":"4000","psn_ownpay":"1000"},"payinfo":[{"fund_pay_type":"310100","fund_payamt":11000}],'
        '"diseinfo":[{"diag_type":"1","maindiag_flag":"1","diag_code":"I61.000"}],"oprninfo":[],'
        '"iteminfo":[{"med_chrgitm":"01","amt":16000}]}}'
    ),
    "flat.csv": HEADER + row("A1"),
}  # fmt: skip
"""One case of H1 in each format: 16,000 yuan, of which the patient paid 5,000."""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallService]:
    with small_service(tmp_path, request.param) as made:
        yield made


def test_accepted_cases_have_group_and_payment(here: SmallService) -> None:
    found = here.submit(row("A1") + row("A2", principal_dx="I60.000", total_cost="50000"))
    assert (found["state"], found["rows"], found["accepted"], found["rejected"]) == ("accepted", 2, 2, 0)
    rows = here.client("H1").get(f"/v1/submissions/{found['id']}/results").json()
    # A1 as in the examples of pay: 1.5 x 10000 x 1.1 = 16500, the fund pays it less 4000 + 1000.
    first = rows[0]
    assert (first["case_id"], first["group"], first["package"]) == ("A1", "BR19", "16500.00")


def test_rows_of_others_and_of_other_months_stay_out_with_their_problem(here: SmallService) -> None:
    cases = row("A1") + row("A2", hospital_id="H2") + row("A3", discharge_date="2025-04-02") + row("A4", sex="")
    found = here.submit(cases)
    assert (found["state"], found["rows"], found["accepted"], found["rejected"]) == ("accepted", 4, 1, 3)
    problems = here.client("H1").get(f"/v1/submissions/{found['id']}/problems").json()
    told = {(item["case_id"], item["code"]) for item in problems}
    assert {("A2", "SV30"), ("A3", "SV31")} <= told
    assert any(case == "A4" for case, _ in told)


def test_one_case_of_a_submission_explained_and_varied(here: SmallService) -> None:
    cases = row("A1") + row("A/2 号", principal_dx="I60.000") + row("A3", sex="") + row("A1", principal_dx="I60.000")
    client, data = here.client("H1"), gzip.compress((HEADER + cases).encode())
    found = client.post("/v1/submissions", params={"month": MARCH, "name": "m.csv.gz"}, content=data).json()
    here.work()
    url = f"/v1/submissions/{found['id']}"
    one = client.get(f"{url}/explain", params={"case_id": "A/2 号"}).json()
    assert (one["case_id"], one["row"], one["basis"]["policy"], one["problems"]) == ("A/2 号", 3, "small", [])
    grouped = {item["case_id"]: item["group"] for item in client.get(f"{url}/results").json()}
    assert one["trace"]["answer"]["drg"] == grouped["A/2 号"]
    varied = here.client("office").get(f"{url}/whatif", params={"row": 3}).json()
    assert varied["whatif"]["as_is"]["drg"] == grouped["A/2 号"]
    bad = client.get(f"{url}/explain", params={"case_id": "A3"}).json()
    assert (bad["trace"]["answer"]["status"], bad["row"]) == ("INVALID", 4)
    refusals: tuple[tuple[dict[str, Any], int, str], ...] = (
        ({}, 422, "SV04"), ({"case_id": "A9"}, 404, "SV03"), ({"row": 99}, 404, "SV03"),
        ({"case_id": "A3", "row": 2}, 404, "SV03"), ({"case_id": "A1"}, 422, "SV04"),
    )  # fmt: skip
    for asked, status, told in refusals:
        answer = client.get(f"{url}/whatif", params=asked)
        assert (answer.status_code, answer.json()["code"]) == (status, told), asked
        assert told != "SV03" or "共 4 例" in answer.json()["problems"][0]["fix"]
    assert "第 2、5 行" in answer.json()["detail"]
    assert client.get(f"{url}/explain", params={"case_id": "A1", "row": 5}).json()["row"] == 5
    ended = {"month": MARCH, "kind": "withdrawal", "reason": "重报", "supersedes": found["id"]}
    name = client.post("/v1/submissions", params=ended).json()["id"]
    here.work()
    assert client.get(f"/v1/submissions/{name}/explain", params={"row": 1}).json()["code"] == "SV03"
    assert client.get(f"{url}/explain", params={"row": 3}).json()["trace"] == one["trace"]


def test_the_same_bytes_are_one_submission(here: SmallService) -> None:
    first = here.submit(row("A1"))
    second = here.submit(row("A1"))
    assert second["id"] == first["id"]
    assert len(here.client("office").get("/v1/submissions").json()["items"]) == 1


def test_a_case_is_in_one_submission_of_the_month(here: SmallService) -> None:
    first = here.submit(row("A1"))
    second = here.submit(row("A1", cost="17000") + row("A2"))
    assert (second["accepted"], second["rejected"]) == (1, 1)
    problems = here.client("H1").get(f"/v1/submissions/{second['id']}/problems").json()
    assert [(item["code"], item["value"]) for item in problems if item["code"] == "SV32"] == [("SV32", first["id"])]


def test_a_correction_supersedes(here: SmallService) -> None:
    first = here.submit(row("A1"))
    second = here.submit(row("A1", cost="17000"), kind="correction", reason="费用录错", supersedes=first["id"])
    assert (second["state"], second["accepted"]) == ("accepted", 1)
    client = here.client("H1")
    assert client.get(f"/v1/submissions/{first['id']}").json()["state"] == "superseded"
    refused = client.post(
        "/v1/submissions", params={"month": MARCH, "kind": "correction", "reason": "再改", "supersedes": first["id"]},
        content=(HEADER + row("A1", cost="18000")).encode(),
    )  # fmt: skip
    assert (refused.status_code, refused.json()["code"]) == (409, "SV16")
    assert refused.json()["args"]["by"] == second["id"]


def test_a_correction_without_a_reason_is_refused(here: SmallService) -> None:
    answer = here.client("H1").post(
        "/v1/submissions", params={"month": MARCH, "kind": "correction"}, content=(HEADER + row("A1")).encode()
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "SV04")


def test_gzip_multipart_and_parquet(here: SmallService) -> None:
    client = here.client("H1")
    packed = gzip.compress((HEADER + row("A1")).encode())
    form = {"file": ("三月.csv.gz", packed, "application/gzip")}
    answer = client.post("/v1/submissions", params={"month": MARCH}, files=form)
    assert answer.status_code == 202, answer.text
    table = io.BytesIO()
    text = io.BytesIO((HEADER + row("A2")).encode())
    pl.read_csv(text, infer_schema=False).write_parquet(table)
    other = client.post(
        "/v1/submissions", params={"month": MARCH, "name": "x.parquet"}, content=table.getvalue()
    )  # fmt: skip
    assert other.status_code == 202
    here.work()
    for name in (answer.json()["id"], other.json()["id"]):
        found = client.get(f"/v1/submissions/{name}").json()
        assert (found["state"], found["accepted"]) == ("accepted", 1), found


def test_a_form_has_one_file(here: SmallService) -> None:
    client = here.client("H1")
    for count, told in ((2, "表单里有 2 个文件"), (30, "表单里有许多文件")):
        files = [("file", (f"{at}.csv", (HEADER + row(f"A{at}")).encode())) for at in range(count)]
        answer = client.post("/v1/submissions", params={"month": MARCH}, files=files)
        assert (answer.status_code, answer.json()["code"]) == (422, "SV09")
        assert told in answer.json()["detail"]
    assert client.get("/v1/submissions").json()["items"] == []


def test_a_hospital_that_the_register_lacks_hands_nothing_in(here: SmallService) -> None:
    """It would be settled, and stand in the way of the year's clearing. Without a register everybody may."""
    register = "hospital_id,name,tier\nH1,第一医院,三级\n".encode()
    assert here.client("office").put("/v1/documents/hospitals/h.csv", content=register).status_code == 200
    late = here.client("H2").post("/v1/submissions", params={"month": MARCH}, content=b"y")
    assert (late.status_code, late.json()["code"]) == (409, "SV68")
    office = here.client("office").post("/v1/submissions", params={"month": MARCH, "hospital": "H2"}, content=b"z")
    assert (office.status_code, office.json()["code"]) == (409, "SV68")
    assert here.submit(row("A1"))["state"] == "accepted"


def test_who_the_office_hands_in_for_is_a_hospital(here: SmallService) -> None:
    for name in ("../x", "H1/", "a" * 65, "H 1"):
        asked = {"month": MARCH, "hospital": name}
        answer = here.client("office").post("/v1/submissions", params=asked, content=b"x")
        assert answer.status_code == 422, answer.text
        with here.service.database.write() as connection, pytest.raises(NoHospital):
            create_token(connection, SETUP, Role.HOSPITAL, hospital_id=name)


def test_states_are_known(here: SmallService) -> None:
    assert here.client("H1").get("/v1/submissions", params={"state": "nonsense"}).status_code == 422
    here.submit(row("A1"))
    assert len(here.client("H1").get("/v1/submissions", params={"state": "accepted"}).json()["items"]) == 1


def test_progress_is_told_while_the_work_lasts(here: SmallService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows done of rows known, as they stand in the database between one block and the next."""
    monkeypatch.setattr("api.service.progress._SECONDS", 0.0)
    monkeypatch.setattr("api.service.submission_job.BLOCK_ROWS", 2)
    told = []
    hold = JobContext.hold

    def held(context: JobContext) -> None:
        hold(context)
        with here.service.database.read() as connection:
            found = find_job(connection, context.held.id)
        assert found is not None
        told.append((found.progress, found.progress_of))

    monkeypatch.setattr(JobContext, "hold", held)
    found = here.submit("".join(row(f"A{at}") for at in range(5)))
    assert told[-1] == (5, 5)
    assert len(told) > 1
    assert {item for item in told if item[1] != 5} <= {(0, 0)}, "while it is unpacked and its rows are counted"
    done = here.client("H1").get(f"/v1/jobs/{found['job_id']}").json()
    assert (done["progress"], done["progress_of"]) == (5, 5)


def test_a_file_that_is_none_is_refused_and_nothing_is_lost(here: SmallService) -> None:
    answer = here.client("H1").post("/v1/submissions", params={"month": MARCH}, content=b"\x00\x01 nothing of the kind")
    assert answer.status_code == 202
    here.work()
    found = here.client("H1").get(f"/v1/submissions/{answer.json()['id']}").json()
    assert (found["state"], found["accepted"]) == ("refused", 0)
    assert here.client("H1").get(f"/v1/submissions/{found['id']}/problems").json()[0]["level"] == "error"


def test_idempotency_key(here: SmallService) -> None:
    client = here.client("H1")
    body, headers = (HEADER + row("A1")).encode(), {"Idempotency-Key": "one"}
    first = client.post("/v1/submissions", params={"month": MARCH}, content=body, headers=headers)
    again = client.post("/v1/submissions", params={"month": MARCH}, content=body, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    other = client.post("/v1/submissions", params={"month": "2025-04"}, content=body, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "SV08")


def test_hospitals_see_their_own_alone(here: SmallService) -> None:
    found = here.submit(row("A1"))
    other = here.client("H2")
    for path in (
        f"/v1/submissions/{found['id']}",
        f"/v1/submissions/{found['id']}/results",
        f"/v1/jobs/{found['job_id']}",
    ):
        assert other.get(path).status_code == 404
    assert other.get("/v1/submissions").json()["items"] == []
    refused = other.get("/v1/submissions", params={"hospital": "H1"})
    assert (refused.status_code, refused.json()["code"]) == (403, "SV02")
    for name, status in (("nobody", 401), ("policy", 403)):
        assert here.client(name).get(f"/v1/submissions/{found['id']}").status_code == status
    assert here.client("H1").get("/v1/submissions", params={"hospital": "H1"}).json()["items"][0]["id"] == found["id"]


def run_of(here: SmallService, asked: Any) -> str:
    """The run of a job that was asked for."""
    assert asked.status_code == 202, asked.text
    here.work()
    done = here.client("office").get(f"/v1/jobs/{asked.json()['id']}").json()
    assert done["state"] == "done", done
    return str(done["result"]["run"])


def test_downloads(here: SmallService) -> None:
    pays = {**RATE, "prepay_period": '"month"', "prepay_share": '"0.9"'}
    (here.folder / "examples" / "p.toml").write_text(policy_text(values=pays), encoding="utf-8")
    found = here.submit(row("=cmd|x"))
    client = here.client("H1")
    text = client.get(f"/v1/submissions/{found['id']}/results", params={"format": "csv"})
    assert b"'=cmd|x" in text.content
    table = pl.read_parquet(
        io.BytesIO(client.get(f"/v1/submissions/{found['id']}/results", params={"format": "parquet"}).content)
    )
    assert table["case_id"].to_list() == ["=cmd|x"]
    assert client.get(f"/v1/submissions/{found['id']}/results", params={"format": "xlsx"}).content[:2] == b"PK"
    # Corrected under the name and for a reason as the files say them, a formula is told nowhere.
    office = here.client("office")
    settled = run_of(here, office.post("/v1/settlements", json={"month": MARCH, "close": True}))
    paid = office.get(f"/v1/runs/{settled}/files/problems.csv").content
    assert b"\n=" not in paid
    said = {"month": MARCH, "kind": "correction", "reason": "+1+1"}
    text_given = (HEADER + row("'=cmd|x", "17000")).encode()
    again = client.post("/v1/submissions", params=said, content=text_given)
    here.work()
    assert client.get(f"/v1/submissions/{again.json()['id']}").json()["accepted"] == 1
    run = run_of(here, office.post("/v1/settlements", json={"month": "2025-04", "reason": "无病例"}))
    listed = office.get(f"/v1/runs/{run}/files/corrections.csv").content.decode("utf-8-sig").splitlines()
    assert listed[1].startswith("H1,'=cmd|x,更正,'+1+1,2025-03,")


def test_progress_can_be_followed(here: SmallService) -> None:
    found = here.submit(row("A1"))
    answer = here.client("H1").get(f"/v1/jobs/{found['job_id']}/events")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert '"state":"done"' in answer.text.replace(" ", "")


@pytest.mark.parametrize(("kind", "body"), [
    ("correction", HEADER + row("A1", cost="17000")), ("withdrawal", "hospital_id,case_id,reason\nH1,A1,录错\n"),
])  # fmt: skip
def test_before_the_month_is_settled_one_says_which_submission_is_meant(
    here: SmallService, kind: str, body: str
) -> None:
    """Cases are corrected one by one only where they have been settled: before, nothing would be there to correct."""
    first = here.submit(row("A1"))
    query = {"month": MARCH, "kind": kind, "reason": "费用录错"}
    answer = here.client("H1").post("/v1/submissions", params=query, content=body.encode())
    assert (answer.status_code, answer.json()["code"]) == (409, "SV39")
    assert here.client("H1").get(f"/v1/submissions/{first['id']}").json()["state"] == "accepted"


def test_what_no_settlement_would_pay_is_not_accepted(here: SmallService) -> None:
    """A case without a cost, without what the patient paid, or insured in a way nobody understands; not one whose tier
    the office has to tell, unless it lacks what the hospital has to tell, too; nor one of another insurance."""
    unknown = {"fund_pay": "", "self_pay": ""}
    found = here.submit(
        row("A1") + row("A2", cost="") + row("A3", insurance_type="x") + row("A4", hospital_level="9")
        + row("A5", **unknown) + row("A6", hospital_level="9", **unknown) + row("A7", insurance_type="340", **unknown)
    )  # fmt: skip
    assert (found["accepted"], found["rejected"]) == (3, 4)
    told = here.client("H1").get(f"/v1/submissions/{found['id']}/problems").json()
    assert {(item["case_id"], item["code"]) for item in told if item["level"] == "reject"} == {
        ("A2", "PA01"), ("A3", "PA15"), ("A4", "PA05"), ("A5", "SV27"), ("A6", "PA05"), ("A6", "SV27"),
    }  # fmt: skip
    assert not [item for item in told if item["code"] == "PA14" and item["case_id"] in {"A5", "A6"}]


def test_cases_that_name_no_hospital_are_the_submitters(here: SmallService) -> None:
    """Its tier is the register's, as if they had named it; and the same case is the same, named or not."""
    register = "hospital_id,name,tier\nH1,第一医院,二级\n".encode()
    here.client("office").put("/v1/documents/hospitals/h.csv", content=register)
    cases = row("A1", hospital_id="", hospital_level="") + row("A1", hospital_level="") + row("A2", hospital_level="")
    found = here.submit(cases)
    assert (found["accepted"], found["rejected"]) == (2, 1)
    rows = here.client("H1").get(f"/v1/submissions/{found['id']}/results").json()
    # 1.5 x 10000 x 0.9
    assert [(item["case_id"], item["package"]) for item in rows] == [("A1", "13500.00"), ("A2", "13500.00")]
    told = here.client("H1").get(f"/v1/submissions/{found['id']}/problems").json()
    assert "PA04" not in {item["code"] for item in told}


def test_what_was_handed_in_in_any_format_is_priced_alike_when_it_is_simulated(here: SmallService) -> None:
    """Also where the file says in words of its own what the patient paid; what is not accepted is not simulated."""
    register = "hospital_id,name,tier\nH1,第一医院,二级\n".encode()
    here.client("office").put("/v1/documents/hospitals/h.csv", content=register)
    client = here.client("H1")
    for name, text in FORMATS.items():
        params = {"month": MARCH, "name": name}
        assert client.post("/v1/submissions", params=params, content=text.encode()).status_code == 202
    here.work()
    found = client.get("/v1/submissions").json()["items"]
    assert {item["file_name"]: item["accepted"] for item in found} == dict.fromkeys(FORMATS, 1)
    office = here.client("office")
    asked = office.post("/v1/simulations", json={"reforms": ["synthetic-identity"], "submitted": 2025})
    here.work()
    done = office.get(f"/v1/jobs/{asked.json()['id']}").json()
    run = office.get(f"/v1/runs/{done['result']['run']}").json()["summary"]
    # 1.5 x 10000 x 0.9 less 5,000 that the patient paid, four times.
    assert run["cases"] == 4
    assert [item["fund_fen"] for item in run["steps"]] == [3_400_000] * 2
