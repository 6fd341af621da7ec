"""Resampled sums: moments of drawing every case within its group, and bits that nothing but seed and cases decides."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from budget.bootstrap import ALONE, EXACT, TERMS, draw_ratios

Floats = NDArray[np.float64]


def city(cases: int, seed: int = 5) -> pl.DataFrame:
    """Cases of a large hospital (97 in 100) and a small one, two pools, 40 groups, costs with a heavy tail."""
    draws = np.random.Generator(np.random.PCG64(seed))
    group = draws.integers(0, 40, cases)
    cost = np.rint(np.exp(draws.normal(0, 0.9, cases)) * (group + 5) * 20_000).astype(np.int64)
    special = draws.random(cases) < 0.02
    worker = draws.random(cases) < 0.45
    package = (group + 5) * 25_000
    patient = cost * np.where(worker, 25, 35) // 100
    moved = ~special
    return pl.DataFrame(
        {
            "hospital": np.where(draws.random(cases) < 0.97, "H1", "H2"), "pool": np.where(worker, "职工", "居民"),
            "group": [f"G{at}" for at in group], "units": moved * package,
            "priced": moved * np.maximum(package - patient, 0), "patient": moved * patient,
            "fixed": special * (cost - patient), "actual": cost - patient,
        },
        schema_overrides=dict.fromkeys(TERMS, pl.Int64),
    )  # fmt: skip


def drawn_by_hand(frame: pl.DataFrame, hospital: str, pool: str, count: int) -> Floats:
    """Sums [count, terms] of a hospital and pool, every case drawn in its group."""
    own = frame.filter(pl.col("hospital") == hospital)
    draws = np.random.Generator(np.random.PCG64(99))
    found = np.zeros((count, len(TERMS)))
    for part in own.partition_by("group"):
        held = (part["pool"] == pool).to_numpy()[:, None]
        values = np.where(held, part.select(TERMS).to_numpy(), 0)
        picked = draws.integers(0, part.height, (count, part.height))
        often = np.stack([np.bincount(row, minlength=part.height) for row in picked])
        found += often @ values
    return found


def variance(frame: pl.DataFrame, hospital: str, pool: str) -> Floats:
    """Of the sums of a hospital and pool [terms]: by group, number x variance of its cases, added up."""
    own = frame.filter(pl.col("hospital") == hospital)
    held = own.with_columns(pl.when(pl.col("pool") == pool).then(pl.col(TERMS)).otherwise(0))
    parts = held.group_by("group").agg(pl.col(TERMS).var(ddof=0) * pl.len())
    return np.asarray(parts.select(pl.col(TERMS).sum()).to_numpy()[0], np.float64)


def sums(frame: pl.DataFrame, hospital: str, pool: str) -> Floats:
    own = frame.filter((pl.col("hospital") == hospital) & (pl.col("pool") == pool))
    return np.asarray(own.select(pl.col(TERMS).sum()).to_numpy()[0], np.float64)


def one(amounts: list[int], **more: Any) -> pl.DataFrame:
    """A hospital's cases of one group and pool that have the same amount of every term."""
    columns = {"hospital": "H", "pool": "P", "group": "G"} | more
    frame = pl.DataFrame(dict.fromkeys(TERMS, amounts), schema=dict.fromkeys(TERMS, pl.Int64))
    return frame.with_columns(**{name: pl.lit(text) for name, text in columns.items()})


def digest(found: dict[tuple[str, str], Floats]) -> str:
    return sha256(b"".join(found[key].tobytes() for key in sorted(found))).hexdigest()


def test_sums_of_few_cases_spread_as_if_every_case_were_drawn() -> None:
    """50 cases of 1 and one of 10: the sum of 51 draws has variance 51 x (150 / 51 - (60 / 51)^2) = 79.4118."""
    (found,) = draw_ratios([one([1] * 50 + [10])], 4000, 1)
    drawn = found["H", "P"] * 60
    assert np.allclose(drawn.std(axis=0), 79.4118**0.5, rtol=0.05)
    assert np.allclose(drawn.mean(axis=0), 60, rtol=0.02)
    # Whole cases are drawn: 51 + 9 x how often the dear one comes.
    assert set(np.unique(np.rint(drawn * 1e6) / 1e6) % 9) == {51 % 9}


