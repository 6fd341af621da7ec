"""A whole year through the service: months handed in and settled, the year cleared; the sums are the commands' own."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_service import SmallService, service_over
from typer.testing import CliRunner

from api.cli.main import app
from api.core.book import CHANGE_SCHEMA, open_book
from api.service.audit import COMMAND
from api.service.handlers import handlers_of
from api.service.runs import set_state
from api.service.worker import JobContext
from tests.unit.clearing_city import HOSPITALS, City

POLICY = "synthetic-city-drg-point"
ANYWAY = {"anyway": True, "reason": "逾期视同确认"}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallService]:
    with service_over(tmp_path, request.param, tuple(HOSPITALS), policy=POLICY) as made:
        yield made


def documents(here: SmallService, city: City) -> None:
    office = here.client("office")
    for kind, name, path in (
        ("hospitals", "hospitals.csv", city.register), ("decisions", "decisions.csv", city.decisions),
        ("year_file", "2026.toml", city.year_file),
    ):  # fmt: skip
        answer = office.put(f"/v1/documents/{kind}/{name}", content=path.read_bytes())
        assert answer.status_code == 200, answer.text


def parts(month: Path) -> dict[str, bytes]:
    """The month's file cut by hospital."""
    header, *rows = month.read_text(encoding="utf-8").splitlines(keepends=True)
    of = {name: [line for line in rows if line.split(",")[1] == name] for name in HOSPITALS}
    return {name: (header + "".join(lines)).encode() for name, lines in of.items()}


def hand_in(here: SmallService, month: Path) -> None:
    for name, data in parts(month).items():
        answer = here.client(name).post("/v1/submissions", params={"month": month.stem}, content=data)
        assert answer.status_code == 202, answer.text
    here.work()


def job(here: SmallService, path: str, **asked: Any) -> dict[str, Any]:
    """Ask the office for something and have it done: the job afterwards."""
    office = here.client("office")
    answer = office.post(path, json=asked)
    assert answer.status_code == 202, answer.text
    here.work()
    found: dict[str, Any] = office.get(f"/v1/jobs/{answer.json()['id']}").json()
    return found


def cleared(here: SmallService, city: City) -> str:
    """January settled, the year cleared and locked: the clearing's run."""
    documents(here, city)
    hand_in(here, city.months[0])
    job(here, "/v1/settlements", month="2026-01")
    name = job(here, "/v1/clearings", year=2026)["result"]["run"]
    assert job(here, f"/v1/clearings/{name}/approve", **ANYWAY)["state"] == "done"
    return str(name)


def paid_in(text: str) -> list[tuple[str, ...]]:
    """Hospital, pool and what was paid out, of a monthly statement."""
    rows = list(csv.DictReader(io.StringIO(text)))
    names = [next(name for name in rows[0] if name.startswith(word)) for word in ("医疗机构编码", "基金池", "本期拨付")]
    return [tuple(row[name] for name in names) for row in rows]


def offline(folder: Path, city: City) -> tuple[dict[str, list[tuple[str, ...]]], list[dict[str, str]]]:
    """The same year by the commands: what each month paid, and the clearing's statement."""
    runner, book = CliRunner(), folder / "book"
    paid = {}
    for month in city.months:
        done = runner.invoke(app, [
            "settle", str(month), "--month", month.stem, "--policy", POLICY, "--book", str(book), "--close",
            "--hospitals", str(city.register), "--decisions", str(city.decisions), "-o", str(folder / month.stem),
        ])  # fmt: skip
        assert done.exit_code in {0, 1}, done.output
        paid[month.stem] = paid_in((folder / month.stem / "statement.csv").read_text("utf-8-sig"))
    out = folder / "clear"
    done = runner.invoke(app, [
        "clear", "--year", "2026", "--policy", POLICY, "--year-file", str(city.year_file), "--book", str(book),
        "--dry-run", "-o", str(out),
    ])  # fmt: skip
    assert done.exit_code in {0, 1}, done.output
    return paid, list(csv.DictReader(io.StringIO((out / "statement.csv").read_text("utf-8-sig"))))


def test_a_year_equals_the_commands(here: SmallService, city: City, tmp_path: Path) -> None:
    documents(here, city)
    office = here.client("office")
    paid, statement = offline(tmp_path, city)
    for month in city.months:
        hand_in(here, month)
        done = job(here, "/v1/settlements", month=month.stem)
        assert done["state"] == "done", done
        run = office.get(f"/v1/runs/{done['result']['run']}").json()
        text = office.get(f"/v1/runs/{run['id']}/files/statement.csv").content.decode("utf-8-sig")
        assert paid_in(text) == paid[month.stem]
    done = job(here, "/v1/clearings", year=2026)
    assert done["state"] == "done", done
    run = office.get(f"/v1/runs/{done['result']['run']}").json()
    assert run["state"] == "draft"
    assert run["summary"]["statement"] == statement


