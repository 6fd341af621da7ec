"""What a settlement brings into a year book beside money: a policy after another, what clearing will make of it,
months that are passed over."""

from __future__ import annotations

from datetime import date

from api.core.book import Book, BookPolicy
from api.core.book_policies import Basis, kept_basis, noted
from api.core.book_seals import SHOWN_RUN
from reference_tables.policy import Policy
from reference_tables.policy_schema import METHODS
from reference_tables.problems import Problem


def check_policy(book: Book, now: Basis, *, new_cases: bool, reason: str) -> tuple[bool, list[Problem]]:
    """Must the book note what a run goes by, and what refuses it: another policy, other group values or another scheme
    without a reason (ST13), another way of payment (ST19) or other pools (ST22). Corrections alone may be grouped by
    the scheme of the months they are of."""
    if not book.policies:
        return True, []
    last, given = book.policies[-1], noted(now, "", "")
    different = _different(last, given, new_cases=new_cases)
    refused = not_in_one_year(kept_basis(book, last.key).policy, now.policy) if different else []
    if different and not reason:
        args: dict[str, str | int] = {
            "known": last.id, "known_sha": last.sha256[:SHOWN_RUN], "given": given.id,
            "given_sha": given.sha256[:SHOWN_RUN], "different": "、".join(different),
        }  # fmt: skip
        refused.append(Problem("ST13", args))
    return bool(different), refused


def _different(last: BookPolicy, given: BookPolicy, *, new_cases: bool) -> list[str]:
    found = {"政策": (last.id, last.sha256) != (given.id, given.sha256)}
    if new_cases or any(found.values()):
        found["权重（分值）"] = last.weights_sha256 != given.weights_sha256
        found["分组方案"] = last.pack_sha256 != given.pack_sha256
    return [name for name, differs in found.items() if differs]


def clearing_needs(book: Book, policy: Policy, month: str) -> list[Problem]:
    """What clearing the year will need or do once a policy is noted in a month (ST52), nothing for the one policy of a
    whole year."""
    header, year = policy.header, book.year
    since, until = header.effective_from, header.effective_until
    others = [kept.id for kept in book.policies[:-1]]
    if until is not None and until <= date(year, 12, 31):
        what = f"它到 {until} 不再执行，年终清算要用 {year}-12-31 有效的政策"
    elif not others:
        return []
    elif since > date(year, 1, 1):
        what = f"年终清算用它，{since:%Y-%m-%d} 以前各月仍按账册所记的当时政策定价"
    else:
        what = "它全年有效，年终清算用它时以前各月也按它重新定价；只从年中执行的，把 effective_from 写成执行之日"
    args: dict[str, str | int] = {"month": month, "policy": policy.id, "what": what}
    return [Problem("ST52", args, file=header.file)]


def skipped_months(book: Book, month: str) -> list[Problem]:
    """Months between the last one that was settled and this one, which are settled no more (ST53)."""
    last = max((run.month for run in book.runs if run.kind == "settle"), default="")
    between = [f"{book.year}-{at:02d}" for at in range(1, 13)]
    skipped = [each for each in between if last and last < each < month]
    return [Problem("ST53", {"month": month, "skipped": "、".join(skipped)}, value=month)] if skipped else []


def not_in_one_year(before: Policy, policy: Policy) -> list[Problem]:
    """What one year cannot be cleared by: two ways of payment (ST19), two divisions into pools (ST22)."""
    problems = []
    if before.method != policy.method:
        args: dict[str, str | int] = {
            "known": before.id, "known_method": METHODS[before.method], "given": policy.id,
            "given_method": METHODS[policy.method],
        }  # fmt: skip
        problems.append(Problem("ST19", args))
    pools = [None if (found := each.get("pools")) is None else found.value for each in (before, policy)]
    if pools[0] != pools[1]:
        args = {
            "known": before.id, "known_pools": pools[0] or "无", "given": policy.id, "given_pools": pools[1] or "无",
        }  # fmt: skip
        problems.append(Problem("ST22", args))
    return problems
