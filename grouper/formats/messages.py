"""Settlement-list messages (4101, 4101A) to case frames: one message, an array of them, or one a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, count, islice, repeat
from typing import Any

import orjson
import polars as pl

from grouper.formats.cells import Complaints
from grouper.formats.csv_text import HEAD_BYTES, TextBlock, text_blocks, whole_text
from grouper.formats.detect import Detected
from grouper.formats.frames import case_frame, with_broken
from grouper.formats.json_names import Marked, Marks, first_doubled, marks_of, surely_once
from grouper.formats.message_columns import message_columns
from grouper.formats.message_fields import (
    DISEINFO,
    SETLINFO,
    Broken,
    FieldCount,
    Message,
    as_message,
    envelope,
    message_format,
    unwrapped,
)
from grouper.formats.parts import Opened, Part, ReadOptions
from grouper.formats.source import InputFile
from grouper.going_on import go_on
from reference_tables.case_formats import format_facts
from reference_tables.columns import MESSAGE_FORMATS, columns
from reference_tables.problems import Problem, problem_frame, unreadable

BAD_MESSAGE, NOT_GROUPABLE = "IN25", "IN46"
_TWICE = "{place} 给了两次，只能给一次"
_TOO_DEEP = "嵌套过深"

_PEEK = 32

_BATCH_BYTES = 1 << 25
_TOO_LONG = "有 {found} 字节，超过一行的上限 {limit} 字节"

# row number, JSON value or what is wrong with the record, bytes of its line
Item = tuple[int, Any, str, int]


def open_messages(source: InputFile, detected: Detected, options: ReadOptions) -> Opened:
    """Messages, to be read `options.block_rows` at a time. Raises IntakeError."""
    items = _lines(source, detected.encoding) if detected.container == "ndjson" else _whole(source, detected.encoding)
    start = list(islice(items, _PEEK))
    kind = options.fmt
    if kind == "auto":
        kind = next((message_format(value) for _, value, wrong, _ in start if not wrong), MESSAGE_FORMATS[0])
    have = {name for name, column in columns().items() if kind in column.sources}
    if options.companion is not None:
        have |= set(options.companion.columns)
    given = tuple(name for name in columns() if name in have)
    return Opened(kind, given, _parts(source, chain(start, items), kind, options), (), detected.encoding)


def _holds_anything(block: TextBlock) -> bool:
    return bool(block.overlong or block.data.strip())


def _whole(source: InputFile, encoding: str) -> Iterator[Item]:
    """The messages of one JSON document. Raises IntakeError when it cannot be parsed or holds none."""
    if _one_a_line(source, encoding):
        yield from _lines(source, encoding)
        return
    text = whole_text(source, encoding)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if _is_json(text[: text.index(b"\n")]):
            # messages one a line, the first of them too long for one
            yield from _lines(source, encoding)
            return
        raise source.refused("IN11", row=error.lineno, reason=unreadable(error)) from error
    try:
        marks = None if surely_once(text, value) else marks_of(text)
    except RecursionError as error:
        raise source.refused("IN11", reason=_TOO_DEEP) from error
    if isinstance(value, dict):
        name = envelope(value)
        if name is not None and isinstance(value[name], list):
            if isinstance(marks, Marked):
                if marks.twice or marks.keys() != {name}:
                    raise source.refused("IN11", reason=_twice(marks))
                marks = marks[name]
            value = value[name]
        else:
            value, marks = [value], [marks]
    if not any(_is_message(item) for item in value):
        raise source.refused("IN12")
    wrong = map(_twice, marks) if marks else repeat("")
    yield from zip(count(1), value, wrong, repeat(0), strict=False)


def _one_a_line(source: InputFile, encoding: str) -> bool:
    """Whether the first line is a whole message and more follow, though it or the next is too long to be told from the
    file's head."""
    blocks = text_blocks(source, encoding, skip_lines=0, block_bytes=HEAD_BYTES)
    for block in blocks:
        first, _, more = block.data.partition(b"\n")
        begun = first.startswith(b"{") and _is_json(first)
        return begun and (bool(more.strip() or block.overlong) or any(map(_holds_anything, blocks)))
    return False


