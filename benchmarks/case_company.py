"""Typical company of a principal diagnosis: chronic conditions of the age, and codes that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.case_codebook import CodeTable
from benchmarks.draws import Draws, Ints
from benchmarks.plausible import along, case_mix
from benchmarks.recipes import NONE, Recipes

OLDEST = 120


class Company:
    """Draws such codes for many cases at once, none that the recipe refuses."""

    def __init__(self, recipes: Recipes) -> None:
        self.table = recipes.diagnoses
        seen: dict[int, int] = {}
        places = [seen.setdefault(item.refused[0], len(seen)) for item in recipes.items]
        self.refused = np.array(places, dtype=np.int32)
        self.masks = list(seen)
        mix = case_mix()
        self.chronic = [_Chronic(self, item) for item in mix["comorbidity"] if self.table.numbers_of([item["code"]])]
        self.companions = [_Companion(self, item) for item in mix["companion"] if self.table.numbers_of(item["codes"])]

    def draw(self, draws: Draws, recipe: Ints, principal: Ints, age: Ints, sex: Ints) -> list[Ints]:
        """One column for every kind of company, NONE where a case has none of it."""
        refused = self.refused[recipe]
        columns = [companion.draw(draws, refused, principal) for companion in self.companions]
        return columns + [chronic.draw(draws, refused, age, sex) for chronic in self.chronic]

    def allowed(self, numbers: Ints) -> NDArray[np.bool_]:
        """For every list of refused codes, which of some codes it lets in."""
        return np.array([[not mask >> number & 1 for number in numbers.tolist()] for mask in self.masks], dtype=bool)


class _Chronic:
    def __init__(self, company: Company, item: Mapping[str, Any]) -> None:
        numbers = np.array(company.table.numbers_of([item["code"]]), dtype=np.int64)
        self.number = numbers[0]
        self.share = along(item["points"], np.arange(OLDEST + 1, dtype=np.int64))
        self.sex = int(item.get("sex", 0))
        self.allowed = company.allowed(numbers)[:, 0]

    def draw(self, draws: Draws, refused: NDArray[np.int32], age: Ints, sex: Ints) -> Ints:
        has = draws.chance(self.share[age], len(age)) & self.allowed[refused]
        if self.sex:
            has &= sex == self.sex
        return np.where(has, self.number, NONE)


class _Companion:
    def __init__(self, company: Company, item: Mapping[str, Any]) -> None:
        self.numbers = np.array(company.table.numbers_of(item["codes"]), dtype=np.int64)
        self.share = int(item["share"])
        self.wanted = _beginning(company.table, item["principal"])
        allowed = company.allowed(self.numbers)
        self.count = allowed.sum(axis=1)
        # Allowed codes first: a draw below their count always is one of them.
        self.order = np.argsort(~allowed, axis=1, kind="stable")

    def draw(self, draws: Draws, refused: NDArray[np.int32], principal: Ints) -> Ints:
        count = self.count[refused]
        place = self.order[refused, draws.below(np.maximum(count, 1))]
        has = draws.chance(self.share, len(principal)) & self.wanted[principal] & (count > 0)
        return np.where(has, self.numbers[place], NONE)


def _beginning(table: CodeTable, starts: list[str]) -> NDArray[np.bool_]:
    return np.array([code.startswith(tuple(starts)) for code in table.codes], dtype=bool)
