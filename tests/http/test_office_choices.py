"""What requests over case files name in the place of what is in force, and how the files are read: the results are the
commands' own with the same options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from small_service import SmallService
from test_office import code, command, file, put, rows, run_of
from test_year import POLICY, job

from reference_tables.group_weights import built_in_weights
from tests.unit.clearing_city import City

RATE, DIP = "synthetic-city-drg-rate", "synthetic-city-dip"
READ = {"format": "flat", "edition": "clinical"}
READ_OPTIONS = ("--format", "flat", "--edition", "clinical")


@dataclass(frozen=True)
class Chosen:
    """Two months whose codes are of the clinical edition, and lists that are not those in force; `names` of the
    months among the documents, `options` of the commands for the lists."""

    here: SmallService
    folder: Path
    months: tuple[Path, ...]
    weights: Path
    separate: Path
    prepaid: Path
    city: City

    @property
    def names(self) -> list[str]:
        return [month.name for month in self.months]

    def done(self, route: str, **asked: Any) -> dict[str, Any]:
        """The run that the office asks for, of the months read as they are."""
        return run_of(self.here, job(self.here, f"/v1/{route}", **READ, cases=self.names, **asked))


@pytest.fixture
def chosen(lite: SmallService, city: City, tmp_path: Path) -> Chosen:
    """In force are a register in which everybody is of one tier, and lists of nobody's."""
    folder = tmp_path / "given"
    folder.mkdir()
    months = tuple(folder / month.name for month in city.months[:2])
    for path, month in zip(months, city.months, strict=False):
        text = month.read_text(encoding="utf-8")
        assert "I61.000" in text
        path.write_text(text.replace("I61.000", "I60.901"), encoding="utf-8")  # of no insurance code: I60.700x001
    texts = {
        "own.csv": "group,rw\n" + "".join(f"{group},1.2345\n" for group in _groups()),
        "separate.csv": "case_id,amount\nC25,100.00\n",
        "prepaid.csv": "hospital,pool,prepaid\nH1,职工,1000.00\nH2,居民,20.50\n",
        "flat.csv": city.register.read_text(encoding="utf-8").replace("三级", "一级").replace("二级", "一级"),
        "none.csv": "case_id,amount\nC26,1.00\n", "decisions-2026.csv": "case_id,decision\nC32,by_item\n",
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    office = lite.client("office")
    for kind, path in (
        ("hospitals", city.register), ("hospitals", folder / "flat.csv"), ("separate", folder / "separate.csv"),
        ("separate", folder / "none.csv"), ("weights_aside", folder / "own.csv"), ("decisions", city.decisions),
        ("decisions", folder / "decisions-2026.csv"), ("prepaid", folder / "prepaid.csv"),
        *(("cases", month) for month in months),
    ):  # fmt: skip
        put(office, kind, path.name, path.read_bytes())
    put(office, "year_file", "2026.toml", city.year_file.read_bytes())
    own, separate, prepaid = (folder / name for name in ("own.csv", "separate.csv", "prepaid.csv"))
    return Chosen(lite, folder, months, own, separate, prepaid, city)


def _groups() -> list[str]:
    assert "synthetic-city-drg" in built_in_weights()
    path = Path(__file__).parents[2] / "reference_tables" / "weights" / "synthetic-city-drg.csv"
    return [line.split(",")[0] for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def test_cases_are_priced_by_what_the_request_names(chosen: Chosen, tmp_path: Path) -> None:
    office, city, out = chosen.here.client("office"), chosen.city, tmp_path / "paid.csv"
    names = {
        "policy": RATE, "weights": "own.csv", "hospitals": "hospitals.csv", "separate": "separate.csv",
        "decisions": "decisions-2026.csv",
    }  # fmt: skip
    run = chosen.done("payments", year=2026, **names)
    command(
        "pay", *chosen.months, "--policy", RATE, "--weights", chosen.weights, "--hospitals", city.register,
        "--separate", chosen.separate, "--decisions", chosen.folder / "decisions-2026.csv", *READ_OPTIONS, "-o", out,
    )  # fmt: skip
    paid = rows(file(chosen.here, run, "cases.csv"))
    assert paid == rows(out.read_bytes())
    assert {row["weight"] for row in paid if row["case_kind"] == "normal"} == {"1.2345000000"}
    assert {row["case_id"] for row in paid if row["case_kind"] == "special"} == {"C32"}
    used = {(item["kind"], item["name"]) for item in run["made_with"]["documents"] if item["kind"] != "cases"}
    assert used >= {("weights_aside", "own.csv"), ("hospitals", "hospitals.csv"), ("separate", "separate.csv")}
    assert not used & {("hospitals", "flat.csv"), ("separate", "none.csv")}
    # A policy that is named brings its own weights, whatever is in force; the lists are those in force.
    text = (Path(__file__).parents[2] / "reference_tables" / "policies" / f"{RATE}.toml").read_bytes()
    put(office, "policy_aside", "mine.toml", text)
    put(office, "weights", "own.csv", chosen.weights.read_bytes())
    run = chosen.done("payments", year=2026, policy="mine.toml")
    command(
        "pay", *chosen.months, "--policy", RATE, "--hospitals", chosen.folder / "flat.csv", "--separate",
        chosen.folder / "none.csv", "--decisions", city.decisions, *READ_OPTIONS, "-o", out,
    )  # fmt: skip
    assert rows(file(chosen.here, run, "cases.csv")) == rows(out.read_bytes())
    run = chosen.done("payments", year=2026, policy="mine.toml", weights="current")
    paid = rows(file(chosen.here, run, "cases.csv"))
    assert {row["weight"] for row in paid if row["case_kind"] == "normal"} == {"1.2345000000"}
    lacking = job(chosen.here, "/v1/payments", year=2026, cases=chosen.names, policy=DIP)
    assert [item["code"] for item in lacking["error"]["problems"]] == ["SV40"], "it names no scheme"
    asked = {"year": 2026, "cases": chosen.names}
    for field in ("policy", "scheme", "weights", "hospitals", "separate", "decisions"):
        refused = office.post("/v1/payments", json=asked | {field: "nothing.csv"})
        assert (code(refused), "nothing.csv" in refused.json()["detail"]) == ((404, "SV03"), True), field
    for field in ("policy", "weights", "hospitals"):
        assert code(office.post("/v1/payments", json=asked | {field: "../p.toml"})) == (422, "SV04"), field


def test_a_budget_and_indicators_by_what_the_request_names(chosen: Chosen, tmp_path: Path) -> None:
    office, city, names = (
        chosen.here.client("office"),
        chosen.city,
        {"weights": "own.csv", "hospitals": "hospitals.csv"},
    )
    run = chosen.done("budgets", year=2026, **names)
    given = [part for month in chosen.months for part in ("--cases", month)]
    options = ("--weights", chosen.weights, "--hospitals", city.register, *READ_OPTIONS)
    out = tmp_path / "budget"
    command("budget", "--policy", POLICY, "--year-file", city.year_file, *given, *options, "-o", out)
    theirs = orjson.loads((out / "budget.json").read_bytes())["values"]
    assert [value["value_10_places"] for value in run["summary"]["values"]] == [
        value["value_10_places"] for value in theirs
    ]
    assert len(theirs) == 2
    again = run["proof"]["recompute"]
    assert "--weights own.csv --hospitals hospitals.csv --format flat --edition clinical" in again
    run = chosen.done("indicators", year=2026, policy=RATE, scheme="chs-drg-1.1", **names)
    out = tmp_path / "indicators.csv"
    command("indicators", *chosen.months, "--policy", RATE, "--scheme", "chs-drg-1.1", *options, "-o", out)
    assert rows(file(chosen.here, run, "indicators.csv")) == rows(out.read_bytes())
    assert run["summary"]["region"]["cmi"]["value"].startswith("1.23")
    # What is said of case files is said in vain without any.
    for route in ("budgets", "indicators"):
        for field, value in (*names.items(), ("scheme", "chs-drg-1.1"), ("edition", "clinical"), ("format", "hqms")):
            refused = office.post(f"/v1/{route}", json={"year": 2026, field: value})
            assert (code(refused), refused.json()["args"]["field"]) == ((422, "SV04"), field), (route, field)
    plain = {"year": 2026, "cases": chosen.names, "priced": False, "policy": RATE}
    assert code(office.post("/v1/indicators", json=plain)) == (422, "SV04")


def test_weights_and_a_simulation_by_what_the_request_names(chosen: Chosen, tmp_path: Path) -> None:
    policy, city, out = chosen.here.client("policy"), chosen.city, tmp_path / "weights.csv"
    asked: dict[str, Any] = {"year_weights": ["1"], "min_cases": 3, "compare": "own.csv"}
    peers = {"peers": True, "policy": RATE, "hospitals": "hospitals.csv"}
    run = chosen.done("weights", **asked, **peers)
    command(
        "weights", *chosen.months, "--year-weights", "1", "--min-cases", 3, "--compare", chosen.weights, "--policy",
        RATE, "--hospitals", city.register, *READ_OPTIONS, "-o", out,
    )  # fmt: skip
    found = rows(file(chosen.here, run, "weights.csv"))
    assert found == rows(out.read_bytes())
    assert "三级" in str(found)
    assert run["summary"]["comparison"]["title"] == "own.csv"
    refused = policy.post("/v1/weights", json={"cases": chosen.names, "hospitals": "hospitals.csv"})
    assert (code(refused), refused.json()["args"]["field"]) == ((422, "SV04"), "hospitals")
    named = {"policy": RATE, "weights": "own.csv", "hospitals": "hospitals.csv", "separate": "separate.csv"}
    run = chosen.done("simulations", reforms=["synthetic-high-limit"], **named)
    out = tmp_path / "simulation"
    command(
        "simulate", *chosen.months, "--policy", RATE, "--reform", "synthetic-high-limit", "--weights", chosen.weights,
        "--hospitals", city.register, "--separate", chosen.separate, *READ_OPTIONS, "-o", out,
    )  # fmt: skip
    for name in ("gain", "winners"):
        theirs = pl.read_parquet(out / "tables" / f"{name}.parquet")
        assert pl.read_parquet(file(chosen.here, run, f"tables/{name}.parquet")).equals(theirs), name
    assert run["summary"]["policy"]["before"] == RATE
    none = {"reforms": ["synthetic-identity"], "submitted": 2026, "edition": "clinical"}
    assert policy.post("/v1/simulations", json=none).status_code in {404, 422}


def test_a_clearing_is_tried_out_as_by_the_command(chosen: Chosen, tmp_path: Path) -> None:
    """Over case files, with what was paid in the year: nothing of it is a clearing."""
    here, city, out = chosen.here, chosen.city, tmp_path / "cleared"
    named: dict[str, Any] = {
        "weights": "own.csv", "hospitals": "hospitals.csv", "separate": "separate.csv", "prepaid": "prepaid.csv",
        "decisions": "decisions-2026.csv",
    }  # fmt: skip
    run = chosen.done("clearing-trials", year=2026, **named)
    command(
        "clear", *chosen.months, "--year", 2026, "--policy", POLICY, "--year-file", city.year_file, "--prepaid",
        chosen.prepaid, "--weights", chosen.weights, "--hospitals", city.register, "--separate", chosen.separate,
        "--decisions", chosen.folder / "decisions-2026.csv", *READ_OPTIONS, "-o", out,
    )  # fmt: skip
    assert file(here, run, "statement.csv") == (out / "statement.csv").read_bytes()
    paid = {(row["hospital"], row["pool"]): row["prepaid"] for row in run["summary"]["statement"]}
    assert (paid["H1", "职工"], paid["H2", "居民"], paid["H3", "职工"]) == ("1000.00", "20.50", "0.00")
    assert (run["kind"], run["state"]) == ("clear_trial", "done")
    office = here.client("office")
    assert code(office.post(f"/v1/clearings/{run['id']}/approve", json={"reason": "x"})) == (404, "SV03")
    assert here.client("H1").get(f"/v1/runs/{run['id']}").status_code == 404
    asked = {"year": 2026, "cases": chosen.names}
    two = job(here, "/v1/clearing-trials", **asked, policies=[RATE])
    assert [item["code"] for item in two["error"]["problems"]] == ["CL45"], "both begin on the same day"
    for field, value in (("policies", ["nothing"]), ("prepaid", "nothing.csv"), ("cases", ["nothing.csv"])):
        assert code(office.post("/v1/clearing-trials", json=asked | {field: value})) == (404, "SV03"), field
    assert code(office.post("/v1/clearings", json={"year": 2026, "policies": ["../p.toml"]})) == (422, "SV04")
