"""Which of several values holds for a case, on a day, and what an overlay changes."""

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest

from reference_tables.policy import Policy, find_policies, load_policy
from reference_tables.policy_readiness import readiness
from reference_tables.problems import Problem, TablesRefused
from tests.unit.policy_examples import FIRST, STEP, policy, value

BY_SCOPE = [
    value("coefficient", '"1"'),
    value("coefficient", '"2"', 'for = { insurance = "职工" }'),
    value("coefficient", '"3"', 'for = { tier = "三级" }'),
    value("coefficient", '"4"', 'for = { hospital = "H1" }'),
    value("coefficient", '"5"', 'for = { list = "basic" }'),
    value("coefficient", '"6"', 'for = { group = "BR25" }'),
    value("coefficient", '"7"', 'for = { tier = "三级", insurance = "职工" }'),
    value("coefficient", '"8"', 'for = { group = "BR25", tier = "二级", insurance = "居民" }'),
]


@pytest.fixture(scope="module", params=[1, -1], ids=["as written", "turned round"])
def by_scope(request: pytest.FixtureRequest) -> Policy:
    return policy(*BY_SCOPE[:: request.param])


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({}, 1),
        ({"insurance": "居民", "tier": "二级", "hospital": "H2", "group": "ET25"}, 1),
        ({"insurance": "职工"}, 2),
        ({"tier": "三级", "insurance": "居民"}, 3),
        ({"tier": "三级", "hospital": "H1", "insurance": "居民"}, 4),
        ({"hospital": "H1", "group": "DS15"}, 5),
        ({"hospital": "H1", "group": "BR25", "tier": "三级"}, 6),
        ({"hospital": "H1", "group": "BR25", "tier": "三级", "insurance": "职工"}, 7),
        ({"hospital": "H1", "group": "BR25", "tier": "二级", "insurance": "居民"}, 8),
        ({"list": "basic"}, 5),
    ],
)
def test_more_names_win_and_of_as_many_the_narrower(by_scope: Policy, scope: dict[str, str], expected: int) -> None:
    found = by_scope.get("coefficient", **scope)
    assert found is not None
    assert found.value == expected


def test_scope_names_that_matter_and_unknown_keys(by_scope: Policy) -> None:
    assert by_scope.names("coefficient") == {"insurance", "tier", "hospital", "group"}
    assert by_scope.names("average_cost") == frozenset()
    assert (by_scope.has("coefficient"), by_scope.has("average_cost")) == (True, False)
    with pytest.raises(KeyError):
        by_scope.get("nonsense")


def test_dated_values_change_on_their_day() -> None:
    dated = policy(
        value("average_cost", '"9000"', "until = 2025-07-01"),
        value("average_cost", '"9500"', "from = 2025-07-01"),
        value("low_limit", '"0.4"'),
    )
    assert [dated.get("average_cost", date(2025, 6, 30)).value, dated.get("average_cost", date(2025, 7, 1)).value] == [
        9000, 9500,
    ]  # fmt: skip
    assert (dated.dated("average_cost"), dated.dated("low_limit")) == (True, False)
    assert dated.get("low_limit").value == Fraction(2, 5)
    with pytest.raises(ValueError, match="average_cost"):
        dated.get("average_cost")


def test_a_day_stands_for_its_month() -> None:
    monthly = policy(value("point_value", '"80"'), value("point_value", '"81.5"', 'for = { month = "2025-03" }'))
    assert monthly.dated("point_value")
    assert monthly.get("point_value", date(2025, 3, 31)).value == Fraction("81.5")
    assert monthly.get("point_value", month="2025-03").value == Fraction("81.5")
    assert monthly.get("point_value", date(2025, 4, 1)).value == 80
    assert monthly.get("point_value", date(2025, 3, 1), month="2025-04").value == 80


def test_a_value_knows_where_it_stands() -> None:
    found = policy(value("low_limit", '"0.4"'), value("average_cost", '"9000"', 'article = "第五条"')).all(
        "average_cost"
    )[0]
    assert (found.place, found.line, found.source, found.confidence, found.article) == (
        f"p.toml:{FIRST + STEP}", FIRST + STEP, "doc", "official", "第五条",
    )  # fmt: skip


def test_what_is_not_set_is_none_or_the_rule_not_used() -> None:
    empty = policy()
    assert empty.get("average_cost") is None
    unused = empty.get("high_floor")
    assert unused is not None
    assert (unused.value, unused.place) == (False, "")


