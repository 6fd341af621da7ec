"""Facts about input formats and about foreign files, from `case_formats.toml`, validated on loading."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from reference_tables.columns import FORMATS, HEADER_FORMATS, columns, fold_header


@dataclass(frozen=True, slots=True)
class CaseFormat:
    """One input format; the keys are explained in `case_formats.toml`."""

    name: str
    label: str
    empty: tuple[str, ...]
    age_rule: bool
    composed_key: bool
    required: tuple[str, ...]
    like: str = ""
    headerless: tuple[str, ...] = ()
    optional_last: int = 0

    @property
    def names(self) -> str:
        """The format whose names its columns have."""
        return self.like or self.name


@dataclass(frozen=True, slots=True)
class Foreign:
    """A kind of file that is not a case file: what it seems to be, and what to hand in instead."""

    name: str
    hint: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Limits and patterns of reading tables; patterns are anchored by their users. `longest_text`: characters of a
    text of a case, or of an item of a list; `most_items`: items of a list; `longest_line`, `longest_document`,
    `longest_list`: bytes of a line, of a JSON document read as a whole, of a list of cases to be withdrawn."""

    header_search_rows: int
    quoted_lines_max: int
    longest_text: int
    most_items: int
    longest_line: int
    longest_document: int
    longest_list: int
    headerless_pattern: Mapping[int, str]
    date_serial: str
    date_formats: tuple[str, ...]
    time_formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """Code values of the settlement-list message that decide what is read, see `case_formats.toml`."""

    western_types: frozenset[str]
    chinese_types: frozenset[str]
    chinese_code: str
    flag_yes: frozenset[str]
    flag_no: frozenset[str]
    principal_procedure: frozenset[str]
    envelopes: tuple[str, ...]
    nodes: tuple[str, ...]
    join_by: tuple[str, ...]
    companion_gives: tuple[str, ...]
    dropped: frozenset[str]


@dataclass(frozen=True, slots=True)
class FormatFacts:
    """Everything `case_formats.toml` says."""

    formats: Mapping[str, CaseFormat]
    reading: Reading
    settlement: Settlement
    magic: tuple[tuple[bytes, Foreign], ...]
    text_starts: tuple[tuple[str, Foreign], ...]
    zip_members: tuple[tuple[str, Foreign], ...]
    tables: tuple[tuple[frozenset[str], Foreign], ...]


def foreign_table(header: Iterable[str], facts: FormatFacts) -> Foreign | None:
    """The known table that is no case table and that has this header, or None."""
    cells = {fold_header(cell) for cell in header}
    return next((foreign for needed, foreign in facts.tables if needed <= cells), None)


def _record(kind: type[Any], body: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The keyword arguments of a dataclass from a TOML table; ValueError on a missing or unknown key."""
    known = {item.name for item in fields(kind)}
    unknown = body.keys() - known
    if unknown:
        raise ValueError(f"case_formats.toml: [{place}] has unknown keys {sorted(unknown)}")
    result: dict[str, Any] = {}
    for key, value in body.items():
        text = str(next(item.type for item in fields(kind) if item.name == key))
        frozen: Any = tuple(value) if isinstance(value, list) else value
        result[key] = frozenset(frozen) if text.startswith("frozenset") else frozen
    return result


def _pairs(data: Mapping[str, Any], table: str, key: str) -> Sequence[tuple[Any, Foreign]]:
    return [(body[key], Foreign(body["name"], body["hint"])) for body in data[table]]


def load_format_facts(text: str) -> FormatFacts:
    """Facts from the TOML text. ValueError when a key, a column, a pattern or a number of hex digits is wrong."""
    data = tomllib.loads(text)
    formats = {
        name: CaseFormat(name=name, **_record(CaseFormat, body, f"formats.{name}"))
        for name, body in data["formats"].items()
    }
    unknown = {column for fmt in formats.values() for column in fmt.required} - columns().keys()
    if {fmt.names for fmt in formats.values()} != set(FORMATS) or unknown:
        raise ValueError(f"case_formats.toml: formats must be {FORMATS}, columns unknown: {sorted(unknown)}")
    for fmt in formats.values():
        if fmt.headerless and fmt.names not in HEADER_FORMATS:
            raise ValueError(f"case_formats.toml: [formats.{fmt.name}] has no header to leave out")
    reading_body = dict(data["reading"])
    pattern = {int(position): cell for position, cell in reading_body["headerless_pattern"].items()}
    reading_body["headerless_pattern"] = MappingProxyType(pattern)
    reading = Reading(**_record(Reading, reading_body, "reading"))
    settlement = Settlement(**_record(Settlement, data["settlement"], "settlement"))
    for regex in (*pattern.values(), reading.date_serial, settlement.chinese_code):
        re.compile(regex)
    return FormatFacts(
        formats=MappingProxyType(formats), reading=reading, settlement=settlement,
        magic=tuple((bytes.fromhex(key), foreign) for key, foreign in _pairs(data, "foreign", "magic")),
        text_starts=tuple(_pairs(data, "foreign_text", "start")),
        zip_members=tuple(_pairs(data, "foreign_zip", "member")),
        tables=tuple(
            (frozenset(fold_header(cell) for cell in cells), foreign)
            for cells, foreign in _pairs(data, "foreign_table", "cells")
        ),
    )  # fmt: skip


@cache
def format_facts() -> FormatFacts:
    """The committed facts."""
    entry = resources.files("reference_tables") / "case_formats.toml"
    return load_format_facts(entry.read_text(encoding="utf-8"))
