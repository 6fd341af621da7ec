"""Every implemented rule with the function that checks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from grouper.quality import (
    diagnoses,
    evidence,
    gate,
    identity,
    money,
    newborn,
    presence,
    principal,
    procedures,
    sex_age,
    times,
)
from grouper.quality.batch import BATCH_RULES
from grouper.quality.report import Report

Check = Callable[[Report], None]

_FAMILIES = (presence, identity, times, money, diagnoses, principal, sex_age, newborn, procedures, evidence, gate)
CHECKS: Mapping[str, Check] = {rule: check for family in _FAMILIES for rule, check in family.CHECKS.items()}
IMPLEMENTED = frozenset(CHECKS) | frozenset(BATCH_RULES)
