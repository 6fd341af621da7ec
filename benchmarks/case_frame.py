"""Drawn columns as the canonical case frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from benchmarks.case_mistakes import Spoiled
from benchmarks.case_money import Money
from benchmarks.case_people import UNKNOWN, People
from benchmarks.case_stay import Days, Stay
from benchmarks.draws import Draws, Flags, Ints
from benchmarks.hospitals import REGION, Hospital
from benchmarks.plausible import case_mix
from benchmarks.recipes import NONE, Recipes

_DOCTORS = 40
_DRG_PAYMENT = "4"


def case_frame(
    draws: Draws,
    recipes: Recipes,
    *,
    hospitals: Sequence[Hospital],
    first: int,
    people: People,
    spoiled: Spoiled,
    procedures: Ints,
    stay: Stay,
    money: Money,
    details: bool,
) -> pl.DataFrame:
    """The canonical frame of one block whose first case is number `first` (from 0) of the run."""
    count = len(people.sex)
    numbers = np.arange(first + 1, first + count + 1, dtype=np.uint32)
    table = recipes.diagnoses
    dx_codes = pl.concat([table.codes, spoiled.spelled])
    dx_count = _filled(spoiled.diagnoses)
    px_count = _filled(procedures)
    frame = pl.DataFrame(
        {
            "row": numbers,
            "defect": pl.Series([None] * count, dtype=pl.String),
            "sex": _known(np.where(spoiled.no_sex, UNKNOWN, people.sex), pl.Int8),
            "age_years": _known(np.where(spoiled.no_age, UNKNOWN, people.age), pl.Int32),
            "age_days": _known(np.where(spoiled.no_age, UNKNOWN, people.days), pl.Int32),
            "newborn_birth_weight_g": _known(people.birth_weight, pl.Int32),
            "newborn_admission_weight_g": _known(people.admission_weight, pl.Int32),
            "los_days": _known(stay.los, pl.Int32),
            "icu_hours": _known(stay.icu_minutes, pl.Float64) / 60,
            "discharge_way": pl.Series(stay.way),
            "department": pl.Series(stay.department),
            "diagnoses": _lists(dx_codes, spoiled.diagnoses, dx_count),
            "procedures": _lists(recipes.procedures.codes, procedures, px_count),
        }
    )
    columns = [_hospital_columns(hospitals, stay, numbers), _stay_columns(draws, stay, people), _money(money)]
    if details:
        dx_names = pl.concat([table.names, spoiled.spelled])
        columns.append(_diagnosis_details(draws, dx_names, spoiled.diagnoses, dx_count))
        columns.append(_procedure_details(draws, recipes, procedures, px_count, stay))
        columns.append(_care(draws, recipes, procedures, spoiled.diagnoses, stay))
    wide = pl.concat([frame, *columns], how="horizontal")
    case_id = pl.format("{}-{}", "hospital_id", pl.col("row").cast(pl.String).str.zfill(8)).alias("case_id")
    wide = wide.with_columns(
        case_id,
        case_id.alias("settlement_id"),
        pl.format("B{}", pl.col("row").cast(pl.String).str.zfill(8)).alias("record_no"),
        pl.col("discharge_way", "department").replace("", None),
    )
    return wide.select("row", "case_id", pl.exclude("row", "case_id"))


def _hospital_columns(
    hospitals: Sequence[Hospital], stay: Stay, numbers: np.ndarray[tuple[int], np.dtype[np.uint32]]
) -> pl.DataFrame:
    place = pl.Series(stay.hospital)
    count = len(numbers)
    return pl.DataFrame(
        {
            "hospital_id": pl.Series([item.id for item in hospitals]).gather(place),
            "hospital_name": pl.Series([item.name for item in hospitals]).gather(place),
            "hospital_level": pl.Series([str(item.level) for item in hospitals]).gather(place),
            "insured_region": pl.Series([REGION]).new_from_index(0, count),
            "insurance_type": pl.Series(stay.insurance),
            "payment_method": pl.Series([_DRG_PAYMENT]).new_from_index(0, count),
        }
    )


def _stay_columns(draws: Draws, stay: Stay, people: People) -> pl.DataFrame:
    count = len(stay.los)
    newborn = (people.days >= 0) & (people.days <= 28)
    low_weight = newborn & (people.birth_weight < 2500)
    kind = np.where(newborn, np.where(low_weight, "2", np.where(draws.chance(500, count), "1", "3")), "")
    submitted = stay.discharge + (1440 + draws.below(5 * 1440, count)).astype("timedelta64[m]")
    admitted = _moment(stay.admission)
    left = _moment(stay.discharge)
    return pl.DataFrame(
        {
            "admission_seq": pl.Series(1 + draws.below(12, count) // 5, dtype=pl.Int32),
            "birth_date": pl.Series(stay.birth.astype("datetime64[D]")),
            "newborn_admission_type": pl.Series(kind).replace("", None),
            "stay_type": pl.Series(stay.stay_type),
            "admission_route": pl.Series(stay.route),
            "admission_time": admitted,
            "discharge_time": left,
            "settlement_begin": admitted.dt.date(),
            "settlement_end": left.dt.date(),
            "submitted_at": _moment(submitted),
        }
    )


def _money(money: Money) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "total_cost_fen": money.total,
            "fund_pay_fen": money.fund,
            "self_pay_fen": money.self_pay,
            "own_pay_fen": money.own_pay,
            "account_pay_fen": money.account,
            "cash_pay_fen": money.cash,
            **{f"fee_{name}_fen": amount for name, amount in money.fees.items()},
        }
    )


def _diagnosis_details(draws: Draws, names: pl.Series, numbers: Ints, count: Ints) -> pl.DataFrame:
    condition = case_mix()["stay"]["condition"]
    drawn = draws.weighted((share for _, share in condition), numbers.size).reshape(numbers.shape)
    # The principal diagnosis is why the patient came: it cannot have arisen in the stay.
    drawn[:, 0] = 0
    return pl.DataFrame(
        {
            "dx_names": _lists(names, numbers, count),
            "dx_on_admission": _lists(pl.Series([code for code, _ in condition]), drawn, count),
        }
    )


def _procedure_details(draws: Draws, recipes: Recipes, numbers: Ints, count: Ints, stay: Stay) -> pl.DataFrame:
    mix = case_mix()["procedures"]
    shape = numbers.shape
    size = numbers.size
    wait = draws.below(np.repeat(np.maximum(stay.los, 1) * 300, shape[1]), size).reshape(shape)
    begin = np.minimum(
        stay.admission[:, None] + (60 + wait + 30 * np.arange(shape[1])).astype("timedelta64[m]"),
        stay.discharge[:, None] - np.timedelta64(150, "m"),
    )
    end = begin + (20 + draws.below(120, size).reshape(shape)).astype("timedelta64[m]")
    doctors = pl.Series([f"D{at:04d}" for at in range(_DOCTORS)])

    def doctor() -> pl.Series:
        return _lists(doctors, draws.below(_DOCTORS, size).reshape(shape), count)

    def coded(name: str) -> pl.Series:
        drawn = draws.weighted((share for _, share in mix[name]), size).reshape(shape)
        return _lists(pl.Series([code for code, _ in mix[name]]), drawn, count)

    return pl.DataFrame(
        {
            "px_names": _lists(recipes.procedures.names, numbers, count),
            "px_begin": _cut(_moment(begin.ravel()), shape, count),
            "px_end": _cut(_moment(end.ravel()), shape, count),
            "px_surgeon": doctor(),
            "px_anaesthesia": coded("anaesthesia"),
            "px_anaesthetist": doctor(),
            "px_level": coded("level"),
        }
    )


def _care(draws: Draws, recipes: Recipes, procedures: Ints, diagnoses: Ints, stay: Stay) -> pl.DataFrame:
    count = len(stay.los)
    starts = recipes.procedures.codes.str.starts_with
    ventilation = np.append((starts("96.7") | starts("93.90")).to_numpy(), False)
    head = np.append(recipes.diagnoses.codes.str.starts_with("S06").to_numpy(), False)
    ventilated: Flags = np.any(ventilation[np.where(procedures < 0, len(ventilation) - 1, procedures)], axis=1)
    injured: Flags = head[np.minimum(np.where(diagnoses[:, 0] < 0, len(head) - 1, diagnoses[:, 0]), len(head) - 1)]
    coma = injured & draws.chance(300, count)
    ventilator = np.where(ventilated, 60 + draws.below(np.maximum(stay.los, 1) * 1200, count), UNKNOWN)
    before = np.where(coma, draws.below(600, count), UNKNOWN)
    after = np.where(coma, draws.below(2880, count), UNKNOWN)
    special, first, second, third = stay.nursing
    return pl.DataFrame(
        {
            "ventilator_minutes": _known(ventilator, pl.Int32),
            "coma_before_minutes": _known(before, pl.Int32),
            "coma_after_minutes": _known(after, pl.Int32),
            "icu_minutes": _known(stay.icu_minutes, pl.Int32),
            "nursing_days_special": pl.Series(special, dtype=pl.Int32),
            "nursing_days_1": pl.Series(first, dtype=pl.Int32),
            "nursing_days_2": pl.Series(second, dtype=pl.Int32),
            "nursing_days_3": pl.Series(third, dtype=pl.Int32),
        }
    )


def _known(values: Ints, dtype: type[pl.DataType]) -> pl.Series:
    series = pl.Series(values)
    return series.set(series < 0, None).cast(dtype)


def _moment(times: Days) -> pl.Series:
    return pl.Series(times.astype("datetime64[us]"))


def _filled(numbers: Ints) -> Ints:
    """Length of each row: up to its last code."""
    filled = numbers != NONE
    last: Ints = numbers.shape[1] - np.argmax(filled[:, ::-1], axis=1)
    return np.where(filled.any(axis=1), last, 0)


def _lists(texts: pl.Series, numbers: Ints, count: Ints) -> pl.Series:
    """Rows of numbers as lists of texts; NONE inside a list is an empty text."""
    empty = len(texts)
    words = pl.concat([texts, pl.Series([""])]).gather(pl.Series(np.where(numbers < 0, empty, numbers).ravel()))
    return _cut(words, numbers.shape, count)


def _cut(flat: pl.Series, shape: tuple[int, ...], count: Ints) -> pl.Series:
    table = pl.DataFrame({"items": flat.reshape(shape), "count": count})
    return table.select(pl.col("items").arr.to_list().list.head("count")).to_series()
