"""Fields of settlement-list messages as text: scalars of setlinfo, rows of the list nodes, unknown names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson

from reference_tables.case_formats import format_facts
from reference_tables.columns import MESSAGE_FORMATS, columns

SETLINFO, DISEINFO, OPRNINFO = "setlinfo", "diseinfo", "oprninfo"
_CATEGORY = "med_chrgitm"
_PATH = re.compile(r"(\w+)\.(\w+)(?:\[(\d\d)\])?")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FieldPath:
    """`node.field`, restricted to one charge category where `category` is not empty."""

    node: str
    name: str
    category: str = ""


@cache
def field_path(text: str) -> FieldPath:
    """A source path of `columns/*.toml`."""
    match = _PATH.fullmatch(text)
    assert match is not None, f"{text} is checked when the columns are loaded"
    return FieldPath(match[1], match[2], match[3] or "")


@dataclass(slots=True)
class Message:
    """One settlement list: its nodes, each as rows (setlinfo is one row).

    `row` is its number in the file, `defect` the problem code of a list that must not be grouped.
    """

    row: int
    nodes: dict[str, list[Row]]
    defect: str = ""

    @property
    def setlinfo(self) -> Row:
        rows = self.nodes.get(SETLINFO)
        return rows[0] if rows else {}


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that is no message, and why (Chinese)."""

    row: int
    reason: str


@dataclass(slots=True)
class FieldCount:
    """Names met that no column knows, counted by (node, field)."""

    seen: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, node: str, rows: Iterable[Row], known: frozenset[str]) -> None:
        for row in rows:
            for name in row.keys() - known:
                self.seen[node, name] += 1


@cache
def known_fields() -> Mapping[str, frozenset[str]]:
    """Per node the fields that some message format's columns read, or that are known and dropped."""
    found: dict[str, set[str]] = {node: set() for node in format_facts().settlement.nodes}
    for column in columns().values():
        for source in (source for fmt in MESSAGE_FORMATS for source in column.aliases(fmt)):
            path = field_path(source)
            found[path.node].add(path.name)
    dropped = format_facts().settlement.dropped
    return {node: frozenset(names) | dropped for node, names in found.items()}


def as_message(value: Any, row: int, unknown: FieldCount) -> Message | Broken:
    """A parsed JSON value as a message; a settlement list may stand in an envelope or bare."""
    facts = format_facts().settlement
    if not isinstance(value, dict):
        return Broken(row, "不是 JSON 对象")
    body = unwrapped(value)
    if not isinstance(body, dict) or not {SETLINFO, DISEINFO} & body.keys():
        return Broken(row, "缺少 setlinfo 和 diseinfo 节点")
    nodes: dict[str, list[Row]] = {}
    for node, content in body.items():
        rows = [content] if isinstance(content, dict) else content
        if node not in facts.nodes:
            unknown.seen["", node] += 1
        elif rows is None:
            continue
        elif not isinstance(rows, list) or not all(isinstance(item, dict) for item in rows):
            return Broken(row, f"节点 {node} 不是对象或对象数组")
        else:
            nodes[node] = rows
            unknown.add(node, rows, known_fields()[node])
    if len(nodes.get(SETLINFO, ())) > 1:
        return Broken(row, "节点 setlinfo 应只有一个")
    return Message(row, nodes)


def envelope(value: Mapping[str, Any]) -> str | None:
    """The name under which a message's own content stands; None where it stands bare."""
    names = format_facts().settlement.envelopes
    return next((name for name in names if isinstance(value.get(name), (dict, list))), None)


def unwrapped(value: Mapping[str, Any]) -> Any:
    """The part of a message inside its envelope."""
    name = envelope(value)
    return value if name is None else value[name]


def message_format(value: Any) -> str:
    """4101 or 4101A: by the transaction number, else by whether the message could tell sex and age at all."""
    if isinstance(value, dict):
        number = str(value.get("infno", ""))
        if number in ("4101", "4101A"):
            return number
        body = unwrapped(value)
        setlinfo = body.get(SETLINFO) if isinstance(body, dict) else None
        row = setlinfo[0] if isinstance(setlinfo, list) and setlinfo else setlinfo
        needed = {
            field_path(s).name
            for name in format_facts().settlement.companion_gives
            for s in columns()[name].aliases("4101")
        }
        if isinstance(row, dict) and not needed & row.keys():
            return "4101A"
    return "4101"


def text_of(value: Any) -> str | None:
    """A JSON value as trimmed text; null, "" and the marks for nothing give None."""
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        return None if not text or text in format_facts().formats["4101"].empty else text
    if isinstance(value, (dict, list)):
        return orjson.dumps(value).decode("utf-8")
    return str(value)


def category_of(row: Row) -> str:
    """Charge category of an iteminfo row, with its leading zero whether or not the sender wrote it."""
    return (text_of(row.get(_CATEGORY)) or "").zfill(2)
