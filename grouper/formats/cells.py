"""Text cells to typed columns: numbers, dates, money, durations, pseudonyms.

Every converter takes a String series of one block (null = nothing given, blanks trimmed) and gives a series
of the column's type. What cannot be read becomes null and one problem; nothing is guessed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import polars as pl

from reference_tables.case_formats import format_facts
from reference_tables.columns import Column
from reference_tables.problems import PROBLEM_SCHEMA, problem_rows

NOT_A_NUMBER, NOT_WHOLE, OUT_OF_RANGE = "IN30", "IN31", "IN32"
NOT_A_DATE, NOT_MONEY, PARTS_OF_FEN, NOT_A_DURATION, DATE_SERIAL = "IN33", "IN34", "IN35", "IN36", "IN37"

_DECIMAL = r"^([+-]?)([0-9]*)\.([0-9]*)$"
_DIGITS = r"^[+-]?[0-9]+$"
_MONEY = r"^([+-]?)([0-9]{1,15})(?:\.([0-9]{0,2})0*)?$"
_MONEY_LONG = r"^[+-]?[0-9]{1,15}\.[0-9]{3,}$"
_SPAN = r"^([0-9]{1,5})/([0-9]{1,5})/([0-9]{1,5})$"
_MINUTES = {"days": 1440, "hours": 60, "minutes": 1}
_YEARS = (1800, 2199)
_PSEUDONYM_BYTES = 8
_PSEUDONYM = re.compile(r"p:[0-9a-f]{16}")


class Complaints:
    """Problems of one block of records, collected column by column."""

    def __init__(self, file: str, rows: pl.Series) -> None:
        """`rows` are the row numbers (UInt32) of the block's records, in order."""
        self.file = file
        self.rows = rows
        self.case_ids = pl.Series("case_id", [None], dtype=pl.String).new_from_index(0, len(rows))
        self._found: list[tuple[str, pl.DataFrame, str, dict[str, str]]] = []

    def at(self, code: str, where: pl.Series, column: Column | None, value: pl.Series, **args: str) -> None:
        """A problem for every record where the Boolean `where` holds, showing its `value`."""
        self.among(code, where.arg_true(), column, value.filter(where), **args)

    def among(self, code: str, at: pl.Series, column: Column | None, value: pl.Series, **args: str) -> None:
        """A problem for each record position in `at`; `value` has one text for each of them."""
        if len(at):
            known = {"column": column.label, **args} if column else args
            found = pl.DataFrame({"at": at, "value": value.cast(pl.String)})
            self._found.append((code, found, column.name if column else "", known))

    def frame(self) -> pl.DataFrame:
        """Every problem so far as rows of `PROBLEM_SCHEMA`, in order of row, then of finding."""
        frames = [pl.DataFrame(schema=PROBLEM_SCHEMA)]
        for code, found, name, args in self._found:
            at, value = found["at"], pl.col("value")
            rows = self.rows.gather(at).alias("row")
            placed = found.with_columns(rows, self.case_ids.gather(at).alias("case_id"))
            known: dict[str, pl.Expr | str] = {"value": value, **args}
            frames.append(problem_rows(placed, code, file=self.file, field=name, value=value, args=known))
        return pl.concat(frames).sort("row", maintain_order=True)


def text_cell(text: pl.Series, column: Column) -> pl.Series:
    """Text as given; texts with one clear meaning become the code they stand for."""
    if column.values and text.is_in(list(column.values)).any():
        return text.replace(dict(column.values))
    return text


