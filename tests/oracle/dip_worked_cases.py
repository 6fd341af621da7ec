"""The worked cases of tests/cases/dip as cases with the answer a person expects."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.oracle.dip_case import DipCase
from tests.oracle.dip_oracle import DipAnswer

FOLDER = Path(__file__).resolve().parents[1] / "cases" / "dip"
FIELDS = {"principal", "other", "procedures", "days", "years", "grams", "expect", "why", "primary_care", "rows_fit"}


@dataclass(frozen=True)
class WorkedCase:
    """`expect`: the group, or the reason where there is none; `rows_fit`: None where the person did not count."""

    case: DipCase
    expect: str
    primary_care: bool
    rows_fit: int | None

    def agrees(self, answer: DipAnswer) -> bool:
        """Is this the expected answer?"""
        counted = self.rows_fit is None or self.rows_fit == answer.rows_fit
        return (answer.dip or answer.reason, answer.primary_care) == (self.expect, self.primary_care) and counted


def worked_cases(name: str = "worked_cases") -> list[WorkedCase]:
    """The cases of one file, numbered by what they show."""
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    return [_worked(number, body) for number, body in enumerate(tomllib.loads(text)["case"], start=1)]


def _worked(number: int, body: dict[str, Any]) -> WorkedCase:
    unknown = set(body) - FIELDS
    if unknown:
        raise ValueError(f"case {number} says {sorted(unknown)}")
    case = DipCase(
        case_id=f"{number} {body['why']}",
        diagnoses=(body["principal"], *body.get("other", ())),
        procedures=tuple(body.get("procedures", ())),
        age_years=body.get("years"),
        age_days=body.get("days"),
        newborn_birth_weight_g=body.get("grams"),
    )
    return WorkedCase(case, body["expect"], body.get("primary_care", False), body.get("rows_fit"))
