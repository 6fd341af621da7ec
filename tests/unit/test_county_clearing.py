"""County medical groups in clearing: bundles by heads, cases charged to them, surplus and overrun shared inside."""

from __future__ import annotations

import pytest

from api.core.clearing import Clearing
from budget.compare_fund import fund_frame
from budget.ledger import balances
from budget.money import to_fen
from budget.total_budget import total_budget
from reference_tables.problems import TablesRefused
from reference_tables.year_file import parse_year_file
from tests.unit.clearing_region import SHARING, borne, case, cases, clear, region_policy, table, year_file

CAPITATION = {
    "capitation_reserve": "0.05", "capitation_retain": "1", "capitation_overrun_share": "0.6",
    "capitation_overrun_cap": "0.1", "capitation_split": {"县级医院": "6", "乡镇卫生院": "3", "村卫生室": "1"},
}  # fmt: skip
GROUP = """
[[deduction]]
insurance = "职工"
item = "bundles"
amount = "{paid_by}"
[[county_group]]
id = "G"
name = "某县医共体"
lead = "A"
[[member]]
county_group = "G"
hospital = "A"
role = "县级医院"
[[member]]
county_group = "G"
hospital = "B"
role = "乡镇卫生院"
[[heads]]
county_group = "G"
insurance = "职工"
heads = 100
per_head = "{per_head}"
[[spend]]
county_group = "G"
insurance = "职工"
where = "outside"
amount = "1000.00"
reason = "异地就医"
"""
# The group's cases: 10000 - 2000 = 8000 at A, 8000 - 1500 = 6500 at B, as priced.
CASES = [
    case("A1", "G1", "9000", "2000", county_group="G"),
    case("B1", "G1", "8000", "1500", county_group="G"),
    case("C1", "G1", "9000", "2500", county_group="open"),
]


def group(per_head: str, paid_by: str = "20000.00") -> str:
    return GROUP.format(per_head=per_head, paid_by=paid_by)


def run(per_head: str, **values: object) -> Clearing:
    policy = region_policy("dip", CAPITATION, **values)
    return clear(policy, cases(*CASES), year_file("15000.00", group(per_head)))


