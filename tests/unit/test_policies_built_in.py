"""The built-in policies: figures of the fact sheet, published standards reproduced, statements that are true."""

from datetime import date
from fractions import Fraction

import pytest

from reference_tables.group_weights import GroupWeights, find_group_weights
from reference_tables.policy import Policy, find_policies, load_policy
from reference_tables.policy_bands import BasicRule
from reference_tables.policy_readiness import all_readiness
from reference_tables.policy_schema import policy_schema
from reference_tables.weights import find_weights

SYNTHETIC = tuple(f"synthetic-city-{name}" for name in ("dip", "drg-point", "drg-quota", "drg-rate"))
PUBLISHED = {
    "suzhou-2022": ("苏州", 2022, 1944), "suzhou-2023": ("苏州", 2023, 1944), "linyi-2022": ("临沂", 2022, 2440),
    "jilin-2022": ("吉林", 2022, 625), "wuxi-2022": ("无锡", 2022, 1806), "taizhou-jiangsu-2022": ("泰州", 2022, 353),
    "tongchuan-2022": ("铜川", 2022, 1191),
}  # fmt: skip
NOT_TOLD = "未注明"
# Parameters that no built-in policy sets, because no source gives their value; their reading is tested by type.
WITHOUT_SOURCE = {
    "hospital_factor", "reference_divisor", "reference_factor", "peer_average", "always_cost_points", "unstable_groups",
    "unstable_rule", "tcm_groups", "tcm_weight", "tcm_fallback_group", "tcm_min_ratio", "tcm_min_days", "substitute",
    "weight_share", "no_outlier_groups",
}  # fmt: skip


def number(policy: Policy, key: str, **scope: str) -> Fraction:
    found = policy.get(key, policy.header.effective_from, **scope)
    assert found is not None, (policy.id, key, scope)
    assert isinstance(found.value, Fraction)
    return found.value


def standard(policy: Policy, table: GroupWeights, group: str, tier: str, insurance: str) -> Fraction:
    """RW x rate x coefficient in yuan, exactly, after the rule of basic groups."""
    weight = table.weight(group)
    assert weight is not None
    scope = {name: value for name, value in (("tier", tier), ("insurance", insurance)) if value != NOT_TOLD}
    of_rate = of_coefficient = scope
    basic = policy.get("basic_groups")
    if basic is not None and group in basic.value:
        rule = policy.get("basic_rule").value
        assert isinstance(rule, BasicRule)
        if rule.kind == "tier_rate":
            of_rate = {**scope, "tier": rule.tier}
        else:
            assert rule.kind == "tier_coefficient"
            of_coefficient = {**scope, "tier": rule.tier}
    own = table.coefficient(group, tier)
    coefficient = number(policy, "coefficient", **of_coefficient) if own is None else own
    return weight * number(policy, "base_rate", **of_rate) * coefficient


def fen(yuan: Fraction) -> int:
    """Half up to the fen."""
    return (yuan * 200 + 1).__floor__() // 2


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_standard_is_reproduced_to_the_fen(name: str) -> None:
    region, year, rows = PUBLISHED[name]
    policy, frame = load_policy(name), find_weights(region, year).frame
    table = find_group_weights(policy.weights)
    assert frame.height == rows
    wrong = [
        (tier, insurance, group)
        for tier, insurance, group, printed in frame.select("tier", "insurance", "drg", "standard_e6").iter_rows()
        if fen(standard(policy, table, group, tier, insurance)) != fen(Fraction(printed, 10**6))
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("name", "key", "scope", "expected"),
    [
        ("harbin", "base_rate", {"tier": "三级", "insurance": "职工"}, "11356.64"),
        ("harbin", "high_step", {}, "1.7"),
        ("harbin", "high_percent", {}, "0.5"),
        ("qingdao-2023", "coefficient", {"tier": "一级"}, "0.58"),
        ("qingdao-2023", "base_rate", {"insurance": "居民"}, "12000"),
        ("jinhua", "point_value", {"insurance": "职工"}, "84.71"),
        ("ningbo", "average_cost", {}, "10234.16"),
        ("xuzhou", "coefficient", {"tier": "二级"}, "0.8744"),
        ("yancheng", "coefficient", {"tier": "二级中医"}, "0.6"),
        ("jining", "extreme_limit", {}, "5"),
        ("dip-national", "special_quota", {}, "0.005"),
        ("yinchuan", "score_unit", {}, "3"),
        ("yinchuan", "age_factor", {}, "1.03"),
        ("dandong", "average_cost", {}, "7150"),
        ("kezhou", "low_limit", {}, "0.5"),
        ("lanzhou-2023", "coefficient", {"tier": "省三甲"}, "1.1476"),
        ("shenzhen-2014", "prepay_share", {}, "0.97"),
        ("zhejiang-hangzhou-2020", "region_share", {}, "0.85"),
        ("nanchang", "point_scale", {}, "1000"),
    ],
)
def test_figures_of_the_fact_sheet(name: str, key: str, scope: dict[str, str], expected: str) -> None:
    assert number(load_policy(name), key, **scope) == Fraction(expected)