def test_a_clearing_goes_from_draft_to_locked(here: SmallService, city: City) -> None:
    documents(here, city)
    for month in city.months[:2]:
        hand_in(here, month)
        job(here, "/v1/settlements", month=month.stem, close=month is city.months[0])
    name = job(here, "/v1/clearings", year=2026)["result"]["run"]
    hospital, office = here.client("H1"), here.client("office")
    own = hospital.get(f"/v1/runs/{name}").json()
    assert {row["hospital"] for row in own["summary"]["statement"]} == {"H1"}
    problems = office.get(f"/v1/runs/{name}/files/problems.csv").content.decode("utf-8-sig")
    assert "结算时写 close: true 关账（POST /v1/settlements；" in problems, "CL61, mended by a request"
    assert "--" not in problems
    assert own["files"] == ["statements/H1.html", "statements/H1.json", "statements/H1.xlsx"]
    assert hospital.get(f"/v1/runs/{name}/files/statements/H2.html").status_code == 404
    assert hospital.get(f"/v1/runs/{name}/files/statements/H1.html").status_code == 200
    silent = hospital.post(f"/v1/clearings/{name}/answer", json={"state": "disputed"})
    assert (silent.status_code, silent.json()["code"]) == (422, "SV04")
    assert (
        hospital.post(f"/v1/clearings/{name}/answer", json={"state": "disputed", "comment": "少算"}).status_code == 200
    )
    assert hospital.post(f"/v1/clearings/{name}/answer", json={"state": "confirmed"}).status_code == 200
    assert [item["state"] for item in office.get(f"/v1/runs/{name}").json()["answers"]] == ["confirmed"]
    assert hospital.post(f"/v1/clearings/{name}/approve", json={}).status_code == 403
    silent_ones = office.post(f"/v1/clearings/{name}/approve", json={})
    assert (silent_ones.status_code, silent_ones.json()["code"]) == (409, "SV55")
    assert "H2、H3" in silent_ones.json()["detail"]
    assert job(here, f"/v1/clearings/{name}/approve", **ANYWAY)["state"] == "done"
    assert office.get(f"/v1/runs/{name}").json()["state"] == "locked"
    late = hospital.post(f"/v1/clearings/{name}/answer", json={"state": "disputed", "comment": "再看"})
    assert (late.status_code, late.json()["code"]) == (409, "SV73")
    again = office.post("/v1/clearings", json={"year": 2026})
    assert (again.status_code, again.json()["code"]) == (409, "SV52")
    next_name = job(here, "/v1/clearings", year=2026, supersedes=name)["result"]["run"]
    assert job(here, f"/v1/clearings/{next_name}/approve", **ANYWAY)["state"] == "done"
    old = office.get(f"/v1/runs/{name}").json()
    assert (old["state"], old["superseded_by"]) == ("superseded", next_name)


def test_a_draft_gives_way_to_the_next_one_and_to_the_one_that_is_locked(here: SmallService, city: City) -> None:
    documents(here, city)
    hand_in(here, city.months[0])
    job(here, "/v1/settlements", month=city.months[0].stem)
    hospital, office = here.client("H1"), here.client("office")
    first, last = (job(here, "/v1/clearings", year=2026)["result"]["run"] for _ in range(2))

    def state(name: str) -> tuple[str, str | None]:
        found = hospital.get(f"/v1/runs/{name}").json()
        return found["state"], found["superseded_by"]

    assert (state(first), state(last)) == (("superseded", last), ("draft", None))
    for answer in (
        hospital.post(f"/v1/clearings/{first}/answer", json={"state": "confirmed"}),
        office.post(f"/v1/clearings/{first}/approve", json=ANYWAY),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "SV72")
        route = answer.request.url.path.replace(first, last)
        assert f"POST {route} 办理" in answer.json()["problems"][0]["fix"]
    assert office.get(f"/v1/runs/{first}").json()["answers"] == []
    assert hospital.post(f"/v1/clearings/{last}/answer", json={"state": "confirmed"}).status_code == 200
    with here.service.database.write() as connection:
        set_state(connection, COMMAND, first, "draft")
    assert job(here, f"/v1/clearings/{last}/approve", **ANYWAY)["state"] == "done"
    assert (state(first), state(last)) == (("superseded", last), ("locked", None))


def test_a_register_without_a_hospital_at_work_says_so(here: SmallService, city: City) -> None:
    documents(here, city)
    hand_in(here, city.months[0])
    lines = Path(city.register).read_text(encoding="utf-8-sig").splitlines(keepends=True)
    fewer = "".join(line for line in lines if not line.startswith("H2,")).encode()
    assert len(fewer) < len("".join(lines).encode())
    told = here.client("office").put("/v1/documents/hospitals/hospitals.csv", content=fewer).json()["problems"]
    assert [(item["code"], item["value"], item["args"]["year"]) for item in told] == [("SV77", "H2", 2026)]


def test_a_draft_of_an_older_book_cannot_be_locked(here: SmallService, city: City) -> None:
    documents(here, city)
    for month in city.months[:2]:
        hand_in(here, month)
        if month is city.months[0]:
            job(here, "/v1/settlements", month=month.stem)
            name = job(here, "/v1/clearings", year=2026)["result"]["run"]
    job(here, "/v1/settlements", month=city.months[1].stem)
    refused = here.client("office").post(f"/v1/clearings/{name}/approve", json=ANYWAY)
    assert (refused.status_code, refused.json()["args"]["changed"]) == (409, "账册（有结算、更正或撤回）")
    assert here.client("office").get(f"/v1/runs/{name}").json()["state"] == "draft"


