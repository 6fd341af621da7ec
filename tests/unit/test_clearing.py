"""Clearing small regions, every column worked out by hand."""

from __future__ import annotations

import zipfile
from datetime import date
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest

from api.core.clearing import PaidInYear
from api.core.clearing_files import write_clearing
from api.core.clearing_statement import hospital_statements
from budget.ledger import balances, unbalanced
from budget.money import to_fen
from reference_tables.problems import TablesRefused
from tests.unit.clearing_region import (
    ASSESSED,
    REGULATION,
    SHARING,
    STEPS,
    case,
    cases,
    clear,
    region_policy,
    table,
    year_file,
)

DIP_CASES = [
    case("A1", "G1", "9000", "2000"),  # multiple 0.9: 1000 points
    case("A2", "G2", "2000", "500"),  # multiple 0.4, low: 500 x 0.4 = 200 points
    case("B1", "G1", "8000", "1500"),  # score 1000 x 0.8 = 800 points
    case("B2", "0000", "3000", "600"),  # by item: 2400 of the fund, fixed
]


def paid(**yuan: str) -> dict[tuple[str, str], PaidInYear]:
    return {(name, "职工"): PaidInYear(paid=to_fen(text)) for name, text in yuan.items()}


def test_scores_sharing_by_hospital_deposit_violation_and_payments() -> None:
    # 18000 - 5 % regulation = 17100, - 2400 fixed = 14700 for 1200 + 800 points: 8820 and 5880.
    # A spent 7000 + 1500 = 8500 of 8820: of the surplus 320 it keeps 70 %, 224, and gives 96 back.
    # B spent 6500 + 2400 = 8900 of 8280: of the overrun 620 (7.5 %) the fund bears 60 %, 372.
    # Deposits 5 %: 441 and 414, returned 100 % (score 96) and 90 % (score 88): 372.60.
    policy = region_policy("dip", SHARING, ASSESSED, REGULATION)
    violation = '[[violation]]\nhospital = "A"\ninsurance = "职工"\namount = "100.00"\nreason = "分解住院"\n'
    found = clear(policy, cases(*DIP_CASES), year_file(more=violation), paid(A="8000", B="8500"))
    assert table(found) == [
        ["A", "职工", "2", "1200.0000", "8820.00", "224.00", "0.00", "441.00", "441.00", "196.00", "8000.00", "624.00"],
        ["B", "职工", "2", "800.0000", "8280.00", "0.00", "372.00", "414.00", "372.60", "0.00", "8500.00", "110.60"],
    ]
    [pool] = found.pools
    assert str(pool.due.value) == "147/16"  # 14700 / 0.8 / 2000 = 9.1875 yuan a point
    assert (pool.cleared.line_used, pool.cleared.to_fund, pool.cleared.withheld) == (37200, 9600, 4140)
    told = [
        list(clear(policy, cases(*DIP_CASES), year_file(more=more)).problems.iter_rows(named=True))
        for more in (violation.replace("100.00", amount) for amount in ("8820.00", "8820.01"))
    ]
    assert [[row["code"] for row in rows if row["code"] == "CL65"] for rows in told] == [[], ["CL65"]]
    assert "机构 A 在职工的违规扣款 8820.01 元，超过应得金额 8820.00 元" in [row["message"] for row in told[1]]


def test_points_of_three_equal_hospitals_and_the_regions_result() -> None:
    # (22000 + patients' 9000) / 300 points = 103.33..: 10333.34, 10333.33, 10333.33, less 3000 each.
    # The region spent 21000 by item: of the surplus 1000 hospitals keep 85 %, the fund 150.
    policy = region_policy("drg-point", sharing_basis="region", region_share="0.85", deposit_share="0")
    given = cases(*(case(f"{name}1", "G1", "10000", "3000") for name in "ABC"))
    found = clear(policy, given, year_file("22000.00"))
    assert table(found) == [
        ["A", "职工", "1", "100.0000", "7333.34", "283.34", "0.00", "0.00", "0.00", "50.00", "0.00", "7283.34"],
        ["B", "职工", "1", "100.0000", "7333.33", "283.33", "0.00", "0.00", "0.00", "50.00", "0.00", "7283.33"],
        ["C", "职工", "1", "100.0000", "7333.33", "283.33", "0.00", "0.00", "0.00", "50.00", "0.00", "7283.33"],
    ]
    assert found.pools[0].cleared.to_fund == 15000