def test_limits_by_tier_and_weight_as_in_linyi() -> None:
    policy = load_policy("linyi-2022")
    found = {tier: policy.get("high_limit", tier=tier).value for tier in policy.tiers}
    assert {tier: [(band.up_to, band.limit) for band in bands] for tier, bands in found.items()} == {
        "三级": [(5, 3), (None, Fraction("2.3"))], "二级": [(4, 2), (None, Fraction("1.9"))],
        "一级": [(3, Fraction("1.8")), (None, Fraction("1.7"))],
    }  # fmt: skip


def test_the_five_bands_of_yinchuan() -> None:
    bands = load_policy("yinchuan").get("bands").value
    assert [(band.up_to, band.inclusive, band.formula, band.value, band.age_factor) for band in bands] == [
        (Fraction("0.4"), True, "COST", None, False), (Fraction("0.8"), False, "SCORE_MULTIPLE", None, True),
        (Fraction("1.4"), True, "SCORE", None, True), (Fraction("2.5"), True, "SCORE_SUB", Fraction("0.4"), True),
        (None, False, "SCORE_TIMES", Fraction("2.1"), True),
    ]  # fmt: skip


def test_doubtful_values_are_marked_with_the_doubt() -> None:
    doubtful = {name for name in find_policies() if any(item.suspect for item in load_policy(name).settings)}
    assert doubtful == {"harbin-2023", "jinhua", "kezhou", "yancheng"}
    assert all(item.note for name in doubtful for item in load_policy(name).settings if item.suspect)


def test_ten_real_regions_of_each_method_and_the_synthetic_ones_marked() -> None:
    policies = [load_policy(name) for name in find_policies()]
    real = [policy for policy in policies if policy.header.data_level != "synthetic"]
    assert {policy.id for policy in policies} - {policy.id for policy in real} == set(SYNTHETIC)
    assert len({policy.region for policy in real}) >= 12
    assert {policy.method for policy in real} == {"drg-rate", "drg-point", "dip", "quota"}
    for name in SYNTHETIC:
        header = load_policy(name).header
        assert "合成" in header.name
        assert "虚构" in header.statement
        assert all("虚构" in source.title for source in header.sources.values())


@pytest.mark.parametrize("name", find_policies())
def test_the_statement_tells_which_commands_run(name: str) -> None:
    policy = load_policy(name)
    can = {ready.command for ready in all_readiness(policy) if ready.can_run}
    statement = policy.header.statement
    if name in SYNTHETIC:
        assert can == set(policy_schema().commands)
        assert "四个命令都能运行" in statement
        assert not any(ready.partial for ready in all_readiness(policy))
    elif can:
        assert can == {"pay"}
        assert "可以运行" in statement
    else:
        assert "不能" in statement
        assert "可以运行" not in statement


def test_every_parameter_is_used_by_a_policy_or_has_no_source() -> None:
    used = {item.key for name in find_policies() for item in load_policy(name).settings}
    assert set(policy_schema().parameters) - used == WITHOUT_SOURCE


def test_the_years_of_a_table_are_the_days_of_its_policy() -> None:
    for name, (_, year, _) in PUBLISHED.items():
        assert load_policy(name).outside(date(year, 1, 1), date(year, 12, 31)) is None
        assert load_policy(name).outside(date(year + 1, 1, 1), date(year + 1, 1, 1)) is not None
