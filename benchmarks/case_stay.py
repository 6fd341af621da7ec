"""The stay: hospital, department, dates, ways in and out, insurance, intensive care, nursing."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.case_company import OLDEST
from benchmarks.case_people import UNKNOWN, People
from benchmarks.draws import Draws, Flags, Ints, Pools
from benchmarks.hospitals import Hospital
from benchmarks.plausible import QUANTILES, along, case_mix, lognormal_x1000
from benchmarks.recipes import Recipes, allowed
from benchmarks.scheme_formulas import Codes

Days = NDArray[np.datetime64]
_DAY_MINUTES = 1440


@dataclass(frozen=True)
class Stay:
    """One entry a case. `hospital`: place in the list of hospitals; times in minutes, money elsewhere.

    `way`, `department`, `insurance`, `route`, `stay_type`: codes as text; `los`, `icu_minutes`: UNKNOWN where
    a rule asks for the unknown.
    """

    hospital: Ints
    los: Ints
    admission: Days
    discharge: Days
    birth: Days
    way: NDArray[np.str_]
    department: NDArray[np.str_]
    insurance: NDArray[np.str_]
    route: NDArray[np.str_]
    stay_type: NDArray[np.str_]
    icu_minutes: Ints
    nursing: tuple[Ints, Ints, Ints, Ints]


class StayDrawer:
    """Draws the stays of many cases of one pack at once; `weight_x1000`: relative weight of each recipe's DRG."""

    def __init__(self, recipes: Recipes, weight_x1000: Ints, hospitals: Sequence[Hospital], month: str) -> None:
        self.recipes = recipes
        self.weight_x1000 = weight_x1000
        self.hospitals = hospitals
        self.first_day = np.datetime64(f"{month}-01", "D")
        self.days = calendar.monthrange(*map(int, month.split("-")))[1]
        self.pools = Pools()
        mix = case_mix()
        self.hospital_pool = np.array([self._hospitals(shares) for shares in mix["hospitals"]["tiers"]])
        scheme = recipes.scheme
        letters = [scheme.mdc_of.get(scheme.adrg_of.get(drg, ""), "?")[-1] for drg in recipes.drgs]
        usual = [mix["departments"].get(letter, mix["departments"]["default"]) for letter in letters]
        self.departments = sorted({name for pair in usual for name in pair} | set(scheme.departments.names))
        self.ways = sorted({way for way, _ in mix["stay"]["discharge_way"]} | set(scheme.ways.names))
        self.department_pool = np.array(
            [
                [self._codes("KS", item.masks.get("KS"), [[usual[item.drg][operated], 1]]) for operated in (0, 1)]
                for item in recipes.items
            ]
        )
        self.way_pool = np.array(
            [self._codes("LYFS", item.masks.get("LYFS"), mix["stay"]["discharge_way"]) for item in recipes.items]
        )
        self.los_pool = self._numbers("ZYTS", np.arange(1, 400, dtype=np.int64))
        self.icu_pool = self._numbers("ICUXS", np.arange(0, 1200, dtype=np.int64))

    def draw(self, draws: Draws, recipe: Ints, people: People, operated: Flags, costly: Ints) -> Stay:
        """One stay a case; `costly`: quantile of the cost, with which the length of stay goes along."""
        mix = case_mix()["stay"]
        count = len(recipe)
        weight = self.weight_x1000[recipe]
        los, day_surgery = self._length(draws, recipe, weight, operated, costly)
        pool = self.department_pool[recipe, operated.astype(np.int64)]
        department = np.array(self.departments)[self.pools.draw(draws, pool)]
        way = np.array(self.ways)[self.pools.draw(draws, self.way_pool[recipe])]
        admission, discharge = self._times(draws, np.maximum(los, 1))
        employee = draws.chance(along(mix["employee_share"], np.minimum(people.age, 100)), count)
        route = np.array([code for code, _ in mix["admission_route"]])
        limits = np.array(case_mix()["hospitals"]["limits_x1000"])
        tier = np.minimum(np.searchsorted(limits, weight, side="right"), len(limits) - 1)
        return Stay(
            hospital=self.pools.draw(draws, self.hospital_pool[tier]),
            los=los,
            admission=admission,
            discharge=discharge,
            birth=_births(draws, admission, people),
            way=way,
            department=department,
            insurance=np.where(employee, "310", "390"),
            route=route[draws.weighted((share for _, share in mix["admission_route"]), count)],
            stay_type=np.where(day_surgery, "2", "1"),
            icu_minutes=self._intensive(draws, recipe, weight, los),
            nursing=_nursing(draws, np.maximum(los, 1)),
        )

    def _length(self, draws: Draws, recipe: Ints, weight: Ints, operated: Flags, costly: Ints) -> tuple[Ints, Flags]:
        mix = case_mix()["stay"]
        count = len(recipe)
        # The square root is exact to the last bit on every machine.
        root_x100 = np.sqrt(weight.astype(np.float64) * 10).astype(np.int64)
        base_x10 = mix["days_base_x10"] + mix["days_per_root_weight_x10"] * root_x100 // 100
        factor = lognormal_x1000(mix["spread_percent"])[(costly + draws.below(QUANTILES, count)) // 2]
        los = np.clip((base_x10 * factor + 5000) // 10000, 1, mix["longest"])
        light = operated & (weight < mix["day_surgery_weight_x1000"])
        day_surgery = light & draws.chance(mix["day_surgery_share"], count)
        los = np.where(day_surgery, 1, los)
        los = self._within("ZYTS", self.los_pool, draws, recipe, los)
        return los, day_surgery & (los == 1)

    def _times(self, draws: Draws, los: Ints) -> tuple[Days, Days]:
        """Admission and discharge; the discharge lies in the month, a stay of one day may end where it began."""
        count = len(los)
        leaves = self.first_day + draws.below(self.days, count).astype("timedelta64[D]")
        same_day = (los == 1) & draws.chance(500, count)
        comes = leaves - np.where(same_day, 0, los).astype("timedelta64[D]")
        at = draws.between(7 * 60, np.where(same_day, 10 * 60, 20 * 60), count)
        until = draws.between(14 * 60, 18 * 60, count)
        minutes = "datetime64[m]"
        return (
            comes.astype(minutes) + at.astype("timedelta64[m]"),
            leaves.astype(minutes) + until.astype("timedelta64[m]"),
        )

    def _intensive(self, draws: Draws, recipe: Ints, weight: Ints, los: Ints) -> Ints:
        mix = case_mix()["stay"]
        count = len(recipe)
        needs = (weight >= mix["intensive_weight_x1000"]) & draws.chance(mix["intensive_share"], count)
        half_hours = np.where(needs, 8 + draws.below(np.maximum(los, 1) * 40, count), 0)
        return self._within("ICUXS", self.icu_pool, draws, recipe, half_hours) * 30

    def _within(self, name: str, pools: dict[int, int], draws: Draws, recipe: Ints, drawn: Ints) -> Ints:
        """`drawn` where the recipe's rules leave it free or allow it, else a number they do allow."""
        if not pools:
            return drawn
        masks = [item.masks.get(name) for item in self.recipes.items]
        result = drawn.copy()
        for mask, pool in pools.items():
            of_mask = np.array([known == mask for known in masks], dtype=bool)[recipe]
            wrong = of_mask & ~allowed(self.recipes.scheme, name, mask, drawn)
            found = self.pools.draw(draws, np.full(int(wrong.sum()), pool))
            result[wrong] = found
        return result

    def _numbers(self, name: str, values: Ints) -> dict[int, int]:
        found: dict[int, int] = {}
        for item in self.recipes.items:
            mask = item.masks.get(name)
            if mask is None or mask in found:
                continue
            fitting = values[allowed(self.recipes.scheme, name, mask, values)]
            fitting = fitting if len(fitting) else np.array([UNKNOWN], dtype=np.int64)
            found[mask] = self.pools.add((name, mask), fitting, np.ones(len(fitting), dtype=np.int64))
        return found

    def _codes(self, name: str, mask: int | None, usual: list[list[object]]) -> int:
        """Pool of discharge ways or departments: the usual ones the mask allows, else those it names."""
        scheme = self.recipes.scheme
        codes: Codes = scheme.ways if name == "LYFS" else scheme.departments
        names = self.ways if name == "LYFS" else self.departments
        key = (name, mask, str(usual))
        known = self.pools.known(key)
        if known is not None:
            return known
        weights = np.zeros(len(names), dtype=np.int64)
        for code, weight in usual:
            assert isinstance(weight, int)
            bit = 1 << codes.number.get(str(code), len(codes.names) - 1)
            if mask is None or mask & bit:
                weights[names.index(str(code))] = weight
        if not weights.any():
            assert mask is not None
            for at, code in enumerate(codes.names):
                weights[names.index(code)] = mask >> at & 1
        return self.pools.add(key, np.arange(len(names), dtype=np.int64), weights)

    def _hospitals(self, shares: Sequence[int]) -> int:
        total = {level: sum(item.size for item in self.hospitals if item.level == level) for level in (1, 2, 3)}
        weights = [1000 * shares[item.level - 1] * item.size // total[item.level] for item in self.hospitals]
        if not any(weights):
            weights = [item.size for item in self.hospitals]
        places = np.arange(len(self.hospitals), dtype=np.int64)
        return self.pools.add(("hospitals", *shares), places, np.array(weights, dtype=np.int64))


def _births(draws: Draws, admission: Days, people: People) -> Days:
    """Birth dates that make exactly the given age at admission."""
    day = admission.astype("datetime64[D]")
    count = len(day)
    month = day.astype("datetime64[M]")
    place = np.minimum((day - month.astype("datetime64[D]")).astype(np.int64), 27)
    years = np.minimum(people.age, OLDEST)
    birthday = (month - (12 * years).astype("timedelta64[M]")).astype("datetime64[D]") + place.astype("timedelta64[D]")
    earlier = birthday - draws.below(330, count).astype("timedelta64[D]")
    newborn = day - np.maximum(people.days, 0).astype("timedelta64[D]")
    births: Days = np.where(people.age == 0, newborn, earlier)
    return births


def _nursing(draws: Draws, los: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Days of special, first, second and third level nursing; together the stay."""
    count = len(los)
    special = np.where(draws.chance(40, count), np.minimum(los, 1 + draws.below(3, count)), 0)
    first = draws.below(los - special + 1, count) // 2
    third = draws.below(los - special - first + 1, count) // 3
    return special, first, los - special - first - third, third
