"""What cores show of cases, schemes and policies as plain values, for answers whose shape is the core's own."""

from __future__ import annotations

from typing import Any

from api.service.values import plain
from reference_tables.policy import Policy
from reference_tables.policy_readiness import all_readiness


def commands_of(policy: Policy) -> dict[str, Any]:
    """What each command can do under a policy, and what it lacks."""
    ready = {
        item.command: {
            "can_run": item.can_run, "missing": item.missing, "partial": item.partial, "on_demand": item.on_demand,
        }
        for item in all_readiness(policy)
    }  # fmt: skip
    found: dict[str, Any] = plain(ready)
    return found
