"""Quality control of the settlement list: which rules a batch of cases breaks, as problem rows.

The rules stand in `reference_tables/problems/quality.toml` (level, text, remedy) and `reference_tables/quality`
(columns they need, code families, limits); `grouper/quality` checks them, a whole column at a time.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

import polars as pl

from grouper.quality.batch import BATCH_RULES, BatchRule
from grouper.quality.block import Block
from grouper.quality.registry import CHECKS
from grouper.quality.report import Finding, Report
from grouper.quality.scheme_rules import SchemeRules, rules_of_pack
from grouper.quality.setup import QualitySetup, missing_label
from reference_tables.codes import CodeBooks, load_code_books
from reference_tables.columns import frame_columns
from reference_tables.problems import PROBLEM_SCHEMA, Level
from reference_tables.quality_data import ParameterValue, RuleApplication, quality_data

__all__ = [
    "BatchValidator", "SchemeRules", "Validation", "missing_label", "rules_of_pack", "validate_blocks",
    "validate_cases",
]  # fmt: skip

_REFUSING = (Level.REJECT.value, Level.ERROR.value)
# Every case frame has these, and a case without them cannot be grouped: an empty one is reported case by case.
# The other always present columns count as missing from the file when no case of it has a value.
_INDISPENSABLE = frozenset({"row", "case_id", "defect", "sex", "age_years", "diagnoses", "procedures"})


@dataclass(frozen=True)
class Validation:
    """`problems`: PROBLEM_SCHEMA, sorted by row, then rule. `not_applied`: rule -> columns, inputs or parameters
    for lack of which it was not applied at all; `partly_applied`: rule -> columns it had to leave out.
    """

    problems: pl.DataFrame
    not_applied: Mapping[str, tuple[str, ...]]
    partly_applied: Mapping[str, tuple[str, ...]]

    @property
    def rejected(self) -> pl.Series:
        """Rows (UInt32, ascending, each once) with a problem of level reject."""
        return self.problems.filter(pl.col("level").is_in(_REFUSING) & (pl.col("row") > 0))["row"].unique().sort()


class BatchValidator:
    """Runs the quality rules over one batch, block by block.

    `add` returns what can be said of a block at once; `finish` returns what only the whole batch shows. All
    problems together do not depend on where the batch was cut. `books` default to the national code books;
    `scheme_rules` speak for the grouping scheme the cases are meant for. See QualitySetup for the rest.
    `columns` are those the file itself has; without them a column counts as absent while no case of the batch
    has a value in it.
    """

    def __init__(
        self,
        *,
        file: str = "",
        books: CodeBooks | None = None,
        scheme_rules: SchemeRules | None = None,
        levels: Mapping[str, str] | None = None,
        parameters: Mapping[str, ParameterValue] | None = None,
        standards: pl.DataFrame | None = None,
        as_of: datetime.date | None = None,
        columns: frozenset[str] | None = None,
    ) -> None:
        self.file = file
        self.columns = columns
        self.setup = QualitySetup(
            data=quality_data(),
            books=books or load_code_books(),
            scheme=scheme_rules,
            levels=levels or {},
            parameters=parameters or {},
            standards=standards,
            as_of=as_of,
        )
        self.seen: set[str] = set()
        self.valued: set[str] = set()
        self.held: list[tuple[frozenset[str], Finding]] = []
        active = sorted(self.setup.active)
        self.rules = [self.setup.data.rules[rule] for rule in active]
        self.batch: dict[str, BatchRule] = {
            rule: BATCH_RULES[rule](self.setup) for rule in active if rule in BATCH_RULES
        }

    def add(self, cases: pl.DataFrame, grouped: pl.DataFrame | None = None) -> pl.DataFrame:
        """Problems of one block of canonical cases, PROBLEM_SCHEMA, sorted by row, then rule.

        Records with a defect are left to intake. `grouped`: the results of the same rows, where the rules
        about the grouping itself (K, D13) are wanted.
        """
        block = Block(cases, self.setup, grouped)
        self._look_at(block)
        findings = []
        for rule in self.rules:
            if self._lacking(rule, block.available, block.available):
                continue
            if rule.rule in self.batch:
                self.batch[rule.rule].add(block)
                continue
            report = Report(rule.rule, block)
            CHECKS[rule.rule](report)
            findings += self._hold(rule, report.findings)
        return self._problems(findings)

    def finish(self) -> Validation:
        """Problems that concern the whole batch, and the rules that could not be applied."""
        findings = [finding for waiting, finding in self.held if waiting <= self.valued]
        for rule, collector in self.batch.items():
            if not self._lacking(self.setup.data.rules[rule], self.seen, self.valued):
                findings += collector.finish()
        lacking = {rule.rule: tuple(self._lacking(rule, self.seen, self.valued)) for rule in self.rules}
        not_applied = {rule: missing for rule, missing in lacking.items() if missing}
        partly = {
            rule.rule: tuple(column for column in (*rule.each, *rule.optional) if column not in self.seen)
            for rule in self.rules
            if rule.rule not in not_applied
        }
        return Validation(
            self._problems(findings), not_applied, {rule: missing for rule, missing in partly.items() if missing}
        )

    def _look_at(self, block: Block) -> None:
        """Remember which columns the file has, and which of them have a value."""
        self.seen |= block.available
        always = set(frame_columns()) - _INDISPENSABLE
        self.valued |= self.seen - always
        if self.columns is not None:
            self.valued |= self.seen & self.columns
            return
        open_ = [column for column in always - self.valued if column in block.available]
        counts = block.cases.select(pl.col(open_).count()) if open_ else pl.DataFrame()
        self.valued |= {column for column in counts.columns if counts[column][0]}

    def _lacking(self, rule: RuleApplication, seen: Set[str], valued: Set[str]) -> list[str]:
        """What the rule misses among the columns `seen`; what it needs must be `valued`. Empty: it applies."""
        missing = [name for name in (*rule.needs, *rule.inputs) if name not in valued]
        missing += [name for name in rule.parameters if self.setup.given(name) is None]
        if rule.each and seen.isdisjoint(rule.each):
            missing += rule.each
        if rule.any and not any(_is_there(name, seen) for name in rule.any):
            missing += rule.any
        if rule.charges and not missing:
            missing += self._lacking_charges(rule.charges, seen)
        return missing

    def _lacking_charges(self, names: Iterable[str], seen: Set[str]) -> list[str]:
        """Columns missing from the most complete of the charge sets."""
        sets = [self.setup.data.charges[name] for name in names]
        gaps = [
            [charge.column for charge in charges if charge.role != "part" and charge.column not in seen]
            for charges in sets
        ]
        return min(gaps, key=len)

    def _hold(self, rule: RuleApplication, findings: list[Finding]) -> list[Finding]:
        """Findings that can be told now; those about a column without any value so far wait for one."""
        waiting = frozenset(rule.needs) - self.valued
        if not waiting:
            return findings
        self.held += [(waiting, finding) for finding in findings]
        return []

    def _problems(self, findings: Iterable[Finding]) -> pl.DataFrame:
        frames = [finding.problems(self.file, self.setup.level(finding.rule)) for finding in findings]
        frames = [frame for frame in frames if frame.height]
        return _sorted(pl.concat(frames) if frames else pl.DataFrame(schema=PROBLEM_SCHEMA))


def _is_there(name: str, seen: Set[str]) -> bool:
    """`*_fen` stands for any column with that ending."""
    return any(column.endswith(name[1:]) for column in seen) if name.startswith("*") else name in seen


def _sorted(problems: pl.DataFrame) -> pl.DataFrame:
    return problems.sort("row", "code", maintain_order=True)


def validate_blocks(
    blocks: Iterable[pl.DataFrame],
    *,
    file: str = "",
    books: CodeBooks | None = None,
    scheme_rules: SchemeRules | None = None,
    levels: Mapping[str, str] | None = None,
    parameters: Mapping[str, ParameterValue] | None = None,
    as_of: datetime.date | None = None,
) -> Validation:
    """Validate a batch that comes in blocks; the same answer as `validate_cases` on all of them together."""
    validator = BatchValidator(
        file=file, books=books, scheme_rules=scheme_rules, levels=levels, parameters=parameters, as_of=as_of
    )
    problems = [validator.add(block) for block in blocks]
    return _together(problems, validator.finish())


def validate_cases(
    cases: pl.DataFrame,
    *,
    file: str = "",
    books: CodeBooks | None = None,
    scheme_rules: SchemeRules | None = None,
    grouped: pl.DataFrame | None = None,
    levels: Mapping[str, str] | None = None,
    parameters: Mapping[str, ParameterValue] | None = None,
    standards: pl.DataFrame | None = None,
    as_of: datetime.date | None = None,
) -> Validation:
    """Validate one batch of canonical cases as a whole. Arguments: see BatchValidator and its `add`.

    `levels` re-levels rules for a region: rule id -> reject, warn, info or off (`E01:other` for codes that are
    not principal). Raises ValueError for an unknown rule, level or parameter.
    """
    validator = BatchValidator(
        file=file, books=books, scheme_rules=scheme_rules, levels=levels, parameters=parameters,
        standards=standards, as_of=as_of,
    )  # fmt: skip
    problems = [validator.add(cases, grouped)]
    return _together(problems, validator.finish())


def _together(problems: list[pl.DataFrame], last: Validation) -> Validation:
    everything = pl.concat([*problems, last.problems])
    return Validation(_sorted(everything), last.not_applied, last.partly_applied)
