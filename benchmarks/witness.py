"""A smallest case for every row of a pack that is answered by exactly that row, made by inverting the rules.

    python -m benchmarks.witness --scheme chs-drg-1.1 --folder tests/golden

A row that no case can reach is listed with the reason, and with how it is known:

- `proof`: the lists alone show it, and the reason names them;
- `search`: every combination of code classes and number ranges was tried (`boxes.py`), none can be filled.

The answers expected here follow from how a case was built, not from any grouper.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl

from benchmarks.boxes import Box, BoxSearch
from benchmarks.fill import Complications, Example, fewest_codes, fill_box
from benchmarks.formula import TRUE, All, Formula, In
from benchmarks.scheme_formulas import SchemeFormulas, scheme_formulas
from reference_tables.codes import load_code_books
from reference_tables.packs import DrgPack, find_drg_pack

WITNESS_COLUMNS = (
    "case_id", "sex", "age_years", "age_days", "newborn_birth_weight_g", "newborn_admission_weight_g",
    "los_days", "icu_hours", "discharge_way", "department", "principal_dx", "other_dx", "principal_px", "other_px",
    "level", "code", "mdc", "adrg", "drg",
)  # fmt: skip
BOXES_COMPARED = 5000
"""Ways compared for the smallest case before the first that fits is taken; the national scheme has fewer."""
UNREACHABLE_COLUMNS = ("level", "code", "method", "reason")


@dataclass(frozen=True)
class Witnesses:
    """`reached`: one row a reachable rule, WITNESS_COLUMNS, all String as in a flat file; `unreachable`:
    UNREACHABLE_COLUMNS. Rows stand in evaluation order, MDCs first, then ADRGs, then DRGs."""

    reached: pl.DataFrame
    unreachable: pl.DataFrame


def plain_codes() -> Callable[[str], tuple[bool, bool, bool, int]]:
    """Sort key that prefers codes of the book that may be reported, single ones, and short ones."""
    books = load_code_books()
    gray: dict[str, bool] = {}
    for book in (books.diagnosis, books.procedure):
        gray.update(book.frame.select("code", "gray").iter_rows())
    return lambda code: (code not in gray, gray.get(code, False), "+" in code or "*" in code, len(code))


def make_witnesses(pack: DrgPack, plainness: Callable[[str], object] | None = None) -> Witnesses:
    """A witness or a reason for every row of the pack's mdc, adrg and drg tables.

    `plainness`: sort key of codes, those to prefer first (default: code order).
    """
    scheme = scheme_formulas(pack, plainness)
    search = BoxSearch(scheme.algebra)
    complications = Complications.of(pack, scheme.diagnoses)
    best: dict[str, dict[str, tuple[Example, str]]] = {"mdc": {}, "adrg": {}, "drg": {}}
    tried: dict[str, int] = {}
    for drg, formula in scheme.drg.items():
        example, tried[drg] = _smallest(scheme, search, complications, formula)
        if example is None:
            continue
        adrg = scheme.adrg_of[drg]
        for level, code in (("drg", drg), ("adrg", adrg), ("mdc", scheme.mdc_of[adrg])):
            if code not in best[level] or example.size < best[level][code][0].size:
                best[level][code] = (example, drg)
    reached: list[tuple[str | None, ...]] = []
    unreachable: list[tuple[str, ...]] = []
    for level, frame in (("mdc", pack.mdc), ("adrg", pack.adrg), ("drg", pack.drg)):
        for code in frame["code"]:
            if code in best[level]:
                example, drg = best[level][code]
                adrg = scheme.adrg_of[drg]
                answer = (scheme.mdc_of[adrg], adrg, drg)
                reached.append((*_flat_case(pack, f"{level}-{code}", example), level, code, *answer))
            else:
                unreachable.append((level, code, *_reason(scheme, level, code, tried)))
    return Witnesses(
        pl.DataFrame(reached, schema=dict.fromkeys(WITNESS_COLUMNS, pl.String), orient="row"),
        pl.DataFrame(unreachable, schema=dict.fromkeys(UNREACHABLE_COLUMNS, pl.String), orient="row"),
    )


def _smallest(
    scheme: SchemeFormulas, search: BoxSearch, complications: Complications, formula: Formula
) -> tuple[Example | None, int]:
    """The smallest example and how many boxes were looked at; odd persons only if no likely one will do."""
    tried = 0
    for asked in (scheme.algebra.all_of([formula, scheme.lifelike]), formula):
        ways = search.boxes(asked)
        while batch := list(islice(ways, BOXES_COMPARED)):
            tried += len(batch)
            best = _best(scheme, complications, sorted(batch, key=lambda box: fewest_codes(scheme, box)))
            if best is not None:
                return best, tried
    return None, tried


def _best(scheme: SchemeFormulas, complications: Complications, ways: list[Box]) -> Example | None:
    best: Example | None = None
    for box in ways:
        if best is not None and best.size[:2] < (0, fewest_codes(scheme, box)):
            return best
        example = fill_box(scheme, complications, box)
        if example is not None and (best is None or example.size < best.size):
            best = example
    return best


def _flat_case(pack: DrgPack, case_id: str, example: Example) -> tuple[str | None, ...]:
    numbers = {name: None if value is None else str(value) for name, value in example.numbers.items()}
    weight = numbers["XSRTZ"]
    birth, admission = (weight, None) if pack.newborn_weight == "birth" else (None, weight)
    principal_px, other_px = example.procedures[:1], example.procedures[1:]
    return (
        case_id, numbers["XB"], numbers["NL"], numbers["XSRTL"], birth, admission,
        numbers["ZYTS"], numbers["ICUXS"], example.way or None, example.department or None,
        example.diagnoses[0] or None, "|".join(example.diagnoses[1:]) or None,
        "".join(principal_px) or None, "|".join(other_px) or None,
    )  # fmt: skip


def _reason(scheme: SchemeFormulas, level: str, code: str, tried: Mapping[str, int]) -> tuple[str, str]:
    below = {
        "drg": [code],
        "adrg": [drg for drg, adrg in scheme.adrg_of.items() if adrg == code],
        "mdc": [drg for drg, adrg in scheme.adrg_of.items() if scheme.mdc_of[adrg] == code],
    }[level]
    if not below:
        return "proof", "no row below it could answer"
    adrgs = {scheme.adrg_of[drg] for drg in below}
    if len(adrgs) == 1:
        cover = _covering(scheme, adrgs.pop())
        if cover:
            return "proof", cover
    count = sum(tried[drg] for drg in below)
    return "search", f"exhaustive search over code classes: {count} combinations left, none can be filled"


def _covering(scheme: SchemeFormulas, adrg: str) -> str:
    """Why no principal diagnosis of the MDC gets past the ADRGs before `adrg`, if their lists show it."""
    mdc = scheme.mdc_of[adrg]
    opening = _principals(scheme.mdc_rule[mdc])
    if opening is None:
        return ""
    left = opening
    takers: list[str] = []
    for earlier in (code for code, parent in scheme.mdc_of.items() if parent == mdc):
        if earlier == adrg:
            break
        answer = scheme.adrg_answer[earlier]
        if isinstance(answer, In) and answer.variable == "ZYZD":
            taken = answer.mask & left
        else:
            taken = left if answer == TRUE else 0
        if taken:
            takers.append(earlier)
            left &= ~taken
        if not left:
            return (
                f"the ADRGs before it cover the list of {mdc}: each of its {opening.bit_count()} principal "
                f"diagnoses is taken by one of {' '.join(takers)}, which ask nothing else"
            )
    return ""


def _principals(rule: Formula) -> int | None:
    """The principal diagnoses without which the rule is false; None when it names none."""
    for item in rule.items if isinstance(rule, All) else (rule,):
        if isinstance(item, In) and item.variable == "ZYZD":
            return item.mask
    return None


def main() -> None:
    """Write the two tables of one scheme."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheme", default="chs-drg-1.1")
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    pack = find_drg_pack(given.scheme)
    made = make_witnesses(pack, plain_codes())
    made.reached.write_csv(given.folder / f"witness-{pack.id}.csv")
    made.unreachable.write_csv(given.folder / f"unreachable-{pack.id}.csv")
    print(f"{pack.id}: {made.reached.height} rows witnessed, {made.unreachable.height} unreachable")


if __name__ == "__main__":
    main()
