"""Code lists and the lists that run parallel to them, from joined cells or from numbered slots.

A code list has its principal first; "" stands there when none is given but others are. Other empty items
are dropped, and what runs parallel is dropped with them. Nothing moves up into the principal's place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.formats import cells as convert
from grouper.formats.blanks import blanks_or_nothing
from grouper.formats.cells import Complaints
from grouper.formats.header import ListPlan
from reference_tables.columns import Column, columns

FLAT_SEPARATOR = "|"
# joins slots before they are split again; no cell of a readable file contains it
_SLOT_SEPARATOR = "\x1f"
NAME_WITHOUT_CODE, GAP, UNEQUAL_LENGTH = "IN40", "IN41", "IN42"

_CODES = "codes"
_NOTHING = pl.lit([], dtype=pl.List(pl.String))


class ItemComplaints(Complaints):
    """Problems of the items of lists, told of the record that each item belongs to."""

    def __init__(self, records: Complaints, owner: pl.Series) -> None:
        super().__init__(records.file, records.rows)
        self._records = records
        self._owner = owner

    def among(self, code: str, at: pl.Series, column: Column | None, value: pl.Series, **args: str) -> None:
        self._records.among(code, self._owner.gather(at), column, value, **args)


def split(joined: pl.Series, separator: str) -> pl.Series:
    """Texts split into lists; null gives the empty list."""
    frame = joined.alias("joined").to_frame()
    text = pl.col("joined")
    pieces = pl.when(text.is_not_null()).then(text.str.split(separator)).otherwise(_NOTHING)
    return frame.select(pieces).to_series()


def _without_gaps(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop items whose code (column `_CODES`) is empty, but the first, and lists in which nothing is left.

    Every column of `frame` is a list of the same length as its code list. Few records have gaps, so only
    theirs are taken apart.
    """
    gaps = frame.select(pl.col(_CODES).list.contains("")).to_series()
    if gaps.sum() == 0:
        return frame
    place = pl.int_range(frame.height, eager=True)
    repaired = gaps.cum_sum().cast(pl.Int64) + (frame.height - 1)
    return pl.concat([frame, _closed_up(frame.filter(gaps))])[repaired.zip_with(gaps, place)]


def _closed_up(frame: pl.DataFrame) -> pl.DataFrame:
    names = frame.columns
    long = frame.with_row_index("record").filter(pl.col(_CODES).list.len() > 0).explode(names)
    place = pl.int_range(pl.len()).over("record")
    filled = (pl.col(_CODES) != "").any().over("record")
    kept = long.filter(filled & ((place == 0) | (pl.col(_CODES) != "")))
    lists = kept.group_by("record", maintain_order=True).agg(names)
    every = pl.DataFrame({"record": pl.int_range(frame.height, dtype=pl.get_index_type(), eager=True)})
    whole = every.join(lists, on="record", how="left", maintain_order="left").select(names)
    return whole.with_columns(pl.col(name).fill_null(_NOTHING) for name in names)


def _has_gaps(lists: pl.Series) -> bool:
    """Whether some item is empty."""
    return bool((lists.explode(empty_as_null=False, keep_nulls=False) == "").any())


def clean(
    codes: pl.Series, parallel: Mapping[str, pl.Series], *, blanks: bool | None
) -> tuple[pl.Series, dict[str, pl.Series]]:
    """A code list and its parallels (same lengths) with blanks trimmed off and empty items dropped.

    `blanks` says whether there may be any, None that it is to be looked for in every list.
    """
    lists = {_CODES: codes, **parallel}
    found = {name: blanks_or_nothing(items) for name, items in lists.items()} if blanks is None else {}
    for name, items in lists.items():
        if blanks or (blanks is None and found[name][0]):
            lists[name] = items.list.eval(pl.element().str.strip_chars())
    trimmed = lists[_CODES] is not codes
    gaps = found[_CODES][1] if blanks is None and not trimmed else _has_gaps(lists[_CODES])
    if gaps:
        frame = _without_gaps(pl.DataFrame(lists))
        lists = {name: frame[name] for name in lists}
    return lists.pop(_CODES), lists


