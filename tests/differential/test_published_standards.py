"""Every published payment standard, to the fen, out of its policy, its weight table and the pricing of a normal case.

The printed values are weight x rate x coefficient to ten significant digits; compared at the fen, half up. Further
files of the same columns (city, year, insurance, tier, drg, rw, rate_or_point, coefficient, published_standard_yuan)
are taken from the folder or file that DRGDIP_STANDARDS_VECTORS names.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from datetime import date
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest

from budget.frames import PAYABLE_SCHEMA
from budget.group_values import GroupValues
from budget.money import round_half_up
from budget.pricing import price_cases
from reference_tables.group_weights import find_group_weights
from reference_tables.policy import Policy, load_policy, policy_of
from reference_tables.weights import weight_tables

VARIABLE = "DRGDIP_STANDARDS_VECTORS"
NOT_TOLD = "未注明"
POLICIES = {
    ("临沂", 2022): "linyi-2022", ("吉林", 2022): "jilin-2022", ("无锡", 2022): "wuxi-2022",
    ("泰州", 2022): "taizhou-jiangsu-2022", ("苏州", 2022): "suzhou-2022", ("苏州", 2023): "suzhou-2023",
    ("铜川", 2022): "tongchuan-2022",
}  # fmt: skip


def fen(yuan: str) -> int:
    """Half up to the fen."""
    return round_half_up(Fraction(yuan) * 100)


def normal_cases(policy: Policy, rows: list[Mapping[str, str]]) -> pl.DataFrame:
    """One case of each row, its cost what it is paid: never low, never high."""
    first = policy.header.effective_from
    plain = {
        "hospital_id": "H1", "month": f"{first:%Y-%m}", "status": "GROUPED", "kind": "", "primary_care": False,
        "separate_fen": 0, "patient_paid_fen": 0, "other_funds_fen": 0, "los_days": 10,
    }  # fmt: skip
    found = []
    for at, row in enumerate(rows):
        told = {
            "case_id": str(at), "group": row["drg"], "total_cost_fen": fen(row["standard"]),
            "tier": row["tier"] if row["tier"] != NOT_TOLD else (policy.tiers or ("",))[0],
            "insurance": row["insurance"] if row["insurance"] != NOT_TOLD else policy.insurances[0],
        }  # fmt: skip
        found.append({name: (plain | told).get(name) for name in PAYABLE_SCHEMA})
    return pl.DataFrame(found, schema=PAYABLE_SCHEMA)


def wrong(policy: Policy, values: GroupValues, rows: list[Mapping[str, str]]) -> list[object]:
    priced = price_cases(normal_cases(policy, rows), policy, values).frame
    return [
        (row, kind, package)
        for row, kind, package in zip(rows, priced["case_kind"], priced["package_fen"], strict=True)
        if package != fen(row["standard"]) or kind not in {"normal", "ambiguous", "ungrouped"}
    ]


@pytest.mark.parametrize("place", POLICIES, ids=lambda place: f"{place[0]}{place[1]}")
def test_built_in_tables(place: tuple[str, int]) -> None:
    policy = _payable(load_policy(POLICIES[place]))
    values = GroupValues.of_frame(find_group_weights(policy.weights).frame)
    table = next(item for item in weight_tables() if (item.region, item.year) == place)
    rows = [
        {"tier": tier, "insurance": insurance, "drg": drg, "standard": str(Fraction(standard, 10**6))}
        for tier, insurance, drg, standard in table.frame.select("tier", "insurance", "drg", "standard_e6").iter_rows()
    ]
    assert len(rows) == table.frame.height > 300
    assert wrong(policy, values, rows) == []


# What the published tables do not tell and a case with the cost of its standard does not depend on.
_UNTOLD = {
    "reference": "STD", "low_limit": "0.3", "low_inclusive": False, "high_limit": "3", "high_inclusive": False,
    "normal_formula": "N_RATE", "low_formula": "L_COST", "high_formula": "H_COST",
    "fund_share_mode": "STANDARD_MINUS_PATIENT",
}  # fmt: skip


def _payable(policy: Policy) -> Policy:
    """The policy with the parameters its published table does not tell."""
    untold = {key: value for key, value in _UNTOLD.items() if not policy.has(key)}
    made = made_policy([{"tier": "三级", "insurance": "职工", "rate_or_point": "1"}])
    return policy.overlay(item for item in made.settings if item.key in untold)


def further_rows() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Files of DRGDIP_STANDARDS_VECTORS by city and year."""
    place = os.environ.get(VARIABLE, "")
    files = sorted(Path(place).glob("*.csv")) if place and Path(place).is_dir() else [Path(place)] if place else []
    for file in files:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            found: dict[str, list[dict[str, str]]] = {}
            for row in csv.DictReader(stream):
                found.setdefault(f"{row['city']}{row['year']}", []).append(row)
        yield from ((f"{file.stem}-{name}", rows) for name, rows in found.items())


