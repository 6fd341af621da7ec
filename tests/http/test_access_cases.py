"""Who sees single cases, and whose: nothing of one anywhere for policy staff, nothing of another hospital's for a
hospital, whatever the request carries the other's name in."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from example_year import YEAR, example_year
from small_service import SmallService
from test_access import MAY, routes

from api.http.openapi_examples import BODIES

_CASE = re.compile(r"\bH[12]-0[0-9]{2}\b")
"""The numbers of the made-up year's cases."""
_DESCRIBED = ("/docs", "/openapi.json")
"""Show one of them as an example."""
_PARQUET = {"Content-Type": "application/vnd.apache.parquet"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallService]:
    """A year with runs of every kind."""
    with example_year(tmp_path_factory.mktemp("service")) as made:
        for path in ("/v1/simulations", "/v1/weights", "/v1/catalogs"):
            assert made.client("policy").post(path, json=BODIES[f"POST {path}"]).status_code == 202, path
        for path in ("/v1/settlements", "/v1/indicators", "/v1/budgets"):
            assert made.client("office").post(path, json=BODIES[f"POST {path}"]).status_code == 202, path
        made.work()
        office = made.client("office")
        assert office.post("/v1/indicators", json={"year": 2026}).status_code == 202
        assert office.post("/v1/clearings", json={"year": 2026}).status_code == 202
        made.work()
        jobs = office.get("/v1/jobs", params={"limit": 1000}).json()["items"]
        assert {job["state"] for job in jobs} == {"done"}
        yield made


def _texts(data: bytes) -> Iterator[str]:
    """All that can be read in a file, whatever it is packed in."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            for name in packed.namelist():
                yield from _texts(packed.read(name))
    elif data.startswith(b"PAR1"):
        yield pl.read_parquet(io.BytesIO(data)).write_json()
    else:
        yield data.decode("utf-8", "replace")


def _named(data: bytes) -> set[str]:
    return {found for text in _texts(data) for found in _CASE.findall(text)}


def _ids(here: SmallService) -> dict[str, list[str]]:
    """Everything that there is, by the beginning of its path."""
    office = here.client("office")
    found = {}
    for kind in ("submissions", "jobs", "runs"):
        found[kind] = [item["id"] for item in office.get(f"/v1/{kind}", params={"limit": 1000}).json()["items"]]
        assert found[kind]
    found["policies"], found["schemes"], found["reforms"] = ["synthetic-city-drg-point"], ["chs-drg-1.1"], ["x.toml"]
    return found


def _targets(here: SmallService, path: str) -> Iterator[str]:
    """A route's addresses with all that there is in its place."""
    values = {
        "part": "results", "kind": "cases", "year": "2026", "table": "quota", "at": "0", "method": "dip",
        "code": "BR19", "other": "chs-drg-1.1",
    }  # fmt: skip
    for name, value in values.items():
        path = path.replace("{" + name + "}", value)
    for name in _ids(here).get(path.split("/")[2] if path.startswith("/v1/") else "", [""]):
        target = path.replace("{name}", name or "2026-01.csv")
        if "{file:path}" not in target:
            yield target
            continue
        for file in here.client("office").get(f"/v1/runs/{name}").json()["files"]:
            yield target.replace("{file:path}", file)


def test_policy_staff_are_answered_without_a_single_case(here: SmallService) -> None:
    """Every address there is, asked by policy staff and, to see that there is something to hide, by the office."""
    seen, hidden = 0, set()
    for method, path in routes(here.client("policy").app):
        if method != "GET" or path in _DESCRIBED:
            continue
        for target in _targets(here, path):
            answer = here.client("policy").get(target)
            assert answer.status_code < 500, target
            if answer.status_code == 200:
                seen += 1
                assert not _named(answer.content), target
            elif _named(here.client("office").get(target).content):
                hidden.add(path)
    assert seen > 60
    assert hidden >= {
        "/v1/submissions/{name}/{part}",
        "/v1/documents/{kind}/{name}",
        "/v1/runs/{name}/files/{file:path}",
    }


