"""Case files checked and priced over the service: the lists are the commands' own."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from small_service import SmallService, service_over
from test_office import code, command, file, put, rows, run_of, texts
from test_year import POLICY, job

from tests.unit.catalog_history import SCORES, YEARS, write_years
from tests.unit.clearing_city import HOSPITALS, City

PAID = "cases.csv"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SmallService]:
    with service_over(tmp_path, "sqlite", tuple(HOSPITALS), policy=POLICY) as made:
        yield made


def test_cases_are_priced_as_by_the_command(here: SmallService, city: City, tmp_path: Path) -> None:
    """By the lists that the year's settlements go by; what has a decision is paid by it."""
    office, month = here.client("office"), city.months[0]
    separate = tmp_path / "separate.csv"
    separate.write_text("case_id,amount\nC25,100.00\n", encoding="utf-8")
    put(office, "hospitals", "hospitals.csv", city.register.read_bytes())
    put(office, "cases", month.name, month.read_bytes())
    asked: dict[str, Any] = {"year": 2026, "cases": [month.name], "month": "2026-01"}
    usual = {item["case_id"]: item for item in rows(file(here, run_of(here, job(here, "/v1/payments", **asked)), PAID))}
    put(office, "decisions", "decisions-2026.csv", city.decisions.read_bytes())
    put(office, "separate", "separate.csv", separate.read_bytes())
    run = run_of(here, job(here, "/v1/payments", **asked))
    out, listed = tmp_path / "paid.csv", tmp_path / "problems.csv"
    command(
        "pay", month, "--policy", POLICY, "--hospitals", city.register, "--month", "2026-01", "-o", out,
        "--decisions", city.decisions, "--separate", separate, "--problems", listed,
    )  # fmt: skip
    paid = rows(file(here, run, PAID))
    assert paid == rows(out.read_bytes())
    assert len(paid) == 24
    # C30 is paid by item, C25 its separate amount beside; the refused C31 as any case.
    assert {item["case_id"] for item in paid if item != usual[item["case_id"]]} == {"C25", "C30"}
    assert next(item["case_kind"] for item in paid if item["case_id"] == "C30") == "special"
    codes = [[(item["code"], item["case_id"]) for item in rows(data)] for data in (
        file(here, run, "problems.csv"), listed.read_bytes())]  # fmt: skip
    assert codes[0] == codes[1]
    assert ("PA24", "C100") in codes[0]
    assert {item["kind"] for item in run["made_with"]["documents"]} == {"hospitals", "cases", "decisions", "separate"}
    no_tier = month.read_bytes().replace(b"H1,3,", b"H9,9,", 1)
    assert no_tier != month.read_bytes()
    put(office, "cases", month.name, no_tier)
    run = run_of(here, job(here, "/v1/payments", year=2026, cases=[month.name], month="2026-01"))
    [told] = [item for item in rows(file(here, run, "problems.csv")) if item["code"] == "PA05"]
    assert told["fix"] == "用 PUT /v1/documents/hospitals/文件名 放入医疗机构名册，写明政策所用的级别"
    assert code(office.post("/v1/payments", json={"year": 2026, "cases": ["none.csv"]})) == (404, "SV03")


def test_a_case_is_told_with_the_name_of_its_document(here: SmallService, city: City) -> None:
    """Packed files and workbooks as well."""
    office, names = here.client("office"), ["2026-01.csv.gz", "二月.xlsx", "三月.xlsx"]
    put(office, "hospitals", "hospitals.csv", city.register.read_bytes())
    put(office, "cases", names[0], gzip.compress(city.months[0].read_bytes()))
    for name, month in zip(names[1:], city.months[1:], strict=False):
        content = io.BytesIO()
        with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
            sheet = book.add_worksheet()
            for at, cells in enumerate(csv.reader(io.StringIO(month.read_text(encoding="utf-8")))):
                sheet.write_row(at, 0, cells)
        put(office, "cases", name, content.getvalue())
    for path, result in (("/v1/payments", PAID), ("/v1/groupings", "groups.csv")):
        run = run_of(here, job(here, path, year=2026, cases=names))
        assert Counter(item["file"] for item in rows(file(here, run, result))) == dict.fromkeys(names, 24)