def test_sums_of_many_cases_spread_and_lean_as_if_every_case_were_drawn() -> None:
    """As above with 3,000 cases of 10 and one of 10,000: its number is nearly Poisson with mean 1, so that the chance
    that it does not come is e^-1 = 0.368 and the sum, 10,000 x a Poisson number wide, has skewness 1."""
    (found,) = draw_ratios([one([10] * 3000 + [10_000])], 20_000, 1)
    drawn = found["H", "P"][:, 0] * 40_000
    assert (drawn < 35_000).mean() == pytest.approx(0.368, abs=0.02)
    assert drawn.std() == pytest.approx(9990, rel=0.02)
    assert ((drawn - drawn.mean()) ** 3).mean() / drawn.std() ** 3 == pytest.approx(1, abs=0.1)


def test_a_sum_of_few_of_many_cases_is_drawn_within_their_group() -> None:
    """A case of 100 in a group of four at a hospital of 604: each of four draws finds it with chance 1 / 4, none
    with chance 81 / 256, and the sum's variance is 4 x 3 / 16 x 100^2."""
    few = one([0, 0, 0, 100], group="F").with_columns(pool=pl.lit("Q"))
    (found,) = draw_ratios([pl.concat([one([10, 30] * 300), few])], 20_000, 1)
    drawn = found["H", "Q"][:, 0] * 100
    assert set(np.rint(drawn).tolist()) == {0, 100, 200, 300, 400}
    assert drawn.std() == pytest.approx(0.75**0.5 * 100, rel=0.02)
    assert (drawn < 50).mean() == pytest.approx(81 / 256, abs=0.01)
    # The others: 600 draws, each 10 above or below the mean.
    assert (found["H", "P"][:, 0] * 12_000).std() == pytest.approx(600**0.5 * 10, rel=0.02)


@pytest.mark.parametrize("hospital", ["H1", "H2"])
def test_every_sum_has_the_mean_spread_and_skewness_of_naive_resampling(hospital: str) -> None:
    count, frame = 4000, city(8000)
    (found,) = draw_ratios([frame], count, 3)
    own = frame.filter(pl.col("hospital") == hospital).height
    assert (own > EXACT) == (hospital == "H1")
    parts = []
    for pool in ("职工", "居民"):
        whole, spread = sums(frame, hospital, pool), variance(frame, hospital, pool) ** 0.5
        drawn, naive = found[hospital, pool] * whole, drawn_by_hand(frame, hospital, pool, count)
        assert np.allclose(drawn.std(axis=0), spread, rtol=0.05)
        assert np.abs((drawn.mean(axis=0) - whole) / spread).max() < 0.07
        for at in (0.025, 0.25, 0.5, 0.75, 0.975):
            apart = np.abs(np.quantile(drawn, at, axis=0) - np.quantile(naive, at, axis=0)) / spread
            assert apart.max() < 0.2, (pool, at, apart)
        leans = [((part - part.mean(axis=0)) ** 3).mean(axis=0) / spread**3 for part in (drawn, naive)]
        assert np.abs(leans[0] - leans[1]).max() < 0.2
        parts.append((drawn, naive))
    # Cases that come more often in one pool come less often in the other, and money follows units.
    of_ours, of_naive = (np.corrcoef(np.concatenate(side, axis=1).T) for side in zip(*parts, strict=True))
    assert np.abs(of_ours - of_naive).max() < 0.08