def _twice(marks: Marks) -> str:
    """What is wrong with a message that gives a name twice; nothing with others."""
    place = first_doubled(marks, "")
    return _TWICE.format(place=place) if place else ""


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _is_message(value: Any) -> bool:
    body = unwrapped(value) if isinstance(value, dict) else None
    return isinstance(body, dict) and bool({SETLINFO, DISEINFO} & body.keys())


def _lines(source: InputFile, encoding: str) -> Iterator[Item]:
    """One message a line; blank lines count as lines and are passed over."""
    row = 0
    limit = format_facts().reading.longest_line
    for block in text_blocks(source, encoding, skip_lines=0, block_bytes=HEAD_BYTES):
        overlong = dict(block.overlong)
        if not _holds_anything(block):
            blank = block.data.count(b"\n")
            row += blank
            go_on(blank)
            continue
        for at, line in enumerate(block.data.split(b"\n")[:-1]):
            row += 1
            if at in overlong:
                yield row, None, _TOO_LONG.format(found=overlong[at], limit=limit), 0
                continue
            if not line.strip():
                continue
            try:
                value = orjson.loads(line)
                wrong = "" if surely_once(line, value) else _twice(marks_of(line))
            except orjson.JSONDecodeError as error:
                value, wrong = None, unreadable(error)
            except RecursionError:
                value, wrong = None, _TOO_DEEP
            yield row, value, wrong, len(line)


def _parts(source: InputFile, items: Iterator[Item], kind: str, options: ReadOptions) -> Iterator[Part]:
    while some := _batch(items, options.block_rows):
        unknown = FieldCount()
        read = [_message(item, unknown) for item in some]
        messages = [item for item in read if isinstance(item, Message)]
        broken = [item for item in read if isinstance(item, Broken)]
        cases, problems = _block(source.name, messages, kind, options)
        told = [Problem(BAD_MESSAGE, {"reason": item.reason}, file=source.name, row=item.row) for item in broken]
        if told:
            problems = pl.concat([problems, problem_frame(told)]).sort("row", maintain_order=True)
        bad = {"row": [item.row for item in broken], "defect": [BAD_MESSAGE] * len(broken)}
        frame = with_broken(cases, pl.DataFrame(bad, schema={"row": pl.UInt32(), "defect": pl.String()}))
        yield Part(frame, problems, unknown=unknown.seen)


def _batch(items: Iterator[Item], most: int) -> list[Item]:
    """The next messages: so many, or as many bytes as a block may have."""
    some, size = [], 0
    for item in items:
        some.append(item)
        size += item[3]
        if len(some) == most or size >= _BATCH_BYTES:
            break
    return some


def _message(item: Item, unknown: FieldCount) -> Message | Broken:
    go_on()
    row, value, wrong, _ = item
    return Broken(row, wrong) if wrong else as_message(value, row, unknown)


def _block(
    file: str, messages: Sequence[Message], kind: str, options: ReadOptions
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Readable messages as canonical cases and problems."""
    rows = pl.Series("row", [message.row for message in messages], dtype=pl.UInt32)
    complaints = Complaints(file, rows)
    values = message_columns(messages, kind, options.columns(), complaints)
    if options.companion is not None:
        values = options.companion.fill(values)
    complaints.case_ids = values["case_id"]
    defects = pl.Series("defect", [message.defect or None for message in messages], dtype=pl.String)
    fmt = format_facts().formats[kind]
    cases = case_frame(values, fmt, complaints, defects)
    if kind == "4101A":
        cases = _refuse_ungroupable(cases, complaints)
    return cases, complaints.frame()


def _refuse_ungroupable(cases: pl.DataFrame, complaints: Complaints) -> pl.DataFrame:
    """Without sex or age a 4101A record is no case yet: it must be joined to what the settlement knows."""
    needed = [columns()[name] for name in format_facts().settlement.companion_gives]
    labels = [pl.when(pl.col(column.name).is_null()).then(pl.lit(column.label)) for column in needed]
    missing = cases.select(pl.concat_str(labels, separator="、", ignore_nulls=True)).to_series()
    lacking = missing != ""
    complaints.at(NOT_GROUPABLE, lacking, None, missing)
    reason = pl.when(lacking & pl.col("defect").is_null()).then(pl.lit(NOT_GROUPABLE)).otherwise("defect")
    return cases.with_columns(reason.alias("defect"))
