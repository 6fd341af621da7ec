"""A region's year file: the payment office's yearly figures as strict TOML, all faults told at once.

Money in the file is text with at most two decimals and becomes int fen here; other numbers become exact fractions.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

from reference_tables.policy_text import TomlLines
from reference_tables.policy_values import FloatText, Reader, shown
from reference_tables.problems import Problem, TablesRefused
from reference_tables.toml_faults import toml_fault
from reference_tables.year_checks import check_rows
from reference_tables.year_schema import YearField, year_schema


@dataclass(frozen=True, slots=True)
class YearRow:
    """One row of a table. `values` by field as year_schema.toml types them (money int fen, decimal Fraction), absent
    fields None; `line` in the file."""

    values: Mapping[str, Any]
    line: int = 0

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


@dataclass(frozen=True)
class YearFile:
    """A year file. `tables`: rows by table name, in the order of the file. `folder`: where the files it names lie;
    `sha256` of its bytes."""

    year: int
    region: str
    data_level: str
    statement: str
    decisions: str
    tables: Mapping[str, Sequence[YearRow]]
    file: str = ""
    folder: Path = field(default_factory=Path)
    sha256: str = ""
    _found: dict[tuple[str, tuple[str, ...]], dict[tuple[Any, ...], list[YearRow]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def rows(self, table: str, **chosen: str) -> list[YearRow]:
        """The rows of a table whose fields have the given values."""
        names = tuple(sorted(chosen))
        if (table, names) not in self._found:
            index: dict[tuple[Any, ...], list[YearRow]] = {}
            for row in self.tables[table]:
                index.setdefault(tuple(row[name] for name in names), []).append(row)
            self._found[table, names] = index
        return list(self._found[table, names].get(tuple(chosen[name] for name in names), ()))

    def row(self, table: str, **chosen: str) -> YearRow | None:
        """The first such row."""
        found = self.rows(table, **chosen)
        return found[0] if found else None

    def total(self, table: str, **chosen: str) -> int:
        """The amounts of such rows added up, fen."""
        return sum(row["amount"] for row in self.rows(table, **chosen))

    @property
    def insurances(self) -> tuple[str, ...]:
        """The insurances it has funds of, in the order of the file."""
        return tuple(row["insurance"] for row in self.tables["fund"])

    @property
    def decisions_path(self) -> Path | None:
        """The file of decisions on special cases; None when it names none."""
        return self.folder / self.decisions if self.decisions else None

    def score(self, hospital: str) -> Fraction | None:
        """A hospital's assessment score; None when there is none."""
        row = self.row("hospital", id=hospital)
        return None if row is None else row["score"]

    def name(self, hospital: str) -> str:
        """A hospital's name, else its id."""
        row = self.row("hospital", id=hospital)
        return hospital if row is None or not row["name"] else str(row["name"])


def _folder() -> Path:
    return Path(str(resources.files("reference_tables") / "years"))


@cache
def find_year_files() -> Sequence[str]:
    """Names of the built-in year files."""
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


def load_year_file(name: str | Path) -> YearFile:
    """A built-in year file by its name, or one by its path.

    Raises TablesRefused: CL01 not found, CL02 not readable, else every problem of the file at once.
    """
    path = _folder() / f"{name}.toml" if str(name) in find_year_files() else Path(name)
    try:
        data = path.read_bytes()
    except OSError:
        args: dict[str, str | int] = {"name": str(name), "known": "、".join(find_year_files())}
        raise TablesRefused(str(name), [Problem("CL01", args, value=str(name))]) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problem = Problem("CL02", {"reason": f"第 {line} 行起不是 UTF-8 编码"}, file=path.name, row=line)
        raise TablesRefused(str(name), [problem]) from None
    return parse_year_file(text, path.name, path.parent, sha256(data).hexdigest())


def parse_year_file(
    text: str, file: str = "year.toml", folder: Path | None = None, digest: str | None = None
) -> YearFile:
    """A year file from TOML text. Raises TablesRefused with every problem: file, key, line, what was expected."""
    lines = TomlLines(text.replace("\r\n", "\n"))
    problems = [
        Problem("CL03", {"key": item.name, "first": item.first}, file=file, row=item.line, field=item.name)
        for item in lines.twice
    ]
    try:
        data = tomllib.loads(lines.without_twice(), parse_float=FloatText)
    except tomllib.TOMLDecodeError as error:
        reason, row = toml_fault(error, lines.text)
        raise TablesRefused(file, [*problems, Problem("CL02", {"reason": reason}, file=file, row=row)]) from None
    reading = _Reading(data, file, lines)
    head, tables = reading.head(), reading.tables()
    problems += reading.problems
    problems += check_rows(tables, reading.spoiled, file)
    where = folder or Path()
    if head["decisions"] and not os.path.isfile(where / head["decisions"]):
        problems.append(Problem("CL11", {"name": head["decisions"]}, file=file, row=lines.line("decisions")))
    if problems:
        raise TablesRefused(file, sorted(problems, key=lambda problem: problem.row))
    return YearFile(
        year=head["year"], region=head["region"], data_level=head["data_level"], statement=head["statement"] or "",
        decisions=head["decisions"] or "", tables=tables, file=file, folder=where,
        sha256=digest or sha256(text.encode()).hexdigest(),
    )  # fmt: skip


class _Reading:
    def __init__(self, data: Mapping[str, Any], file: str, lines: TomlLines) -> None:
        self.data, self.file, self.lines = data, file, lines
        self.schema = year_schema()
        self.problems: list[Problem] = []
        self.spoiled: dict[str, list[Mapping[str, Any]]] = {name: [] for name in self.schema.tables}

    def note(self, code: str, args: dict[str, str | int], *path: str | int) -> None:
        name = ".".join(str(part) for part in path)
        self.problems.append(Problem(code, args, file=self.file, row=self.lines.line(*path), field=name))

    def head(self) -> dict[str, Any]:
        known = "、".join([*self.schema.head, *self.schema.tables])
        for key in self.data:
            if key not in self.schema.head and key not in self.schema.tables:
                self.note("CL04", {"key": key, "known": known}, key)
        return {key: self._value(spec, self.data, key) for key, spec in self.schema.head.items()}

    def tables(self) -> dict[str, list[YearRow]]:
        return {name: self._rows(name) for name in self.schema.tables}

    def _rows(self, table: str) -> list[YearRow]:
        raw = self.data.get(table, [])
        if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
            self.note("CL05", {"table": table, "label": self.schema.tables[table].label}, table)
            return []
        rows = []
        for at, item in enumerate(raw):
            before = len(self.problems)
            fields = self.schema.tables[table].fields
            for key in item:
                if key not in fields:
                    self.note("CL04", {"key": f"{table}.{key}", "known": "、".join(fields)}, table, at, key)
            values = {key: self._value(spec, item, table, at, key) for key, spec in fields.items()}
            if len(self.problems) == before:
                rows.append(YearRow(values, self.lines.line(table, at)))
            else:
                self.spoiled[table].append(item)
        return rows

    def _value(self, spec: YearField, holder: Mapping[str, Any], *path: str | int) -> Any:
        key = str(path[-1])
        if key not in holder:
            if spec.required:
                label = spec.parameter.label
                self.note("CL06", {"key": ".".join(map(str, path)), "label": label}, *path)
            return None
        reader = Reader(spec.parameter, {})
        value = reader.read(holder[key])
        for code, args in reader.faults:
            problem = Problem(
                code, args, file=self.file, row=self.lines.line(*path), field=".".join(map(str, path)),
                value=shown(holder[key]),
            )  # fmt: skip
            self.problems.append(problem)
        return value
