"""What only shows when the values of a policy are seen together: overlaps, gaps, and combinations that make no
sense."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta
from fractions import Fraction
from itertools import chain, combinations

from reference_tables.policy_bands import BasicRule
from reference_tables.policy_file import Header
from reference_tables.policy_schema import METHODS, policy_schema
from reference_tables.policy_settings import Scope, Setting, scope_text, together, why_needed
from reference_tables.policy_values import decimal_shown
from reference_tables.problems import Problem


def check_settings(header: Header, settings: Sequence[Setting], unread: Collection[str] = ()) -> list[Problem]:
    """Every problem between the values of a policy, in no particular order: PL14-PL16, PL20-PL23, PL50, PL51.

    `unread`: parameters of which a value could not be read. What may lie there is not told as missing or unused, nor
    is anything about days when the policy's own days could not be read.
    """
    checks = _Checks(header, settings, unread)
    checks.overlaps()
    if header.dated:
        checks.dates()
        checks.gaps()
    checks.companions()
    checks.formulas()
    checks.limits()
    checks.shares()
    checks.tiers()
    checks.conflicts()
    if not unread:
        checks.unused()
    return checks.problems


class _Checks:
    def __init__(self, header: Header, settings: Sequence[Setting], unread: Collection[str]) -> None:
        self.header = header
        self.unread = unread
        self.settings = settings
        self.by_key: dict[str, list[Setting]] = {}
        for setting in settings:
            self.by_key.setdefault(setting.key, []).append(setting)
        self.problems: list[Problem] = []

    def note(self, code: str, setting: Setting, args: dict[str, str | int]) -> None:
        label = policy_schema().parameters[setting.key].label
        args = {"key": setting.key, "label": label, **args}
        self.problems.append(Problem(code, args, file=self.header.file, row=setting.line, field=setting.key))

    def dates(self) -> None:
        """PL16: a value's days are turned round or outside of the policy's; PL51: cases are priced by the month."""
        since, until = self.header.effective_from, self.header.effective_until
        for setting in self.settings:
            start, end = setting.since or since, setting.until or until
            if end is not None and end <= start:
                self.note("PL16", setting, {"reason": f"until {end} 应晚于 {start}（until 为不再适用的第一天）"})
            elif start < since or (until is not None and end is not None and end > until):
                self.note("PL16", setting, {"reason": f"超出政策的期间 {since} 至 {until or '今'}"})
            for day in (setting.since, setting.until):
                if day is not None and day.day > 1 and day not in {since, until}:
                    self.note("PL51", setting, {"day": str(day)})

    def overlaps(self) -> None:
        """PL14: two values of a parameter for the same scope on the same day."""
        buckets: dict[tuple[object, ...], list[Setting]] = {}
        for setting in self.settings:
            same = tuple((name, "" if name == "list" else value) for name, value in setting.scope)
            buckets.setdefault((setting.key, same), []).append(setting)
        for settings in buckets.values():
            for one, other in combinations(settings, 2):
                shared = _same_cases(one, other, self.header)
                days = together(one, other)
                if shared is None or days is None:
                    continue
                first, second = sorted((one, other), key=lambda setting: setting.line)
                start = max(days[0], self.header.effective_from)
                more = f"，清单共有 {shared}" if shared else ""
                args: dict[str, str | int] = {
                    "scope": scope_text(second.scope) + more, "first": first.line,
                    "day": "首日" if start == date.min else str(start),
                }  # fmt: skip
                self.note("PL14", second, args)

    def gaps(self) -> None:
        """PL15: a dated value leaves days of the policy without one, and no wider value fills them."""
        for key, settings in self.by_key.items():
            if key in self.unread:
                continue
            by_scope: dict[Scope, list[Setting]] = {}
            for setting in settings:
                by_scope.setdefault(setting.scope, []).append(setting)
            dated = {setting.scope: setting for setting in reversed(settings) if setting.dated}
            for scope, setting in reversed(dated.items()):
                covering = [other for wider in _wider(scope) for other in by_scope.get(wider, ())]
                gap = self._gap(covering)
                if gap:
                    last = gap[1] - timedelta(days=1) if gap[1] else None
                    args: dict[str, str | int] = {
                        "scope": scope_text(setting.scope), "start": str(gap[0]), "end": str(last or "今"),
                    }  # fmt: skip
                    self.note("PL15", setting, args)

    def _gap(self, settings: Iterable[Setting]) -> tuple[date, date | None] | None:
        """The first days without a value: first, and first no more (None = open)."""
        at, until = self.header.effective_from, self.header.effective_until
        for setting in sorted(settings, key=lambda item: item.since or date.min):
            start = setting.since or at
            if start > at:
                return at, start
            if setting.until is None:
                return None
            at = max(at, setting.until)
        return (at, until) if until is None or at < until else None

    def companions(self) -> None:
        """PL21: a formula or rule without the value it works with."""
        for parameter in policy_schema().parameters.values():
            reason = (
                why_needed(parameter, self.by_key)
                if parameter.companion and parameter.key not in {*self.by_key, *self.unread}
                else ""
            )
            if reason and self.header.method in parameter.methods:
                cause = self.by_key[reason.split(" = ")[0]][0]
                self.note("PL21", cause, {"reason": reason, "wanted": parameter.key, "name": parameter.label})

    def formulas(self) -> None:
        """PL22: a formula of another payment method."""
        for key in ("normal_formula", "low_formula", "high_formula", "extreme_formula"):
            for setting in self.by_key.get(key, ()):
                methods = policy_schema().formula_methods[setting.value]
                if self.header.method not in methods:
                    args: dict[str, str | int] = {
                        "formula": setting.value, "method": METHODS[self.header.method],
                        "methods": "、".join(METHODS[name] for name in methods),
                    }  # fmt: skip
                    self.note("PL22", setting, args)

    def limits(self) -> None:
        """PL20: a limit that is not above the one below it, days that leave no case, bands beside limits."""
        lows = [(item, item.value, item.value) for item in self.by_key.get("low_limit", ())]
        highs = [
            (item, min(band.limit for band in item.value), max(band.limit for band in item.value))
            for item in self.by_key.get("high_limit", ())
        ]
        extremes = [(item, item.value, item.value) for item in self.by_key.get("extreme_limit", ())]
        for lower, upper in ((lows, highs), (highs, extremes), (lows, extremes)):
            for below, _, top in lower:
                for above, bottom, _ in upper:
                    if bottom <= top and _compatible(below, above) and together(below, above):
                        self._not_above(above, bottom, below, top)
        for below in self.by_key.get("by_item_days_up_to", ()):
            for above in self.by_key.get("by_item_days_from", ()):
                if above.value <= below.value:
                    self._not_above(above, Fraction(above.value), below, Fraction(below.value))

    def _not_above(self, above: Setting, value: Fraction, below: Setting, other: Fraction) -> None:
        label = policy_schema().parameters[below.key].label
        reason = f"{decimal_shown(value)} 应大于{label}（{below.key}）{decimal_shown(other)}，见第 {below.line} 行"
        self.note("PL20", above, {"reason": reason})

    def shares(self) -> None:
        """PL23: parts of one amount that add up to more than all of it."""
        for one, other in (("prepay_share", "deposit_share"), ("reserve_share", "regulation_share")):
            for first in self.by_key.get(one, ()):
                for second in self.by_key.get(other, ()):
                    whole = first.value + second.value
                    if whole > 1 and _compatible(first, second) and together(first, second):
                        label = policy_schema().parameters[one].label
                        reason = f"与{label}（{one}，第 {first.line} 行）合计 {decimal_shown(whole)}，超过 1"
                        self.note("PL23", second, {"reason": reason})

    def tiers(self) -> None:
        """PL13: a basic rule names a tier the policy does not have."""
        for setting in self.by_key.get("basic_rule", ()):
            rule: BasicRule = setting.value
            for tier in ([rule.tier] if rule.tier else []) + list(rule.only):
                if tier not in self.header.tiers:
                    known = "、".join(self.header.tiers) or "无"
                    self.note("PL13", setting, {"scope": "tier", "value": tier, "known": known})

    def conflicts(self) -> None:
        """PL20: a value that stands for another, and that other one as well; shares assessed where none are."""
        for parameter in policy_schema().parameters.values():
            for rival in parameter.rivals:
                if rival in self.by_key and parameter.key in self.by_key:
                    setting = self.by_key[parameter.key][0]
                    line = self.by_key[rival][0].line
                    self.note("PL20", setting, {"reason": f"不能与 {rival}（第 {line} 行）同时规定"})
        shared = next((item for item in self.by_key.get("sharing_basis", ()) if item.value == "region"), None)
        assessed = next((item for item in self.by_key.get("assessment_on", ()) if item.value == "share"), None)
        if shared is not None and assessed is not None:
            reason = f"sharing_basis（第 {shared.line} 行）为 region，结余超支不按医院分段，没有可按考核增减的比例"
            self.note("PL20", assessed, {"reason": reason})

    def unused(self) -> None:
        """PL50: a source or list that no value names."""
        named = {setting.source for setting in self.settings}
        for name, line in self.header.source_lines.items():
            if name not in named:
                self._unused("sources", name, line)
        used = {setting.raw for setting in self.settings if isinstance(setting.raw, str)}
        used |= {value for setting in self.settings for key, value in setting.scope if key == "list"}
        for name, line in self.header.list_lines.items():
            if name not in used:
                self._unused("lists", name, line)

    def _unused(self, kind: str, name: str, line: int) -> None:
        field = f"{kind}.{name}"
        self.problems.append(Problem("PL50", {"name": field}, file=self.header.file, row=line, field=field))


def _wider(scope: Scope) -> Iterable[Scope]:
    """A scope and all that hold for its cases too, in their order: those that leave some of its names out."""
    return chain.from_iterable(combinations(scope, size) for size in range(len(scope) + 1))


def _compatible(one: Setting, other: Setting) -> bool:
    """Can one case fall under both? Not when they name different values of the same scope."""
    mine, theirs = dict(one.scope), dict(other.scope)
    return all(theirs.get(name, value) == value for name, value in mine.items() if name != "list")


def _same_cases(one: Setting, other: Setting, header: Header) -> str | None:
    """Of two scopes that differ at most in the list they name: the groups that the lists share ("" = same scope); None
    when there are none."""
    if one.scope == other.scope:
        return ""
    mine, theirs = dict(one.scope), dict(other.scope)
    shared = set(header.lists[mine["list"]]) & set(header.lists[theirs["list"]])
    return "、".join(sorted(shared)[:5]) or None
