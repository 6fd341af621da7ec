"""A policy as it stands after reforms: every change put into force exactly, and what each of them touched."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from budget.group_values import GroupValues
from reference_tables.policy import Policy
from reference_tables.problems import Problem
from reference_tables.reform_parts import Change, Reform

FACTS_SCHEMA: dict[str, pl.DataType] = {"group": pl.String(), "mdc": pl.String(), "type": pl.String()}


@dataclass(frozen=True)
class GroupFacts:
    """What the grouping scheme says of its groups. `frame`: FACTS_SCHEMA, one row a group; `mdc` "" where the scheme has
    none, `type` surgical, procedure, medical or "" (not told)."""

    frame: pl.DataFrame


@dataclass(frozen=True)
class AppliedChange:
    """A change as it was put into force. `settings`: number of values put (0: it changed nothing); `before`, `after`:
    an example in Chinese; `scope_text` in Chinese; `groups` it is limited to, None = not by group."""

    change: Change
    reform_id: str
    settings: int
    before: str
    after: str
    scope_text: str
    groups: frozenset[str] | None


@dataclass(frozen=True)
class Reformed:
    """Policy and group values after reforms, the changes in the order they were applied, and warnings."""

    policy: Policy
    values: GroupValues
    changes: tuple[AppliedChange, ...]
    problems: tuple[Problem, ...]


def apply_reforms(
    policy: Policy,
    values: GroupValues,
    reforms: Sequence[Reform],
    facts: GroupFacts,
    hospitals: Collection[str] | None = None,
) -> Reformed:
    """The policy after the changes of the reforms, in the order given.

    `policy`, `values` and `facts` are those after a reform's switch; `hospitals`: ids that are known, None = any.
    Raises TablesRefused with every problem.
    """
    return Reformed(policy, values, (), ())
