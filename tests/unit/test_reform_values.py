"""What a reformed policy holds: groups by the name of a list, a reform's own lists, values by month, sources, and a
policy that loads again from its own file."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import polars as pl
import pytest

from api.core.group_facts import group_facts
from budget.group_values import GroupValues
from budget.price_terms import PriceKey, PriceTerms
from budget.reformed import GroupFacts, Reformed, apply_reforms
from budget.reformed_effect import touched
from reference_tables.group_weights import find_group_weights
from reference_tables.policy import Policy, load_policy, parse_policy
from reference_tables.problems import Problem, TablesRefused
from reference_tables.reform import Reform
from tests.unit.simulated_city import POINT, RATE, change, policy_toml, reform, scheme

VALUES = GroupValues.of_frame(find_group_weights("synthetic-city-drg").frame)
KIDS = '[lists.kids]\ncodes = ["BR23", "BR25"]\n'
YEAR = load_policy(RATE).header.effective_from.year
SUMMER = date(YEAR, 7, 1)


def applied(*reforms: Reform, policy: Policy | None = None, values: GroupValues = VALUES) -> Reformed:
    return apply_reforms(policy or load_policy(RATE), values, reforms, group_facts(scheme()))


def refused(*reforms: Reform) -> Problem:
    with pytest.raises(TablesRefused) as found:
        applied(*reforms)
    return next(problem for problem in found.value.problems if problem.level.value == "error")


def value(policy: Policy, key: str, on: date | None = None, **scope: str) -> object:
    found = policy.get(key, on, **scope)
    return None if found is None else found.value


def test_a_list_of_the_policy_by_its_name_stands_for_its_groups() -> None:
    policy = load_policy(RATE)
    made = applied(reform(change("basic_groups", "set", "capped"))).policy
    assert policy.lists["capped"] == ("BR23",)
    assert value(made, "basic_groups") == ("BR23",)


def test_a_list_of_the_reform_by_its_name_stands_for_its_groups() -> None:
    made = applied(reform(KIDS + change("basic_groups", "set", "kids"))).policy
    assert value(made, "basic_groups") == ("BR23", "BR25")
    assert "kids" not in made.lists
    assert value(parse_policy(policy_toml(made)), "basic_groups") == ("BR23", "BR25")


def test_a_list_that_nobody_has_is_refused_as_a_value() -> None:
    problem = refused(reform(change("basic_groups", "set", "capsized")))
    assert (problem.code, problem.row) == ("RF33", 5)
    assert "capsized" in problem.message
    assert "capped" in problem.fix


def test_a_group_that_the_scheme_does_not_have_is_refused_as_a_value() -> None:
    problem = refused(reform(change("basic_groups", "set", ["BR23", "ZZ99"])))
    assert problem.code == "RF22"
    assert "ZZ99" in problem.message
    assert "BR23" not in problem.message


def test_a_list_of_the_reform_is_a_scope_of_what_differs_by_list_alone() -> None:
    text = KIDS + change("minimum_weight", "set", "0.3", 'for = { list = "kids" }')
    before, made = load_policy(RATE), applied(reform(text)).policy
    assert value(made, "minimum_weight", group="BR25") == Fraction("0.3")
    assert value(made, "minimum_weight", group="DT19") == value(before, "minimum_weight", group="DT19")
    assert made.lists["kids"] == ("BR23", "BR25")
    assert "kids" not in before.lists


def test_lists_with_a_group_in_common_are_refused_where_only_lists_count() -> None:
    one = KIDS + change("minimum_weight", "set", "0.3", 'for = { list = "kids" }')
    two = '[lists.more]\ncodes = ["BR25"]\n' + change("minimum_weight", "set", "0.4", 'for = { list = "more" }')
    problem = refused(reform(one + two))
    assert problem.code == "RF31"
    assert all(name in problem.message for name in ("kids", "more"))


def test_two_reforms_with_different_lists_of_one_name_are_refused() -> None:
    more = change("minimum_weight", "set", "0.3", 'for = { list = "kids" }')
    problem = refused(reform(KIDS + more, "one"), reform('[lists.kids]\ncodes = ["DT19"]\n' + more, "two"))
    assert (problem.code, problem.file) == ("RF30", "two.toml")


def test_every_month_is_scaled_from_its_own_value() -> None:
    policy = load_policy(POINT)
    year = policy.header.effective_from.year
    january, june = date(year, 1, 1), date(year, 6, 1)
    once = change("point_value", "set", "50", f'for = {{ month = "{year}-01" }}')
    usual = Fraction(str(value(policy, "point_value", june, insurance="职工")))
    made = applied(reform(once), reform(change("point_value", "scale", "2"), "twice"), policy=policy).policy
    assert value(made, "point_value", january, insurance="职工") == 100
    assert value(made, "point_value", june, insurance="职工") == 2 * usual


def test_a_month_without_a_day_of_the_change_is_told() -> None:
    policy = load_policy(POINT)
    year = policy.header.effective_from.year
    more = f'for = {{ month = "{year}-01" }}\nfrom = {year}-06-01'
    with pytest.raises(TablesRefused) as found:
        applied(reform(change("point_value", "scale", "2", more)), policy=policy)
    assert [problem.code for problem in found.value.problems] == ["RF25"]


@pytest.mark.parametrize(
    "text",
    [
        change("basic_groups", "set", "capped"),
        KIDS + change("minimum_weight", "set", "0.3", 'for = { list = "kids" }'),
        change("weight", "scale", "1.05", f'for = {{ groups = ["BR23"] }}\nfrom = {SUMMER}'),
        change("high_limit", "scale", "1.1"),
        change("peer_average", "set", "9000.5", 'for = { groups = ["BR23"] }'),
        '[sources.own]\ntitle = "征求意见稿"\n'
        + change("base_rate", "scale", "1.01", f'source = "own"\nfrom = {SUMMER}'),
    ],
)
def test_a_reformed_policy_loads_again_from_its_own_file(text: str) -> None:
    made = applied(reform(text)).policy
    again = parse_policy(policy_toml(made))
    assert made.sha256 != load_policy(RATE).sha256
    assert _content(again) == _content(made)


def _content(policy: Policy) -> set[tuple[object, ...]]:
    """All that a policy says, but for articles and notes, which the file of this test leaves out."""
    return {
        (item.key, item.value, item.scope, item.since, item.until, item.source, item.confidence)
        for item in policy.settings
    }


def test_a_changed_value_names_the_reform_or_its_source_and_others_keep_theirs() -> None:
    own = '[sources.own]\ntitle = "征求意见稿"\n'
    text = (
        own
        + change("base_rate", "scale", "1.01", f'source = "own"\nfrom = {SUMMER}')
        + change("low_limit", "set", "0.3")
    )
    before, made = load_policy(RATE), applied(reform(text)).policy
    new = made.get("base_rate", SUMMER, insurance="职工")
    assert new is not None
    assert (made.header.sources[new.source].title, new.confidence) == ("征求意见稿", "synthetic")
    old, kept = (policy.get("base_rate", date(YEAR, 6, 30), insurance="职工") for policy in (before, made))
    assert old is not None
    assert kept is not None
    assert (kept.value, kept.source) == (old.value, old.source)
    limit = made.get("low_limit")
    assert limit is not None
    assert made.header.sources[limit.source].title.startswith("改革方案：")


def test_a_source_of_the_same_name_as_the_policys_does_not_take_its_place() -> None:
    before = load_policy(RATE)
    name = next(iter(before.header.sources))
    text = f'[sources.{name}]\ntitle = "另一文件"\n' + change("low_limit", "set", "0.3", f'source = "{name}"')
    made = applied(reform(text)).policy
    limit = made.get("low_limit")
    assert limit is not None
    assert made.header.sources[name] == before.header.sources[name]
    assert made.header.sources[limit.source].title == "另一文件"


@pytest.mark.parametrize(("edge", "june", "july", "said"), [("from", 1, 2, "改动前"), ("until", 2, 1, "改动后")])
def test_a_change_inside_a_month_holds_by_the_first_of_the_month(edge: str, june: int, july: int, said: str) -> None:
    made = applied(reform(change("low_limit", "scale", "2", f"{edge} = {YEAR}-06-15")))
    assert [problem.code for problem in made.problems] == ["RF55"]
    assert f"{YEAR}-06 的病例全月按{said}的值" in made.problems[0].message
    usual = Fraction(str(value(load_policy(RATE), "low_limit")))
    assert value(made.policy, "low_limit", date(YEAR, 6, 1)) == june * usual
    assert value(made.policy, "low_limit", SUMMER) == july * usual


def test_nothing_to_scale_is_told_once() -> None:
    with pytest.raises(TablesRefused) as found:
        applied(reform(change("retain_share", "scale", "2")))
    assert [problem.code for problem in found.value.problems] == ["RF26"]


def test_scaling_twice_has_no_order_unless_it_is_rounded() -> None:
    twice = (reform(change("base_rate", "scale", "1.1"), "one"), reform(change("base_rate", "scale", "1.2"), "two"))
    assert applied(*twice).problems == ()
    added = (twice[0], reform(change("base_rate", "add", "10"), "two"))
    assert [problem.code for problem in applied(*added).problems] == ["RF53"]


def test_a_dated_value_where_none_was_before_names_the_change() -> None:
    problem = refused(reform(change("peer_average", "set", "9000", f"from = {SUMMER}")))
    assert (problem.code, problem.file, problem.row) == ("RF32", "trial.toml", 5)


BY_TIER = GroupValues.of_rows(
    [
        {"group": "BR23", "tier": "三级", "weight": "1.2", "coefficient": "1.5", "peer_average": "8000"},
        {"group": "BR23", "tier": "二级", "weight": "1.0", "coefficient": "1.1", "peer_average": "6000"},
    ]
)


def _terms(made: Reformed) -> PriceTerms:
    return PriceTerms(made.policy, made.values)


def _key(tier: str, month: str, group: str = "BR23") -> PriceKey:
    return PriceKey("H1", tier, "职工", month, group, "GROUPED", "", "", False, False, "")


def _reformed(text: str) -> Reformed:
    return apply_reforms(load_policy(RATE), BY_TIER, [reform(text)], GroupFacts.none())


@pytest.mark.parametrize(("more", "before"), [("", "2.4"), (f"from = {SUMMER}", "1.2")])
def test_a_weight_of_one_tier_is_changed_alone(more: str, before: str) -> None:
    terms = _terms(_reformed(change("weight", "scale", "2", f'for = {{ tier = "三级" }}\n{more}')))
    assert terms.weight(_key("三级", f"{YEAR}-03")) == Fraction(before)
    assert terms.weight(_key("三级", f"{YEAR}-08")) == Fraction("2.4")
    assert terms.weight(_key("二级", f"{YEAR}-08")) == 1


@pytest.mark.parametrize("scope", ["", 'for = { groups = ["BR23"] }'])
def test_published_mean_costs_are_changed_from_a_day(scope: str) -> None:
    terms = _terms(_reformed(change("peer_average", "scale", "1.1", f"{scope}\nfrom = {SUMMER}")))
    assert terms.peer_average(_key("三级", f"{YEAR}-03")) == 8000
    assert terms.peer_average(_key("三级", f"{YEAR}-08")) == 8800
    assert terms.peer_average(_key("二级", f"{YEAR}-08")) == 6600


OWN = change("basic_rule", "set", {"kind": "own_coefficient"}) + change("basic_groups", "set", ["BR23"])


@pytest.mark.parametrize("scope", ["", 'groups = ["BR23"]', 'group = "BR23", tier = "三级"'])
def test_the_own_coefficients_of_basic_groups_are_changed_with_the_others(scope: str) -> None:
    made = _reformed(OWN + change("coefficient", "scale", "1.1", f"for = {{ {scope} }}" if scope else ""))
    assert [problem.code for problem in made.problems] == []
    terms = _terms(made)
    assert terms.coefficient(_key("三级", f"{YEAR}-03")) == Fraction("1.65")
    assert terms.coefficient(_key("二级", f"{YEAR}-03")) == Fraction("1.1" if "tier" in scope else "1.21")


@pytest.mark.parametrize("more", ['for = { hospital = "H1" }', f"from = {SUMMER}"])
def test_coefficients_of_basic_groups_that_keep_their_own_are_told(more: str) -> None:
    made = _reformed(OWN + change("coefficient", "scale", "1.1", more))
    assert [problem.code for problem in made.problems] == ["RF56"]
    assert "BR23" in made.problems[0].message
    assert _terms(made).coefficient(_key("三级", f"{YEAR}-08")) == Fraction("1.5")


def test_own_coefficients_of_basic_groups_that_are_to_differ_by_hospital_are_refused() -> None:
    with pytest.raises(TablesRefused) as found:
        _reformed(OWN + change("coefficient", "scale", "1.1", 'for = { hospital = "H1", groups = ["BR23"] }'))
    assert [problem.code for problem in found.value.problems] == ["RF34"]
    assert "BR23" in found.value.problems[0].message


def test_a_group_without_a_coefficient_where_others_have_one_is_scaled_from_1() -> None:
    policy = load_policy(RATE)
    kept = [setting for setting in policy.settings if setting.key != "coefficient"]
    bare = Policy(policy.header, tuple(kept))
    text = change("coefficient", "scale", "0.9", 'for = { tier = "二级" }')
    made = apply_reforms(bare, BY_TIER, [reform(text)], GroupFacts.none())
    assert _terms(made).coefficient(_key("二级", f"{YEAR}-03", "BA11")) == Fraction("0.9")
    assert _terms(made).coefficient(_key("三级", f"{YEAR}-03", "BA11")) == 1
    assert _terms(made).coefficient(_key("二级", f"{YEAR}-03")) == Fraction("0.99")


def _touched(values: GroupValues, *texts: str) -> list[tuple[str, str]]:
    """Before and after of each change, for cases of one group in every tier and both insurances."""
    made = apply_reforms(load_policy(RATE), values, [reform("".join(texts))], group_facts(scheme()))
    rows = [
        {"insurance": insurance, "tier": tier, "hospital_id": hospital, "group": "BR23", "month": f"{YEAR}-{month}"}
        for insurance in ("职工", "居民")
        for tier, hospital in (("三级", "H1"), ("二级", "H2"), ("一级", "H3"))
        for month in ("03", "08")
    ]
    priced = pl.DataFrame({"package_fen": [0] * len(rows), "fund_fen": [0] * len(rows)})
    return touched(pl.DataFrame(rows), made.changes, priced, priced).select("before", "after").rows()


def test_values_before_and_after_are_those_of_the_cases_touched() -> None:
    cut = change("coefficient", "scale", "0.5", 'for = { hospital = "H3" }')
    assert _touched(VALUES, cut) == [("0.78", "0.39")]  # the coefficient of its own tier, 一级
    every = change("coefficient", "scale", "0.5")
    assert _touched(VALUES, every) == [("0.78 至 1.12（3 个不同的值）", "0.39 至 0.56（3 个不同的值）")]
    one = change("coefficient", "set", "1")
    assert _touched(VALUES, one) == [("0.78 至 1.12（3 个不同的值）", "1")]
    halves = change("coefficient", "scale", "2", f'for = {{ tier = "三级" }}\nfrom = {SUMMER}')
    assert _touched(VALUES, halves, cut) == [("1.12", "2.24"), ("0.78", "0.39")]
    # A value by hospital and one by tier: what names more scopes, or is narrower, holds.
    fixed = change("coefficient", "set", "3", 'for = { hospital = "H3" }')
    later = change("coefficient", "scale", "2", 'for = { tier = "一级", insurance = "职工" }')
    assert _touched(VALUES, fixed, later) == [("0.78", "3"), ("3", "6")]
    nobody = change("coefficient", "scale", "2", 'for = { hospital = "H9", tier = "二级" }')
    assert _touched(VALUES, nobody) == [("0.96", "1.92")]


def test_published_values_before_and_after_are_those_of_the_cases_touched() -> None:
    scaled = change("weight", "scale", "2")
    some = "（2 个不同的值），部分未规定"
    assert _touched(BY_TIER, scaled) == [(f"1 至 1.2 权重{some}", f"2 至 2.4 权重{some}")]
    of_tier = change("weight", "set", "5", 'for = { tier = "三级", groups = ["BR23"] }')
    assert _touched(BY_TIER, of_tier) == [("1.2 权重", "5 权重")]
    own = change("coefficient", "scale", "2", 'for = { groups = ["BR23"], tier = "二级" }')
    assert _touched(BY_TIER, own) == [("1.1", "2.2")]
    words = change("pools", "set", "merged")
    assert _touched(VALUES, words) == [("职工、居民分开", "合并")]
