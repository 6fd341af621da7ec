"""The example reforms give their committed results on a small made-up city, by the command as well; some of them are
worked out anew: the policy file's own values and the weights changed by hand, every case priced alone by the oracle."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.core.simulate import Simulation
from benchmarks.expected_reforms import (
    FOLDER,
    HEADER,
    MadeYear,
    command,
    differences,
    expected_rows,
    run_example,
    sample_city,
)
from budget.money import to_fen, yuan_text
from grouper.schemes import Scheme, open_scheme
from reference_tables.group_weights import find_group_weights
from reference_tables.reform import find_reforms
from tests.oracle.money_oracle import MoneyOracle, Price
from tests.oracle.random_money import _COLUMNS

EXAMPLES = [name for name in find_reforms() if (FOLDER / f"{name}.expect.csv").exists()]
POLICIES = FOLDER.parent / "policies"
Edit = Callable[[dict[str, Any], dict[tuple[str, str, str], dict[str, str]]], None]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> MadeYear:
    return sample_city(tmp_path_factory.mktemp("year"))


@pytest.fixture(scope="module")
def scheme() -> Scheme:
    return open_scheme("chs-drg-1.1")


def committed(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"{name}.expect.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_example_has_its_result() -> None:
    assert list(find_reforms()) == EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_committed_result(name: str, city: MadeYear, scheme: Scheme) -> None:
    found = [dict(zip(HEADER, row, strict=True)) for row in expected_rows(run_example(name, city, scheme).tables)]
    assert found == committed(name)


@pytest.mark.parametrize(
    "name", ["synthetic-quota-to-pool", pytest.param("synthetic-pools-merged", marks=pytest.mark.long)]
)
def test_the_command_gives_the_committed_result(name: str, city: MadeYear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(city.folder)
    words = command(name, city).split()[1:]
    words = [path for word in words for path in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert differences(Path(name)) == []
    proof = Path(name, "proof.json")
    proof.write_text(proof.read_text(encoding="utf-8").replace(name, "synthetic-identity"), encoding="utf-8")
    assert differences(Path(name))  # another reform's result is not this one


# ---- some of them again, one case at a time
def plain_cases(done: Simulation) -> list[dict[str, Any]]:
    """The cases as the oracle takes them."""
    names = {column: name for column, name in _COLUMNS.items() if column in done.before.cases.columns}
    frame = done.before.cases.select(pl.col(column).alias(name) for column, name in names.items())
    return [{**row, "aux": None} for row in frame.iter_rows(named=True)]


def decided(city: MadeYear) -> dict[str, tuple[str, str]]:
    """The decisions on special cases that are not refused: what was decided, and the amount in yuan."""
    with city.decisions.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {row["case_id"]: (row["decision"], row["amount"]) for row in rows if row["decision"] != "refused"}


def of_the_fund(case: Mapping[str, Any], price: Price | str, decision: tuple[str, str] | None) -> int:
    """The fund's part of a case, special cases by hand: by item as billed, else the agreed amount less the patient."""
    assert isinstance(price, Price)
    if decision is None or price.kind == "unpaid":
        return price.fund or 0
    if decision[0] == "by_item":
        return int(case["billed"])
    return max(0, to_fen(decision[1]) - case["patient"] - (case["other"] or 0))


def by_hospital(done: Simulation, city: MadeYear, policy: Mapping[str, Any], edit: Edit | None) -> dict[str, int]:
    """What the fund pays each hospital under a policy file whose values are edited."""
    weights = {(group, "", ""): {"weight": text} for group, text in weight_rows(str(policy["weights"]))}
    changed = {**policy, "set": [dict(item) for item in policy["set"]]}
    if edit is not None:
        edit(changed, weights)
    cases, special = plain_cases(done), decided(city)
    sums: dict[str, int] = {}
    for case, price in zip(cases, MoneyOracle(changed, weights).price_all(cases), strict=True):
        fund = of_the_fund(case, price, special.get(case["id"]))
        sums[case["hospital"]] = sums.get(case["hospital"], 0) + fund
    return sums


def weight_rows(name: str) -> list[tuple[str, str]]:
    table = find_group_weights(name).frame.select("group", "weight").drop_nulls()
    return [(group, text) for group, text in table.iter_rows()]


def cut_tier(policy: dict[str, Any], _: object) -> None:
    for item in policy["set"]:
        if item["key"] == "coefficient" and item["for"] == {"tier": "三级"}:
            item["value"] = "1.0864"  # 1.12 x 0.97


def lower_limits(policy: dict[str, Any], _: object) -> None:
    for item in policy["set"]:
        if item["key"] == "high_limit":
            item["value"] = [{**band, "limit": str(Fraction(band["limit"]) - Fraction(1, 2))} for band in item["value"]]


def raise_surgery(policy: dict[str, Any], weights: dict[tuple[str, str, str], dict[str, str]]) -> None:
    for (group, _, _), parts in weights.items():
        if group[1] in "ABCDEFGHJ":
            parts["weight"] = str(Fraction(parts["weight"]) * Fraction(105, 100))
    factor = Fraction(next(row["value"] for row in committed("synthetic-surgical-neutral") if row["value"]))
    for item in policy["set"]:
        if item["key"] == "base_rate":
            item["value"] = str(Fraction(item["value"]) * factor)


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("synthetic-tier-cut", cut_tier),
        ("synthetic-high-limit", lower_limits),
        ("synthetic-surgical-neutral", raise_surgery),
    ],
)
def test_the_oracle_comes_to_the_committed_result(name: str, edit: Edit, city: MadeYear, scheme: Scheme) -> None:
    done = run_example("synthetic-identity", city, scheme)
    policy = tomllib.loads((POLICIES / "synthetic-city-drg-rate.toml").read_text(encoding="utf-8"))
    rows = [row for row in committed(name) if row["dimension"] == "hospital"]
    for column, change in (("fund_before", None), ("fund_after", edit)):
        sums = by_hospital(done, city, policy, change)
        assert {row["key"]: row[column] for row in rows} == {key: yuan_text(fen) for key, fen in sums.items()}
