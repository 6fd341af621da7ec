"""The total budget: deductions in the policy's order, shares rounded once, quotas, sub-budgets and budget values."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from api.core.budget import make_budget
from budget.money import to_fen
from budget.total_budget import total_budget
from reference_tables.problems import TablesRefused
from reference_tables.year_file import YearFile, parse_year_file
from tests.unit.clearing_region import region_policy

CHAIN = {
    "reserve_share": "0.03", "regulation_share": "0.05",
    "budget_deductions": ["reserve", "offsite", "outpatient", "regulation"],
}  # fmt: skip


def year(more: str = "", income: str = "1000.01") -> YearFile:
    head = 'year = 2026\nregion = "某市"\ndata_level = "local"\n'
    fund = f'[[fund]]\ninsurance = "职工"\nincome = "{income}"\n'
    taken = "".join(
        f'[[deduction]]\ninsurance = "职工"\nitem = "{item}"\namount = "{amount}"\n'
        for item, amount in (("offsite", "100.00"), ("outpatient", "250.50"))
    )
    return parse_year_file(head + fund + taken + more)


def codes(policy: Any, figures: YearFile) -> list[tuple[str, str]]:
    with pytest.raises(TablesRefused) as refused:
        total_budget(policy, figures)
    return [(item.code, str(item.args.get("missing", item.args.get("item", "")))) for item in refused.value.problems]


def test_income_less_every_deduction_in_order() -> None:
    # Reserve 3 % of 1000.01 = 30.0003; left 619.51; an adjustment of 10.00; regulation 5 % of 629.51 = 31.4755.
    more = '[[adjustment]]\ninsurance = "职工"\namount = "10.00"\nreason = "疫情"\n'
    [found] = total_budget(region_policy("dip", CHAIN), year(more)).insurances
    assert [(step.item, step.amount, step.left) for step in found.steps] == [
        ("reserve", -3000, 97001), ("offsite", -10000, 87001), ("outpatient", -25050, 61951),
        ("adjustment", 1000, 62951), ("regulation", -3148, 59803),
    ]  # fmt: skip
    assert (found.reserve, found.regulation, found.inpatient, found.distributable) == (3000, 3148, 62951, 59803)


def test_sub_budgets_and_quotas_lose_nothing() -> None:
    more = "".join(
        f'[[quota]]\nhospital = "{name}"\ninsurance = "职工"\npart = "{part}"\n'
        for name, part in zip("CAB", "112", strict=True)
    )
    policy = region_policy("dip", CHAIN, hospital_budget="quota", sub_budgets={"本地": "2", "转诊": "1"})
    [found] = total_budget(policy, year(more)).insurances
    assert found.distributable == 58853  # 61951 - 3098
    assert found.parts == (("本地", 39235), ("转诊", 19618))
    assert found.quotas == (("A", 14713), ("B", 29427), ("C", 14713)), "14713.25, 29426.5, 14713.25"
    assert found.unallotted == 0


def test_deductions_beyond_the_income_are_refused_with_the_sum() -> None:
    # 350.50 + 9 of reserve against 300.00.
    assert codes(region_policy("dip", CHAIN), year(income="300.00")) == [("CL21", "59.50")]


def test_what_is_missing_or_not_named() -> None:
    wider = {**CHAIN, "budget_deductions": ["reserve", "offsite", "pharmacy"]}
    assert codes(region_policy("dip", wider), year()) == [("CL23", "门诊统筹、慢特病"), ("CL22", "定点药店")]
    cut = '[[adjustment]]\ninsurance = "职工"\namount = "-700.00"\nreason = "核减"\n'
    assert codes(region_policy("dip", CHAIN), year(cut)) == [("CL26", "")]
    assert codes(region_policy("dip", CHAIN, hospital_budget="quota"), year()) == [("CL27", "")]
    empty = parse_year_file('year = 2026\nregion = "某市"\ndata_level = "local"\n')
    assert ("CL20", "") in codes(region_policy("dip", CHAIN), empty)


def test_bundles_come_from_the_heads() -> None:
    group = (
        '[[county_group]]\nid = "G"\nname = "G"\nlead = "A"\n'
        '[[member]]\ncounty_group = "G"\nhospital = "A"\nrole = "x"\n'
        '[[heads]]\ncounty_group = "G"\ninsurance = "职工"\nheads = 3\nper_head = "33.33"\n'
    )
    policy = region_policy("dip", {**CHAIN, "budget_deductions": ["offsite", "outpatient", "bundles"]})
    [found] = total_budget(policy, year(group)).insurances
    assert (found.steps[2].amount, found.distributable) == (-9999, 54952)
    less = '[[deduction]]\ninsurance = "职工"\nitem = "bundles"\namount = "99.98"\n'
    assert [code for code, _ in codes(policy, year(group + less))] == ["CL25"]


HISTORY = "".join(
    f'[[history]]\ninsurance = "职工"\nyear = {at}\ntotal_cost = "{cost}"\npatient_paid = "{paid}"\nunits = "{units}"\n'
    for at, cost, paid, units in (
        (2025, "700.00", "210.00", "64"), (2023, "400.00", "120.00", "40"), (2024, "500.00", "150.00", "50"),
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("method", "formula", "value"),
    [
        ("dip", "DIP_SETTLEMENT", Fraction(58853, 100) / Fraction(4, 5) / 64),
        ("drg-point", "DRG_TOTAL", Fraction(58853 + 21000, 100) / 64),
        ("drg-rate", "RATE", Fraction(58853, 100) / Fraction(4, 5) / 64),
        ("dip", "DIP_BUDGET", Fraction(400 * 1 + 500 * 2 + 700 * 7, 10) / 64),
    ],
)
def test_budget_values_by_every_formula(method: str, formula: str, value: Fraction) -> None:
    weights = {"前三年": "1", "前二年": "2", "前一年": "7"}
    policy = region_policy(method, CHAIN, point_value_formula=formula, year_weights=weights)
    [found] = make_budget(policy, year(HISTORY)).values
    assert (found.formula, found.value, found.source) == (formula, value, "2025 年")


def test_a_fixed_rate_has_no_value_to_work_out() -> None:
    assert make_budget(region_policy("drg-rate", CHAIN, point_value_formula=None), year(HISTORY)).values == ()


def test_history_that_does_not_reach_back_far_enough_is_told() -> None:
    weights = {"前四年": "1", "前三年": "1", "前二年": "2", "前一年": "7"}
    policy = region_policy("dip", CHAIN, point_value_formula="DIP_BUDGET", year_weights=weights)
    with pytest.raises(TablesRefused) as refused:
        make_budget(policy, year(HISTORY))
    assert [problem.code for problem in refused.value.problems] == ["CL28"]
    assert make_budget(region_policy("dip", CHAIN), year()).values == (), "no units, no value"


def test_a_given_budget_keeps_only_the_regulation_fund() -> None:
    text = (
        'year = 2026\nregion = "某市"\ndata_level = "local"\n'
        '[[fund]]\ninsurance = "职工"\ninpatient_budget = "100.00"\nreserve = "7.00"\n'
    )
    [pool] = total_budget(region_policy("dip", CHAIN), parse_year_file(text)).pools
    assert (pool.distributable, pool.regulation, pool.reserve) == (to_fen("95"), to_fen("5"), to_fen("7"))