def from_cells(
    cells: pl.DataFrame, plans: Mapping[str, ListPlan], complaints: Complaints, *, blanks: bool | None
) -> dict[str, pl.Series]:
    """Every list column that `plans` names, typed, from the String columns `c{position}` of `cells`."""
    result: dict[str, pl.Series] = {}
    for name, column in columns().items():
        if name not in plans or column.parallel:
            continue
        mates = {other: plans[other] for other in plans if columns()[other].parallel == name}
        joined = plans[name].joined is not None or plans[name].others is not None
        build = _from_joined if joined else _from_slots
        codes, parallel = build(cells, name, plans[name], mates, complaints)
        if joined or blanks is not False:
            codes, parallel = clean(codes, parallel, blanks=blanks)
        result[name] = typed_items(codes, column, complaints)
        for other, lists in parallel.items():
            result[other] = typed_items(lists, columns()[other], complaints)
    return result


def _from_joined(
    cells: pl.DataFrame, name: str, plan: ListPlan, mates: Mapping[str, ListPlan], complaints: Complaints
) -> tuple[pl.Series, dict[str, pl.Series]]:
    """Lists from joined cells; a parallel list of another length than its codes is left out, with a problem."""
    codes = _lists(cells, plan)
    parallel = {}
    for other, mate in mates.items():
        lists = _lists(cells, mate)
        unequal = lists.list.len() != codes.list.len()
        stated = lists.list.len() > 0
        complaints.at(
            UNEQUAL_LENGTH, unequal & stated, columns()[other], lists.list.len(),
            codes=columns()[name].label,
        )  # fmt: skip
        none = codes.list.eval(pl.element().replace_strict({}, default="", return_dtype=pl.String))
        parallel[other] = lists.zip_with(~unequal, none)
    return codes, parallel


def _lists(cells: pl.DataFrame, plan: ListPlan) -> pl.Series:
    """Lists of text, none of them null, from joined text or from what a typed file holds."""
    given = cells[f"c{plan.joined}"] if plan.joined is not None else None
    if given is None or not isinstance(given.dtype, pl.List):
        return split(_one_text(cells, plan), FLAT_SEPARATOR)
    lists = given.cast(pl.List(pl.String)) if given.dtype != pl.List(pl.String) else given
    if lists.null_count():
        lists = lists.to_frame().select(pl.all().fill_null(_NOTHING)).to_series()
    if lists.explode(empty_as_null=False, keep_nulls=False).null_count():
        lists = lists.list.eval(pl.element().fill_null(""))
    return lists


def _one_text(cells: pl.DataFrame, plan: ListPlan) -> pl.Series:
    """Principal and others as one joined text; an absent principal leaves its place empty."""
    if plan.joined is not None:
        return cells[f"c{plan.joined}"]
    parts = [_cell(plan.principal).fill_null("")]
    if plan.others is not None:
        parts.append(_cell(plan.others))
    parts += [_cell(at) for _, at in plan.slots]
    text = pl.concat_str(parts, separator=FLAT_SEPARATOR, ignore_nulls=True)
    return cells.select(pl.when(text != "").then(text).alias("joined")).to_series()


def _cell(position: int | None) -> pl.Expr:
    return pl.lit(None, dtype=pl.String) if position is None else pl.col(f"c{position}")


def _slots(plan: ListPlan) -> list[tuple[int, int | None]]:
    """(slot number, position) of a plan, the principal first as slot 0."""
    if plan.first_is_principal:
        numbered = dict(plan.slots)
        return [(0, numbered.get(1)), *((number, at) for number, at in plan.slots if number > 1)]
    return [(0, plan.principal), *plan.slots]


def _code(plan: ListPlan, number: int, position: int | None) -> pl.Expr:
    """The code in a slot; with a second cell, dagger and asterisk code as one: A17.0+ and G01* give A17.0+G01*."""
    base = _cell(position)
    half = plan.second_halves.get(number)
    if half is None:
        return base
    asterisk = _cell(half)
    pair = pl.concat_str(
        base.str.strip_chars_end("+"), pl.lit("+"), asterisk.str.strip_chars_end("*"), pl.lit("*")
    )  # fmt: skip
    return pl.when(base.is_not_null() & asterisk.is_not_null()).then(pair).otherwise(base)


