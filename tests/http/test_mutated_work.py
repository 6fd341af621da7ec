"""Spoilt requests for work, spoilt documents that work goes by, spoilt parameters: whatever is taken ends, done or
failed with problems that say why; no job breaks off or is tried again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
from direct import ask, check_shape
from example_year import POLICY, documents, example_year
from mutations import spoilt, spoilt_json
from small_service import SmallService

from api.http.openapi_examples import BODIES, FILES

_LONG = [
    pytest.param("sqlite", 30, marks=pytest.mark.long), pytest.param("postgres", 31, marks=pytest.mark.long),
]  # fmt: skip
_ASKS = {
    "year_file": ("/v1/budgets", "/v1/clearings"), "hospitals": ("/v1/settlements", "/v1/budgets"),
    "spend": ("/v1/advances",), "cases": ("/v1/budgets", "/v1/indicators", "/v1/weights", "/v1/catalogs"),
    "policy": ("/v1/settlements", "/v1/budgets"), "weights": ("/v1/settlements", "/v1/indicators"),
    "decisions": ("/v1/settlements",), "separate": ("/v1/indicators",), "reform": ("/v1/simulations",),
    "withdrawals": ("/v1/settlements",), "prepaid": ("/v1/simulations",),
}  # fmt: skip
"""Work that goes by a kind of document."""


@pytest.fixture
def here(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SmallService]:
    kind = request.node.callspec.params.get("kind", "sqlite")
    with example_year(tmp_path, kind, requests_per_minute=10**6, most_attempts=1) as made:
        yield made


def _ask(here: SmallService, who: str, method: str, target: str, body: bytes, media: str) -> dict[str, Any]:
    app: Any = here.client(who).app
    headers = {"authorization": here.client(who).headers["authorization"], "content-type": media}
    given = asyncio.run(ask(app, method, target, body, headers))
    check_shape(given)
    found = given.json()
    return found if given.status == 202 else {}


def _ended(here: SmallService, names: list[str], caplog: pytest.LogCaptureFixture) -> dict[str, int]:
    """Do all jobs that wait; how many ended in which state. Each must have ended at its first attempt."""
    here.work()
    states: dict[str, int] = {}
    for name in names:
        found = here.client("office").get(f"/v1/jobs/{name}").json()
        assert found["state"] in {"done", "failed"}, (found, caplog.text[-3000:])
        assert found["attempts"] == 1, found
        if found["state"] == "failed":
            codes = [item["code"] for item in found["error"]["problems"]]
            assert codes, found
            assert "SV20" not in codes, found
        states[found["state"]] = states.get(found["state"], 0) + 1
    assert "broke off" not in caplog.text
    assert "goes on after" not in caplog.text
    return states


def _target(key: str) -> str:
    path = key.split(" ")[1]
    for name, value in {"year": "2026", "table": "adjustment", "at": "0", "name": "run_00"}.items():
        path = path.replace("{" + name + "}", value)
    return path


@pytest.mark.parametrize(("kind", "rounds"), [("sqlite", 4), *_LONG])
def test_spoilt_requests_for_work(here: SmallService, kind: str, rounds: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "drgdip")
    taken = []
    for key, value in BODIES.items():
        random = Random(f"{key} {rounds} {kind}")
        for _ in range(rounds):
            who = "H1" if key.endswith("answer") else "office"
            method = key.split(" ")[0]
            found = _ask(here, who, method, _target(key), spoilt_json(value, random), "application/json")
            taken += [found["id"]] if found else []
    assert taken
    _ended(here, taken, caplog)


def _good() -> dict[tuple[str, str], bytes]:
    """A good document of each kind."""
    policy = Path("reference_tables/policies") / f"{POLICY}.toml"
    return documents() | {
        ("policy", "p.toml"): policy.read_bytes(),
        ("weights", "w.csv"): b"group,weight\nBR19,1.2\nES25,0.8\nGZ13,0.5\n",
        ("decisions", "decisions.csv"): b"case_id,decision,amount\nH1-011,by_item,\nH1-012,adjusted,100.00\n",
        ("separate", "separate.csv"): b"case_id,amount\nH1-011,100.00\n",
        ("reform", "basic.toml"): FILES["PUT /v1/reforms/{name}"]["application/toml"].encode(),
        ("withdrawals", "withdrawals.csv"): b"hospital_id,case_id,reason\nH1,H1-011,x\n",
        ("prepaid", "prepaid.csv"): b"hospital_id,insurance,amount\nH1,\xe8\x81\x8c\xe5\xb7\xa5,100.00\n",
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "rounds"), [("sqlite", 1), *_LONG])
def test_spoilt_documents(here: SmallService, kind: str, rounds: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "drgdip")
    bodies = {key.split(" ")[1]: value for key, value in BODIES.items()}
    bodies["/v1/simulations"] = {"reforms": ["basic.toml"], "cases": ["2026-01.csv"]}
    states: dict[str, int] = {}
    at = 0
    for (what, name), data in _good().items():
        random = Random(f"{what} {rounds} {kind}")
        for _ in range(rounds):
            body = spoilt(data, random)
            _ask(here, "office", "PUT", f"/v1/documents/{what}/{name}", body, "application/octet-stream")
            taken = []
            for path in _ASKS[what]:
                at += 1
                asked = bodies[path] | ({"reason": f"{at}"} if path == "/v1/settlements" else {})
                asked |= {"close": False} if path == "/v1/settlements" else {}
                found = here.client("office").post(path, json=asked)
                assert found.status_code < 500, found.text
                taken += [found.json()["id"]] if found.status_code == 202 else []
            for state, count in _ended(here, taken, caplog).items():
                states[state] = states.get(state, 0) + count
        put = here.client("office").put(f"/v1/documents/{what}/{name}", content=data)
        assert put.status_code < 500
    assert sum(states.values()) > rounds


_VALUES = (
    "", "0", "-1", "1e9", "9" * 30, "true", "NaN", "null", "2026-13", "2026-03", "２０２６", "a b", "%", "'--", "../..",
    "x" * 700, "𠮷", "\u202e", "=1+1", "[]", "{}", "\n", "\t", "submission", "sub_00", "run_" + "0" * 24,
)  # fmt: skip


@pytest.mark.parametrize(("kind", "rounds"), [("sqlite", 4), *_LONG])
def test_spoilt_parameters(here: SmallService, kind: str, rounds: int) -> None:
    """Every route with a value in the query, in the path or in a header that nobody expects."""
    app: Any = here.client("office").app
    described = here.client("nobody").get("/openapi.json").json()
    token = here.client("office").headers["authorization"]

    async def run() -> None:
        random = Random(f"{rounds} {kind}")
        for path, methods in described["paths"].items():
            for method, operation in methods.items():
                for _ in range(rounds):
                    target, query, headers = path, [], {"authorization": token}
                    for item in operation.get("parameters", ()):
                        usual = str(item["schema"].get("examples", ["2026-01"])[0])
                        value = usual if random.random() < 0.6 else random.choice(_VALUES)
                        if item["in"] == "path":
                            target = target.replace("{" + item["name"] + "}", quote(value or "x"))
                        elif item["in"] == "query" and random.random() < 0.7:
                            query.append(f"{item['name']}={quote(value)}")
                        elif item["in"] == "header":
                            headers[item["name"].lower()] = value
                    if not path.endswith("/events"):
                        check_shape(await ask(app, method.upper(), f"{target}?{'&'.join(query)}", b"x", headers))

    asyncio.run(run())
