"""A reform written out reads back as the same reform."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest

from api.core.resolved_reform import decimal, literal, reform_toml
from reference_tables.reform import find_reforms, load_reform, parse_reform

RICH = """
id = "rich"
name = "名称 \\"引号\\""
data_level = "synthetic"
statement = "第一行\\\\反斜线"
policies = ["synthetic-city-drg-rate"]
[sources.notice]
title = "某文件"
number = "医保发〔2026〕1 号"
[lists.few]
codes = ["BR23", "DT19"]
[switch]
weights = "w.csv"
[[change]]
key = "weight"
action = "scale"
value = "1.0500"
for = { insurance = "职工", groups = ["BR23", "DT19"] }
from = 2026-07-01
until = 2026-10-01
source = "notice"
note = "说明"
[[change]]
key = "high_limit"
action = "set"
value = [{ up_to = "1", limit = "3" }, { limit = "2" }]
[[change]]
key = "low_inclusive"
action = "set"
value = true
[[growth]]
kind = "coding"
share = "0.1"
for = { insurance = "职工" }
years = 3
[[sweep]]
key = "base_rate"
start = "0.9"
stop = "1.1"
steps = 5
"""


def test_a_reform_without_solves_is_the_same_reform_again() -> None:
    given = parse_reform(RICH, "rich.toml")
    text = reform_toml(given, "一行说明\n又一行")
    assert text.startswith("# 一行说明\n# 又一行\n")
    again = parse_reform(text, "other.toml")
    assert again.sha256 == given.sha256
    assert again.lists == given.lists
    assert reform_toml(again) == reform_toml(given)


@pytest.mark.parametrize("name", find_reforms())
def test_built_in_reforms_but_for_what_they_solve(name: str) -> None:
    given = load_reform(name)
    again = parse_reform(reform_toml(given), "again.toml")
    assert [item.canonical() for item in again.changes] == [item.canonical() for item in given.changes]
    assert again.solves == ()
    if not given.solves:
        assert again.sha256 == given.sha256


def test_literals_are_toml() -> None:
    value = {"险种": "职工", "a": [1, True, Fraction(1, 8)], "day": date(2026, 7, 1)}
    assert literal(value) == '{ "险种" = "职工", a = [1, true, "0.125"], day = 2026-07-01 }'
    assert decimal(Fraction(3)) == "3"
    assert decimal(Fraction(-21, 20)) == "-1.05"
    assert decimal(Fraction(100)) == "100"