def test_cases_are_checked_as_by_the_command(here: SmallService, city: City, tmp_path: Path) -> None:
    office, month = here.client("office"), city.months[0]
    broken = month.read_bytes().replace(b",1,", b",9,", 3)
    place = tmp_path / month.name
    place.write_bytes(broken)
    put(office, "cases", month.name, broken)
    run = run_of(here, job(here, "/v1/validations", year=2026, cases=[month.name]))
    out = tmp_path / "list.csv"
    command("validate", place, "--scheme", "chs-drg-1.1", "-o", out)
    assert rows(file(here, run, "worklist.csv")) == rows(out.read_bytes())
    assert rows(out.read_bytes())
    assert run["summary"]["cases"] == 24
    plain = run_of(here, job(here, "/v1/validations", year=2026, cases=[month.name], by_scheme=False))
    command("validate", place, "-o", out)
    assert rows(file(here, plain, "worklist.csv")) == rows(out.read_bytes())
    assert len(rows(out.read_bytes())) < len(rows(file(here, run, "worklist.csv")))
    assert all(item["fix"] for item in run["summary"]["problems"])


def test_cases_are_grouped_as_by_the_command(here: SmallService, city: City, tmp_path: Path) -> None:
    office, month = here.client("office"), city.months[0]
    broken = month.read_bytes().replace(b",1,", b",9,", 3)
    place = tmp_path / month.name
    place.write_bytes(broken)
    put(office, "cases", month.name, broken)
    asked = {"year": 2026, "cases": [month.name], "strict": True, "edition": "clinical", "format": "flat"}
    run = run_of(here, job(here, "/v1/groupings", **asked))
    out, listed = tmp_path / "groups.csv", tmp_path / "problems.csv"
    command(
        "group", place, "--scheme", "chs-drg-1.1", "--strict", "--edition", "clinical", "--format", "flat", "-o", out,
        "--problems", listed,
    )  # fmt: skip
    assert file(here, run, "groups.csv") == out.read_bytes()
    assert [(item["code"], item["row"]) for item in rows(file(here, run, "problems.csv"))] == [
        (item["code"], item["row"]) for item in rows(listed.read_bytes())
    ]
    assert (run["kind"], run["summary"]["rows"], len(rows(out.read_bytes()))) == ("group", 24, 24)
    parquet = office.get(f"/v1/runs/{run['id']}/files/groups.parquet")
    assert parquet.headers["content-type"] == "application/vnd.apache.parquet"
    assert office.get("/v1/runs", params={"kind": "group"}).json()["items"][0]["id"] == run["id"]
    for wrong in ({"format": "xml"}, {"edition": "icd"}, {"scheme": "none"}):
        assert not office.post("/v1/groupings", json=asked | wrong).is_success


def test_a_catalog_has_the_scores_worked_out_by_hand(here: SmallService, tmp_path: Path) -> None:
    policy, office = here.client("policy"), here.client("office")
    paths = [Path(path) for path in write_years(tmp_path)]
    for path in paths:
        put(office, "cases", path.name, path.read_bytes())
    assert [item["name"] for item in policy.get("/v1/case-files").json()["items"]] == [path.name for path in paths]
    asked = {
        "cases": [path.name for path in paths], "id": "hand", "min_cases": 3, "trim": "none", "auxiliary": "none",
        "data_level": "synthetic",
    }  # fmt: skip
    answer = policy.post("/v1/catalogs", json=asked)
    assert answer.status_code == 202, answer.text
    here.work()
    run = run_of(here, policy.get(f"/v1/jobs/{answer.json()['id']}").json(), "policy")
    found = {row["code"]: row["score"] for row in rows(file(here, run, "pack/score.csv", "policy"))}
    assert found == {name: score for name, score, *_ in SCORES}
    for name in ("problems.csv", "report-cases.xlsx"):
        assert policy.get(f"/v1/runs/{run['id']}/files/{name}").status_code == 404
    cases = {f"{year}-{at}" for year, listed in YEARS.items() for at in range(1, len(listed) + 1)}
    named = {name: cases & set(texts(file(here, run, name))) for name in ("report.xlsx", "report-cases.xlsx")}
    assert (named["report.xlsx"], bool(named["report-cases.xlsx"])) == (set(), True)
    # The catalog can be grouped by as soon as the office puts it in.
    packed = file(here, run, "pack.zip")
    put(office, "scheme", "hand.zip", packed)
    current = office.get("/v1/schemes/current").json()
    assert (current["scheme"], current["scheme_sha256"]) == ("hand", run["summary"]["pack"]["sha256"])
    assert code(office.put("/v1/documents/scheme/hand.zip", content=packed[:-30])) == (422, "SV09")
    assert office.get("/v1/schemes/current").json() == current
    # Its groups kept, scored by the same history: the same scores.
    more = {"scheme": "current", "id": "again", "effective_from": "2027-01-01", "format": "flat"}
    again = run_of(here, job(here, "/v1/catalogs", **(asked | more)))
    assert {row["code"]: row["score"] for row in rows(file(here, again, "pack/score.csv"))} == found
    manifest = file(here, again, "pack/manifest.toml").decode()
    assert "effective_from = 2027-01-01" in manifest
    assert all(words in manifest for words in ("--scheme hand", "--format flat", "--effective-from 2027-01-01"))
    # One that is not in force any more is named by its file.
    put(office, "scheme", "again.zip", file(here, again, "pack.zip"))
    for name, wanted in (("hand.zip", "hand"), ("current", "again"), ("again", "again")):
        grouped = run_of(here, job(here, "/v1/groupings", year=2025, cases=[paths[-1].name], scheme=name))
        assert grouped["summary"]["scheme"] == wanted, name
    gone = {"year": 2025, "cases": [paths[-1].name], "scheme": "hand"}
    assert code(office.post("/v1/groupings", json=gone)) == (404, "SV03"), "no name of a document, and not in force"
    for field, name in (("scheme", "chs-drg-1.1"), ("drg_scheme", "hand.zip"), ("drg_scheme", "current")):
        refused = policy.post("/v1/catalogs", json=asked | {field: name})
        assert (code(refused), refused.json()["args"]["field"]) == ((422, "SV04"), field), name
    assert code(policy.post("/v1/weights", json={"cases": asked["cases"], "scheme": "nothing"})) == (404, "SV03")


