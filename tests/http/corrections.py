"""A hospital that corrects and withdraws settled cases: what it is told, and what the book holds then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from small_service import MARCH, SmallService, small_service

from api.core.book import open_book
from tests.unit.pay_examples import HEADER, RATE, policy_text, row

APRIL, MAY = "2025-04", "2025-05"
LIST = "hospital_id,case_id,reason\n"
PAYS = {**RATE, "prepay_period": '"month"', "prepay_share": '"0.9"'}


@contextmanager
def settled_march(folder: Path, kind: str) -> Iterator[SmallService]:
    """March is settled and closed, with the cases A1 and A2 of 16000 yuan."""
    with small_service(folder, kind) as made:
        (folder / "examples" / "p.toml").write_text(policy_text(values=PAYS), encoding="utf-8")
        made.submit(row("A1") + row("A2"))
        settle(made, MARCH, close=True)
        yield made


def settle(here: SmallService, month: str, **asked: Any) -> dict[str, Any]:
    """Settle a month; the run's summary."""
    office = here.client("office")
    answer = office.post("/v1/settlements", json={"month": month, "reason": "更正", "close": False, **asked})
    assert answer.status_code == 202, answer.text
    here.work()
    done = office.get(f"/v1/jobs/{answer.json()['id']}").json()
    assert done["state"] == "done", done
    assert done["progress"] == done["progress_of"] > 0
    run = done["result"]["run"]
    return {} if run is None else dict(office.get(f"/v1/runs/{run}").json()["summary"])


def change(here: SmallService, kind: str, body: str | bytes, month: str = MARCH, **query: str) -> dict[str, Any]:
    """Hand in a correction or withdrawal and have it worked on: the submission with its problems."""
    data = body if isinstance(body, bytes) else ((HEADER if kind == "correction" else LIST) + body).encode()
    client = here.client("H1")
    asked = {"month": month, "kind": kind, "reason": "录错", **query}
    answer = client.post("/v1/submissions", params=asked, content=data)
    assert answer.status_code in {200, 202}, answer.text
    here.work()
    return shown(here, answer.json()["id"])


def shown(here: SmallService, name: str) -> dict[str, Any]:
    client = here.client("H1")
    found: dict[str, Any] = client.get(f"/v1/submissions/{name}").json()
    problems = client.get(f"/v1/submissions/{name}/problems").json()
    found["told"] = {(item["case_id"], item["code"]) for item in problems if item["level"] == "reject"}
    assert here.client("office").get(f"/v1/submissions/{name}/problems").json() == problems
    assert found["accepted"] + found["rejected"] == found["rows"]
    results = client.get(f"/v1/submissions/{name}/results").json()
    assert len(results) == (found["accepted"] if found["state"] != "refused" else len(results))
    return found


def in_book(here: SmallService) -> dict[str, int]:
    """Cases that count, with their cost in yuan."""
    cases = open_book(here.service.books / "2025").cases()
    rows = cases.select("case_id", "total_cost_fen").iter_rows()
    found = {case: fen // 100 for case, fen in rows}
    assert len(found) == cases.height
    return found


def withdrawn(*cases: str) -> str:
    return "".join(f"H1,{case},录错\n" for case in cases)
