"""Made cases: the same for the same seed, answered as they were made, and such as a hospital might have."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.case_money import published_weights
from benchmarks.draws import Draws, Pools
from benchmarks.hospitals import city_hospitals
from benchmarks.make_cases import MadeCases, iter_cases, make_cases
from benchmarks.plausible import case_mix, lognormal_x1000
from grouper.engine import group_cases
from grouper.schemes import open_scheme
from reference_tables.codes import load_code_books
from reference_tables.columns import columns
from reference_tables.packs import find_pack, read_pack
from tests.oracle.oracle import Case, Oracle
from tests.oracle.pack_folder import PackText
from tests.oracle.synthetic_packs import SYNTHETIC_PACKS

ROOT = Path(__file__).parents[2]
SCHEME = "chs-drg-1.1"
PACK = ROOT / "reference_tables" / "packs" / SCHEME
GOLDEN = ROOT / "tests" / "golden"
CASES, SEED = 20_000, 11
NUMBERS = (
    "sex", "age_years", "age_days", "newborn_birth_weight_g", "newborn_admission_weight_g", "los_days", "icu_hours",
)  # fmt: skip


@pytest.fixture(scope="module")
def made() -> MadeCases:
    (block,) = iter_cases(find_pack(SCHEME), CASES, SEED)
    return block


@pytest.fixture(scope="module")
def answers(made: MadeCases) -> pl.DataFrame:
    return group_cases(made.frame, open_scheme(SCHEME), used_codes=False)


def digest(frame: pl.DataFrame) -> str:
    return hashlib.sha256(frame.write_ndjson().encode()).hexdigest()


def oracle_case(row: dict[str, object]) -> Case:
    return Case(
        **{name: row[name] for name in NUMBERS},
        discharge_way=row["discharge_way"] or "",
        department=row["department"] or "",
        diagnoses=tuple(row["diagnoses"]),
        procedures=tuple(row["procedures"]),
    )


@pytest.mark.long
def test_the_same_seed_gives_the_same_bytes_in_another_process(made: MadeCases) -> None:
    code = (
        "import hashlib; from benchmarks.make_cases import make_cases; from reference_tables.packs import find_pack; "
        f"frame = make_cases(find_pack('{SCHEME}'), {CASES}, {SEED}); "
        "print(hashlib.sha256(frame.write_ndjson().encode()).hexdigest())"
    )
    env = {**os.environ, "PYTHONHASHSEED": "4711", "POLARS_MAX_THREADS": "1"}
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(made.frame)


def test_another_seed_gives_other_cases(made: MadeCases) -> None:
    (other,) = iter_cases(find_pack(SCHEME), CASES, SEED + 1)
    assert digest(other.frame) != digest(made.frame)
    assert other.frame["diagnoses"].to_list() != made.frame["diagnoses"].to_list()


def test_the_bits_are_those_of_pcg64() -> None:
    """Against the published generator written out: a 128-bit congruence, folded and turned (XSL-RR)."""
    multiplier, mask = 0x2360ED051FC65DA44385DF649FCCF645, (1 << 128) - 1
    start = np.random.PCG64(np.random.SeedSequence((5, 0))).state["state"]
    state, expected = start["state"], []
    for _ in range(50):
        state = (state * multiplier + start["inc"]) & mask
        folded, turn = (state >> 64 ^ state) & (1 << 64) - 1, state >> 122
        word = (folded >> turn | folded << (64 - turn)) & (1 << 64) - 1
        expected.append((word >> 11) * 1000 >> 53)
    assert Draws(5, 0).below(1000, 50).tolist() == expected


def test_the_cases_are_in_the_canonical_frame(made: MadeCases) -> None:
    known = columns()
    assert set(made.frame.columns) <= set(known)
    wrong = {name: dtype for name, dtype in made.frame.schema.items() if dtype != known[name].dtype}
    assert wrong == {}
    assert made.frame["row"].to_list() == list(range(1, CASES + 1))
    assert made.frame["case_id"].n_unique() == CASES


def test_without_details_the_same_cases_have_fewer_columns() -> None:
    full, lean = (make_cases(find_pack(SCHEME), 500, 3, details=details) for details in (True, False))
    assert lean.equals(full.select(lean.columns))
    assert "px_names" in full.columns
    assert "px_names" not in lean.columns


def test_blocks_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.make_cases.BLOCK_ROWS", 300)
    frame = make_cases(find_pack(SCHEME), 700, 3)
    assert frame["row"].to_list() == list(range(1, 701))
    assert frame["diagnoses"][0:300].to_list() != frame["diagnoses"][300:600].to_list()


def test_no_cases_make_an_empty_frame() -> None:
    frame = make_cases(find_pack(SCHEME), 0, 3)
    assert frame.height == 0
    assert "diagnoses" in frame.columns


def test_the_engine_answers_every_case_as_it_was_made(made: MadeCases, answers: pl.DataFrame) -> None:
    both = answers.select("case_id", "drg").with_columns(made.truth["drg"].alias("made_for"))
    sound = both.filter(pl.col("made_for").is_not_null())
    assert sound.height > 0.98 * CASES
    assert sound.filter(pl.col("drg") != pl.col("made_for")).height == 0


def test_the_oracle_answers_as_they_were_made(made: MadeCases) -> None:
    oracle = Oracle.from_folder(PACK)
    rows = made.frame.head(1500).iter_rows(named=True)
    for row, drg in zip(rows, made.truth["drg"].head(1500), strict=True):
        assert drg is None or oracle.group(oracle_case(row))[2] == drg, row["case_id"]


@pytest.mark.parametrize("level", ["adrg", "drg"])
def test_every_group_is_reached_or_listed_as_out_of_reach(level: str, answers: pl.DataFrame) -> None:
    unreachable = pl.read_csv(GOLDEN / f"unreachable-{SCHEME}.csv", infer_schema=False)
    listed = set(unreachable.filter(level=level)["code"])
    every = set(pl.read_csv(PACK / f"{level}.csv", infer_schema=False)["code"])
    assert every - set(answers[level]) == listed


def test_some_groups_are_far_more_frequent_than_others(made: MadeCases) -> None:
    counts = made.truth["drg"].drop_nulls().value_counts(sort=True)["count"]
    assert counts.head(len(counts) // 10).sum() > 0.4 * counts.sum()
    assert counts[-1] < 5


@pytest.mark.parametrize("name", sorted(SYNTHETIC_PACKS))
def test_any_pack_gets_cases_that_the_oracle_answers_as_made(name: str, tmp_path: Path) -> None:
    folder = SYNTHETIC_PACKS[name].write(tmp_path / name)
    oracle = Oracle.from_folder(folder)
    (block,) = iter_cases(read_pack(folder), 400, 1, mistakes=0.0)
    found = [oracle.group(oracle_case(row))[2] for row in block.frame.iter_rows(named=True)]
    expected = block.truth["drg"].to_list()
    wrong = [(drg, got) for drg, got in zip(expected, found, strict=True) if drg is not None and drg != got]
    assert wrong == []
    assert len(set(found)) > len(SYNTHETIC_PACKS[name].drg) // 2


def test_a_pack_that_asks_nothing_gets_cases_too(tmp_path: Path) -> None:
    text = PackText(mdc=[("MDCB", "1")], adrg=[("BR1", "MDCB", "")], drg=[("BR19", "BR1", "")])
    folder = text.write(tmp_path / "nothing")
    (block,) = iter_cases(read_pack(folder), 50, 1, mistakes=0.0)
    assert set(block.truth["drg"]) == {"BR19"}
    assert block.frame["diagnoses"].list.len().min() >= 1


def test_the_charges_and_the_payers_add_up_to_the_total(made: MadeCases) -> None:
    fees = [name for name in made.frame.columns if name.startswith("fee_")]
    assert len(fees) == 14
    money = made.frame.select(
        "total_cost_fen",
        pl.sum_horizontal(fees).alias("charged"),
        pl.sum_horizontal("fund_pay_fen", "self_pay_fen", "own_pay_fen").alias("paid"),
        (pl.col("account_pay_fen") + pl.col("cash_pay_fen")).alias("patient"),
        (pl.col("self_pay_fen") + pl.col("own_pay_fen")).alias("owed"),
    )
    assert money.filter(pl.col("charged") != pl.col("total_cost_fen")).height == 0
    assert money.filter(pl.col("paid") != pl.col("total_cost_fen")).height == 0
    assert money.filter(pl.col("patient") != pl.col("owed")).height == 0
    assert made.frame.select(pl.min_horizontal(pl.col("^.*_fen$").min())).item() >= 0


def test_costs_lie_around_the_published_weights_with_a_few_outliers(made: MadeCases) -> None:
    rate = case_mix()["cost"]["fen_per_weight"]
    weights = pl.DataFrame({"drg": list(published_weights()), "weight": list(published_weights().values())})
    priced = made.truth.select("drg").with_columns(made.frame["total_cost_fen"]).join(weights, on="drg")
    multiple = priced.select(pl.col("total_cost_fen") / (pl.col("weight") * rate / 1000)).to_series()
    assert 0.75 < multiple.median() < 1.15
    assert 0.002 < (multiple > 3).mean() < 0.02
    assert 0.005 < (multiple < 0.3).mean() < 0.04


def test_stays_are_of_one_month_and_dates_agree(made: MadeCases) -> None:
    stays = made.frame.select(
        "los_days",
        nights=(pl.col("discharge_time").dt.date() - pl.col("admission_time").dt.date()).dt.total_days(),
        minutes=(pl.col("discharge_time") - pl.col("admission_time")).dt.total_minutes(),
        nursed=pl.sum_horizontal("^nursing_days.*$"),
        icu="icu_minutes",
    )
    assert stays.filter((pl.col("nights") != pl.col("los_days")) & (pl.col("los_days") != 1)).height == 0
    assert stays.filter(pl.col("minutes") <= 0).height == 0
    assert stays.filter(pl.col("nursed") != pl.col("los_days")).height == 0
    assert stays.filter(pl.col("icu") > pl.col("los_days") * 1440).height == 0
    assert 4 < stays["los_days"].mean() < 12
    assert set(made.frame["discharge_time"].dt.strftime("%Y-%m")) == {"2026-10"}
    early = make_cases(find_pack(SCHEME), 200, 1, month="2027-02")
    assert set(early["discharge_time"].dt.strftime("%Y-%m")) == {"2027-02"}


def test_operations_lie_inside_the_stay(made: MadeCases) -> None:
    operated = made.frame.filter(pl.col("procedures").list.len() > 0)
    assert operated.filter(pl.col("px_begin").list.min() < pl.col("admission_time")).height == 0
    assert operated.filter(pl.col("px_end").list.max() > pl.col("discharge_time")).height == 0


def test_birth_dates_agree_with_the_ages(made: MadeCases) -> None:
    people = made.frame.drop_nulls("age_years").with_columns(day=pl.col("admission_time").dt.date())
    completed = people["day"].dt.year() - people["birth_date"].dt.year()
    before = people["day"].dt.strftime("%m%d") < people["birth_date"].dt.strftime("%m%d")
    assert (completed - before.cast(pl.Int32)).to_list() == people["age_years"].to_list()
    infants = people.filter(pl.col("age_years") == 0)
    days = (infants["day"] - infants["birth_date"]).dt.total_days()
    assert infants.height > 100
    assert days.to_list() == infants["age_days"].to_list()
    assert people.filter((pl.col("age_years") > 0) & pl.col("age_days").is_not_null()).height == 0


def test_newborns_are_weighed(made: MadeCases) -> None:
    newborns = made.frame.filter(pl.col("age_days") <= 28)
    weight = "newborn_birth_weight_g"
    assert newborns.height > 50
    assert newborns[weight].null_count() == newborns["newborn_admission_weight_g"].null_count() == 0
    assert newborns.filter(~pl.col(weight).is_between(400, 6000) | (pl.col(weight) % 10 != 0)).height == 0
    weighed = made.truth.filter((made.frame["age_years"] > 0) & made.frame[weight].is_not_null())
    assert weighed.height > 100
    assert set(weighed["drg"].drop_nulls().str.slice(0, 1)) == {"O"}  # the child's weight on its mother's record


def test_sexes_fit_the_diagnoses(made: MadeCases) -> None:
    first = pl.col("diagnoses").list.first()
    # With the other sex such a case is one that no MDC takes.
    sound = made.frame.filter(made.truth["drg"].fill_null("0000") != "0000")
    mothers, men = (sound.filter(first.str.starts_with(letters))["sex"] for letters in ("O", "N4"))
    assert (set(mothers), set(men)) == ({2}, {1})
    assert 0.4 < (made.frame["sex"] == 2).mean() < 0.6


def test_lists_run_parallel_and_hold_no_code_twice_beside_a_mistake(made: MadeCases) -> None:
    for codes, others in (("diagnoses", "^dx_.*$"), ("procedures", "^px_.*$")):
        lengths = made.frame.select(pl.col(codes, others).list.len())
        for name in lengths.columns:
            assert (lengths[name] == lengths[codes]).all(), name
    sound = made.frame.filter(made.truth["mistake"].is_null())
    assert sound.filter(pl.col("diagnoses").list.n_unique() != pl.col("diagnoses").list.len()).height == 0


def test_what_belongs_together_comes_together(made: MadeCases) -> None:
    sound = made.frame.filter(made.truth["mistake"].is_null())
    treated = sound.filter(pl.col("diagnoses").list.first().str.starts_with("Z51.1"))
    assert treated.height > 100
    cancer = treated["diagnoses"].list.eval(pl.element().str.starts_with("C").any()).list.first()
    assert cancer.mean() > 0.75
    book = load_code_books().procedure.frame
    operations = book.filter(pl.col("category").is_in(["手术", "介入治疗"]))["code"].to_list()
    several = sound.filter(pl.col("procedures").list.len() > 1)["procedures"]
    listed = pl.DataFrame({"row": range(len(several)), "codes": several}).explode("codes")
    listed = listed.with_columns(pl.col("codes").is_in(operations).alias("major"))
    first, some = (listed.group_by("row").agg(how.alias("major")) for how in (pl.first("major"), pl.any("major")))
    behind = first.join(some, on="row").filter(pl.col("major_right") & ~pl.col("major"))
    assert behind.height < 0.02 * len(several)


def test_old_people_have_more_diagnoses(made: MadeCases) -> None:
    count = pl.col("diagnoses").list.len().mean()
    old, young = (
        made.frame.filter(part).select(count).item()
        for part in (pl.col("age_years") > 70, pl.col("age_years").is_between(18, 40))
    )
    assert old > young + 1


def test_hospitals_of_three_tiers_share_the_cases(made: MadeCases) -> None:
    city = city_hospitals(12)
    assert set(made.frame["hospital_id"]) == {hospital.id for hospital in city}
    per_level = dict(made.frame["hospital_level"].value_counts().iter_rows())
    assert per_level["3"] > per_level["2"] > per_level["1"] > 0
    assert set(made.frame["insurance_type"]) == {"310", "390"}
    severe = made.frame.group_by("hospital_level").agg(pl.col("total_cost_fen").mean()).sort("hospital_level")
    assert severe["total_cost_fen"].is_sorted()


def test_the_share_of_mistakes_is_the_one_asked_for(made: MadeCases) -> None:
    spoiled = CASES - made.truth["mistake"].null_count()
    assert 0.006 * CASES < spoiled < 0.014 * CASES
    (clean,) = iter_cases(find_pack(SCHEME), 2000, 1, mistakes=0.0)
    assert clean.truth["mistake"].null_count() == 2000
    (spoilt,) = iter_cases(find_pack(SCHEME), 1500, 1, mistakes=1.0)
    assert spoilt.truth["mistake"].null_count() == 0
    assert spoilt.truth["drg"].null_count() == 1500
    assert set(spoilt.truth["mistake"]) == set(case_mix()["mistakes"])


def test_mistakes_are_what_they_are_called() -> None:
    (made,) = iter_cases(find_pack(SCHEME), 1900, 1, mistakes=1.0)
    book = load_code_books().diagnosis.frame
    gray = set(book.filter("gray")["code"])
    rows = made.frame.with_columns(made.truth["mistake"], first=pl.col("diagnoses").list.first())
    first = {kind: set(rows.filter(mistake=kind)["first"]) for kind in case_mix()["mistakes"]}
    assert first["gray_code"] <= gray
    assert not (first["unknown_code"] | first["short_code"] | first["lower_case"]) & set(book["code"])
    assert first["missing_principal"] <= {"", None}
    assert all(len(code) == 3 for code in first["short_code"])
    assert rows.filter(pl.col("sex").is_null())["mistake"].unique().to_list() == ["missing_sex"]
    assert rows.filter(pl.col("age_years").is_null())["mistake"].unique().to_list() == ["missing_age"]
    assert rows.filter(mistake="wrong_principal")["diagnoses"].list.len().min() > 1


def test_pools_draw_in_proportion_to_whole_weights() -> None:
    pools = Pools()
    one = pools.add("one", np.array([7]), np.array([5]))
    two = pools.add("two", np.array([1, 2, 3]), np.array([1, 0, 3]))
    assert pools.add("two", np.array([9]), np.array([9])) == two
    drawn = pools.draw(Draws(1), np.array([one, two] * 4000))
    assert set(drawn[::2].tolist()) == {7}
    assert set(drawn[1::2].tolist()) == {1, 3}
    assert 0.70 < (drawn[1::2] == 3).mean() < 0.80


def test_the_log_normal_table_has_mean_one() -> None:
    table = lognormal_x1000(38)
    assert np.all(np.diff(table) >= 0)
    assert abs(table.mean() / 1000 - 1) < 0.01
    assert abs(np.median(table) / 1000 - np.exp(-(0.38**2) / 2)) < 0.01