def test_what_is_lacking_is_told_with_the_route_that_puts_it(here: SmallService) -> None:
    office, year_file = here.client("office"), "PUT /v1/documents/year_file/2026.toml"
    scores, spend = {"scores": {"H1": "90"}, "reason": "x"}, {"spend": "s.csv", "month": "2026-01", "balances": {}}
    lacking: dict[str, tuple[dict[str, Any], str]] = {
        "clearings": ({"year": 2026}, year_file), "budgets": ({"year": 2026}, year_file),
        "years/2026/scores": (scores, year_file), "advances": (spend, "PUT /v1/documents/spend/s.csv"),
        "payments": ({"year": 2026, "cases": ["nope.csv"]}, "PUT /v1/documents/cases/nope.csv"),
        "reports": ({"year": 2026}, "POST /v1/settlements"), "indicators": ({"year": 2026}, "POST /v1/settlements"),
    }  # fmt: skip
    for path, (asked, route) in lacking.items():
        refused = office.post(f"/v1/{path}", json=asked).json()
        assert (refused["code"], route in refused["problems"][0]["fix"]) == ("SV03", True), (path, refused)
        assert "（" not in refused["detail"], "a name, no description"


def test_what_is_built_in_is_not_deleted(here: SmallService) -> None:
    for who, path in (
        ("policy", "reforms/synthetic-identity"), ("office", "documents/policy/synthetic-city-dip.toml"),
        ("office", "documents/policy_aside/synthetic-city-dip"), ("office", "documents/scheme/chs-drg-1.1.zip"),
        ("office", "documents/reform/synthetic-identity"),
    ):  # fmt: skip
        kept = here.client(who).delete(f"/v1/{path}", params={"reason": "x"})
        assert (kept.status_code, kept.json()["code"]) == (409, "SV82"), path
    template = here.client("policy").get("/v1/reform-template").content
    assert here.client("policy").put("/v1/reforms/mine.toml", content=template).status_code == 200
    served = here.client("office").get("/v1/documents/reform/mine.toml")
    assert (served.headers["content-type"], served.content) == ("application/toml", template)


def test_a_page_or_a_case_that_is_none_is_refused(here: SmallService) -> None:
    office = here.client("office")
    for path in ("runs", "jobs", "submissions", "documents"):
        answer = office.get(f"/v1/{path}", params={"after": "xx"})
        assert (answer.status_code, answer.json()["code"]) == (422, "SV04"), path
    for body in (b"[]", b"null", b'"a"'):
        answer = office.post("/v1/group", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "SV09"), body
        assert "/v1/group/batch" in answer.json()["detail"]
