"""Every route of the application, by every role, with another hospital's things: who may, and who sees nothing of it.

The routes are those the application has; one that is not in the table here fails the test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.routing import APIRoute
from small_service import MARCH, SETUP, SmallService, small_service

from api.service.runs import Made, add_run
from tests.unit.pay_examples import row

ROLES = {"h": ("H1", "H2"), "o": ("office",), "p": ("policy",), "a": ("admin",)}
EVERYBODY = "everybody"
MAY = {
    "GET /healthz": EVERYBODY, "GET /readyz": EVERYBODY, "GET /openapi.json": EVERYBODY, "GET /docs": EVERYBODY,
    "GET /metrics": "oa",
    "POST /v1/group": "hoa", "POST /v1/group/batch": "hoa",
    "POST /v1/submissions": "hoa", "GET /v1/submissions": "hoa", "GET /v1/submissions/{name}": "hoa",
    "GET /v1/submissions/{name}/{part}": "hoa", "GET /v1/submissions/{name}/explain": "hoa",
    "GET /v1/submissions/{name}/whatif": "hoa",
    "PUT /v1/documents/{kind}/{name}": "oa", "GET /v1/documents": "oa", "GET /v1/documents/{kind}/{name}": "oa",
    "POST /v1/documents/{kind}/{name}/check": "oa", "DELETE /v1/documents/{kind}/{name}": "oa",
    "POST /v1/reforms/check": "opa", "DELETE /v1/reforms/{name}": "opa", "POST /v1/schemes/check": "opa",
    "GET /v1/policies/{name}/file": "hopa", "GET /v1/policy-parameters": "hopa", "GET /v1/weight-tables": "hopa",
    "POST /v1/settlements": "oa", "POST /v1/clearings": "oa", "POST /v1/clearings/{name}/approve": "oa",
    "POST /v1/clearings/{name}/answer": "h", "POST /v1/clearing-trials": "oa",
    "GET /v1/runs": "hopa", "GET /v1/runs/{name}": "hopa", "GET /v1/runs/{name}/files/{file:path}": "hopa",
    "POST /v1/budgets": "oa", "POST /v1/advances": "oa", "POST /v1/indicators": "oa", "POST /v1/reports": "oa",
    "GET /v1/years/{year}": "oa", "PUT /v1/years/{year}/tables/{table}": "oa", "POST /v1/years/{year}/scores": "oa",
    "POST /v1/years/{year}/violations": "oa", "POST /v1/years/{year}/violations/{at}/withdraw": "oa",
    "GET /v1/years/{year}/decisions": "oa", "POST /v1/years/{year}/decisions": "oa",
    "GET /v1/books": "oa", "GET /v1/books/{year}": "oa", "GET /v1/books/{year}/check": "oa",
    "GET /v1/reforms": "opa", "PUT /v1/reforms/{name}": "opa", "GET /v1/reforms/{name}": "opa",
    "GET /v1/reform-template": "opa", "GET /v1/schemes/{name}/pack": "hopa",
    "POST /v1/groupings": "oa", "POST /v1/validations": "oa", "POST /v1/payments": "oa", "GET /v1/case-files": "opa",
    "POST /v1/simulations": "opa", "POST /v1/weights": "opa", "POST /v1/catalogs": "opa",
    "GET /v1/jobs": "hopa", "GET /v1/jobs/{name}": "hopa", "DELETE /v1/jobs/{name}": "hopa",
    "GET /v1/jobs/{name}/events": "hopa",
    "GET /v1/codes": "hopa", "GET /v1/columns": "hopa", "GET /v1/problems": "hopa", "GET /v1/schemes": "hopa",
    "GET /v1/schemes/current": "hopa", "GET /v1/policies": "hopa", "GET /v1/policies/{name}": "hopa",
    "POST /v1/policies/check": "opa", "GET /v1/policy-templates/{method}": "hopa",
    "GET /v1/schemes/{name}/check": "hopa", "GET /v1/schemes/{name}/codes/{code}": "hopa",
    "GET /v1/schemes/{name}/diff/{other}": "hopa",
    "GET /v1/audit": "oa", "GET /v1/audit/verify": "oa",
}  # fmt: skip
SINGLE_CASES = ("/v1/group", "/v1/submissions", "/v1/documents", "/v1/years/{year}/decisions")
"""Where single cases go in or come out: nothing for policy staff."""


def routes(app: Any) -> Iterator[tuple[str, str]]:
    """Method and path of every route, those of included routers too."""
    left: list[Any] = list(app.routes)
    while left:
        route = left.pop()
        inner = getattr(route, "original_router", None)
        if inner is not None:
            left += inner.routes
            continue
        assert isinstance(route, APIRoute), f"a route of another kind: {route}"
        for method in route.methods:
            if method != "HEAD":
                yield method, route.path


@dataclass(frozen=True)
class Hospitals:
    """A service with a submission, a job and a clearing of H1."""

    small: SmallService
    ids: dict[str, str]

    def url(self, path: str) -> str:
        """A route with H1's things in it."""
        kind = path.split("/")[2] if path.startswith("/v1/") else ""
        names = {
            "submissions": self.ids["submission"], "jobs": self.ids["job"], "runs": self.ids["run"],
            "clearings": self.ids["run"], "policies": "synthetic-city-dip", "reforms": "r.toml", "documents": "p.toml",
            "schemes": "chs-drg-1.1",
        }  # fmt: skip
        values = {
            "name": names.get(kind, ""), "part": "results", "kind": "policy", "year": "2025", "table": "quota",
            "at": "0",
            "file:path": "statements/H1.html", "method": "dip", "code": "GZ13", "other": "chs-drg-1.1",
        }  # fmt: skip
        for name, value in values.items():
            path = path.replace("{" + name + "}", value)
        assert "{" not in path, path
        return path


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospitals]:
    with small_service(tmp_path_factory.mktemp("service")) as made:
        found = made.submit(row("A1"))
        assert found["state"] == "accepted"
        stored = made.service.files.put(b"statement of H1")
        statement = {"statement": [{"hospital": "H1", "paid": "1.00"}]}
        clearing = Made(
            "clear", 2025, "", "draft", "x", statement, {"inputs": {}},
            {"statements/H1.html": stored.sha256, "proof.json": stored.sha256},
        )  # fmt: skip
        with made.service.database.write() as connection:
            name = add_run(connection, SETUP, found["job_id"], clearing)
        yield Hospitals(made, {"submission": found["id"], "job": found["job_id"], "run": name})