def test_the_regions_overrun_is_borne_with_the_line_the_policy_names() -> None:
    # 20000 shared out, 21000 spent: the fund bears 15 % of 1000 = 150 out of the regulation fund (5 % of 21052.64).
    policy = region_policy(
        "drg-point", REGULATION, sharing_basis="region", region_share="0.85", overrun_from="regulation"
    )
    given = cases(*(case(f"{name}1", "G1", "10000", "3000") for name in "AB"), case("C1", "G1", "10000", "3000"))
    found = clear(policy, given, year_file("21052.63"))
    assert found.budget.pools[0].regulation == 105263  # 1052.6315
    assert [row[4] for row in table(found)] == ["6666.67", "6666.67", "6666.66"]
    assert [row[6] for row in table(found)] == ["50.00", "50.00", "50.00"]
    assert found.pools[0].cleared.line_used == 15000


def test_fixed_rates_leave_the_surplus_in_the_fund() -> None:
    # A: 10000 - 2000 = 8000 and 2000 at cost - 500 = 1500; B: 8000 - 1500 = 6500, and 2400 by item.
    found = clear(region_policy("drg-rate"), cases(*DIP_CASES), year_file("20000.00"))
    assert table(found) == [
        ["A", "职工", "2", "1.0000", "9500.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "9500.00"],
        ["B", "职工", "2", "0.8000", "8900.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "8900.00"],
    ]
    assert found.pools[0].cleared.to_fund == to_fen("1600")


def test_fixed_rates_with_the_regions_result_shared() -> None:
    # Surplus 1600, half of it to the hospitals by what they are due of the priced money (8000 and 6500 of 14500).
    policy = region_policy("drg-rate", sharing_basis="region", region_share="0.5")
    found = clear(policy, cases(*DIP_CASES), year_file("20000.00"))
    assert [row[4] for row in table(found)] == ["9941.38", "9258.62"]  # 800 x 80/145 = 441.379
    assert found.pools[0].cleared.to_fund == to_fen("800")


def test_the_rate_is_recalculated_over_weights() -> None:
    # Fixed: A2 at cost 1500 and B2 2400. 17400 - 3900 = 13500 over weight 1 + 0.8: 7500 and 6000.
    policy = region_policy("drg-rate", point_value_formula="RATE")
    found = clear(policy, cases(*DIP_CASES), year_file("17400.00"))
    assert [row[3:5] for row in table(found)] == [["1.0000", "9000.00"], ["0.8000", "8400.00"]]
    assert found.pools[0].due.value == to_fen("13500") / 100 / (policy.get("payment_ratio").value * 9 / 5)  # type: ignore[union-attr]


TWO = ["职工", "居民"]
TWO_FUNDS = '[[fund]]\ninsurance = "居民"\ninpatient_budget = "9000.00"\n'


@pytest.mark.parametrize("workers", ["10000", "40000"])
@pytest.mark.parametrize("base", [None, "9000"])
def test_weights_of_a_pool_are_told_at_the_rates_of_its_own_insurance(workers: str, base: str | None) -> None:
    # 居民 at 5000: A has weight 1, B 0.8. Neither 职工's rate nor a general one that 居民's own hides counts.
    rates = [
        {"key": "base_rate", "value": value, "for": {"insurance": name}}
        for name, value in (("职工", workers), ("居民", "5000"))
    ]
    policy = region_policy(
        "drg-rate", insurances=TWO, scoped=rates, base_rate=base, point_value_formula="RATE", payment_ratio="0.8",
    )  # fmt: skip
    rows = [
        case("A1", "G1", "9000", "2000"), case("A2", "G1", "5000", "1000", insurance="居民"),
        case("B1", "G1", "4000", "1000", insurance="居民"),
    ]  # fmt: skip
    found = clear(policy, cases(*rows), year_file("18000.00", TWO_FUNDS))
    shown = [(row[0], row[3], row[4]) for row in table(found) if row[1] == "居民"]
    assert shown == [("A", "1.0000", "5000.00"), ("B", "0.8000", "4000.00")]
    # 9000 / 1.8 a weight of the fund's part, at a payment ratio of 0.8.
    assert [pool.due.value for pool in found.pools if pool.budget.pool == "居民"] == [6250]


def test_weights_of_a_merged_pool_are_told_at_the_highest_rate() -> None:
    rates = [
        {"key": "base_rate", "value": value, "for": {"insurance": name}}
        for name, value in (("职工", "10000"), ("居民", "5000"))
    ]
    policy = region_policy(
        "drg-rate", insurances=TWO, scoped=rates, base_rate=None, point_value_formula="RATE", pools="merged"
    )
    rows = [case("A1", "G1", "9000", "2000"), case("A2", "G1", "5000", "1000", insurance="居民")]
    found = clear(policy, cases(*rows), year_file("18000.00", TWO_FUNDS))
    assert [row[1:5] for row in table(found)] == [["合并", "2", "1.5000", "27000.00"]]


@pytest.mark.parametrize(
    ("since", "units", "due", "value"),
    [
        # A in May at 10000, C in July at 11000, the higher of the two: 18900 by 10 : 11, 18900 / 0.8 x 11 / 21.
        ("2026-07-01", ["0.9091", "1.0000"], ["9000.00", "9900.00"], 12375),
        # The rate of January on is that of both: 18900 / 0.8 / 2.
        ("2026-01-01", ["1.0000", "1.0000"], ["9450.00", "9450.00"], Fraction(23625, 2)),
        # A rate that holds for no case, of later months or another year, moves nothing.
        ("2026-07-02", ["1.0000", "1.0000"], ["9450.00", "9450.00"], Fraction(23625, 2)),
        ("2027-01-01", ["1.0000", "1.0000"], ["9450.00", "9450.00"], Fraction(23625, 2)),
    ],
)
def test_weights_are_told_at_the_rates_in_force_in_the_cases_months(
    since: str, units: list[str], due: list[str], value: Fraction
) -> None:
    day = date.fromisoformat(since)
    rates: list[dict[str, object]] = [
        {"key": "base_rate", "value": "10000", "until": day}, {"key": "base_rate", "value": "11000", "from": day},
        {"key": "base_rate", "value": "40000", "for": {"hospital": "B"}},
    ]  # fmt: skip
    policy = region_policy("drg-rate", scoped=rates, base_rate=None, point_value_formula="RATE")
    rows = [case("A1", "G1", "9000", "2000"), case("C1", "G1", "9000", "2000", month="2026-07")]
    found = clear(policy, cases(*rows), year_file("18900.00"))
    shown = [row for row in table(found) if row[0] != "B"]
    assert ([row[3] for row in shown], [row[4] for row in shown]) == (units, due)
    assert found.pools[0].due.value == value


def test_hospital_quotas_are_the_entitlement() -> None:
    # Quota A 9000, spent 8500: surplus 500, keeps 350. Quota B 8500, spent 8900: the fund bears 240.
    quotas = "".join(
        f'[[quota]]\nhospital = "{name}"\ninsurance = "职工"\namount = "{amount}"\n'
        for name, amount in (("A", "9000.00"), ("B", "8500.00"))
    )
    policy = region_policy("dip", SHARING, REGULATION, hospital_budget="quota")
    found = clear(policy, cases(*DIP_CASES), year_file("20000.00", quotas))
    assert [row[4:7] for row in table(found)] == [["9000.00", "350.00", "0.00"], ["8500.00", "0.00", "240.00"]]
    assert found.pools[0].unallotted == to_fen("1500")
    with pytest.raises(TablesRefused) as refused:
        clear(policy, cases(*DIP_CASES), year_file("18000.00", quotas))
    [problem] = refused.value.problems
    assert (problem.code, problem.args["missing"]) == ("CL24", "400.00")


def test_quotas_by_parts_use_the_pool_up() -> None:
    quotas = "".join(f'[[quota]]\nhospital = "{name}"\ninsurance = "职工"\npart = "1"\n' for name in "ABC")
    found = clear(region_policy("dip", hospital_budget="quota"), cases(*DIP_CASES), year_file("100.00", quotas))
    assert [(row[0], row[4]) for row in table(found)] == [("A", "33.34"), ("B", "33.33"), ("C", "33.33")]


def test_a_fixed_quota_below_its_points_is_topped_up_from_the_line() -> None:
    # Bed days: A 10 days x 30 points = 300 points, quota 10 x 300 = 3000 less patient's 500 = 2500.
    # 13000 over 1000 + 300 points: 10 yuan a point would be 3000; at 6500 it is 5: 1500, topped up with 1000.
    policy = region_policy(
        "dip", top_up=True, bed_day_groups=["G9"], bed_day_price="300", bed_day_points="30",
        overrun_from="reserve",
    )  # fmt: skip
    given = cases(case("B1", "G1", "8000", "1000", tier="三级"), case("A1", "G9", "4000", "500", los_days=10))
    reserve = year_file("6500.00").tables["fund"][0].values
    assert reserve["reserve"] is None
    with pytest.raises(TablesRefused) as refused:
        clear(policy, given, year_file("6500.00"))
    [problem] = refused.value.problems
    assert (problem.code, problem.args["missing"]) == ("CL30", "1000.00")
    year = year_file('6500.00"\nreserve = "1000.00')
    found = clear(policy, given, year)
    assert table(found) == [
        ["A", "职工", "1", "300.0000", "1500.00", "0.00", "1000.00", "0.00", "0.00", "0.00", "0.00", "2500.00"],
        ["B", "职工", "1", "1000.0000", "5000.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "5000.00"],
    ]


def test_special_cases_beyond_the_quota_are_priced_as_others(tmp_path: Path) -> None:
    # Ten discharges at 15 %: one special case, the first accepted. A1 and A2 are asked for, A3 is refused.
    rows = [case(f"A{at}", "G1", "10000", "3000") for at in range(10)]
    decisions = pl.DataFrame(
        {
            "case_id": ["A3", "A2", "A1", "X"], "hospital_id": [None, "A", None, None],
            "decision": ["refused", "by_item", "by_item", "by_item"], "amount_fen": [None] * 4,
        },
        schema={"case_id": pl.String, "hospital_id": pl.String, "decision": pl.String, "amount_fen": pl.Int64},
    )  # fmt: skip
    policy = region_policy("dip", special_quota="0.15", special_rule="by_item")
    found = clear(policy, cases(*rows), year_file("90000.00"), decisions=decisions)
    assert table(found)[0][2:5] == ["10", "9000.0000", "90000.00"]
    assert found.pools[0].accounts[0].fixed == to_fen("7000")
    told = found.problems.select("code", "case_id").rows()
    assert told == [("CL51", "X"), ("CL50", "A1")]
    [statement] = hospital_statements(found)
    [item] = [item for item in statement.pools[0].items if "超出名额" in item.label]
    assert (item.value, item.how) == (
        "1", "本院年度出院 10 人次，名额 1 例，按评议先后取；超出名额的改按病组（病种）支付：A1"
    )  # fmt: skip
    write_clearing(found, tmp_path / "out", {}, "drgdip clear")
    place = tmp_path / "out" / "statements"
    with zipfile.ZipFile(place / "A.xlsx") as packed:
        sheets = packed.read("xl/sharedStrings.xml").decode()
    for text in (sheets, (place / "A.html").read_text(encoding="utf-8")):
        assert "超出名额的特例单议（例）" in text
        assert item.how in text
    with pytest.raises(TablesRefused) as refused:
        clear(region_policy("dip"), cases(*rows), decisions=decisions)
    assert [problem.args["key"] for problem in refused.value.problems] == ["special_quota"]


def test_a_readmission_counts_once_with_its_cost() -> None:
    from datetime import date

    stays = [
        case("A1", "G2", "2000", "500", person="p", admission=date(2026, 5, 1), discharge=date(2026, 5, 5)),
        case("A2", "G2", "2000", "400", person="p", admission=date(2026, 5, 10), discharge=date(2026, 5, 15)),
        case("A3", "G2", "4000", "400", person="q", admission=date(2026, 5, 10), discharge=date(2026, 5, 15)),
    ]
    # Apart each of the first two is low: 200 points. Together 4000 / 5000 = 0.8 is normal: 500 points.
    apart = clear(region_policy("dip"), cases(*stays))
    assert table(apart)[0][2:4] == ["3", "900.0000"]
    merged = clear(region_policy("dip", readmission_days=15), cases(*stays))
    assert table(merged)[0][2:4] == ["2", "1000.0000"]
    assert merged.problems.select("code", "case_id").rows() == [("CL55", "A2")]
    assert merged.tallies.tallies["A", "职工"].actual_fen == to_fen("6700")


def test_assessment_moves_the_shares_themselves() -> None:
    # 宁波 style: 88 points move both shares by 5 points: A keeps 75 % of 320 = 240, the fund bears 65 % of B's 620.
    moved = {
        "assessment_on": "share", "assessment_is": "shift",
        "assessment_bands": [{"from": "80", "value": "0.05"}, {"from": "0", "value": "none"}],
    }  # fmt: skip
    policy = region_policy("dip", SHARING, REGULATION, moved)
    found = clear(policy, cases(*DIP_CASES))
    assert [row[5:7] for row in table(found)] == [["240.00", "0.00"], ["0.00", "403.00"]]
    poor = clear(policy, cases(*DIP_CASES), year_file(scores={"A": "50", "B": "50"}))
    assert [row[5:7] for row in table(poor)] == [["0.00", "0.00"], ["0.00", "0.00"]]


def test_only_recognised_overrun_is_shared() -> None:
    recognised = '[[recognised_overrun]]\nhospital = "B"\ninsurance = "职工"\namount = "100.00"\nreason = "新技术"\n'
    policy = region_policy("dip", SHARING, REGULATION, overrun_review=True)
    assert [row[6] for row in table(clear(policy, cases(*DIP_CASES)))] == ["0.00", "0.00"]
    assert [row[6] for row in table(clear(policy, cases(*DIP_CASES), year_file(more=recognised)))] == ["0.00", "60.00"]


def test_money_nobody_pays_for_is_refused_with_the_missing_sum() -> None:
    policy = region_policy("dip", SHARING, overrun_from="reserve")  # 372 of B's overrun, no reserve at all
    with pytest.raises(TablesRefused) as refused:
        clear(policy, cases(*DIP_CASES), year_file("17100.00"))
    [problem] = refused.value.problems
    assert (problem.code, problem.args["missing"], "风险储备金" in problem.message) == ("CL30", "372.00", True)
    with pytest.raises(TablesRefused) as refused:
        clear(region_policy("dip"), cases(*DIP_CASES), year_file("2399.99"))
    [problem] = refused.value.problems
    assert (problem.code, problem.args["missing"]) == ("CL31", "0.01")
    with pytest.raises(TablesRefused) as refused:  # 18400 due at fixed rates
        clear(region_policy("drg-rate"), cases(*DIP_CASES), year_file("18000.00"))
    [problem] = refused.value.problems
    assert (problem.code, problem.args["missing"]) == ("CL30", "400.00")


def test_everything_that_is_missing_is_told_at_once() -> None:
    policy = region_policy("dip", SHARING, ASSESSED, overrun_bands=None, deposit_share=None)
    with pytest.raises(TablesRefused) as refused:
        clear(policy, cases(*DIP_CASES), year_file(scores={"C": "80"}))
    told = [problem.args.get("key", problem.args.get("hospital")) for problem in refused.value.problems]
    assert sorted(map(str, told)) == ["A", "B", "deposit_share", "overrun_bands"]


def test_a_step_left_out_must_have_no_money() -> None:
    steps = [step for step in STEPS if step != "prepaid"]
    with pytest.raises(TablesRefused) as refused:
        clear(region_policy("dip", clearing_steps=steps), cases(*DIP_CASES), paid=paid(A="1"))
    assert [problem.code for problem in refused.value.problems] == ["CL34"]


def test_cases_that_belong_nowhere_are_listed_and_do_not_count() -> None:
    others = [
        case("A8", "G1", "9000", "2000", month="2025-12"),
        case("A9", "G1", "9000", "2000", insurance="其他"),
        case("B9", "G1", "9000", "0", patient_paid_fen=None),
    ]
    found = clear(region_policy("dip"), cases(*DIP_CASES, *others))
    assert found.problems.select("code", "case_id").rows() == [("CL53", "A8"), ("CL56", "A9"), ("CL52", "B9")]
    assert table(found) == table(clear(region_policy("dip"), cases(*DIP_CASES)))
    with pytest.raises(TablesRefused) as refused:
        clear(region_policy("dip"), cases(others[0]))
    assert [problem.code for problem in refused.value.problems] == ["CL37"]


def test_money_paid_to_a_hospital_without_cases_is_owed_back() -> None:
    found = clear(region_policy("dip"), cases(*DIP_CASES), paid=paid(C="10.00"))
    assert table(found)[2] == ["C", "职工", "0", "0.0000", *["0.00"] * 6, "10.00", "-10.00"]
    assert found.problems["code"].to_list() == ["CL54"]


def test_postings_balance_and_leave_what_the_statement_says() -> None:
    policy = region_policy("dip", SHARING, ASSESSED, REGULATION)
    given = {
        ("A", "职工"): PaidInYear(paid=800000, held=40000, advance=700),
        ("B", "职工"): PaidInYear(paid=850000, held=41000),
    }
    found = clear(policy, cases(*DIP_CASES), paid=given)
    postings = found.postings("run")
    assert unbalanced(postings).is_empty()
    owed = {row["hospital_id"]: row["balance_fen"] for row in balances(postings).filter(account="2201").to_dicts()}
    assert owed == {line.hospital: line.balance for _, line in found.lines}
    held = balances(postings).filter(account="2202")["balance_fen"].to_list()
    assert held == [0, 0]
    assert {line.hospital: line.deposit for _, line in found.lines} == {"A": 40000, "B": 41000}
