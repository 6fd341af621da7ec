"""One case as recorded, and what the rows of a DIP catalog are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class DipCase:
    """One case as recorded. None is unknown; the first diagnosis and the first procedure are the principal ones."""

    case_id: str = "1"
    diagnoses: tuple[str | None, ...] | None = ()
    procedures: tuple[str | None, ...] | None = ()
    age_years: int | None = None
    age_days: int | None = None
    newborn_birth_weight_g: int | None = None
    defect: str | None = None
    sex: int | None = None
    los_days: int | None = None
    icu_hours: float | None = None
    discharge_way: str | None = None
    department: str | None = None
    total_cost_fen: int | None = None
    fee_treatment_fen: int | None = None
    fee_western_drug_fen: int | None = None
    fee_herbal_fen: int | None = None
    fee_patent_drug_fen: int | None = None


@dataclass(frozen=True)
class Facts:
    """What the rows are compared with. `principal_px`: place of the effective principal procedure, None without one;
    `exact`: the set of procedures that `exact` rows compare."""

    case: DipCase
    diagnoses: tuple[str, ...]
    procedures: tuple[str, ...]
    principal_px: int | None
    exact: frozenset[str]
    flags: frozenset[str]

    @cached_property
    def principal(self) -> str:
        return self.diagnoses[0] if self.diagnoses else ""

    @cached_property
    def effective(self) -> str:
        """The effective principal procedure, "" for a conservative case."""
        return "" if self.principal_px is None else self.procedures[self.principal_px]

    @cached_property
    def recorded(self) -> frozenset[str]:
        """All recorded procedures."""
        return frozenset(self.procedures)

    @cached_property
    def others(self) -> frozenset[str]:
        """All recorded procedures but one occurrence of the effective principal one."""
        return frozenset(code for place, code in enumerate(self.procedures) if place != self.principal_px)
