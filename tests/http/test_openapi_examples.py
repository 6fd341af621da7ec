"""Every request that the description shows is taken as it stands, by a service that works on the made-up year."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from example_year import example_year
from small_service import SmallService

EARLIER = ("PUT /v1/years/{year}/tables/{table}", "POST /v1/advances")
"""What is of the beginning of a year: the first version, the first month."""
LATER = (
    "POST /v1/years/{year}/violations/{at}/withdraw", "POST /v1/clearings", "POST /v1/clearings/{name}/answer",
    "POST /v1/clearings/{name}/approve", "POST /v1/reports",
)  # fmt: skip
"""What needs something that another request makes, in this order."""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SmallService]:
    with example_year(tmp_path) as made:
        yield made


def _shown(here: SmallService) -> dict[str, list[tuple[str, Any]]]:
    """What is shown to be sent, by route: media types and examples."""
    described = here.client("nobody").get("/openapi.json").json()
    found: dict[str, list[tuple[str, Any]]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            for media, body in operation.get("requestBody", {}).get("content", {}).items():
                examples = [item["value"] for item in body.get("examples", {}).values()]
                examples += [body["example"]] if "example" in body else []
                found.setdefault(f"{method.upper()} {path}", []).extend((media, item) for item in examples)
    return found


def _send(here: SmallService, key: str, media: str, example: Any, name: str) -> Any:
    method, path = key.split(" ")
    values = {"kind": "hospitals", "name": name, "year": "2026", "table": "adjustment", "at": "0"}
    for word, value in values.items():
        path = path.replace("{" + word + "}", value)
    sent: dict[str, Any] = {"json": example} if media == "application/json" else {"content": example.encode()}
    who = "H1" if key.endswith("/answer") else "policy" if "reforms" in key else "office"
    query = {"month": "2026-03", "hospital": "H1"} if key == "POST /v1/submissions" else {}
    headers = {"Content-Type": media}
    answer = here.client(who).request(method, path, params=query, headers=headers, **sent)
    assert answer.status_code in {200, 202}, (key, answer.text)
    here.work()
    told = answer.json()
    return here.client("office").get(f"/v1/jobs/{told['id']}").json() if answer.status_code == 202 else told


def test_every_request_shown_is_taken_and_done(here: SmallService) -> None:
    shown = _shown(here)
    assert {key for key, given in shown.items() if not given} == {"POST /v1/policies/check", "POST /v1/schemes/check"}
    usual = [key for key in shown if key not in {*EARLIER, *LATER}]
    assert len(usual) >= 12
    done: dict[str, Any] = {}
    for key in (*EARLIER, *usual, *LATER):
        name = done.get("POST /v1/clearings", {}).get("result", {}).get("run", "basic.toml")
        for media, example in shown[key]:
            if "version" in example and key.endswith("withdraw"):
                version = here.client("office").get("/v1/years/2026").json()["document"]["version"]
                assert example["version"] == version
            done[key] = _send(here, key, media, example, name)
            if "progress_of" in done[key]:
                assert done[key]["state"] == "done", (key, done[key]["error"])
