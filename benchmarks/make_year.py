"""A made-up city's year: the cases its hospitals settle, month by month, and the yearly figures of its payment office.

    python -m benchmarks.make_year -o out/year [--hospitals 40] [--cases 200000] [--year 2026] [--history 20000]

    cases/2026-01.parquet ...   cases by month of settlement, all hospitals, one record for DRG and DIP alike
    history/2023.parquet ...    three earlier years, for a DIP catalog
    hospitals.csv               register: id, name, tier
    decisions.csv               special cases (特例单议) as decided
    year.toml                   the year file: fund, deductions, assessment scores, violations
    year-quotas.toml            the same with a budget for every hospital, for policies that give them

Hospitals differ in what the same group costs them, so that some have a surplus and some an overrun; a few bills are
settled in a later month, a few patients come back within two weeks. The same seed gives the same bytes. Everything is
invented; nobody is described.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from benchmarks.draws import Draws
from benchmarks.hospitals import Hospital, city_hospitals
from benchmarks.make_cases import make_cases
from benchmarks.year_office import write_decisions, write_quota_file, write_register, write_year_file
from reference_tables.packs import DrgPack, find_drg_pack

SCHEME = "chs-drg-1.1"
YEAR, HOSPITALS, CASES, HISTORY, SEED = 2026, 40, 200_000, 20_000, 2026
SEASON = (92, 78, 104, 101, 102, 99, 103, 104, 101, 99, 106, 111)
"""How full each month is, January to December."""
COST_PERCENT = (80, 112)
"""What the same group costs a hospital, of what it costs on average."""
LATE_PER_MILLE, LATE_DAYS = 60, 25
BACK_PER_MILLE, BACK_DAYS = 12, 8
_TIMES = ("admission_time", "discharge_time", "settlement_begin", "settlement_end", "submitted_at")
_FIGURES = ("case_id", "hospital_id", "insurance_type", "total_cost_fen", "fund_pay_fen")
_PAID = ("fund_pay_fen", "own_pay_fen", "account_pay_fen")
Told = Callable[[str], None]


@dataclass(frozen=True)
class MadeYear:
    """Where the files of a year are. `months` and `history` in order of time."""

    folder: Path
    months: tuple[Path, ...]
    history: tuple[Path, ...]
    register: Path
    decisions: Path
    year_file: Path
    quota_file: Path


def make_year(
    folder: Path,
    *,
    pack: DrgPack,
    year: int = YEAR,
    hospitals: int = HOSPITALS,
    cases: int = CASES,
    history: int = HISTORY,
    seed: int = SEED,
    told: Told = lambda _: None,
) -> MadeYear:
    """Write a year into `folder`; `history` cases for each of three earlier years. `told` hears of every file."""
    city = city_hospitals(hospitals)
    for name in ("cases", "history"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    months: list[Path] = []
    figures: list[pl.DataFrame] = []
    # What a payment office asks of a record before it looks at the case.
    known = pl.all_horizontal(pl.col("sex", "age_years").is_not_null(), pl.col("diagnoses").list.first() != "")
    for month, frame in _months(pack, city, year, cases, seed):
        months.append(folder / "cases" / f"{month}.parquet")
        frame.drop("row", "defect").write_parquet(months[-1])
        figures.append(frame.select(*_FIGURES, known.alias("known")))
        told(f"{months[-1].name} {frame.height:,}")
    earlier: list[Path] = []
    for before in (3, 2, 1) if history else ():
        past = make_cases(
            pack, history, seed - before, month=f"{year - before}-06", hospitals=city, details=False
        )  # fmt: skip
        earlier.append(folder / "history" / f"{year - before}.parquet")
        past = _named(past, f"{year - before}")
        past.drop("row", "defect").write_parquet(earlier[-1])
        told(f"{earlier[-1].name} {past.height:,}")
    told_of = pl.concat(figures)
    draws = Draws(seed, year)
    decisions = write_decisions(folder / "decisions.csv", told_of, draws)
    year_file = write_year_file(folder / "year.toml", told_of, city, year, draws)
    return MadeYear(
        folder,
        tuple(months),
        tuple(earlier),
        write_register(folder / "hospitals.csv", city),
        decisions,
        year_file,
        write_quota_file(folder / "year-quotas.toml", year_file, told_of),
    )


def month_counts(cases: int) -> list[int]:
    """Cases of each month, together `cases`."""
    upto = [cases * sum(SEASON[: at + 1]) // sum(SEASON) for at in range(12)]
    return [end - start for start, end in zip([0, *upto], upto, strict=False)]


def _months(
    pack: DrgPack, city: Sequence[Hospital], year: int, cases: int, seed: int
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each month with the cases settled in it; December settles all that is left."""
    percent = _cost_percent(city, seed)
    waiting: list[pl.DataFrame] = []
    for at, count in enumerate(month_counts(cases), 1):
        month = f"{year}-{at:02d}"
        again = count * BACK_PER_MILLE // 1000
        drawn = make_cases(pack, count - again, seed * 100 + at, month=month, hospitals=city, details=False)
        draws = Draws(seed, year, at)
        frame = _settled(_back(_named(drawn, month), again, draws), date(year, 12, 31), draws)
        waiting.append(_costed(frame, percent))
        known = pl.concat(waiting)
        now = pl.col("settlement_end").dt.strftime("%Y-%m") <= month
        waiting = [known.filter(~now)]
        yield month, known.filter(now).with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).alias("row"))


