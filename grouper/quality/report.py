"""What a rule found, kept small until it is put into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from grouper.quality.block import Block
from grouper.quality.codes import BoolArray, Codes
from grouper.quality.setup import RuleLevel
from reference_tables.problems import problem_rows

Arg = pl.Expr | str


@dataclass(frozen=True)
class Finding:
    """Rows at fault (row, case_id, and what `value` and `args` read); `is_principal` says which level holds."""

    rule: str
    frame: pl.DataFrame
    field: str
    value: pl.Expr | None
    args: Mapping[str, Arg]

    def problems(self, file: str, level: RuleLevel) -> pl.DataFrame:
        """The finding in the words of the problem catalogue, frame of PROBLEM_SCHEMA."""
        rows = problem_rows(self.frame, self.rule, file=file, field=self.field, value=self.value, args=self.args)
        if "is_principal" not in self.frame.columns or level.principal == level.other:
            return rows.with_columns(pl.lit(level.principal.value).alias("level"))
        principal = self.frame.get_column("is_principal")
        chosen = pl.when(principal).then(pl.lit(level.principal.value)).otherwise(pl.lit(level.other.value))
        return rows.with_columns(chosen.alias("level"))


class Report:
    """Collects the findings of one rule in one block."""

    def __init__(self, rule: str, block: Block) -> None:
        self.rule = rule
        self.block = block
        self.findings: list[Finding] = []

    def cases(self, where: pl.Expr | BoolArray, *, field: str, value: pl.Expr | None = None, **args: Arg) -> None:
        """Cases at fault; `value` and `args` are expressions over the case columns. Null does not report.

        `value` and the Chinese name of `field` are arguments of the message too.
        """
        at = self.block.mask(where) if isinstance(where, pl.Expr) else where
        if not at.any():
            return
        wanted = ["row", "case_id", *_roots({"": value, **args})]
        frame = self.block.cases.select(*dict.fromkeys(wanted)).filter(pl.Series(at))
        named: dict[str, Arg] = {"field": self.block.setup.label(field)}
        if value is not None:
            named["value"] = value
        self.add(frame, field, value, {**named, **args})

    def codes(
        self,
        codes: Codes,
        where: BoolArray,
        *,
        field: str = "",
        value: pl.Expr | None = None,
        extra: Mapping[str, pl.Series] | None = None,
        **args: Arg,
    ) -> None:
        """Codes at fault; unless said otherwise the field is the code list and the value the code.

        `extra`: columns of one value an entry; `value` and `args` may read those and the case columns.
        `place`, `code` and `name` are arguments of every message about a code, besides field and value.
        """
        if not where.any():
            return
        frame = codes.rows(where)
        for name, series in (extra or {}).items():
            frame = frame.with_columns(series.filter(pl.Series(where)).alias(name))
        shown = pl.col("code") if value is None else value
        wanted = [name for name in _roots({"": shown, **args}) if name not in frame.columns]
        of_case = self.block.cases.select(*dict.fromkeys(["row", "case_id", *wanted]))[frame.get_column("case")]
        frame = pl.concat([of_case, frame.drop("case")], how="horizontal")
        column = field or codes.column
        named: dict[str, Arg] = {name: pl.col(name) for name in ("place", "code", "name")}
        named |= {"field": self.block.setup.label(column), "value": shown}
        self.add(frame, column, shown, {**named, **args})

    def add(self, frame: pl.DataFrame, field: str, value: pl.Expr | None, args: Mapping[str, Arg]) -> None:
        """A frame with row and case_id of everything at fault."""
        if frame.height:
            self.findings.append(Finding(self.rule, frame, field, value, args))


def _roots(args: Mapping[str, Arg | None]) -> list[str]:
    return [name for arg in args.values() if isinstance(arg, pl.Expr) for name in arg.meta.root_names()]