def test_a_settlement_that_comes_before_the_entry_makes_it_a_draft_again(here: SmallService, city: City) -> None:
    """The settlement had been asked for when the draft was approved; the job finds the book changed."""
    documents(here, city)
    office = here.client("office")
    hand_in(here, city.months[0])
    job(here, "/v1/settlements", month="2026-01")
    name = job(here, "/v1/clearings", year=2026)["result"]["run"]
    hand_in(here, city.months[1])
    assert office.post("/v1/settlements", json={"month": "2026-02"}).status_code == 202
    failed = job(here, f"/v1/clearings/{name}/approve", **ANYWAY, unsettled_reason="来年办理")
    problem = failed["error"]["problems"][0]
    assert (failed["state"], problem["code"]) == ("failed", "SV36")
    assert problem["args"]["changed"] == "账册（有结算、更正或撤回）"
    found = office.get(f"/v1/runs/{name}").json()
    assert (found["state"], found["approval"]) == ("draft", None)


def test_closed_months_refuse_and_are_corrected_in_the_next(here: SmallService, city: City) -> None:
    documents(here, city)
    january, february = city.months[:2]
    hand_in(here, january)
    job(here, "/v1/settlements", month="2026-01")
    header, first, *_ = parts(january)["H1"].decode().splitlines(keepends=True)
    client = here.client("H1")
    closed = client.post("/v1/submissions", params={"month": "2026-01"}, content=(header + first).encode())
    assert (closed.status_code, closed.json()["code"]) == (409, "SV10")
    dearer = first.split(",")
    dearer[header.split(",").index("total_cost")] = "29999.00"
    answer = client.post(
        "/v1/submissions", params={"month": "2026-01", "kind": "correction", "reason": "漏记费用"},
        content=(header + ",".join(dearer)).encode(),
    )  # fmt: skip
    assert answer.status_code == 202, answer.text
    here.work()
    hand_in(here, february)
    done = job(here, "/v1/settlements", month="2026-02")
    run = here.client("office").get(f"/v1/runs/{done['result']['run']}").json()
    assert run["summary"]["totals"]["changed"] == 1
    book = open_book(here.service.books / "2026")
    changes = book.frame("changes", CHANGE_SCHEMA, book.runs[-1])
    assert changes.select("action", "reason").rows() == [("replace", "漏记费用")], "the hospital's own words"
    assert client.get(f"/v1/submissions/{answer.json()['id']}").json()["state"] == "done"


def test_what_comes_after_a_month_was_settled_but_not_closed_is_settled_with_the_next(
    here: SmallService, city: City
) -> None:
    documents(here, city)
    january, february = city.months[:2]
    data = parts(january)
    header, first, *others = data["H1"].decode().splitlines(keepends=True)
    client = here.client("H1")
    early = client.post("/v1/submissions", params={"month": "2026-01"}, content=(header + "".join(others)).encode())
    here.work()
    job(here, "/v1/settlements", month="2026-01", close=False)
    late = client.post("/v1/submissions", params={"month": "2026-01"}, content=(header + first).encode())
    assert (early.status_code, late.status_code) == (202, 202)
    here.work()
    hand_in(here, february)
    done = job(here, "/v1/settlements", month="2026-02")
    assert done["state"] == "done", done
    run = here.client("office").get(f"/v1/runs/{done['result']['run']}").json()
    assert (run["summary"]["totals"]["cases"], run["summary"]["totals"]["late"]) == (25, 1)
    assert client.get(f"/v1/submissions/{late.json()['id']}").json()["state"] == "done"


def test_a_settlement_that_died_after_the_book_is_found_there_though_lists_have_changed(
    here: SmallService, city: City
) -> None:
    documents(here, city)
    hand_in(here, city.months[0])
    office = here.client("office")
    asked = office.post("/v1/settlements", json={"month": "2026-01"}).json()["id"]
    queue = here.service.queue
    held = queue.take()
    assert held is not None
    handlers_of(here.service)[held.kind](JobContext(queue, held))  # the book is written, the catalogue is not
    queue.give_back(held)
    register = city.register.read_bytes() + "H9,H9 医院,一级\n".encode()
    for kind, name, data in (
        ("hospitals", "hospitals.csv", register), ("decisions", "decisions.csv", b"case_id,decision\nC31,by_item\n"),
    ):  # fmt: skip
        assert office.put(f"/v1/documents/{kind}/{name}", content=data).status_code == 200
    here.work()
    done = office.get(f"/v1/jobs/{asked}").json()
    assert done["state"] == "done", done
    run = office.get(f"/v1/runs/{done['result']['run']}").json()
    assert (run["summary"]["totals"]["cases"], run["summary"]["closed"]) == (24, True)
    states = {item["state"] for item in office.get("/v1/submissions").json()["items"]}
    assert states == {"done"}