def whole_number(text: pl.Series, column: Column, complaints: Complaints, dtype: pl.DataType) -> pl.Series:
    """Integers. A decimal is rounded down where the column says so (ages, weights), else it is a problem."""
    number = text.cast(dtype, strict=False)
    if number.null_count() == text.null_count():
        return number
    if column.values:
        text = text_cell(text, column)
        number = text.cast(dtype, strict=False)
    at = (number.is_null() & text.is_not_null()).arg_true()
    rest = text.gather(at)
    parts = pl.col("text").str.extract_groups(_DECIMAL)
    sign, whole, part = (parts.struct.field(name) for name in ("1", "2", "3"))
    below = (sign == "-") & (part.str.strip_chars("0") != "")
    floored = pl.concat_str(sign, pl.when(whole == "").then(pl.lit("0")).otherwise(whole)).cast(pl.Int64, strict=False)
    judged = (
        rest.alias("text")
        .to_frame()
        .with_columns(
            decimal=(whole != "") | (part != ""),
            exact=part.str.strip_chars("0") == "",
            floored=(floored - below.cast(pl.Int64)).cast(dtype, strict=False),
            digits=pl.col("text").str.contains(_DIGITS),
        )
        .with_columns(pl.col("decimal", "exact").fill_null(value=False))
        .with_columns(
            code=pl.when(~pl.col("decimal") & ~pl.col("digits"))
            .then(pl.lit(NOT_A_NUMBER))
            .when(pl.col("digits") | pl.col("floored").is_null())
            .then(pl.lit(OUT_OF_RANGE))
            .when(~pl.col("exact") & pl.lit(not column.floor))
            .then(pl.lit(NOT_WHOLE))
        )
    )
    for code in (NOT_A_NUMBER, OUT_OF_RANGE, NOT_WHOLE):
        wrong = (judged["code"] == code).fill_null(value=False)
        complaints.among(code, at.filter(wrong), column, rest.filter(wrong))
    good = judged["code"].is_null()
    return number.scatter(at.filter(good), judged["floored"].filter(good))


def decimal_number(text: pl.Series, column: Column, complaints: Complaints) -> pl.Series:
    """Finite floating point numbers (hours)."""
    number = text.cast(pl.Float64, strict=False)
    number = number.set(~number.is_finite(), None) if number.len() > number.null_count() else number
    if number.null_count() > text.null_count():
        complaints.at(NOT_A_NUMBER, number.is_null() & text.is_not_null(), column, text)
    return number


def moment(text: pl.Series, column: Column, complaints: Complaints, dtype: pl.DataType) -> pl.Series:
    """Dates or local date-times in the notations of `case_formats.toml`; a bare date stands for its midnight.

    A date column takes a date-time and drops the time.
    """
    time, bad = parse_moments(text)
    serial = text.str.contains(f"^{format_facts().reading.date_serial}$")
    complaints.at(DATE_SERIAL, bad & serial, column, text)
    complaints.at(NOT_A_DATE, bad & ~serial, column, text)
    return time.cast(dtype)


