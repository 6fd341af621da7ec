"""Messages to typed canonical columns, column by column over a block of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from grouper.formats import cells as convert
from grouper.formats.cells import Complaints
from grouper.formats.lists import FLAT_SEPARATOR, NAME_WITHOUT_CODE, ItemComplaints, split, typed_items, typed_lists
from grouper.formats.message_codes import Ordered, diagnoses, procedures
from grouper.formats.message_fields import SETLINFO, FieldPath, Message, Row, category_of, field_path, text_of
from grouper.formats.tabular import CODE_AS_NUMBER
from reference_tables.case_formats import format_facts
from reference_tables.columns import Column, columns
from reference_tables.problems import Level, catalogue

# several weights in one field, however they are joined
_JOINTS = r"[,，;；/\[\]\"\s]+"
_ORDER: dict[str, Callable[[Message], Ordered]] = {"diagnoses": diagnoses, "procedures": procedures}


def message_columns(
    messages: Sequence[Message], fmt: str, wanted: frozenset[str], complaints: Complaints
) -> dict[str, pl.Series]:
    """Every wanted canonical column that `fmt` has a source for, typed, one value a message.

    A message whose principal cannot be told apart gets its `defect` set.
    """
    block = _Block(messages)
    values: dict[str, pl.Series] = {}
    for name, column in columns().items():
        sources = column.sources.get(fmt)
        if sources is None or name not in wanted or column.parallel or column.code_book:
            continue
        if column.is_list:
            values[name] = _items(block, column, sources["whole"], complaints)
        elif "whole" in sources:
            values[name] = _scalar(block, column, sources["whole"], complaints)
        else:
            values[name] = _duration(block, column, sources, complaints)
    for name in _ORDER:
        values.update(_code_lists(messages, columns()[name], fmt, wanted, complaints))
    return values


def _texts(rows: Sequence[Row], names: Sequence[str]) -> pl.Series:
    """The first filled one of some fields of every row, trimmed; null when none is."""
    text = pl.Series([None], dtype=pl.String).new_from_index(0, len(rows))
    for name in names:
        if not text.null_count():
            break
        given: list[Any] = [row.get(name) for row in rows]
        try:
            more = pl.Series(given, dtype=pl.String)
        except TypeError:
            more = pl.Series([text_of(value) for value in given], dtype=pl.String)
        more = more.str.strip_chars()
        marks = ["", *format_facts().formats["4101"].empty]
        more = more.replace(marks, [None] * len(marks)) if more.null_count() < len(more) else more
        text = text.zip_with(text.is_not_null(), more)
    return text


class _Block:
    """Messages by node: the rows of a list node one after the other, and the message that each is of."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self._rows: dict[str, tuple[list[Row], np.ndarray[Any, np.dtype[np.int64]]]] = {}
        self._categories: dict[str, np.ndarray[Any, np.dtype[np.str_]]] = {}
        self._setlinfo = [message.setlinfo for message in messages]

    def __len__(self) -> int:
        return len(self.messages)

    def setlinfo(self, sources: Sequence[str]) -> pl.Series:
        """The first filled one of the sources that are fields of setlinfo, one text a message."""
        names = [path.name for path in map(field_path, sources) if path.node == SETLINFO]
        return _texts(self._setlinfo, names)

    def counts(self, node: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Number of rows of a list node, one a message."""
        return self._node(node)[1]

    def rows(self, path: FieldPath) -> tuple[pl.Series, pl.Series]:
        """A field of the rows of a list node, of one charge category if the path says so, and their messages."""
        rows, counts = self._node(path.node)
        owner = np.repeat(np.arange(len(self)), counts)
        if path.category:
            if path.node not in self._categories:
                self._categories[path.node] = np.array([category_of(row) for row in rows], dtype=np.str_)
            chosen = np.flatnonzero(self._categories[path.node] == path.category)
            rows, owner = [rows[at] for at in chosen.tolist()], owner[chosen]
        return _texts(rows, [path.name]), pl.Series(owner, dtype=pl.get_index_type())

    def _node(self, node: str) -> tuple[list[Row], np.ndarray[Any, np.dtype[np.int64]]]:
        if node not in self._rows:
            each = [message.nodes.get(node, ()) for message in self.messages]
            counts = np.fromiter(map(len, each), np.int64, len(each))
            self._rows[node] = [row for rows in each for row in rows], counts
        return self._rows[node]


def _scalar(block: _Block, column: Column, sources: Sequence[str], complaints: Complaints) -> pl.Series:
    """A field of setlinfo; money may also be the sum over the rows of a list node."""
    value = convert.scalar(block.setlinfo(sources), column, complaints)
    for path in map(field_path, sources):
        if path.node != SETLINFO:
            texts, owner = block.rows(path)
            amounts = convert.scalar(texts, column, ItemComplaints(complaints, owner))
            value = value.zip_with(value.is_not_null(), _summed(amounts, owner, len(block)))
    return value


def _summed(amounts: pl.Series, owner: pl.Series, count: int) -> pl.Series:
    """Sum of the rows of each message; null when it has none, or when one of them cannot be read."""
    rows = pl.DataFrame({"at": owner, "amount": amounts})
    whole = pl.when(pl.col("amount").is_not_null().all()).then(pl.col("amount").sum())
    sums = rows.group_by("at").agg(whole.alias("sum"))
    every = pl.DataFrame({"at": pl.int_range(count, dtype=pl.get_index_type(), eager=True)})
    return every.join(sums, on="at", how="left", maintain_order="left")["sum"]


def _duration(block: _Block, column: Column, sources: Mapping[str, Sequence[str]], complaints: Complaints) -> pl.Series:
    """Minutes of a duration in setlinfo, or of the spans of a list node added up."""
    span = field_path(sources["span"][0])
    if span.node == SETLINFO:
        parts = {role: block.setlinfo(names) for role, names in sources.items()}
        return convert.minutes_of_parts(parts, column, complaints)
    texts, owner = block.rows(span)
    minutes = convert.minutes_of_parts({"span": texts}, column, ItemComplaints(complaints, owner))
    return _summed(minutes, owner, len(block)).cast(column.dtype)


def _items(block: _Block, column: Column, sources: Sequence[str], complaints: Complaints) -> pl.Series:
    """A list column that follows no code list: the rows of a node, or a joined field of setlinfo."""
    path = field_path(sources[0])
    if path.node != SETLINFO:
        texts, _ = block.rows(path)
        return typed_lists(texts, block.counts(path.node), column, complaints)
    lists = split(block.setlinfo(sources).str.replace_all(_JOINTS, FLAT_SEPARATOR), FLAT_SEPARATOR)
    return typed_items(lists.list.eval(pl.element().filter(pl.element() != "")), column, complaints)


class _Noted:
    """Complaints about messages, gathered one by one."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[list[int], list[str]]] = {}

    def add(self, code: str, at: int, value: str) -> None:
        places, values = self.found.setdefault(code, ([], []))
        places.append(at)
        values.append(value)

    def tell(self, complaints: Complaints, column: Column) -> None:
        for code, (places, values) in self.found.items():
            at = pl.Series(places, dtype=pl.get_index_type())
            complaints.among(code, at, column, pl.Series(values, dtype=pl.String))


def _code_lists(
    messages: Sequence[Message], column: Column, fmt: str, wanted: frozenset[str], complaints: Complaints
) -> dict[str, pl.Series]:
    """A code list and what runs parallel to it, principal first, rows without a code left out."""
    code = _fields(column, fmt)[0]
    names = _fields(columns()[column.names], fmt)
    noted = _Noted()
    rows: list[Row] = []
    counts = np.zeros(len(messages), np.int64)
    for at, message in enumerate(messages):
        ordered = _ORDER[column.name](message)
        if ordered.code:
            noted.add(ordered.code, at, "、".join(ordered.flagged))
            if catalogue()[ordered.code].level is Level.REJECT:
                message.defect = message.defect or ordered.code
        kept = _with_code(ordered.rows, at, code, names, noted)
        counts[at] = len(kept)
        rows += kept
    noted.tell(complaints, column)
    lists = {column.name: typed_lists(_texts(rows, [code]), counts, column, complaints)}
    for other, mate in columns().items():
        if mate.parallel == column.name and fmt in mate.sources and other in wanted:
            lists[other] = typed_lists(_texts(rows, _fields(mate, fmt)), counts, mate, complaints)
    return lists


def _with_code(rows: Sequence[Row | None], at: int, code: str, names: Sequence[str], noted: _Noted) -> list[Row]:
    """The rows of one message that have a code, after the principal's place; none when no row has one."""
    kept: list[Row] = []
    filled = False
    for place, row in enumerate(rows):
        given = row.get(code) if row is not None else None
        if isinstance(given, (int, float)):
            noted.add(CODE_AS_NUMBER, at, str(given))
        has_code = text_of(given) is not None
        if row is not None and not has_code:
            nameless = next(filter(None, (text_of(row.get(name)) for name in names)), None)
            if nameless:
                noted.add(NAME_WITHOUT_CODE, at, nameless)
        if has_code or place == 0:
            kept.append(row or {})
        filled = filled or has_code
    return kept if filled else []


def _fields(column: Column, fmt: str) -> list[str]:
    """The fields of a list node that a column is read from, preferred first."""
    return [field_path(source).name for source in column.sources[fmt]["whole"]]