def test_a_missing_value_is_named_once_with_parameter_scope_policy_and_command() -> None:
    some = policy(value("coefficient", '"1"', 'for = { tier = "三级" }'))
    problems: list[Problem] = []
    for _ in range(3):
        assert some.need("coefficient", "pay", problems=problems, tier="二级", month="2025-01") is None
    assert some.need("coefficient", "pay", problems=problems, tier="三级") is not None
    (problem,) = problems
    assert (problem.code, problem.file, problem.field) == ("PL30", "p.toml", "coefficient")
    for word in ("p ", "医疗机构系数", "coefficient", "机构级别 二级", "病例定价"):
        assert word in problem.message
    assert "month" not in problem.message
    for tier in ("三级", "二级"):
        assert some.need("average_cost", "pay", problems=problems, tier=tier) is None
    assert [item.field for item in problems] == ["coefficient", "average_cost"]  # no value at all: said once
    assert "范围：全部" in problems[1].message
    with pytest.raises(TablesRefused, match="PL30"):
        some.need("average_cost", "pay")


def test_days_outside_of_the_policy() -> None:
    some = policy()
    assert some.outside(date(2025, 1, 1), date(2025, 12, 31)) is None
    for first, last in ((date(2024, 12, 31), date(2025, 1, 1)), (date(2025, 12, 1), date(2026, 1, 1))):
        problem = some.outside(first, last)
        assert problem is not None
        assert problem.code == "PL31"


@pytest.mark.parametrize("name", find_policies())
def test_an_overlay_of_what_is_there_is_the_same_policy(name: str) -> None:
    found = load_policy(name)
    assert found.overlay([]).sha256 == found.overlay(found.settings).sha256 == found.sha256


def test_the_checksum_is_of_the_content() -> None:
    one, other = value("average_cost", '"9000"'), value("low_limit", '"0.4"')
    same = policy(one, other).sha256
    assert policy(other, one).sha256 == same
    assert policy(value("average_cost", '"9000.00"'), "# remark\n", other).sha256 == same
    assert policy(value("average_cost", "9000"), other).sha256 == same
    changed = [
        policy(value("average_cost", '"9000.01"'), other),
        policy(value("average_cost", '"9000"', 'for = { tier = "三级" }'), other),
        policy(value("average_cost", '"9000"', confidence="table"), other),
        policy(one),
    ]
    assert len({same, *(item.sha256 for item in changed)}) == 5


def test_an_overlay_replaces_a_value_on_its_days_only() -> None:
    base = policy(value("average_cost", '"9000"'), value("coefficient", '"1"'))
    (old,) = base.all("average_cost")
    spring = replace(old, value=Fraction(9100), since=date(2025, 3, 1), until=date(2025, 6, 1))
    after = base.overlay([spring])
    days = [date(2025, 2, 28), date(2025, 3, 1), date(2025, 5, 31), date(2025, 6, 1)]
    assert [after.get("average_cost", day).value for day in days] == [9000, 9100, 9100, 9000]
    assert after.sha256 != base.sha256
    assert base.get("average_cost").value == 9000
    wider = replace(old, value=Fraction(9200), scope=(("tier", "三级"),))
    assert base.overlay([wider]).get("average_cost", tier="二级").value == 9000
    assert base.overlay([wider]).get("average_cost", tier="三级").value == 9200


def test_an_overlay_that_makes_no_sense_is_refused() -> None:
    base = policy(value("low_limit", '"0.4"'), value("high_limit", '"3"'))
    (low,) = base.all("low_limit")
    with pytest.raises(TablesRefused, match="PL14"):
        base.overlay([replace(low, scope=(("list", "basic"),)), replace(low, scope=(("list", "other"),))])


def test_what_a_command_lacks_and_why() -> None:
    some = policy(
        value("normal_formula", '"N_POINT"'), value("point_scale", '"100"'), value("high_formula", '"H_ADD_K"'),
        value("coefficient", '"1"', 'for = { tier = "三级" }'),
    )  # fmt: skip
    pay = readiness(some, "pay")
    assert not pay.can_run
    missing = {lack.key: lack.because for lack in pay.missing}
    assert missing["average_cost"] == "high_formula = H_ADD_K"
    assert missing["point_value"] == ""
    assert "base_rate" not in missing  # of another method
    assert "point_scale" not in missing
    assert "high_percent" not in missing  # H_PCT is not used
    assert [(lack.key, lack.scopes) for lack in pay.partial] == [("coefficient", ("机构级别 二级",))]
    assert "ungrouped_rule" in {lack.key for lack in pay.on_demand}
    assert set(missing) <= {lack.key for lack in readiness(some, "settle").missing}
    assert "point_value" not in {lack.key for lack in readiness(some, "budget").missing}
