"""What a policy says of a case, read straight from its file's content for the oracle of pricing: simple look-ups.

A policy is the mapping that a TOML file holds; values are `(group, tier, insurance) -> {weight, coefficient,
peer_average}` with "" for all. Nothing here is shared with the product's own reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from fractions import Fraction
from typing import Any

Case = Mapping[str, Any]
ORDER = ("group", "list", "hospital", "month", "tier", "insurance")


class Lacking(Exception):
    """The policy lacks a parameter for this case."""


class PlainPolicy:
    """A policy and the values of its groups, asked for one case at a time."""

    def __init__(self, policy: Mapping[str, Any], values: Mapping[tuple[str, str, str], Mapping[str, str]]) -> None:
        self.policy, self.values = policy, values
        self.method = policy["method"]
        self.by_key: dict[str, list[Mapping[str, Any]]] = {}
        for item in policy["set"]:
            self.by_key.setdefault(item["key"], []).append(item)

    def find(self, key: str, case: Case, **instead: str) -> Any:
        """The narrowest value that holds for a case; None when there is none."""
        found = self.item(key, case, **instead)
        return None if found is None else found["value"]

    def item(self, key: str, case: Case, **instead: str) -> Any:
        """The narrowest entry of the file that holds for a case."""
        told = {name: case.get(name) for name in ("group", "hospital", "month", "tier", "insurance")} | instead
        day = date.fromisoformat(f"{case['month']}-01") if case.get("month") else None
        best: tuple[tuple[int, tuple[int, ...]], Any] | None = None
        for item in self.by_key.get(key, ()):
            scope = item.get("for", {})
            if not all(self._in(name, value, told) for name, value in scope.items()):
                continue
            since, until = item.get("from", date.min), item.get("until", date.max)
            if day is not None and not since <= day < until:
                continue
            rank = (-len(scope), tuple(sorted(ORDER.index(name) for name in scope)))
            if best is None or rank < best[0]:
                best = rank, item
        return None if best is None else best[1]

    def _in(self, name: str, value: str, told: Mapping[str, Any]) -> bool:
        return told["group"] in self.policy["lists"][value]["codes"] if name == "list" else told[name] == value

    def number(self, key: str, case: Case, **instead: str) -> Fraction | None:
        found = self.find(key, case, **instead)
        return None if found is None else Fraction(str(found))

    def want(self, key: str, case: Case, **instead: str) -> Fraction:
        found = self.number(key, case, **instead)
        if found is None:
            raise Lacking(key)
        return found

    def groups(self, key: str, case: Case) -> Iterable[str]:
        found = self.find(key, case)
        if found is None:
            return ()
        return self.policy["lists"][found]["codes"] if isinstance(found, str) else found

    def value(self, case: Case, group: str, part: str) -> Fraction | None:
        """What is published of a group, the narrowest row that tells it."""
        tier, insurance = case.get("tier") or "", case.get("insurance") or ""
        for key in ((group, tier, insurance), (group, tier, ""), (group, "", insurance), (group, "", "")):
            text = self.values.get(key, {}).get(part)
            if text:
                return Fraction(text)
        return None
