"""What reforms ask to be solved for, on a made-up city: reached as an independent run shows, or told why not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest

from api.core.simulate import Simulation
from benchmarks.expected_reforms import MadeYear, sample_city
from reference_tables.problems import TablesRefused
from tests.unit.clearing_city import HOSPITALS, City, write_city
from tests.unit.simulated_city import RATE, change, reform, run

CUT = change("coefficient", "scale", "0.9", 'for = { tier = "一级" }')


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> MadeYear:
    return sample_city(tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> City:
    return write_city(tmp_path_factory.mktemp("small"))


def solve(kind: str, **fields: str) -> str:
    """A [[solve]] as TOML; values as they are to be written."""
    return f'[[solve]]\nkind = "{kind}"\n' + "".join(f"{name} = {value}\n" for name, value in fields.items())


def solved(done: Simulation) -> dict[str, str]:
    (row,) = done.tables["solved"].iter_rows(named=True)
    return row


def plain(done: Simulation) -> str:
    """The solved changes of the only reform as TOML of plain changes."""
    (made,) = done.reforms
    assert made.solves == ()
    return "".join(
        change(
            item.key, item.action, item.raw, "".join(f'for = {{ {name} = "{value}" }}' for name, value in item.scope)
        )
        for item in made.changes
    )


def test_neutral_is_the_nearest_of_its_decimals(city: MadeYear) -> None:
    done = run(city, reform(CUT + solve("neutral", key='"base_rate"', digits="4")), policy=RATE, cleared=False)
    factor = Fraction(solved(done)["value"])
    missed = abs(done.after.fund_fen - done.before.fund_fen)
    # Four decimals lead no nearer than some hundred yuan: more than a millionth of what was paid.
    assert missed * 10**6 > done.before.fund_fen
    assert "SO08" in set(done.problems["code"])
    for other in (factor - Fraction(1, 10_000), factor + Fraction(1, 10_000)):
        text = f"{float(other):.4f}"
        neighbour = run(city, reform(CUT + change("base_rate", "scale", text)), policy=RATE, cleared=False)
        assert abs(neighbour.after.fund_fen - done.before.fund_fen) >= missed
    again = run(city, reform(plain(done)), policy=RATE, cleared=False)
    assert again.after.priced.equals(done.after.priced)


@pytest.mark.long
def test_a_jump_of_clearing_is_told_and_does_not_lead_far(city: MadeYear) -> None:
    """The bands of sharing make what clearing pays jump with the rate."""
    body = change("weight", "scale", "1.05", 'for = { type = "surgical" }') + solve(
        "neutral", key='"base_rate"', on='"cleared"'
    )
    done = run(city, reform(body), policy=RATE)
    told = solved(done)
    assert "未精确达到" in told["problem"]
    assert "SO12" in set(done.problems["code"])
    assert abs(Fraction(told["value"]) - 1) < Fraction(5, 100)
    assert done.after.cleared_fen is not None
    assert Fraction(told["residual"]) * 100 == done.after.cleared_fen - (done.before.cleared_fen or 0)


@pytest.mark.long
def test_neutral_after_clearing(city: MadeYear) -> None:
    body = CUT + solve("neutral", key='"base_rate"', digits="3", on='"cleared"', **{"for": '{ tier = "三级" }'})
    done = run(city, reform(body), policy=RATE)
    assert done.after.cleared_fen is not None
    told = solved(done)
    assert Fraction(told["reached"]) * 100 == done.after.cleared_fen
    assert Fraction(told["residual"]) == Fraction(told["reached"]) - Fraction(told["target"])


def test_target_of_the_funds_balance(city: MadeYear) -> None:
    """Between 0.96 and 0.95 sharing jumps; the balance that 0.95 leaves is reached there and nowhere beside it."""
    wanted = run(city, reform(change("base_rate", "scale", "0.95")), policy=RATE).after.balance_fen
    assert wanted is not None
    value = f'"{wanted // 100}.{wanted % 100:02d}"'
    body = solve("target", key='"base_rate"', measure='"balance"', value=value, digits="2")
    done = run(city, reform(body), policy=RATE)
    near = solved(done)
    assert (near["value"], near["residual"], near["problem"]) == ("0.95", "0.00", "")
    assert done.after.balance_fen == wanted


@pytest.mark.long
def test_target_of_the_funds_balance_past_its_jumps_or_how_far_it_is(city: MadeYear) -> None:
    """With more decimals the search meets the jumps first, and finds the rate of 0.95 between them."""
    wanted = run(city, reform(change("base_rate", "scale", "0.95")), policy=RATE).after.balance_fen
    assert wanted is not None
    value = f'"{wanted // 100}.{wanted % 100:02d}"'
    body = solve("target", key='"base_rate"', measure='"balance"', value=value, digits="4")
    near = solved(run(city, reform(body), policy=RATE))
    assert (near["value"], near["residual"], near["problem"]) == ("0.9500", "0.00", "")
    far = run(city, reform(solve("target", key='"base_rate"', measure='"balance"', value='"99999999999"')), policy=RATE)
    told = solved(far)
    assert "还差" in told["problem"]
    assert "SO01" in set(far.problems["code"])
    assert Fraction(told["residual"]) < 0


@pytest.mark.long
def test_target_sets_a_value(city: MadeYear) -> None:
    """The rate that pays what the rate of the policy pays is that rate."""
    before = run(city, reform(), policy=RATE, cleared=False).before
    one = reform(change("base_rate", "set", "9000"))
    wanted = run(city, one, policy=RATE, cleared=False).after.fund_fen
    body = solve(
        "target", key='"base_rate"', action='"set"', measure='"fund"', value=f'"{wanted / 100:.2f}"', digits="0"
    )
    found = run(city, reform(body), policy=RATE, cleared=False)
    assert before.fund_fen != wanted
    assert solved(found)["value"] == "9000"
    assert found.after.fund_fen == wanted


def test_corridor_keeps_every_hospital_within(city: MadeYear) -> None:
    body = CUT + solve("corridor", low='"-0.02"', high='"0.02"', total='"free"', digits="4")
    done = run(city, reform(body), policy=RATE, cleared=False)
    money = _by_hospital(done)
    assert solved(done)["problem"] == ""
    assert all(
        Fraction(-2, 100) <= Fraction(after - before, before) <= Fraction(2, 100) for before, after in money.values()
    )
    # Only hospitals of the first tier lose: no other has a factor of its own.
    low = set(done.before.cases.filter(pl.col("tier") == "一级")["hospital_id"])
    named = {value for item in done.reforms[0].changes for name, value in item.scope if name == "hospital"}
    assert named
    assert named <= low


def test_corridor_that_cannot_be_kept_names_the_hospital_and_the_sum(city: MadeYear) -> None:
    body = change("coefficient", "scale", "0.2", 'for = { tier = "一级" }') + solve(
        "corridor", low='"-0.01"', high='"0.01"', total='"free"', digits="3"
    )
    done = run(city, reform(body), policy=RATE, cleared=False)
    low = set(done.before.cases.filter(pl.col("tier") == "一级")["hospital_id"])
    assert any(name in solved(done)["problem"] for name in low)
    assert {"SO02", "SO19"} == {code for code in done.problems["code"] if code.startswith("SO")}


@pytest.mark.long
def test_corridor_after_clearing(city: MadeYear) -> None:
    body = CUT + solve("corridor", low='"-0.02"', high='"0.05"', on='"cleared"', digits="4")
    done = run(city, reform(body), policy=RATE)
    assert solved(done)["problem"] == ""
    assert done.before.cleared is not None
    assert done.after.cleared is not None
    for hospital in done.before.cases["hospital_id"].unique():
        one, other = (
            sum(fen for (name, _), fen in stage.cleared.pools.items() if name == hospital)
            for stage in (done.before, done.after) if stage.cleared is not None
        )  # fmt: skip
        assert Fraction(-2, 100) <= Fraction(other - one, one) <= Fraction(5, 100)


def test_what_clearing_leaves_of_solves_before_it(small: City) -> None:
    """Yuan as the simulation itself has them, beside a corridor that priced money keeps."""
    neutral = solve("neutral", key='"base_rate"', digits="3")
    corridor = solve("corridor", low='"-0.02"', high='"0.02"', digits="4", total='"free"', by='"tier"')
    done = run(small, reform(CUT + neutral + corridor), policy=RATE)
    # Both are told as the cases are paid in the end, with the coefficients of tiers that basic groups are paid by.
    beyond = [abs(has - had) * 50 > had for had, has in _by_hospital(done).values()]
    assert list(done.tables["solved"]["reached"]) == [f"{done.after.fund_fen / 100:.2f}"] * 2
    assert [problem.args["count"] for problem in done.told if problem.code == "SO19"] == [sum(beyond)]
    assert "SO18" in {problem.code for problem in done.told}
    before, after = done.before.cleared_fen, done.after.cleared_fen
    assert before is not None
    assert after is not None
    left, hospitals = done.before.fund_years["合计"].balance, _cleared(done)
    both = [problem.args for problem in done.told if problem.code == "SO16"]
    assert [item["difference"] for item in both] == [f"{(after - before) / 100:+.2f}"] * 2
    assert [item["before"] for item in both] == [f"{left / 100:.2f}"] * 2
    (told,) = [problem.args for problem in done.told if problem.code == "SO17"]
    outside = [name for name, (had, has) in hospitals.items() if not abs(has - had) * 50 <= had]
    assert (told["count"], told["all"]) == (len(outside), 3)
    assert "清算后" not in "".join(done.tables["solved"]["problem"])


def test_a_sweep_between_its_ends_is_what_a_change_to_each_value_does(small: City) -> None:
    body = '[[sweep]]\nkey = "coefficient"\nstart = "0.7"\nstop = "1.3"\nsteps = 7\nfor = { tier = "二级" }\n'
    swept = run(small, reform(CUT + body), policy=RATE, cleared=False).tables["sweep"]
    for at, value in ((1, "0.8"), (5, "1.2")):
        one = run(
            small, reform(CUT + change("coefficient", "scale", value, 'for = { tier = "二级" }')), policy=RATE,
            cleared=False,
        )  # fmt: skip
        row = swept.row(at, named=True)
        moved = [has - had for had, has in _by_hospital(one).values()]
        assert (row["value"], row["package_fen"]) == (Decimal(value), one.after.package_fen)
        assert row["fund_fen"] == one.after.fund_fen
        assert (row["winners"], row["losers"]) == (sum(fen > 0 for fen in moved), sum(fen < 0 for fen in moved))


def test_a_corridor_not_reached_after_clearing_says_what_was(small: City) -> None:
    """Steps of a tenth are too coarse for the corridor and for the total. What the farthest hospital got is told."""
    body = CUT + solve("corridor", low='"-0.0015"', high='"0.0015"', digits="1", on='"cleared"')
    done = run(small, reform(body), policy=RATE)
    told, total = (problem for problem in done.told if problem.code.startswith("SO"))
    assert (told.code, told.args["all"], total.code) == ("SO15", 3, "SO08")
    had, has = _cleared(done)[str(told.args["hospital"])]
    assert told.args["reached"] == f"{has / 100:.2f}"
    assert abs(Fraction(str(told.args["moved"])) - Fraction(has - had, had) * 100) < Fraction(1, 10**4)
    far = max(abs(Fraction(has - had, had)) for had, has in _cleared(done).values())
    assert abs(Fraction(has - had, had)) == far


def test_after_clearing_needs_a_year(city: MadeYear) -> None:
    corridor = solve("corridor", low='"-0.02"', high='"0.02"', on='"cleared"')
    target = solve("target", key='"base_rate"', measure='"balance"', value='"1"')
    for body, field in ((corridor, 'on = "fund"'), (target, 'measure = "fund"')):
        with pytest.raises(TablesRefused) as caught:
            run(city, reform(body), cleared=False)
        assert [problem.code for problem in caught.value.problems] == ["SO05"]
        assert caught.value.problems[0].fix.endswith(field)


def test_shrunk_weights_with_a_given_k(city: MadeYear) -> None:
    body = solve("shrink", k='"1000000"', min_cases="1", digits="6")
    done = run(city, reform(body), policy=RATE, cleared=False)
    weights = [item for item in done.reforms[0].changes if item.key == "weight"]
    assert weights
    # A million cases of old experience against a few dozen: next to nothing moves.
    assert abs(done.after.package_fen - done.before.package_fen) * 1000 < done.before.package_fen
    free = run(city, reform(solve("shrink", k='"1"', min_cases="1", digits="6")), policy=RATE, cleared=False)
    assert abs(free.after.package_fen - free.before.package_fen) > abs(done.after.package_fen - done.before.package_fen)
    written = {dict(item.scope)["group"]: Fraction(item.raw) for item in free.reforms[0].changes}
    told = _shrunk(free, Fraction(1))
    assert len(told) > 100
    assert {
        group: weight for group, weight in told.items() if weight != free.before.values.get(group, "", "").weight
    } == (written)


def _shrunk(done: Simulation, k: Fraction) -> dict[str, Fraction]:
    """Weights of six decimals as the template of reforms says they are made, in plain sums."""
    costs: dict[str, list[int]] = {}
    columns = done.before.cases.select("status", "group", "total_cost_fen", pl.col("separate_fen").fill_null(0))
    for status, group, total, apart in columns.iter_rows():
        if status in {"GROUPED", "AMBIGUOUS"} and total - apart > 0:
            costs.setdefault(group, []).append(total - apart)
    kept, old = {}, {}
    for group, found in costs.items():
        weight = done.before.values.get(group, "", "").weight
        if weight:
            low, high = (_percentile(sorted(found), Fraction(p)) for p in ("2.5", "97.5"))
            kept[group] = [fen for fen in found if low <= fen <= high] or found
            old[group] = weight
    level = Fraction(sum(map(sum, kept.values()))) / sum(len(kept[group]) * old[group] for group in kept)
    mixed = {
        group: (sum(fens) / level + k * old[group]) / (len(fens) + k) for group, fens in kept.items()
    }  # fmt: skip
    part = Fraction(sum(len(kept[group]) * old[group] for group in kept))
    keep = part / sum(len(kept[group]) * mixed[group] for group in kept)
    return {group: Fraction(int(weight * keep * 10**6 + Fraction(1, 2)), 10**6) for group, weight in mixed.items()}


def _percentile(costs: list[int], percent: Fraction) -> Fraction:
    place = percent / 100 * (len(costs) - 1)
    below = int(place)
    over = costs[min(below + 1, len(costs) - 1)]
    return costs[below] + (place - below) * (over - costs[below])


def test_shrink_without_cases_enough(city: MadeYear) -> None:
    done = run(city, reform(solve("shrink", min_cases="100000")), policy=RATE, cleared=False)
    assert "SO07" in set(done.problems["code"])
    assert done.after.priced.equals(done.before.priced)


@pytest.mark.long
def test_shrink_from_a_file(city: MadeYear, tmp_path: Path) -> None:
    (tmp_path / "newer.csv").write_bytes(city.months[0].read_bytes())
    body = solve("shrink", history='"newer.csv"', k='"10"', min_cases="1")
    from_file = run(city, reform(body, folder=tmp_path), policy=RATE, cleared=False)
    own = run(city, reform(solve("shrink", k='"10"', min_cases="1")), policy=RATE, cleared=False, cases=city.months[:1])
    values = [[(item.scope, item.raw) for item in done.reforms[0].changes] for done in (from_file, own)]
    assert values[0] == values[1]


def test_a_pool_that_is_not_there(city: MadeYear) -> None:
    body = solve("target", key='"base_rate"', measure='"balance"', value='"1"', pool='"离休"')
    with pytest.raises(TablesRefused) as caught:
        run(city, reform(body), policy=RATE)
    assert [problem.code for problem in caught.value.problems] == ["SO06"]


def test_a_point_value_is_one_pools(city: MadeYear) -> None:
    body = solve("target", key='"coefficient"', measure='"point_value"', value='"9500"', digits="2")
    with pytest.raises(TablesRefused) as caught:
        run(city, reform(body), policy=RATE)
    assert [problem.code for problem in caught.value.problems] == ["SO14"]
    assert "职工" in caught.value.problems[0].message


@pytest.mark.long
def test_the_pool_of_a_point_value_is_named(city: MadeYear) -> None:
    body = solve("target", key='"coefficient"', measure='"point_value"', value='"9500"', digits="2", pool='"居民"')
    done = run(city, reform(body), policy=RATE)
    assert "居民" in solved(done)["what"]
    residents = done.tables["fund"].filter((pl.col("pool") == "居民") & (pl.col("state") == "after"))
    assert abs(Fraction(str(residents["point_value"].item())) - Fraction(solved(done)["reached"])) < Fraction(1, 10**4)


def _cleared(done: Simulation) -> dict[str, tuple[int, int]]:
    both = [
        {name: sum(fen for (owner, _), fen in stage.cleared.pools.items() if owner == name) for name in HOSPITALS}
        for stage in (done.before, done.after) if stage.cleared is not None
    ]  # fmt: skip
    return {name: (both[0][name], both[1][name]) for name in HOSPITALS}


def _by_hospital(done: Simulation) -> dict[str, tuple[int, int]]:
    both = [
        dict(stage.priced.group_by("hospital_id").agg(pl.col("fund_fen").sum()).iter_rows())
        for stage in (done.before, done.after)
    ]
    return {name: (both[0][name], both[1][name]) for name in both[0]}


def test_the_reform_itself_is_left_as_it_was(city: MadeYear) -> None:
    given = reform(CUT + solve("neutral", key='"base_rate"', digits="2"))
    before = replace(given)
    run(city, given, policy=RATE, cleared=False)
    assert given.changes == before.changes
    assert given.solves == before.solves


def test_history_that_is_not_there_is_named(city: MadeYear, tmp_path: Path) -> None:
    asked = reform(solve("shrink", history='["none.csv", "cases.csv"]'), folder=tmp_path)
    with pytest.raises(TablesRefused) as found:
        run(city, asked, policy=RATE, cleared=False)
    assert [problem.code for problem in found.value.problems] == ["SO11", "SO11"]
    assert "none.csv" in found.value.problems[1].message
