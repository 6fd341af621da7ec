"""Canonical case columns: name, type, unit, Chinese label, meaning, who needs it, where each format keeps it.

The columns stand in `columns/*.toml` as data and are validated on loading; header mapping, documentation
and templates are all read from here. A source names what a file calls the column:

* `flat`, `opendrg`, `hqms`, `n041`: header cells. A plain list gives aliases of one cell (role `whole`).
  A table gives roles: `joined` (a list in one cell, principal first), `principal`, `others` (a list in
  one cell), `numbered` (further slots, `{n}` = number), `slots` (numbered, slot 1 is the principal),
  `asterisk` and `numbered_asterisk` (second half of a dagger pair), `days`/`hours`/`minutes` (a duration
  in three cells), `span` (a duration as days/hours/minutes in one cell).
* `4101`, `4101A`: `node.field` of the message; `[01]` restricts a list node to that charge category.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import polars as pl

HEADER_FORMATS = ("flat", "opendrg", "hqms", "n041")
MESSAGE_FORMATS = ("4101", "4101A")
FORMATS = HEADER_FORMATS + MESSAGE_FORMATS
PURPOSES = frozenset({"grouping", "payment", "quality"})
SENSITIVITIES = frozenset({"none", "key", "pseudonym"})
UNITS = frozenset({"", "years", "days", "hours", "minutes", "g", "fen", "count"})

_SCALARS: Mapping[str, pl.DataType] = {
    "String": pl.String(), "Int8": pl.Int8(), "Int32": pl.Int32(), "Int64": pl.Int64(), "UInt32": pl.UInt32(),
    "Float64": pl.Float64(), "Date": pl.Date(), "Datetime": pl.Datetime("us"),
}  # fmt: skip
_LIST_ROLES = frozenset({"joined", "principal", "others", "numbered", "slots", "asterisk", "numbered_asterisk"})
_DURATION_ROLES = frozenset({"span", "days", "hours", "minutes"})
_NUMBERED_ROLES = frozenset({"numbered", "slots", "numbered_asterisk"})
_KEYS = frozenset(
    {"dtype", "unit", "label", "meaning", "required_for", "sensitivity", "floor", "values", "code_book"}
    | {"grouping_fallback", "compose", "shared", "parallel", "names", "made_on_intake", *FORMATS}
)
_MESSAGE_PATH = re.compile(r"[a-z]+\.[a-z0-9_]+(\[\d\d\])?")

Sources = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Column:
    """One canonical column. `sources[format][role]` are the names a file of that format uses for it."""

    name: str
    dtype: pl.DataType
    unit: str
    label: str
    meaning: str
    required_for: frozenset[str]
    sensitivity: str
    floor: bool
    values: Mapping[str, str]
    code_book: str
    grouping_fallback: bool
    compose: tuple[str, ...]
    shared: frozenset[str]
    parallel: str
    names: str
    made_on_intake: bool
    sources: Mapping[str, Sources]

    @property
    def is_list(self) -> bool:
        return isinstance(self.dtype, pl.List)

    def aliases(self, fmt: str) -> tuple[str, ...]:
        """Every name this column has in `fmt`, all roles, preferred first."""
        return tuple(name for names in self.sources.get(fmt, {}).values() for name in names)


class ColumnsError(ValueError):
    """A `columns/*.toml` file breaks a rule of its own; lists every complaint."""

    def __init__(self, complaints: Iterable[str]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("\n".join(self.complaints))


def fold_header(text: str) -> str:
    """A header cell as it is compared: full width to half width, no blanks or byte order mark, lower case."""
    plain = unicodedata.normalize("NFKC", text).replace("\ufeff", "")
    return "".join(plain.split()).casefold()


def _dtype(text: str) -> pl.DataType | None:
    inner = re.fullmatch(r"List\((\w+)\)", text)
    scalar = _SCALARS.get(inner[1] if inner else text)
    return pl.List(scalar) if inner and scalar is not None else scalar


def _sources(given: Mapping[str, Any], fmt: str, *, is_list: bool) -> tuple[Sources, list[str]]:
    """The sources of one column in one format, and what is wrong with them."""
    raw = given[fmt]
    roles: dict[str, list[str]] = raw if isinstance(raw, dict) else {"whole": raw}
    wrong: list[str] = []
    allowed = {"whole"} | _DURATION_ROLES | (_LIST_ROLES if is_list and fmt in HEADER_FORMATS else set())
    wrong += [f"{fmt}: role {role} does not fit" for role in roles.keys() - allowed]
    for role, names in roles.items():
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            wrong.append(f"{fmt}.{role} must be a list of names")
            continue
        for name in names:
            if ("{n}" in name) != (role in _NUMBERED_ROLES):
                wrong.append(f"{fmt}.{role}: {name} must have {{n}} only as a numbered name")
            if fmt in MESSAGE_FORMATS and not _MESSAGE_PATH.fullmatch(name):
                wrong.append(f"{fmt}.{role}: {name} is not node.field")
    return MappingProxyType({role: tuple(names) for role, names in roles.items()}), wrong


def _column(name: str, body: Mapping[str, Any]) -> tuple[Column | None, list[str]]:
    """One table of a columns file as a Column, and every complaint about it."""
    dtype = _dtype(body.get("dtype", ""))
    if dtype is None or not body.get("label") or not body.get("meaning"):
        return None, [f"[{name}] needs a known dtype, a label and a meaning"]
    wrong = [f"unknown key {key}" for key in sorted(body.keys() - _KEYS)]
    sources: dict[str, Sources] = {}
    for fmt in FORMATS:
        if fmt in body:
            sources[fmt], complaints = _sources(body, fmt, is_list=isinstance(dtype, pl.List))
            wrong += complaints
    made = body.get("made_on_intake", False)
    if bool(sources) == made:
        wrong.append("must have sources, or be made on intake")
    for key, allowed in (("unit", UNITS), ("sensitivity", SENSITIVITIES)):
        if body.get(key, "") not in allowed | {""}:
            wrong.append(f"{key} {body[key]} is not known")
    if not PURPOSES.issuperset(body.get("required_for", [])):
        wrong.append("required_for has an unknown purpose")
    is_money = name.endswith("_fen")
    if (body.get("unit") == "fen") != is_money or (is_money and dtype != pl.Int64()):
        wrong.append("money is Int64, in fen, and named so")
    column = Column(
        name=name, dtype=dtype, unit=body.get("unit", ""), label=body["label"], meaning=body["meaning"],
        required_for=frozenset(body.get("required_for", [])), sensitivity=body.get("sensitivity", "none"),
        floor=body.get("floor", False), values=MappingProxyType(dict(body.get("values", {}))),
        code_book=body.get("code_book", ""), grouping_fallback=body.get("grouping_fallback", False),
        compose=tuple(body.get("compose", ())), shared=frozenset(map(fold_header, body.get("shared", ()))),
        names=body.get("names", ""), parallel=body.get("parallel", ""), made_on_intake=made,
        sources=MappingProxyType(sources),
    )  # fmt: skip
    return column, [f"[{name}] {complaint}" for complaint in wrong]


def _cross_checks(found: Mapping[str, Column]) -> list[str]:
    """References between columns must resolve; one alias must not mean two columns of a format."""
    wrong = []
    for column in found.values():
        refers = [*column.compose, *(name for name in (column.parallel, column.names) if name)]
        wrong += [f"[{column.name}] refers to {name}, not a column" for name in refers if name not in found]
    for fmt in HEADER_FORMATS:
        owner: dict[str, str] = {}
        for column in found.values():
            for alias in column.aliases(fmt):
                key = fold_header(alias)
                other = owner.setdefault(key, column.name)
                if other != column.name and key not in column.shared & found[other].shared:
                    wrong.append(f"{fmt}: {alias} stands for {other} and for {column.name}")
    return wrong


def load_columns(texts: Mapping[str, str]) -> Mapping[str, Column]:
    """Canonical columns from TOML texts (file name -> text), grouping columns first, then in file order.

    Raises ColumnsError with every complaint.
    """
    found: dict[str, Column] = {}
    wrong: list[str] = []
    for file, text in texts.items():
        for name, body in tomllib.loads(text).items():
            column, complaints = _column(name, body)
            wrong += [f"columns/{file}: {complaint}" for complaint in complaints]
            if name in found:
                wrong.append(f"columns/{file}: [{name}] stands twice")
            if column is not None:
                found[name] = column
    wrong += _cross_checks(found)
    if wrong:
        raise ColumnsError(wrong)
    return MappingProxyType(found)


@cache
def columns() -> Mapping[str, Column]:
    """Every canonical column of `columns/*.toml`, by name, in the order a case frame has them."""
    folder = resources.files("reference_tables") / "columns"
    entries = {entry.name: entry for entry in folder.iterdir() if entry.name.endswith(".toml")}
    return load_columns({name: entries[name].read_text(encoding="utf-8") for name in sorted(entries)})


@cache
def frame_columns() -> tuple[str, ...]:
    """Columns that every case frame has whatever the file gave: record identity and what grouping reads."""
    return tuple(name for name, c in columns().items() if c.made_on_intake or "grouping" in c.required_for)


def case_schema(names: Iterable[str]) -> dict[str, pl.DataType]:
    """Schema of a case frame with the always present columns and the given ones, in canonical order."""
    wanted = {*frame_columns(), *names}
    assert wanted <= columns().keys(), f"not canonical columns: {sorted(wanted - columns().keys())}"
    return {name: column.dtype for name, column in columns().items() if name in wanted}
