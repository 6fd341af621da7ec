"""The surplus that hospitals retain after assessment, and stays of one person paid by two funds, worked out by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from budget.money import to_fen
from reference_tables.problems import TablesRefused
from tests.unit.clearing_region import REGULATION, SHARING, case, cases, clear, region_policy, table, year_file

DIP_CASES = [
    case("A1", "G1", "9000", "2000"),  # 1000 points
    case("A2", "G2", "2000", "500"),  # multiple 0.4, low: 500 x 0.4 = 200 points
    case("B1", "G1", "8000", "1500"),  # score 1000 x 0.8 = 800 points
    case("B2", "0000", "3000", "600"),  # by item: 2400 of the fund, fixed
]
BANDS = [{"from": "90", "value": "1.1"}, {"from": "80", "value": "0.9"}, {"from": "0", "value": "none"}]
RETAINED = {"assessment_on": "retained", "assessment_is": "factor", "assessment_bands": BANDS}


@pytest.mark.parametrize(
    ("factor", "more", "retained", "given_up"),
    [
        ("1.1", {}, "246.40", "73.60"),  # 70 % of A's surplus of 320 is 224, rewarded by a tenth
        ("1.5", {}, "320.00", "0.00"),  # 336 would be more than the whole surplus
        ("1.1", {"retain_cap": "0.02"}, "176.40", "143.60"),  # never above 2 % of 8820
        ("0.9", {"retain_cap": "0.02"}, "158.76", "161.24"),  # nine tenths of what the cap leaves
        ("none", {}, "0.00", "320.00"),
    ],
)
def test_a_factor_on_the_retained_surplus_may_reward(
    factor: str, more: dict[str, Any], retained: str, given_up: str
) -> None:
    assessed = RETAINED | {"assessment_bands": [{"from": "0", "value": factor}]}
    found = clear(region_policy("dip", SHARING, REGULATION, assessed, more), cases(*DIP_CASES))
    row = table(found)[0]
    assert (row[4], row[5], row[9], row[11]) == ("8820.00", retained, given_up, f"{8820 - float(given_up):.2f}")


def test_the_regions_surplus_is_assessed_hospital_by_hospital() -> None:
    # Three hospitals are due 7333.34, 7333.33, 7333.33 of 22000 and spent 21000: of the surplus 1000 they keep 85 %,
    # 283.34, 283.33, 283.33, of the 333.34, 333.33, 333.33 that are theirs in all. Scores 96, 88, 70: x 1.1, 0.9, none.
    policy = region_policy("drg-point", RETAINED, sharing_basis="region", region_share="0.85")
    given = cases(*(case(f"{name}1", "G1", "10000", "3000") for name in "ABC"))
    found = clear(policy, given, year_file("22000.00"))
    assert [(row[4], row[5], row[9], row[11]) for row in table(found)] == [
        ("7333.34", "311.67", "21.67", "7311.67"),
        ("7333.33", "255.00", "78.33", "7255.00"),
        ("7333.33", "0.00", "333.33", "7000.00"),
    ]
    assert found.pools[0].cleared.to_fund == to_fen("433.33")


def test_at_fixed_rates_the_assessed_part_of_the_regions_surplus_is_added() -> None:
    # Of 1600 the hospitals get half, 441.38 and 358.62 by what they are due; x 1.1 and 0.9, the rest stays in the fund.
    policy = region_policy("drg-rate", RETAINED, sharing_basis="region", region_share="0.5")
    found = clear(policy, cases(*DIP_CASES), year_file("20000.00"))
    assert [row[4] for row in table(found)] == ["9985.52", "9222.76"]
    assert found.pools[0].cleared.to_fund == to_fen("791.72")


def test_shares_are_not_assessed_where_there_are_none_by_hospital() -> None:
    with pytest.raises(TablesRefused) as refused:
        region_policy("drg-point", RETAINED, sharing_basis="region", region_share="0.85", assessment_on="share")
    assert [problem.code for problem in refused.value.problems] == ["PL20"]


def test_a_stay_of_another_insurance_is_not_merged_into_the_one_before_it() -> None:
    policy = region_policy("dip", readmission_days=15, insurances=("职工", "居民"))
    year = year_file("10000.00", '[[fund]]\ninsurance = "居民"\ninpatient_budget = "3000.00"\n')
    first = {"person": "p", "admission": date(2026, 5, 1), "discharge": date(2026, 5, 5)}
    later = {"person": "p", "admission": date(2026, 5, 10), "discharge": date(2026, 5, 15)}
    last = {"person": "p", "admission": date(2026, 5, 30), "discharge": date(2026, 6, 2)}
    stays = (
        case("A1", "G1", "9000", "2000", **first),
        case("A2", "G1", "8000", "2000", **later, insurance="居民"),
        case("A3", "G1", "9000", "2000", **last, insurance="居民"),  # 15 days after A2: one stay with it, 17000
    )
    found = clear(policy, cases(*stays), year)
    assert [(row[1], row[2], row[3], row[4]) for row in table(found)] == [
        ("居民", "1", "1000.0000", "3000.00"),
        ("职工", "1", "1000.0000", "10000.00"),
    ]
    assert found.problems.select("code", "case_id").rows() == [("CL55", "A3")]
