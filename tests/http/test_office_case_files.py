"""Case files checked and priced over the service: the lists are the commands' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_service import SmallService, service_over
from test_office import code, command, file, put, rows, run_of
from test_year import POLICY, job

from tests.unit.clearing_city import HOSPITALS, City, write_city


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SmallService]:
    with service_over(tmp_path, "sqlite", tuple(HOSPITALS), policy=POLICY) as made:
        yield made


@pytest.fixture
def city(tmp_path: Path) -> City:
    folder = tmp_path / "city"
    folder.mkdir()
    return write_city(folder)


def test_cases_are_priced_as_by_the_command(here: SmallService, city: City, tmp_path: Path) -> None:
    office, month = here.client("office"), city.months[0]
    put(office, "hospitals", "hospitals.csv", city.register.read_bytes())
    put(office, "cases", month.name, month.read_bytes())
    run = run_of(here, job(here, "/v1/payments", year=2026, cases=[month.name], month="2026-01"))
    out = tmp_path / "paid.csv"
    command("pay", month, "--policy", POLICY, "--hospitals", city.register, "--month", "2026-01", "-o", out)
    assert rows(file(here, run, "cases.csv")) == rows(out.read_bytes())
    assert len(rows(out.read_bytes())) == 24
    assert {item["kind"] for item in run["made_with"]["documents"]} == {"hospitals", "cases"}
    no_tier = month.read_bytes().replace(b"H1,3,", b"H9,9,", 1)
    assert no_tier != month.read_bytes()
    put(office, "cases", month.name, no_tier)
    run = run_of(here, job(here, "/v1/payments", year=2026, cases=[month.name], month="2026-01"))
    [told] = [item for item in rows(file(here, run, "problems.csv")) if item["code"] == "PA05"]
    assert told["fix"] == "用 PUT /v1/documents/hospitals/文件名 放入医疗机构名册，写明政策所用的级别"
    assert code(office.post("/v1/payments", json={"year": 2026, "cases": ["none.csv"]})) == (404, "SV03")


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