def made_policy(rows: list[dict[str, str]]) -> Policy:
    """A policy that says the rates of these rows, and that the group's own coefficient counts."""
    rates = {(row["tier"], row["insurance"]): row["rate_or_point"] for row in rows}
    tiers, insurances = sorted({tier for tier, _ in rates}), sorted({insurance for _, insurance in rates})
    settings = [
        *({"key": key, "value": value} for key, value in _UNTOLD.items()),
        *({"key": "base_rate", "value": rate, "for": {"tier": tier, "insurance": insurance}}
          for (tier, insurance), rate in rates.items()),
    ]  # fmt: skip
    return policy_of(
        {
            "id": "further", "name": "公布的标准", "region": "某市", "method": "drg-rate", "tiers": tiers,
            "insurances": insurances, "effective_from": date(2020, 1, 1), "data_level": "reference",
            "statement": "公布的标准", "sources": {"further": {"title": "公布的标准"}},
            "set": [item | {"source": "further", "confidence": "table"} for item in settings],
        }
    )  # fmt: skip


@pytest.mark.parametrize("name", [name for name, _ in further_rows()])
def test_further_files(name: str) -> None:
    rows = next(rows for found, rows in further_rows() if found == name)
    # A rate that differs inside a tier and insurance (basic groups) is priced as a policy of its own.
    by_rate: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_rate.setdefault(row["rate_or_point"], []).append(row)
    for part in by_rate.values():
        policy = made_policy(part)
        values = GroupValues.of_rows(
            {
                "group": row["drg"], "tier": row["tier"], "insurance": row["insurance"], "weight": row["rw"],
                "coefficient": row["coefficient"] or "1",
            }
            for row in part
        )  # fmt: skip
        given = [row | {"standard": row["published_standard_yuan"]} for row in part]
        assert wrong(policy, values, given) == []


def test_the_further_rows_are_priced_by_what_they_say() -> None:
    rows = [
        {"city": "某市", "year": "2024", "insurance": "职工", "tier": "三级", "drg": "AA19", "rw": "1.2345",
         "rate_or_point": "8000.5", "coefficient": "1.02", "published_standard_yuan": "10074.15"},
        {"city": "某市", "year": "2024", "insurance": "职工", "tier": "三级", "drg": "AB19", "rw": "2",
         "rate_or_point": "8000.5", "coefficient": "", "published_standard_yuan": "16001.00"},
    ]  # fmt: skip
    # 1.2345 x 8000.5 x 1.02 = 10074.149595; the second: 16001
    policy = made_policy(rows)
    values = GroupValues.of_rows(
        {"group": row["drg"], "weight": row["rw"], "coefficient": row["coefficient"] or "1"} for row in rows
    )
    good = [row | {"standard": row["published_standard_yuan"]} for row in rows]
    assert wrong(policy, values, good) == []
    bad = [good[0] | {"standard": "10074.16"}, good[1]]
    assert [item[0]["drg"] for item in wrong(policy, values, bad)] == ["AA19"]  # type: ignore[index]