def _named(frame: pl.DataFrame, of: str) -> pl.DataFrame:
    """Case numbers that tell the months apart, and a patient of its own for each case."""
    number = pl.format("{}-{}", pl.lit(of.replace("-", "")), pl.col("row").cast(pl.String).str.zfill(6))
    case_id = pl.format("{}-{}", "hospital_id", number)
    return frame.with_columns(
        case_id.alias("case_id"), case_id.alias("settlement_id"), pl.format("P{}", number).alias("person_id")
    )


def _back(frame: pl.DataFrame, wanted: int, draws: Draws) -> pl.DataFrame:
    """With patients who come back to the same hospital for the same disease a few days after they left."""
    leaves = pl.col("discharge_time").dt.day() + pl.col("los_days") + BACK_DAYS
    adult = (pl.col("age_years") >= 18) & pl.col("los_days").is_between(1, 12)
    fitting = frame.filter(adult & (leaves <= 28))
    chosen = fitting[draws.order(fitting.height)[:wanted].astype("uint32")] if wanted else fitting.clear()
    days = pl.Series(draws.between(1, BACK_DAYS, chosen.height)) + chosen["los_days"]
    later = pl.duration(days=pl.lit(days))
    number = pl.col("case_id") + "R"
    again = chosen.with_columns(
        number.alias("case_id"), number.alias("settlement_id"), *((pl.col(name) + later).alias(name) for name in _TIMES)
    )
    return pl.concat([frame, again])


def _settled(frame: pl.DataFrame, last: date, draws: Draws) -> pl.DataFrame:
    """Settled on the day of discharge but for a few, settled up to some weeks later and never after the year."""
    late = draws.chance(LATE_PER_MILLE, frame.height) * draws.between(1, LATE_DAYS, frame.height)
    day = pl.col("settlement_end") + pl.duration(days=pl.lit(pl.Series(late)))
    return frame.with_columns(pl.min_horizontal(day, pl.lit(last)).alias("settlement_end"))


def _cost_percent(city: Sequence[Hospital], seed: int) -> pl.DataFrame:
    low, high = COST_PERCENT
    # The mean of three draws: most hospitals are near the middle.
    draws = Draws(seed, len(city))
    drawn = sum(draws.between(low, high, len(city)) for _ in range(3)) // 3
    return pl.DataFrame({"hospital_id": [item.id for item in city], "percent": drawn})


def _costed(frame: pl.DataFrame, percent: pl.DataFrame) -> pl.DataFrame:
    """Every amount times the hospital's percentage; parts still add up to the total."""
    fees = [name for name in frame.columns if name.startswith("fee_")]
    given = frame.join(percent, on="hospital_id", how="left", maintain_order="left")
    scaled = given.with_columns(pl.col(*fees, "total_cost_fen", *_PAID) * pl.col("percent") // 100).drop("percent")
    rest = pl.col("total_cost_fen") - pl.sum_horizontal(fees)
    self_pay = pl.col("total_cost_fen") - pl.col("fund_pay_fen") - pl.col("own_pay_fen")
    return scaled.with_columns(
        (pl.col(fees[-1]) + rest).alias(fees[-1]),
        self_pay.alias("self_pay_fen"),
        (self_pay + pl.col("own_pay_fen") - pl.col("account_pay_fen")).alias("cash_pay_fen"),
    )


def main() -> None:
    """Write a made-up year."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--year", type=int, default=YEAR)
    parser.add_argument("--hospitals", type=int, default=HOSPITALS)
    parser.add_argument("-n", "--cases", type=int, default=CASES)
    parser.add_argument("--history", type=int, default=HISTORY, help="cases a year of the three years before; 0: none")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    made = make_year(
        given.output, pack=find_drg_pack(SCHEME), year=given.year, hospitals=given.hospitals, cases=given.cases,
        history=given.history, seed=given.seed, told=lambda text: print(text, file=sys.stderr),
    )  # fmt: skip
    print(made.year_file, file=sys.stderr)


if __name__ == "__main__":
    main()
