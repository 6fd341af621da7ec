"""Reforms that contradict each other or name what is not there: each a clear message with its place."""

from __future__ import annotations

import pytest

from api.core.group_facts import group_facts
from budget.group_values import GroupValues
from budget.reformed import Reformed, apply_reforms
from reference_tables.group_weights import find_group_weights
from reference_tables.policy import load_policy
from reference_tables.problems import Problem, TablesRefused
from reference_tables.reform import Reform
from tests.unit.simulated_city import RATE, change, reform, scheme

VALUES = GroupValues.of_frame(find_group_weights("synthetic-city-drg").frame)


def applied(*reforms: Reform) -> Reformed:
    return apply_reforms(load_policy(RATE), VALUES, reforms, group_facts(scheme()), {"H1"})


def refused(*reforms: Reform) -> Problem:
    with pytest.raises(TablesRefused) as found:
        applied(*reforms)
    return next(problem for problem in found.value.problems if problem.level.value == "error")


def test_two_reforms_that_set_a_value_differently_name_both_places() -> None:
    one = reform(change("base_rate", "set", "9000", 'for = { insurance = "职工" }'), "one")
    two = reform(change("base_rate", "set", "9100"), "two")
    problem = refused(one, two)
    assert problem.code == "RF28"
    assert all(word in problem.message for word in ("one.toml:5", "two.toml:5", "9000", "9100"))
    apart = reform(change("base_rate", "set", "9100", 'for = { insurance = "居民" }'), "two")
    assert len(applied(one, apart).changes) == 2


def test_one_reform_that_sets_a_value_twice_names_both_places() -> None:
    twice = change("weight", "set", "1.2", 'for = { group = "BR23" }') + change(
        "weight", "set", "1.3", 'for = { group = "BR23" }'
    )
    problem = refused(reform(twice, "one"))
    assert (problem.code, problem.field) == ("RF28", "weight")
    assert all(word in problem.message for word in ("1.2", "1.3"))
    # From the general to the single one is an order that an author may mean.
    both = change("weight", "set", "1.2") + change("weight", "set", "1.3", 'for = { group = "BR23" }')
    assert len(applied(reform(both)).changes) == 2


def test_set_and_scale_of_one_value_tell_their_order() -> None:
    one, two = reform(change("base_rate", "set", "9000"), "one"), reform(change("base_rate", "scale", "1.1"), "two")
    made = applied(one, two)
    assert [problem.code for problem in made.problems] == ["RF53"]
    assert made.problems[0].message.index("one.toml") < made.problems[0].message.index("two.toml")
    assert made.policy.get("base_rate", None, insurance="职工").value == 9900  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (change("base_rate", "scale", "1.1", "from = 2020-01-01\nuntil = 2021-01-01"), "RF25", "2020-01-01"),
        (change("weight", "scale", "1.1", 'for = { groups = ["ZZ99"] }'), "RF22", "ZZ99"),
        (change("weight", "scale", "1.1", 'for = { mdc = "MDCX9" }'), "RF23", "MDCX9"),
        (change("coefficient", "scale", "1.1", 'for = { tier = "四级" }'), "RF21", "四级"),
        (change("coefficient", "scale", "1.1", 'for = { hospital = "H9" }'), "RF21", "H9"),
        (change("coefficient", "scale", "1.1", 'for = { list = "nowhere" }'), "RF21", "nowhere"),
        (change("point_value", "scale", "1.1"), "RF20", "点值"),
    ],
)
def test_what_is_not_there_is_named(body: str, code: str, said: str) -> None:
    problem = refused(reform(body))
    assert problem.code == code
    assert said in problem.message
    assert problem.row == 5


def test_a_change_that_leaves_every_value_is_told() -> None:
    made = applied(reform(change("base_rate", "scale", "1")))
    assert [problem.code for problem in made.problems] == ["RF51"]
    assert made.policy.sha256 == load_policy(RATE).sha256


def test_the_identity_is_the_same_policy_and_values() -> None:
    made = applied(reform())
    assert made.policy.sha256 == load_policy(RATE).sha256
    assert made.values is VALUES


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (change("weight", "scale", "1.1", 'for = { groups = ["BR23", "BR25", "BR23"] }'), "groups 中的病组重复：BR23"),
        (change("basic_groups", "set", ["BR25", "BR23", "BR25"]), "病组重复：BR25"),
        ('[lists.kids]\ncodes = ["BR23", "BR23"]\n', "编码重复：BR23"),
        ('policies = ["a", "b", "a"]\n', "编号重复：a"),
        ('[[solve]]\nkind = "shrink"\nhistory = ["a.csv", "a.csv"]\n', "重复：a.csv"),
    ],
)
def test_what_is_named_twice_is_refused(body: str, said: str) -> None:
    with pytest.raises(TablesRefused) as found:
        reform(body)
    (problem,) = found.value.problems
    assert problem.code == "RF04"
    assert said in problem.message


def test_one_reform_twice_is_refused() -> None:
    one, other = reform(change("base_rate", "scale", "1.1"), "one"), reform(change("weight", "scale", "1.1"), "one")
    assert refused(one, other).code == "RF35"


@pytest.mark.parametrize(
    ("scope", "code", "said"),
    [
        ('tier = "四级"', "RF21", "四级"), ('hospital = "H9"', "RF21", "H9"), ('list = "nowhere"', "RF21", "nowhere"),
        ('groups = ["ZZ99"]', "RF22", "ZZ99"), ('mdc = "MDCX9"', "RF23", "MDCX9"),
    ],
)  # fmt: skip
def test_growth_of_what_is_not_there_is_refused(scope: str, code: str, said: str) -> None:
    problem = refused(reform(f'[[growth]]\nkind = "volume"\nfactor = "1.1"\nfor = {{ {scope} }}\n'))
    assert (problem.code, problem.row) == (code, 5)
    assert said in problem.message