def test_surplus_is_split_inside_and_the_groups_cases_stay_out_of_the_pool() -> None:
    # Gross 20000, reserve 1000, budget 19000; used 8000 + 6500 + 1000 = 15500; surplus 3500 split 6:3:1, the village
    # part to the lead: A 2100 + 350, B 1050. The pool of 15000 goes to C, whose group has no bundle.
    found = run("200.00")
    assert table(found) == [
        ["A", "G", "0", "0.0000", "0.00", "2450.00", "2450.00", "0.00", "0.00", "0.00", "0.00", "2450.00"],
        ["A", "职工", "1", "0.0000", "8000.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "8000.00"],
        ["B", "G", "0", "0.0000", "0.00", "1050.00", "1050.00", "0.00", "0.00", "0.00", "0.00", "1050.00"],
        ["B", "职工", "1", "0.0000", "6500.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "6500.00"],
        ["C", "职工", "1", "1000.0000", "15000.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "15000.00"],
    ]
    [bundle] = found.bundles
    assert (bundle.inside, bundle.outside) == (to_fen("14500"), to_fen("1000"))
    assert found.pools[0].bundled == to_fen("14500")


def test_overrun_is_shared_with_the_fund_and_borne_inside() -> None:
    # Gross 15000, reserve 750, budget 14250, overrun 1250 (below 10 %): the fund bears 750, the group 500: 350 and 150.
    found = run("150.00")
    assert borne(found, "shared", "deductions", "balance") == [
        ("A", "0.00", "0.00", "-350.00", "350.00"),
        ("B", "0.00", "0.00", "-150.00", "150.00"),
    ]
    assert found.bundles[0].beyond == 0


@pytest.mark.parametrize(
    ("per_head", "posted"),
    [
        ("150.00", [("A", "2201", -35000), ("A", "4004", 35000), ("B", "2201", -15000), ("B", "4004", 15000)]),
        ("200.00", [("A", "2201", 245000), ("A", "5003", 245000), ("B", "2201", 105000), ("B", "5003", 105000)]),
    ],
)
def test_what_members_bear_or_keep_has_accounts_of_its_own(per_head: str, posted: list[tuple[str, str, int]]) -> None:
    found = balances(run(per_head).postings("run").filter(pool="G"))
    assert found.select("hospital_id", "account", "balance_fen").rows() == posted


@pytest.mark.parametrize(
    ("per_head", "received", "reserve", "unkept", "balance"),
    [
        # Surplus 3500, 80 % of it kept: 15000 and the cases' 14500 and 2800 are received; 1000 + 700 stay in the fund.
        ("200.00", "32300", "1000", "700", "1700"),
        # Overrun 1250, of which the reserve of 750 pays 750 and the members bear 500: nothing is left.
        ("150.00", "29000", "0", "0", "0"),
    ],
)
def test_what_the_fund_pays_is_received_or_kept_by_name(
    per_head: str, received: str, reserve: str, unkept: str, balance: str
) -> None:
    found = run(per_head, capitation_retain="0.8")
    frame = fund_frame(found.pools, found.budget, found.given.year_file, "after", "元/分", found.bundles)
    pool, whole = frame.iter_rows(named=True)
    assert (pool["received_fen"], pool["paid_fen"], pool["bundled_fen"]) == (2_950_000, 1_500_000, 1_450_000)
    told = [whole[f"{name}_fen"] for name in ("received", "bundle_reserve", "bundle_unkept", "balance")]
    assert told == [to_fen(text) for text in (received, reserve, unkept, balance)]
    assert whole["bundle_others_fen"] == to_fen("1000")
    assert whole["paid_fen"] + whole["bundles_fen"] == sum(told[:3]) + whole["bundle_others_fen"]


def test_an_overrun_beyond_the_groups_own_reserve_needs_a_line() -> None:
    # Gross 14000, reserve 700, budget 13300, overrun 2200, of which 1330 (10 %) are shared: 798, 98 beyond the reserve.
    with pytest.raises(TablesRefused) as refused:
        run("140.00")
    [problem] = refused.value.problems
    assert (problem.code, problem.args["missing"]) == ("CL30", "98.00")
    found = run("140.00", regulation_share="0.05", budget_deductions=["regulation"], overrun_from="regulation")
    assert found.bundles[0].beyond == to_fen("98")


def test_without_bundles_in_the_year_file_everyone_is_in_the_pool() -> None:
    found = clear(region_policy("dip"), cases(*CASES))
    assert [row[:4] for row in table(found)] == [
        ["A", "职工", "1", "1000.0000"],
        ["B", "职工", "1", "800.0000"],
        ["C", "职工", "1", "1000.0000"],
    ]


def test_a_role_outside_of_the_split_is_told() -> None:
    text = group("200.00").replace("乡镇卫生院", "社区")
    with pytest.raises(TablesRefused) as refused:
        clear(region_policy("dip", CAPITATION), cases(*CASES), year_file("15000.00", text))
    assert [(problem.code, problem.args["role"]) for problem in refused.value.problems] == [("CL39", "社区")]


@pytest.mark.parametrize(
    ("hospital", "register", "told"), [("B", None, ("G", "无")), ("B", "X", ("G", "X")), ("C", "G", ("无", "G"))]
)
def test_members_must_be_those_of_the_register(hospital: str, register: str | None, told: tuple[str, str]) -> None:
    rows = [row | {"county_group": register} if row["hospital_id"] == hospital else row for row in CASES]
    with pytest.raises(TablesRefused) as refused:
        clear(region_policy("dip", CAPITATION), cases(*rows), year_file("15000.00", group("200.00")))
    [problem] = refused.value.problems
    found = problem.args
    assert (problem.code, found["hospital"], found["member"], found["register"]) == ("CL40", hospital, *told)


def test_a_bundle_must_be_paid_for() -> None:
    policy = region_policy("dip", CAPITATION)
    with pytest.raises(TablesRefused) as refused:
        clear(policy, cases(*CASES), year_file("15000.00", group("200.00", "19999.99")))
    assert [(problem.code, problem.args["missing"]) for problem in refused.value.problems] == [("CL25", "0.01")]
    unpaid = group("200.00").partition("[[county_group]]")
    with pytest.raises(TablesRefused) as refused:
        clear(policy, cases(*CASES), year_file("15000.00", "".join(unpaid[1:])))
    assert [(problem.code, problem.args["missing"]) for problem in refused.value.problems] == [("CL29", "20000.00")]


def test_a_bundle_must_be_taken_off_the_income() -> None:
    rows = "".join(group("200.00").partition("[[county_group]]")[1:])
    hospitals = "".join(f'[[hospital]]\nid = "{name}"\nname = "{name}"\n' for name in "AB")
    fund = '[[fund]]\ninsurance = "职工"\nincome = "30000.00"\n'
    year = parse_year_file(f'year = 2026\nregion = "某市"\ndata_level = "local"\n{fund}{hospitals}{rows}')
    taken = region_policy("dip", CAPITATION, budget_deductions=["bundles"])
    assert [budget.distributable for budget in total_budget(taken, year).insurances] == [to_fen("10000")]
    left_out = region_policy("dip", CAPITATION, budget_deductions=["regulation"], regulation_share="0.05")
    with pytest.raises(TablesRefused) as refused:
        total_budget(left_out, year)
    assert [(problem.code, problem.args["missing"]) for problem in refused.value.problems] == [("CL29", "20000.00")]


def test_a_bundle_covers_only_the_insurances_it_has_heads_of() -> None:
    # 居民 of member A: 1000 points, alone in a pool of 9000. The bundle pays as without them.
    policy = region_policy("dip", CAPITATION, insurances=["职工", "居民"])
    fund = '[[fund]]\ninsurance = "居民"\ninpatient_budget = "9000.00"\n'
    rows = [*CASES, case("A2", "G1", "9000", "2000", county_group="G", insurance="居民")]
    found = clear(policy, cases(*rows), year_file("15000.00", fund + group("200.00")))
    assert ["A", "居民", "1", "1000.0000", "9000.00"] in [row[:5] for row in table(found)]
    assert [row for row in table(found) if row[1] != "居民"] == table(run("200.00"))


def test_bundled_cases_take_no_part_in_the_regions_result() -> None:
    # C is due 15000 and cost the fund 9000 - 2500 = 6500 by item; of the surplus of 8500 hospitals keep half.
    found = run("200.00", sharing_basis="region", region_share="0.5")
    shared = {(row[0], row[1]): (row[4], row[5], row[9]) for row in table(found) if row[1] == "职工"}
    assert shared == {
        ("A", "职工"): ("8000.00", "0.00", "0.00"),
        ("B", "职工"): ("6500.00", "0.00", "0.00"),
        ("C", "职工"): ("15000.00", "4250.00", "4250.00"),
    }


def test_bundled_cases_take_no_part_in_a_hospitals_own_sharing() -> None:
    # By item A's case cost the fund 7000 of 8000: the bundle's affair. C: 70 % of the first 1500 of surplus stay.
    found = run("200.00", **SHARING)
    kept = {row[0]: (row[5], row[9]) for row in table(found) if row[1] == "职工"}
    assert kept == {"A": ("0.00", "0.00"), "B": ("0.00", "0.00"), "C": ("1050.00", "7450.00")}


def test_quotas_do_not_pay_for_what_bundles_pay() -> None:
    quotas = "".join(
        f'[[quota]]\nhospital = "{name}"\ninsurance = "职工"\namount = "{yuan}"\n'
        for name, yuan in (("A", "1000.00"), ("B", "0.00"), ("C", "9000.00"))
    )
    policy = region_policy("dip", CAPITATION, hospital_budget="quota")
    found = clear(policy, cases(*CASES), year_file("15000.00", group("200.00") + quotas))
    assert [row[4] for row in table(found) if row[1] == "职工"] == ["9000.00", "6500.00", "9000.00"]


def test_only_a_hospital_with_money_of_its_own_needs_a_quota() -> None:
    """A and B have cases that the bundle pays and no quota; C has its quota of 9,000, and is asked for it without."""
    policy = region_policy("dip", CAPITATION, hospital_budget="quota")
    quota = '[[quota]]\nhospital = "{}"\ninsurance = "职工"\namount = "9000.00"\n'
    found = clear(policy, cases(*CASES), year_file("15000.00", group("200.00") + quota.format("C")))
    assert [(row[0], row[1], row[4]) for row in table(found)] == [
        ("A", "G", "0.00"), ("A", "职工", "8000.00"), ("B", "G", "0.00"), ("B", "职工", "6500.00"),
        ("C", "职工", "9000.00"),
    ]  # fmt: skip
    with pytest.raises(TablesRefused) as refused:
        clear(policy, cases(*CASES), year_file("15000.00", group("200.00") + quota.format("B")))
    assert [(problem.code, problem.args["hospital"]) for problem in refused.value.problems] == [("CL33", "C")]


def test_an_assessment_of_shares_moves_both_ways() -> None:
    """92.5 points add 5 percentage points: of the overrun of 1,250 the fund bears 65 %, 812.50, 62.50 beyond its
    reserve of 750; the group's 437.50 are split 6:3:1, the village part to the lead. Below 60 the fund bears nothing.
    Of a surplus of 3,500 a base of 80 % becomes 85 %: 2,975."""
    shares = {
        "assessment_on": "share", "assessment_is": "shift", "regulation_share": "0.05",
        "budget_deductions": ["regulation"], "overrun_from": "regulation",
        "assessment_bands": [{"from": "90", "value": "0.05"}, {"from": "60", "value": "-0.05"},
                             {"from": "0", "value": "none"}],
    }  # fmt: skip

    def scored(per_head: str, score: str, **more: str) -> Clearing:
        text = group(per_head).replace('lead = "A"\n', f'lead = "A"\nscore = "{score}"\n')
        policy = region_policy("dip", CAPITATION, shares, **more)
        return clear(policy, cases(*CASES), year_file("15000.00", text))

    good = scored("150.00", "92.5")
    assert borne(good) == [("A", "306.25"), ("B", "131.25")]
    assert good.bundles[0].beyond == to_fen("62.50")
    assert scored("150.00", "59.9").bundles[0].bundle.fund_share == 0
    kept = scored("200.00", "92.5", capitation_retain="0.8").bundles[0].bundle
    assert (kept.surplus, kept.retained) == (to_fen("3500"), to_fen("2975"))
