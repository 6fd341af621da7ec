"""County medical groups (医共体) at year end: each group's bundle, what was spent on its cases, and what members get.

Cases at a group's members, of the insurances it has heads of, are paid as priced and charged to its bundle; spend
outside of the cases comes from the year file. What is left is split inside by the policy's parts, what is overspent
is shared with the fund.
Source: 广东, 毕节, 青岛 rules on bundled payment; two tracks, by ordinary rules in the year and by heads at its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from budget.assessment import ScoreBand, assessed_share
from budget.clearing import Line
from budget.county_group import Bundle, BundleRule, clear_bundle
from budget.money import apportion
from budget.total_budget import bundle_heads
from budget.year_terms import YearTerms
from reference_tables.problems import Problem
from reference_tables.year_file import YearFile, YearRow


@dataclass(frozen=True)
class ClearedBundle:
    """A county group cleared. `inside`, `outside`: spend at members and elsewhere, fen; `lines`: what the members get
    (shared) or bear (borne), pool = the group's id, in the order of hospital ids; `beyond` what of the fund's
    share the bundle's own reserve does not cover, to be paid by the policy's line."""

    group: str
    name: str
    lead: str
    bundle: Bundle
    inside: int
    outside: int
    lines: tuple[Line, ...]
    beyond: int


def clear_bundles(
    terms: YearTerms, year: YearFile, bundled: Mapping[tuple[str, str, str], int], bands: tuple[ScoreBand, ...]
) -> list[ClearedBundle]:
    """Clear every county group of the year file. `bundled`: the fund's part of its cases, fen, by (group, hospital,
    insurance); `bands` of assessment scores. `terms.problems` takes what is missing (PL30) or does not fit (CL39)."""
    return [_clear(terms, year, row, bundled, bands) for row in year.rows("county_group")]


def _clear(
    terms: YearTerms,
    year: YearFile,
    group: YearRow,
    bundled: Mapping[tuple[str, str, str], int],
    bands: tuple[ScoreBand, ...],
) -> ClearedBundle:
    want, number = terms.want, group["id"]
    members = sorted(year.rows("member", county_group=number), key=lambda row: str(row["hospital"]))
    ids = {row["hospital"] for row in members}
    spent = {"inside": 0, "outside": 0}
    for (name, hospital, _), amount in bundled.items():
        if name == number:
            spent["inside" if hospital in ids else "outside"] += amount
    for row in year.rows("spend", county_group=number):
        spent[row["where"]] += row["amount"]
    rule = BundleRule(
        want("capitation_reserve") or Fraction(0), want("capitation_retain") or Fraction(0),
        want("capitation_overrun_share") or Fraction(0), terms.look("capitation_overrun_cap"),
    )  # fmt: skip
    score = group["score"]
    assessment = Fraction(1)
    if score is not None and bands and terms.look("assessment_on") == "share":
        # The assessment moves what is kept of a surplus and what the fund bears of an overrun (宁波 2013).
        kept, borne = (assessed_share(part, score, bands) for part in (rule.retain, rule.overrun_share))
        rule = replace(rule, retain=kept, overrun_share=borne)
    elif score is not None and bands:
        assessment = assessed_share(Fraction(1), score, bands)
    heads = [item for name in year.insurances for item in bundle_heads(year, name, number)]
    parts = want("capitation_split") or ()
    found = clear_bundle(
        heads, inside=spent["inside"], outside=spent["outside"], rule=rule, assessment=assessment, parts=parts
    )
    for row in members:
        if row["role"] not in dict(parts):
            args: dict[str, str | int] = {
                "group": number, "hospital": row["hospital"], "role": row["role"],
                "known": "、".join(name for name, _ in parts),
            }  # fmt: skip
            terms.problems.append(Problem("CL39", args, file=year.file, row=row.line, field="member.role"))
    amounts = _by_member(found, members, group["lead"])
    lines = tuple(_line(row["hospital"], amounts[row["hospital"]], found) for row in members)
    beyond = max(0, found.fund_share - found.reserve)
    return ClearedBundle(number, group["name"], group["lead"], found, spent["inside"], spent["outside"], lines, beyond)


def _by_member(found: Bundle, members: list[YearRow], lead: str) -> dict[str, int]:
    """The split of a bundle's result by member: a role's part among its members, a role without members to the lead."""
    amounts = {row["hospital"]: 0 for row in members}
    for role, amount in found.split:
        holders = [row for row in members if row["role"] == role]
        shares = [Fraction(1) if row["part"] is None else row["part"] for row in holders]
        if not any(shares):
            amounts[lead] = amounts.get(lead, 0) + amount
            continue
        for row, part in zip(holders, apportion(amount, shares), strict=True):
            amounts[row["hospital"]] += part
    return amounts


def _line(hospital: str, amount: int, found: Bundle) -> Line:
    kept, borne = (0, amount) if found.overrun else (amount, 0)
    return Line(hospital, 0, Fraction(0), 0, kept, 0, kept, 0, 0, 0, 0, borne)