def _names(letters: str) -> Iterable[str]:
    return [name for letter in letters for name in ROLES[letter]]


def _asked(here: Hospitals, name: str, method: str, path: str) -> Any:
    client = here.small.client(name)
    app: Any = client.app
    known = app.state.query_names.get((method, path), ())
    params = {key: value for key, value in {"month": MARCH, "q": "I63"}.items() if key in known}
    return client.request(method, here.url(path), params=params, json={})


def test_every_route_by_every_role(here: Hospitals) -> None:
    found = {f"{method} {path}" for method, path in routes(here.small.client("H1").app)}
    assert found == MAY.keys()
    assert not [key for key in MAY if key.split(" ")[1].startswith(SINGLE_CASES) and "p" in MAY[key]]
    for key, letters in MAY.items():
        method, path = key.split(" ")
        if letters == EVERYBODY:
            assert _asked(here, "nobody", method, path).status_code == 200, key
            continue
        none = _asked(here, "nobody", method, path)
        assert (none.status_code, none.json()["code"]) == (401, "SV01"), key
        assert none.headers["WWW-Authenticate"] == "Bearer"
        for name in _names("hopa"):
            answer = _asked(here, name, method, path)
            if name in _names(letters):
                assert answer.status_code not in {401, 403, 500, 503}, (key, name, answer.text)
            else:
                assert (answer.status_code, answer.json()["code"]) == (403, "SV02"), (key, name)


