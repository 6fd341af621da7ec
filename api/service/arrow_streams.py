"""Arrow IPC streams before they are read: how much memory reading one takes, by what it says of its own parts.

The reader believes these numbers and allocates as many bytes; one that is not what it was meant to be, in a damaged or
made-up stream, would end the whole process. Here every part has to lie within the bytes that are there, and what is
packed says how large it is unpacked. Laid out as in Arrow's format/Message.fbs: messages of a size, a flatbuffer and a
body; a record batch names the lengths of its columns and the places of its buffers in the body.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_CONTINUES = 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _RECORDS = 1, 2, 3
_MOST_PARTS, _MOST_ROWS = 1 << 20, 1 << 28


class TooManyRows(ValueError):
    """A stream says that it has more rows than are looked at: `rows`."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        super().__init__(f"{rows} rows")


class _Table:
    """A table of a flatbuffer: fields by number. Raises struct.error beyond the bytes that are there."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self._fields = at - struct.unpack_from("<i", data, at)[0]
        if self._fields < 0:
            raise ValueError("a table before the beginning")
        self._size = struct.unpack_from("<H", data, self._fields)[0]

    def _place(self, field: int) -> int:
        """Where a field is; 0 when it has its default."""
        slot = 4 + 2 * field
        if slot + 2 > self._size:
            return 0
        offset: int = struct.unpack_from("<H", self.data, self._fields + slot)[0]
        return self.at + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        """A whole number."""
        place = self._place(field)
        return int(struct.unpack_from(form, self.data, place)[0]) if place else 0

    def table(self, field: int) -> _Table | None:
        """A table that it points to."""
        place = self._place(field)
        return _Table(self.data, place + struct.unpack_from("<I", self.data, place)[0]) if place else None

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """A list of pairs of 64-bit numbers."""
        found = self.longs(field, 2)
        return list(zip(found[::2], found[1::2], strict=True))

    def longs(self, field: int, each: int = 1) -> tuple[int, ...]:
        """A list of 64-bit numbers, so many in each of its entries."""
        place = self._place(field)
        if not place:
            return ()
        place += struct.unpack_from("<I", self.data, place)[0]
        count = struct.unpack_from("<I", self.data, place)[0] * each
        if count > _MOST_PARTS:
            raise ValueError("too many parts")
        return struct.unpack_from(f"<{count}q", self.data, place + 4)


def stated_bytes(body: bytes) -> int:
    """What the buffers of an Arrow stream take unpacked, by what the stream says.

    Raises TooManyRows, and ValueError: parts that are not within the stream, columns of more values than their bytes
    can hold, or no stream at all.
    """
    try:
        return sum(_stated(head, part) for head, part in _messages(body))
    except struct.error:
        raise ValueError("the stream breaks off") from None


def _messages(body: bytes) -> Iterator[tuple[_Table, bytes]]:
    """Each message's flatbuffer, and its body."""
    at, first = 0, True
    while at < len(body):
        (size,) = struct.unpack_from("<I", body, at)
        at += 4
        if size == _CONTINUES:
            (size,) = struct.unpack_from("<I", body, at)
            at += 4
        if size == 0:
            break
        if size > len(body) - at:
            raise ValueError("a message beyond the end")
        head = body[at : at + size]
        message = _Table(head, struct.unpack_from("<I", head)[0])
        at += size
        length = message.number(3, "<q")
        if not 0 <= length <= len(body) - at:
            raise ValueError("a body beyond the end")
        if (message.number(1, "<B") == _SCHEMA) != first:
            raise ValueError("not one schema at the beginning")
        first = False
        yield message, body[at : at + length]
        at += length
    if first:
        raise ValueError("no stream")


def _stated(message: _Table, body: bytes) -> int:
    kind, batch = message.number(1, "<B"), message.table(2)
    if kind == _SCHEMA:
        return 0
    if kind == _DICTIONARY and batch is not None:
        batch = batch.table(1)
    if kind not in {_DICTIONARY, _RECORDS} or batch is None:
        raise ValueError("neither a schema nor records")
    rows = batch.number(0, "<q")
    if rows < 0:
        raise ValueError("no possible number of rows")
    if rows > _MOST_ROWS:
        raise TooManyRows(rows)
    if any(not 0 <= count <= len(body) for count in batch.longs(4)):
        raise ValueError("parts of a column that are not there")
    packed, total = batch.table(3) is not None, 0
    for offset, length in batch.pairs(2):
        if not (offset >= 0 and 0 <= length <= len(body) - offset):
            raise ValueError("a buffer beyond the end")
        total += length
        if packed and length:
            (unpacked,) = struct.unpack_from("<q", body, offset)
            if unpacked < -1 or length < 8:
                raise ValueError("less than nothing unpacked")
            total += max(0, unpacked)
    for values, nulls in batch.pairs(1):
        if not 0 <= nulls <= values <= 8 * total + rows:  # no value of a list takes less than a bit
            raise ValueError("a column of no possible length")
    return total