def _from_slots(
    cells: pl.DataFrame, name: str, plan: ListPlan, mates: Mapping[str, ListPlan], complaints: Complaints
) -> tuple[pl.Series, dict[str, pl.Series]]:
    """Lists from a principal cell and numbered slots; empty slots are left out of every list alike."""
    column = columns()[name]
    slots = _slots(plan)
    codes = cells.select(_code(plan, number, at).alias(f"s{number}") for number, at in slots)
    given = [pl.col(f"s{number}") for number, _ in slots]
    anything = pl.any_horizontal(slot.is_not_null() for slot in given)
    items = [given[0].fill_null("") if column.code_book else given[0], *given[1:]]
    result = {}
    for other, mate in mates.items():
        places = dict(_slots(mate))
        wide = codes.hstack(cells.select(_cell(places.get(number)).alias(f"p{number}") for number, _ in slots))
        values = [pl.col(f"p{number}") for number, _ in slots]
        kept = [values[0].fill_null("")]
        kept += [pl.when(s.is_not_null()).then(p.fill_null("")) for s, p in zip(given[1:], values[1:], strict=True)]
        result[other] = split(_joined(wide, kept, anything), _SLOT_SEPARATOR)
        if other == column.names:
            nameless = [pl.when(s.is_null()).then(p) for s, p in zip(given, values, strict=True)]
            shown = wide.select(pl.coalesce(nameless)).to_series()
            complaints.at(NAME_WITHOUT_CODE, shown.is_not_null(), column, shown)
    if column.code_book:
        where = _gap(codes)
        complaints.at(GAP, where, column, pl.Series([""], dtype=pl.String).new_from_index(0, len(where)))
    return split(_joined(codes, items, anything), _SLOT_SEPARATOR), result


def _joined(wide: pl.DataFrame, items: Sequence[pl.Expr], anything: pl.Expr) -> pl.Series:
    """The items that are not null as one text; null when the record has no slot filled."""
    text = pl.concat_str(items, separator=_SLOT_SEPARATOR, ignore_nulls=True)
    return wide.select(pl.when(anything).then(text).alias("joined")).to_series()


def _gap(codes: pl.DataFrame) -> pl.Series:
    """Where an empty slot stands before a filled one; the principal's own place is not asked."""
    later = np.zeros(codes.height, np.bool_)
    gap = np.zeros(codes.height, np.bool_)
    for slot in reversed(codes.get_columns()[1:]):
        if slot.null_count() < codes.height:
            filled = slot.is_not_null().to_numpy()
            gap |= later & ~filled
            later |= filled
        else:
            gap |= later
    return pl.Series(gap)


def typed_items(lists: pl.Series, column: Column, complaints: Complaints) -> pl.Series:
    """Items of the column's type: hashed where they name a person, parsed where they are times or numbers."""
    if column.dtype == pl.List(pl.String) and column.sensitivity != "pseudonym":
        return lists.alias(column.name)
    items = lists.explode(empty_as_null=False, keep_nulls=False)
    return typed_lists(items.replace("", None), lists.list.len().to_numpy(), column, complaints)


def typed_lists(
    items: pl.Series, lengths: NDArray[np.integer[Any]], column: Column, complaints: Complaints
) -> pl.Series:
    """A list column from its items one after the other (null = nothing given) and the length of each list.

    Nothing given is "" in lists of text and null in lists of times and numbers.
    """
    assert isinstance(column.dtype, pl.List)
    inner = column.dtype.inner
    owner = pl.Series("record", np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths))
    told = ItemComplaints(complaints, owner)
    if inner == pl.String():
        typed = convert.pseudonym(items) if column.sensitivity == "pseudonym" else items
        typed = typed.fill_null("")
    elif inner == pl.Datetime("us"):
        typed = convert.moment(items, column, told, pl.Datetime("us"))
    else:
        typed = convert.whole_number(items, column, told, pl.Int32())
    long = pl.DataFrame({"record": owner, "item": typed}).group_by("record", maintain_order=True).agg("item")
    every = pl.DataFrame({"record": pl.int_range(len(lengths), dtype=pl.UInt32, eager=True)})
    whole = every.join(long, on="record", how="left", maintain_order="left")["item"]
    return whole.to_frame().select(pl.col("item").fill_null(pl.lit([], dtype=column.dtype)))["item"].alias(column.name)