def test_another_hospitals_things_look_as_if_they_were_not_there(here: Hospitals) -> None:
    ids = [key.split(" ") for key, letters in MAY.items() if "{name}" in key and "h" in letters]
    own = [(method, path) for method, path in ids if not path.startswith(("/v1/policies", "/v1/schemes"))]
    assert len(own) == 10
    for method, path in own:
        body = {"state": "confirmed", "comment": ""} if path.endswith("answer") else None
        url = here.url(path) + ("?case_id=A1" if path.endswith(("explain", "whatif")) else "")
        known, none = url.split("/")[3], f"{url.split('/')[3][:4]}{'00' * 12}"
        told = []
        for name, asked in ((known, url), (none, url.replace(known, none))):
            answer = here.small.client("H2").request(method, asked, json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "SV03"), (method, path, answer.text)
            told.append(answer.text.replace(name, "…").replace(answer.headers["x-request-id"], "…"))
        assert told[0] == told[1]
    # The same things are there for their owner.
    for method, path in own:
        if method == "GET":
            which = {"case_id": "A1"} if path.endswith(("explain", "whatif")) else {}
            assert here.small.client("H1").get(here.url(path), params=which).status_code == 200, path


def test_lists_hold_a_hospitals_own_alone(here: Hospitals) -> None:
    for path in ("/v1/submissions", "/v1/jobs", "/v1/runs"):
        for params in ({}, {"hospital": "H1"}, {"month": MARCH}, {"after": here.ids["submission"]}, {"limit": 1000}):
            text = here.small.client("H2").get(path, params=params).text
            assert not [name for name in here.ids.values() if name in text], path
        text = here.small.client("H1").get(path).text
        assert [name for name in here.ids.values() if name in text], path


def test_a_hospital_hands_in_for_nobody_else(here: Hospitals) -> None:
    answer = here.small.client("H2").post("/v1/submissions", params={"month": MARCH, "hospital": "H1"}, content=b"x")
    assert (answer.status_code, answer.json()["code"]) == (403, "SV02")
    supersedes = {"month": MARCH, "kind": "withdrawal", "reason": "x", "supersedes": here.ids["submission"]}
    stolen = here.small.client("H2").post("/v1/submissions", params=supersedes, content=b"x")
    assert (stolen.status_code, stolen.json()["code"]) == (404, "SV03")
    assert here.small.client("H1").get(f"/v1/submissions/{here.ids['submission']}").json()["state"] == "accepted"


def test_a_hospital_has_its_own_part_of_a_clearing(here: Hospitals) -> None:
    shown = here.small.client("H1").get(f"/v1/runs/{here.ids['run']}").json()
    assert (shown["files"], shown["proof"]) == (["statements/H1.html"], {})
    assert here.small.client("H1").get(f"/v1/runs/{here.ids['run']}/files/proof.json").status_code == 404


def test_policy_staff_see_no_single_case(here: Hospitals) -> None:
    client = here.small.client("policy")
    for path in (f"/v1/jobs/{here.ids['job']}", f"/v1/jobs/{here.ids['job']}/events", f"/v1/runs/{here.ids['run']}"):
        assert client.get(path).status_code == 404, path
    assert client.delete(f"/v1/jobs/{here.ids['job']}").status_code == 404
    assert client.get("/v1/jobs").json()["items"] == []
    assert client.get("/v1/runs").json()["items"] == []


def test_tokens_that_are_none(here: Hospitals) -> None:
    good = here.small.client("office").headers["authorization"].removeprefix("Bearer ")
    _, name, secret = good.split("_", 2)
    other = here.small.client("H1").headers["authorization"].split("_", 2)[1]
    for text in (
        "", "x", name, secret, good[:-1], good + "x", good.upper(), f"drgdip_{other}_{secret}", f"drgdip_{name}_",
        f"drgdip_{name}_'OR'1", "drgdip__", "令牌",
    ):  # fmt: skip
        headers = {"Authorization": f"Bearer {text}".encode()}
        assert here.small.client("nobody").get("/v1/runs", headers=headers).status_code == 401, text
    basic = {"Authorization": f"Basic {good}"}
    assert here.small.client("nobody").get("/v1/runs", headers=basic).status_code == 401
