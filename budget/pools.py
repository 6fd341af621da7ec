"""The pools that money is kept apart in: one for each insurance, or one for all of them."""

from __future__ import annotations

MERGED = "合并"
"""The name of the one pool of a policy that merges its insurances."""


def pool_name(pools: str, insurance: str) -> str:
    """The pool of an insurance; `pools` as the policy says, insurance or merged."""
    return MERGED if pools == "merged" else insurance