def parse_moments(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Date-times (microseconds) of texts, and where a text was given that is none."""
    reading = format_facts().reading
    plain = text.str.replace("T", " ", literal=True)
    time = pl.Series(text.name, [None], dtype=pl.Datetime("us")).new_from_index(0, len(text))
    for date in reading.date_formats:
        for clock in ("", *(f" {clock}" for clock in reading.time_formats)):
            if time.null_count() == text.null_count():
                break
            more = plain.str.strptime(pl.Datetime("us"), date + clock, strict=False, exact=True)
            time = time.zip_with(time.is_not_null(), more)
    wrong_year = ~time.dt.year().is_between(*_YEARS)
    time = time.set(wrong_year, None)
    return time, time.is_null() & text.is_not_null()


def fen(text: pl.Series, column: Column, complaints: Complaints) -> pl.Series:
    """Yuan with at most two decimals as whole fen, exact: no floating point on the way."""
    groups = text.str.extract_groups(_MONEY)
    parts = groups.struct.unnest().rename({"1": "sign", "2": "yuan", "3": "part"})
    digits = pl.concat_str("sign", "yuan", pl.col("part").fill_null("").str.pad_end(2, "0"))
    amount = parts.select(digits.cast(pl.Int64, strict=False)).to_series()
    if amount.null_count() > text.null_count():
        bad = amount.is_null() & text.is_not_null()
        long = text.str.contains(_MONEY_LONG)
        complaints.at(PARTS_OF_FEN, bad & long, column, text)
        complaints.at(NOT_MONEY, bad & ~long, column, text)
    return amount


def span_minutes(text: pl.Series, column: Column, complaints: Complaints) -> pl.Series:
    """Minutes of durations written days/hours/minutes, such as 1/13/24."""
    parts = text.str.extract_groups(_SPAN).struct.unnest().cast(pl.Int32)
    days, hours, minutes = parts.get_columns()
    total = (days * 1440 + hours * 60 + minutes).alias(text.name)
    complaints.at(NOT_A_DURATION, total.is_null() & text.is_not_null(), column, text)
    return total


def minutes_of_parts(parts: Mapping[str, pl.Series], column: Column, complaints: Complaints) -> pl.Series:
    """Minutes from texts by role: a span, or days, hours and minutes apart; null when all are empty."""
    total = span_minutes(parts["span"], column, complaints) if "span" in parts else None
    numbers = [
        whole_number(text, column, complaints, pl.Int32()) * _MINUTES[role]
        for role, text in parts.items()
        if role != "span"
    ]
    if numbers:
        frame = pl.DataFrame({str(at): number for at, number in enumerate(numbers)})
        stated = pl.any_horizontal(pl.all().is_not_null())
        added = frame.select(pl.when(stated).then(pl.sum_horizontal(pl.all()))).to_series()
        total = added if total is None else total.zip_with(total.is_not_null(), added)
    assert total is not None, "a duration has a source"
    return total.cast(column.dtype)


def pseudonym(text: pl.Series) -> pl.Series:
    """Texts replaced by a hash: the same text gives the same hash, and the text is gone. A hash stays itself."""
    known = text.drop_nulls().unique(maintain_order=True)
    hashed = [word if _PSEUDONYM.fullmatch(word) else _hash(word) for word in known]
    return text.replace_strict(known, pl.Series(hashed, dtype=pl.String), default=None, return_dtype=pl.String)


def _hash(word: str) -> str:
    return "p:" + hashlib.blake2b(word.encode("utf-8"), digest_size=_PSEUDONYM_BYTES).hexdigest()


def _taken_over(given: pl.Series, dtype: pl.DataType, *, floor: bool) -> pl.Series | None:
    """A typed series as the wanted type when nothing is lost by it, else None."""
    if given.dtype.is_float() and dtype.is_integer():
        whole = given.floor()
        given = whole if floor or bool((whole == given).all()) else given
    same_kind = (given.dtype.is_numeric() and dtype.is_numeric()) or (
        given.dtype.is_temporal() and dtype.is_temporal() and getattr(given.dtype, "time_zone", None) is None
    )
    if given.dtype != dtype and not same_kind:
        return None
    if given.dtype.is_float() and dtype.is_integer() and bool((given.floor() != given).any()):
        return None
    taken = given.cast(dtype, strict=False)
    return taken if taken.null_count() == given.null_count() else None


def scalar(given: pl.Series, column: Column, complaints: Complaints) -> pl.Series:
    """Any scalar column from its cells: text, or a typed column that holds the same thing."""
    if given.dtype.is_float():
        given = given.fill_nan(None)
    text = given
    if given.dtype != pl.String:
        # yuan becomes fen by its decimal text only
        taken = None if column.unit == "fen" else _taken_over(given, column.dtype, floor=column.floor)
        if taken is not None:
            return taken
        text = given.cast(pl.String)
    if column.sensitivity == "pseudonym":
        return pseudonym(text)
    if column.unit == "fen":
        return fen(text, column, complaints)
    if column.dtype.is_integer():
        return whole_number(text, column, complaints, column.dtype)
    if column.dtype.is_float():
        return decimal_number(text, column, complaints)
    if column.dtype.is_temporal():
        return moment(text, column, complaints, column.dtype)
    return text_cell(text, column)