def test_bits_depend_on_the_cases_and_not_on_their_order_or_the_other_hospitals() -> None:
    frame = city(6000)
    (found,) = draw_ratios([frame], 50, 3)
    (again,) = draw_ratios([frame.sample(fraction=1, shuffle=True, seed=1)], 50, 3)
    chunks = pl.concat([frame[:17], frame[17:4000], frame[4000:]], rechunk=False)
    (split,) = draw_ratios([chunks], 50, 3)
    assert digest(found) == digest(again) == digest(split)
    (alone,) = draw_ratios([frame.filter(pl.col("hospital") == "H2")], 50, 3)
    assert {key: ratio.tobytes() for key, ratio in alone.items()} == {
        key: ratio.tobytes() for key, ratio in found.items() if key[0] == "H2"
    }
    (other,) = draw_ratios([frame], 50, 4)
    assert digest(found) != digest(other)


def test_more_resamples_begin_with_the_same_ones_where_every_case_is_drawn() -> None:
    frame = city(3000).filter(pl.col("hospital") == "H2")
    (few,), (many,) = (draw_ratios([frame], count, 3) for count in (300, 700))
    assert all(np.array_equal(ratio, many[key][:300]) for key, ratio in few.items())


_PRINT = (
    "from tests.unit.test_bootstrap import city, digest; from budget.bootstrap import draw_ratios; "
    "print(digest(draw_ratios([city(9000)], 60, 3)[0]))"
)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    found = set()
    for threads in ("1", "2", "3"):
        env = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "POLARS_MAX_THREADS": threads}
        done = subprocess.run([sys.executable, "-c", _PRINT], env=env, capture_output=True, text=True, check=True)
        found.add(done.stdout)
    assert len(found) == 1


def test_what_is_the_same_before_and_after_moves_the_same_and_what_is_constant_does_not_move() -> None:
    before = city(8000)
    # After: other prices in H1's pool 职工 alone, one pool of both insurances at H2.
    changed = (pl.col("hospital") == "H1") & (pl.col("pool") == "职工")
    after = before.with_columns(
        units=pl.when(changed).then(pl.col("units") * 11 // 10).otherwise("units"),
        pool=pl.when(pl.col("hospital") == "H2").then(pl.lit("合并")).otherwise("pool"),
    )
    had, has = draw_ratios([before, after], 500, 3)
    assert set(has) == {("H1", "职工"), ("H1", "居民"), ("H2", "合并")}
    assert np.array_equal(had["H1", "居民"], has["H1", "居民"])
    assert np.array_equal(had["H1", "职工"][:, 1:], has["H1", "职工"][:, 1:])
    assert np.allclose(had["H1", "职工"][:, 0], has["H1", "职工"][:, 0], atol=1e-5)
    # The merged pool holds what both pools hold, in every resample.
    together = sum(had["H2", pool] * sums(before, "H2", pool) for pool in ("职工", "居民"))
    assert np.allclose(has["H2", "合并"] * sums(after, "H2", "合并"), together)
    steady = one([7] * (EXACT + ALONE), group="G")
    assert (draw_ratios([steady], 50, 1)[0]["H", "P"] == 1).all()


def test_cases_of_no_pool_count_nowhere_and_take_their_place_in_the_draw() -> None:
    """3 cases of the pool beside 1 that is of none: each draw of 4 has a case of the pool with chance 3 / 4."""
    frame = one([5] * 3 + [1000]).with_columns(pool=pl.Series(["P", "P", "P", ""]))
    (found,) = draw_ratios([frame], 4000, 1)
    assert list(found) == [("H", "P")]
    drawn = found["H", "P"][:, 0] * 3
    assert set(np.rint(drawn).tolist()) == {0, 1, 2, 3, 4}
    assert drawn.mean() == pytest.approx(3, abs=0.05)
    assert drawn.var() == pytest.approx(4 * 0.75 * 0.25, rel=0.1)


def test_sums_of_nothing_stay() -> None:
    frame = one([0] * 20 + [3]).with_columns(fixed=pl.lit(0, dtype=pl.Int64))
    (found,) = draw_ratios([frame], 30, 1)
    assert (found["H", "P"][:, TERMS.index("fixed")] == 1).all()
    assert found["H", "P"][:, 0].std() > 0
