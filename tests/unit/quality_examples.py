"""The worked examples of the quality rules, read from `tests/cases/quality/*.toml`."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from grouper.validate import SchemeRules, Validation, validate_cases
from reference_tables.columns import case_schema, columns
from reference_tables.quality_data import quality_data

FOLDER = Path(__file__).resolve().parents[1] / "cases" / "quality"
INPUTS = ("scheme", "grouped", "standards", "parameters", "levels", "as_of", "with_cases", "charges", "charge_set")
EXPECTED = ("value", "level", "says", "count")


@dataclass(frozen=True)
class Example:
    """One worked example: `breaks` says whether the rule must report it."""

    rule: str
    breaks: bool
    why: str
    body: Mapping[str, Any]

    @property
    def label(self) -> str:
        return f"{self.rule}-{'breaks' if self.breaks else 'passes'}-{self.why}"

    def cases(self) -> pl.DataFrame:
        """The batch of the example, canonical columns."""
        changes = {key: value for key, value in self.body.items() if key not in (*INPUTS, *EXPECTED, "why")}
        if "charge_set" in self.body:
            zeros = {charge.column: 0 for charge in quality_data().charges[self.body["charge_set"]]}
            changes = {**zeros, **changes, **self.body["charges"]}
        first = {**base()["plain"], **changes}
        return frame([first, *({**first, **other} for other in self.body.get("with_cases", ()))])

    def validate(self, cases: pl.DataFrame | None = None) -> Validation:
        """Validate the batch of the example, or another one with what the example says besides."""
        cases, body = self.cases() if cases is None else cases, self.body
        grouped, standards = body.get("grouped"), body.get("standards")
        return validate_cases(
            cases,
            file="cases.csv",
            scheme_rules=scheme_of(body["scheme"]) if "scheme" in body else None,
            grouped=None if grouped is None else cases.select("row", *(pl.lit(v).alias(k) for k, v in grouped.items())),
            standards=None if standards is None else table([*standards.items()], "drg", "standard_fen"),
            parameters=body.get("parameters"),
            levels=body.get("levels"),
            as_of=body.get("as_of"),
        )  # fmt: skip


def table(rows: list[tuple[Any, ...]], *names: str) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=list(names), orient="row")


def scheme_of(body: Mapping[str, Any]) -> SchemeRules:
    given = dict(body)
    for name, schema in (("levels", ("code", "level", "exclusion")), ("exclusions", ("exclusion", "code"))):
        if name in given:
            given[name] = table(given[name], *schema)
    for name in ("not_principal", "operations", "sex_bound", "asked"):
        given[name] = frozenset(given.get(name, ()))
    return SchemeRules(**given)


@cache
def base() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads((FOLDER / "base.toml").read_text(encoding="utf-8"))


def _plain(value: Any) -> Any:
    if value == "null":
        return None
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _cell(value: Any, dtype: pl.DataType) -> Any:
    """TOML `"null"` is null; a bare date in a column of times stands for its midnight."""
    value = _plain(value)
    if isinstance(dtype, pl.List) and value is not None:
        return [_cell(item, dtype.inner) for item in value]  # type: ignore[arg-type]
    if isinstance(dtype, pl.Datetime) and type(value) is datetime.date:
        return datetime.datetime.combine(value, datetime.datetime.min.time())
    return value


def frame(records: list[Mapping[str, Any]]) -> pl.DataFrame:
    """Records as a canonical case frame; the first stands on row 2, as in a file with a header."""
    names = {name for record in records for name in record}
    assert names <= columns().keys(), f"no canonical columns: {sorted(names - columns().keys())}"
    schema = case_schema(names)
    rows = [
        {name: _cell(record.get(name), dtype) for name, dtype in schema.items()} | {"row": at}
        for at, record in enumerate(records, start=2)
    ]
    return pl.DataFrame(rows, schema=schema)


def examples() -> Iterator[Example]:
    for path in sorted(FOLDER.glob("*_*.toml")):
        for rule, kinds in tomllib.loads(path.read_text(encoding="utf-8")).items():
            assert set(kinds) <= {"breaks", "passes"}, f"{path.name}: [{rule}]"
            for kind, bodies in kinds.items():
                for body in bodies:
                    yield Example(rule, kind == "breaks", body["why"], body)
