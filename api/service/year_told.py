"""What is told of a year file beside what is in force: scores, hospitals and their names, clearings made before it."""

from __future__ import annotations

import sqlalchemy as sa

from api.core.clearing import COMMAND
from api.core.clearing_notes import other_names, wrong_scores
from api.service.basis import Basis
from api.service.runs import APPROVED, DRAFT, LOCKED, STATES_ZH, clearings
from budget.year_terms import YearTerms
from reference_tables.problems import Problem, TablesRefused
from reference_tables.year_file import YearFile


def figures_told(basis: Basis, found: YearFile) -> list[Problem]:
    """Hospitals with figures that the register does not hold (SV44), or calls by another name (CL64). Raises
    TablesRefused (CL63) for scores above the full score, as the clearing would."""
    wrong = list(wrong_scores(YearTerms(basis.policy, found.year, COMMAND), found))
    if wrong:
        raise TablesRefused(found.file, wrong)
    if basis.hospitals is None:
        return []
    known = set(basis.hospitals["hospital_id"])
    strange = [
        Problem("SV44", {"value": row["id"]}, file=found.file, row=row.line, field="hospital", value=row["id"])
        for row in found.rows("hospital") if row["id"] not in known
    ]  # fmt: skip
    return [*strange, *other_names(found, basis.hospitals)]


def not_held(connection: sa.Connection, year: int) -> list[Problem]:
    """Clearings of a year, drafted, being entered or locked, that do not hold what is changed in its figures now
    (SV92)."""
    return [
        Problem("SV92", {"year": year, "value": item.id, "state": STATES_ZH[item.state]}, value=item.id)
        for item in clearings(connection, year, DRAFT, APPROVED, LOCKED)
    ]  # fmt: skip