def test_policy_staff_s_own_requests_tell_of_no_case(here: SmallService) -> None:
    """Refusals and failed jobs, too: of case files whose every row is wrong."""
    office, policy = here.client("office"), here.client("policy")
    lines = (YEAR / "H1-2026-01.csv").read_text(encoding="utf-8").splitlines()
    broken = "\n".join([lines[0], *(line.replace(",3,", ",9,").replace("2026-01", "2026-41") for line in lines[1:])])
    assert office.put("/v1/documents/cases/broken.csv", content=broken.encode()).status_code in {200, 422}
    asked = [policy.post(f"/v1/{name}", json=BODIES[f"POST /v1/{name}"] | {"cases": ["broken.csv"]})
             for name in ("simulations", "weights", "catalogs")]  # fmt: skip
    here.work()
    for answer in asked:
        assert not _named(answer.content)
        if answer.status_code == 202:
            job = policy.get(f"/v1/jobs/{answer.json()['id']}")
            assert job.json()["state"] in {"done", "failed"}
            assert not _named(job.content)
            for told in policy.get(f"/v1/jobs/{answer.json()['id']}/events").content, job.content:
                assert not _named(told)


def test_a_hospital_s_files_name_its_own_cases_alone(here: SmallService) -> None:
    for method, path in routes(here.client("H2").app):
        if method != "GET" or path in _DESCRIBED:
            continue
        for target in _targets(here, path):
            answer = here.client("H2").get(target)
            assert answer.status_code < 500, target
            if answer.status_code == 200:
                assert not {name for name in _named(answer.content) if name.startswith("H1")}, target


def test_statements_are_of_the_one_that_asks(here: SmallService) -> None:
    """In a run that has both, each gets its own, by whatever name the other's is asked for."""
    runs = here.client("H2").get("/v1/runs").json()["items"]
    assert {run["kind"] for run in runs} == {"settle", "clear"}
    for item in runs:
        run = here.client("H2").get(f"/v1/runs/{item['id']}").json()
        assert [name.split("/")[1].split(".")[0] for name in run["files"]] == ["H2"] * len(run["files"])
        assert {row["hospital"] for row in run["summary"]["statement"]} == {"H2"}
        for ending in ("html", "json", "xlsx"):
            place = f"/v1/runs/{run['id']}/files"
            assert here.client("H2").get(f"{place}/statements/H2.{ending}").status_code == 200
            for name in ("H1", "%48%31", "H2/../H1", "H2%2f..%2fH1", "./H1", "h1", "H1%20", "H1%00"):
                answer = here.client("H2").get(f"{place}/statements/{name}.{ending}")
                assert answer.status_code in {404, 422}, name


def test_no_body_of_a_hospital_s_names_a_hospital(here: SmallService) -> None:
    """Bodies of the routes that hospitals may take have no field for whose they are; what cases carry is checked."""
    described = here.client("nobody").get("/openapi.json").json()
    seen = set()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            key = f"{method.upper()} {path}"
            if "h" not in MAY.get(key.replace("{file}", "{file:path}"), "h"):
                continue
            for body in operation.get("requestBody", {}).get("content", {}).values():
                seen.add(key)
                name = body["schema"].get("$ref", "").rsplit("/", 1)[-1]
                fields = described["components"]["schemas"].get(name, {}).get("properties", {})
                assert not [field for field in fields if "hospital" in field], key
    assert seen == {
        "POST /v1/group",
        "POST /v1/group/batch",
        "POST /v1/submissions",
        "POST /v1/clearings/{name}/answer",
    }


def test_another_s_cases_are_not_grouped_or_priced(here: SmallService) -> None:
    case: dict[str, Any] = {
        "case_id": "X1", "hospital_id": "H2", "sex": 1, "age_years": 63, "los_days": 9, "discharge_way": "1",
        "diagnoses": ["I63.900"], "procedures": [],
    }  # fmt: skip
    batch = pl.DataFrame([case])
    table = io.BytesIO()
    batch.write_parquet(table)
    for path, sent in (
        ("/v1/group", {"json": case}), ("/v1/group?trace=true", {"json": case}),
        ("/v1/group/batch", {"json": [case]}),
        ("/v1/group/batch", {"json": {"columns": {name: [value] for name, value in case.items()}}}),
        ("/v1/group/batch", {"content": table.getvalue(), "headers": _PARQUET}),
    ):  # fmt: skip
        assert here.client("H2").post(path, **sent).status_code == 200, path
        assert here.client("H1").post(path, **sent).status_code == 403, path
