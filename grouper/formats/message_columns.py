"""Messages to typed canonical columns, column by column over a block of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from grouper.formats import cells as convert
from grouper.formats.cells import Complaints
from grouper.formats.lists import FLAT_SEPARATOR, NAME_WITHOUT_CODE, ItemComplaints, split, typed_items
from grouper.formats.message_codes import Ordered, diagnoses, procedures
from grouper.formats.message_fields import (
    SETLINFO,
    FieldPath,
    Message,
    category_of,
    field_path,
    first_text,
    text_of,
)
from grouper.formats.tabular import CODE_AS_NUMBER
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
    values: dict[str, pl.Series] = {}
    for name, column in columns().items():
        sources = column.sources.get(fmt)
        if sources is None or name not in wanted or column.parallel or column.code_book:
            continue
        if column.is_list:
            values[name] = _item_texts(messages, column, fmt, complaints)
        elif "whole" in sources:
            values[name] = _scalar(messages, column, sources["whole"], complaints)
        else:
            values[name] = _duration(messages, column, sources, complaints)
    for name in _ORDER:
        values.update(_code_lists(messages, name, fmt, wanted, complaints))
    return values


def _setlinfo_names(sources: Sequence[str]) -> list[str]:
    return [path.name for path in map(field_path, sources) if path.node == SETLINFO]


def _setlinfo_texts(messages: Sequence[Message], sources: Sequence[str]) -> pl.Series:
    """The first filled one of some setlinfo fields of every message."""
    names = _setlinfo_names(sources)
    return pl.Series([first_text(message.setlinfo, names) for message in messages], dtype=pl.String)


def _row_texts(messages: Sequence[Message], path: FieldPath) -> tuple[pl.Series, pl.Series]:
    """A field of the rows of a list node: its texts one after the other, and the message each is of."""
    texts: list[str | None] = []
    owner: list[int] = []
    for at, message in enumerate(messages):
        for row in message.nodes.get(path.node, ()):
            if not path.category or category_of(row) == path.category:
                texts.append(text_of(row.get(path.name)))
                owner.append(at)
    return pl.Series(texts, dtype=pl.String), pl.Series(owner, dtype=pl.get_index_type())


def _scalar(messages: Sequence[Message], column: Column, sources: Sequence[str], complaints: Complaints) -> pl.Series:
    """A field of setlinfo; money may also be the sum over the rows of a list node."""
    value = convert.scalar(_setlinfo_texts(messages, sources), column, complaints)
    for path in map(field_path, sources):
        if path.node != SETLINFO:
            texts, owner = _row_texts(messages, path)
            amounts = convert.scalar(texts, column, ItemComplaints(complaints, owner))
            value = value.zip_with(value.is_not_null(), _summed(amounts, owner, len(messages)))
    return value


def _summed(amounts: pl.Series, owner: pl.Series, count: int) -> pl.Series:
    """Sum of the rows of each message; null when it has none, or when one of them cannot be read."""
    rows = pl.DataFrame({"at": owner, "amount": amounts})
    whole = pl.when(pl.col("amount").is_not_null().all()).then(pl.col("amount").sum())
    sums = rows.group_by("at").agg(whole.alias("sum"))
    every = pl.DataFrame({"at": pl.int_range(count, dtype=pl.get_index_type(), eager=True)})
    return every.join(sums, on="at", how="left", maintain_order="left")["sum"]


def _duration(
    messages: Sequence[Message], column: Column, sources: Mapping[str, Sequence[str]], complaints: Complaints
) -> pl.Series:
    """Minutes of a duration in setlinfo, or of the spans of a list node added up."""
    span = field_path(sources["span"][0])
    if span.node == SETLINFO:
        parts = {role: _setlinfo_texts(messages, names) for role, names in sources.items()}
        return convert.minutes_of_parts(parts, column, complaints)
    texts, owner = _row_texts(messages, span)
    minutes = convert.minutes_of_parts({"span": texts}, column, ItemComplaints(complaints, owner))
    return _summed(minutes, owner, len(messages)).cast(column.dtype)


def _item_texts(messages: Sequence[Message], column: Column, fmt: str, complaints: Complaints) -> pl.Series:
    """A list column that follows no code list: the rows of a node, or a joined field of setlinfo."""
    path = field_path(column.sources[fmt]["whole"][0])
    if path.node == SETLINFO:
        texts = _setlinfo_texts(messages, column.sources[fmt]["whole"])
        lists = split(texts.str.replace_all(_JOINTS, FLAT_SEPARATOR), FLAT_SEPARATOR)
        return typed_items(lists.list.eval(pl.element().filter(pl.element() != "")), column, complaints)
    rows = [[text_of(row.get(path.name)) or "" for row in message.nodes.get(path.node, ())] for message in messages]
    return typed_items(pl.Series(rows, dtype=pl.List(pl.String)), column, complaints)


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
    messages: Sequence[Message], name: str, fmt: str, wanted: frozenset[str], complaints: Complaints
) -> dict[str, pl.Series]:
    """A code list and what runs parallel to it, principal first, rows without a code left out."""
    column = columns()[name]
    code = _row_names(column, fmt)[0]
    names = _row_names(columns()[column.names], fmt)
    mates = {
        other: _row_names(mate, fmt)
        for other, mate in columns().items()
        if mate.parallel == name and fmt in mate.sources and other in wanted
    }
    noted = _Noted()
    codes: list[list[str]] = []
    parallel: dict[str, list[list[str]]] = {other: [] for other in mates}
    for at, message in enumerate(messages):
        ordered = _ORDER[name](message)
        if ordered.code:
            noted.add(ordered.code, at, "、".join(ordered.flagged))
            if catalogue()[ordered.code].level is Level.REJECT:
                message.defect = message.defect or ordered.code
        kept = []
        for place, row in enumerate(ordered.rows):
            given = row.get(code) if row is not None else None
            if isinstance(given, (int, float)):
                noted.add(CODE_AS_NUMBER, at, str(given))
            text = text_of(given)
            nameless = first_text(row, names) if row is not None and not text else None
            if nameless:
                noted.add(NAME_WITHOUT_CODE, at, nameless)
            if text or place == 0:
                kept.append((text or "", row or {}))
        kept = kept if any(text for text, _ in kept) else []
        codes.append([text for text, _ in kept])
        for other, fields in mates.items():
            parallel[other].append([first_text(row, fields) or "" for _, row in kept])
    noted.tell(complaints, column)
    lists = {name: pl.Series(name, codes, dtype=pl.List(pl.String))}
    for other, items in parallel.items():
        lists[other] = typed_items(pl.Series(items, dtype=pl.List(pl.String)), columns()[other], complaints)
    return lists


def _row_names(column: Column, fmt: str) -> list[str]:
    """The fields of a list node that a column is read from, preferred first."""
    return [field_path(source).name for source in column.sources[fmt]["whole"]]
