"""The tables of the quality rules: complete, sourced, and about codes that exist."""

from __future__ import annotations

import string

import polars as pl
import pytest

from grouper.quality.registry import IMPLEMENTED
from reference_tables import quality_data as module
from reference_tables.code_family import CodeFamily, CodeForms
from reference_tables.codes import load_code_books
from reference_tables.columns import columns
from reference_tables.problems import catalogue
from reference_tables.quality_data import INPUTS, quality_data

DATA = quality_data()


def families() -> dict[str, CodeFamily]:
    found = dict(DATA.principal)
    found |= {" ".join(key): family for key, family in DATA.families.items()}
    for at, pair in enumerate(DATA.pairs):
        found |= {f"{pair.rule} first {at}": pair.first, f"{pair.rule} second {at}": pair.second}
    for at, rule in enumerate(DATA.companions):
        found |= {f"{rule.rule} family {at}": rule.family, f"{rule.rule} companion {at}": rule.companion}
    return found


def test_every_rule_is_implemented_or_says_why_not() -> None:
    unavailable = {rule for rule, how in DATA.rules.items() if how.state == "unavailable"}
    assert unavailable.isdisjoint(IMPLEMENTED)
    assert unavailable | IMPLEMENTED == DATA.rules.keys()
    assert all(how.reason for how in DATA.rules.values() if how.state != "on")


def test_the_rules_are_those_of_the_catalogue() -> None:
    rules = {code for code in catalogue() if len(code) == 3 and code[0] in string.ascii_uppercase}
    assert DATA.rules.keys() == rules
    assert len(rules) == 144


def test_rules_ask_for_columns_that_exist() -> None:
    asked = {
        name
        for how in DATA.rules.values()
        for name in (*how.needs, *how.each, *how.optional, *how.any)
        if not name.startswith("*")
    }
    assert asked - columns().keys() <= INPUTS
    assert {charge.column for charges in DATA.charges.values() for charge in charges} <= columns().keys()
    assert DATA.value_sets.keys() <= columns().keys()


@pytest.mark.parametrize("name", families())
def test_every_item_of_a_family_names_a_code_of_the_book(name: str) -> None:
    family = families()[name]
    book = load_code_books().diagnosis if family.system == "diagnosis" else load_code_books().procedure
    forms = CodeForms(family.system, book.frame["code"], book.frame["name"])
    assert [item for item, mask in family.item_masks(forms).items() if not mask.any()] == []


@pytest.mark.parametrize("at", range(len(DATA.pairs)))
def test_the_code_to_use_instead_exists(at: int) -> None:
    pair = DATA.pairs[at]
    if pair.result:
        book = load_code_books().diagnosis if pair.first.system == "diagnosis" else load_code_books().procedure
        assert book.frame.select(pl.col("code").str.starts_with(pair.result).any()).item()


def test_unavailable_rules_need_data_that_the_record_has_not() -> None:
    assert {rule for rule, how in DATA.rules.items() if how.state == "unavailable"} == {
        "A02", "A20", "B02", "B03", "B04", "I15", "I16", "J07", "J08",
    }  # fmt: skip


def test_policy_choices_have_no_value_of_their_own() -> None:
    open_ = {name for name, parameter in DATA.parameters.items() if parameter.value is None}
    assert open_ == {"readmission_days", "cost_ratio_high", "cost_ratio_low", "short_stay_days"}


GOOD = {name: module._text(name) for name in ("rules.toml", "parameters.toml", "families.csv", "pairs.csv")} | {
    name: module._text(name)
    for name in ("value_sets.csv", "charges.csv", "principal.csv", "companions.csv", "sources.toml")
}


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("rules.toml", "[A01]\n", "[A00]\n", "catalogue"),
        ("rules.toml", '[A01]\nneeds = ["diagnoses"]\nsource = "list_form"\n', "", "catalogue differ"),
        ("rules.toml", 'source = "list_form"', 'source = "hearsay"', "source"),
        ("rules.toml", "[A12]\n", '[A12]\nstate = "off"\n', "reason"),
        ("rules.toml", "[A12]\n", "needz = []\n[A12]\n", "unknown key"),
        ("rules.toml", 'inputs = ["scheme"]', 'inputs = ["weather"]', "unknown input"),
        ("rules.toml", '"long_stay_days"', '"longer_stay_days"', "differ"),
        ("parameters.toml", 'unit = "percent"', 'unit = "furlong"', "unit"),
        ("parameters.toml", 'label = "超长住院天数"\n', "", "needs label"),
        ("families.csv", "V01-Y98", "V01-V", "families.csv:2"),
        ("families.csv", "F13,symptom", "F13,disease", "twice"),
        ("families.csv", "G08,pregnancy,diagnosis", "G08,pregnancy,dreams", "system"),
        ("families.csv", "E12,complication", "Z12,complication", "unknown rules"),
        ("pairs.csv", "rule,system", "rule;system", "header"),
        ("pairs.csv", "I50.103,practice", "I50.103,rumour", "rumour"),
        ("value_sets.csv", "stay_type,2,日间手术", "stay_type,1,日间手术", "twice"),
        ("charges.csv", "fee_bed_fen,service", "fee_bed_fen,comfort", "role"),
        ("charges.csv", "part,page_operative_fen", "part,page_other_fen", "part_of"),
    ],
)
def test_a_fault_in_the_tables_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str, says: str
) -> None:
    assert old in GOOD[name]
    texts = {**GOOD, name: GOOD[name].replace(old, new, 1)}
    monkeypatch.setattr(module, "_text", texts.__getitem__)
    with pytest.raises(ValueError, match=says):
        quality_data.__wrapped__()
