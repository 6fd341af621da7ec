"""A text file as blocks of UTF-8: which encoding it has, where lines end, which lines cannot be decoded."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import polars as pl

from grouper.formats.source import InputFile
from grouper.going_on import go_on
from reference_tables.case_formats import format_facts
from reference_tables.problems import unreadable

UTF8, UTF8_BOM, UTF16, GB18030 = "utf-8", "utf-8-sig", "utf-16", "gb18030"
HEAD_BYTES = 1 << 18
_SAMPLE_BYTES = 1 << 20
_SCAN_BYTES = 1 << 22
_BEYOND_ASCII = 128
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\f\r")
_BINARY_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Whole lines of a text file as UTF-8, the last one ended by a newline.

    `undecodable` are positions of lines (from 0) that were not valid in the file's encoding; their bad
    bytes are replaced, so that the rest of the line can be told apart but not used. `overlong` are lines (position,
    bytes) longer than any record, which are left empty: a file without line ends must not fill the memory.
    """

    data: bytes
    undecodable: tuple[int, ...] = ()
    overlong: tuple[tuple[int, int], ...] = ()

    @property
    def flawless(self) -> bool:
        return not self.undecodable and not self.overlong


def detect_encoding(source: InputFile) -> str:
    """utf-8, utf-8-sig, utf-16 or gb18030, from the byte order mark or the first bytes beyond ASCII.

    A file in neither is refused with IntakeError naming the first line that cannot be read; so is a binary
    one. A few bad lines do not refuse a file.
    """
    head = source.head(HEAD_BYTES)
    for mark, encoding in ((codecs.BOM_UTF8, UTF8_BOM), (codecs.BOM_UTF16_LE, UTF16), (codecs.BOM_UTF16_BE, UTF16)):
        if head.startswith(mark):
            return encoding
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if controls > _BINARY_SHARE * len(head):
        looks = "无字节序标记的 UTF-16 文本" if head.count(0) > len(head) // 4 else "二进制文件"
        raise source.refused("IN04", what=looks, hint="请另存为 CSV UTF-8 或 XLSX")
    sample, line = _sample_beyond_ascii(source)
    if not sample:
        return UTF8
    bad = {encoding: _bad_lines(sample, encoding) for encoding in (UTF8, GB18030)}
    encoding = min(bad, key=lambda name: len(bad[name]))
    beyond = sum(not text.isascii() for text in sample.split(b"\n"))
    if len(bad[encoding]) * 2 > beyond:
        raise source.refused("IN05", row=line + bad[encoding][0])
    return encoding


def _sample_beyond_ascii(source: InputFile) -> tuple[bytes, int]:
    """Whole lines from the first one that is not ASCII, and its line number (from 1); b"" when all is ASCII. Of a line
    that does not end, its beginning up to the last ASCII character."""
    line = 1
    with source.open() as stream:
        rest = b""
        while chunk := _read(stream, _SCAN_BYTES, source):
            if chunk.isascii():
                line += chunk.count(b"\n")
                rest = chunk[chunk.rfind(b"\n") + 1 :]
                continue
            text = rest + chunk
            beyond = int(np.argmax(np.frombuffer(text, np.uint8) >= _BEYOND_ASCII))
            start = text.rfind(b"\n", 0, beyond) + 1
            line += text.count(b"\n", 0, start)
            text = text[start:] + _read(stream, max(0, _SAMPLE_BYTES - len(text) + start), source)
            end = text.rfind(b"\n", 0, _SAMPLE_BYTES) + 1
            return (text[:end] if end else _begun(text + _read_line(stream, source))), line
    return b"", line


def _bad_lines(data: bytes, encoding: str) -> tuple[int, ...]:
    """Positions of the lines of `data` that are not valid in `encoding`."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        bad = []
        for at, line in enumerate(data.split(b"\n")):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                bad.append(at)
        return tuple(bad)
    return ()


def _begun(text: bytes) -> bytes:
    """A line that may be cut anywhere, up to where no character is cut."""
    if text.endswith(b"\n") or len(text) <= _SAMPLE_BYTES:
        return text
    alone = np.flatnonzero(np.frombuffer(text, np.uint8) < ord("0"))  # such a byte is no part of a longer character
    return text[: int(alone[-1]) + 1] if len(alone) else text


def _read(stream: BinaryIO, size: int, source: InputFile) -> bytes:
    """Read, or refuse a gzip file that breaks off. Raises IntakeError."""
    go_on()
    try:
        return stream.read(size)
    except (OSError, EOFError) as error:
        raise source.refused("IN01", reason=unreadable(error)) from error


def _read_line(stream: BinaryIO, source: InputFile) -> bytes:
    """The rest of the line, as far as a line goes."""
    try:
        return stream.readline(format_facts().reading.longest_line)
    except (OSError, EOFError) as error:
        raise source.refused("IN01", reason=unreadable(error)) from error


def _is_utf8(data: bytes) -> bool:
    """Valid UTF-8; Polars checks several times faster than decoding does."""
    try:
        pl.Series([data], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.ComputeError:
        return False
    return True


def head_text(source: InputFile, encoding: str) -> str:
    """The first whole lines of the file, decoded, bad bytes replaced, line ends as newlines."""
    data = source.head(HEAD_BYTES)
    if encoding == UTF16:
        return _lines(codecs.getincrementaldecoder(UTF16)("replace").decode(data))
    end = data.rfind(b"\n") + 1
    whole = data if len(data) < HEAD_BYTES or not end else data[:end]
    return _lines(whole.decode(encoding, "replace"))


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def whole_text(source: InputFile, encoding: str) -> bytes:
    """The file as UTF-8, bad bytes replaced, ended by a newline. Raises IntakeError when it is larger than what is read
    as a whole, or a gzip file breaks off."""
    limit = format_facts().reading.longest_document
    pieces, size = [], 0
    with source.open() as stream:
        if encoding == UTF8_BOM:
            stream.read(len(codecs.BOM_UTF8))
        while piece := _read(stream, HEAD_BYTES, source):
            size += len(piece)
            if size > limit:
                raise source.refused("IN53", limit=limit)
            pieces.append(piece)
    data = b"".join(pieces)
    if encoding == UTF16:
        data = data.decode(UTF16, "replace").encode("utf-8")
    elif b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    narrow = UTF8 if encoding in (UTF8_BOM, UTF16) else encoding
    return _decoded(data if data.endswith(b"\n") else data + b"\n", narrow)[1]


def text_blocks(source: InputFile, encoding: str, *, skip_lines: int, block_bytes: int) -> Iterator[TextBlock]:
    """The file in blocks of about `block_bytes` bytes after its first `skip_lines` lines, cut between lines.

    Lines end with a newline; a file that uses bare carriage returns is read as if they were newlines.
    Raises IntakeError when a gzip file breaks off.
    """
    narrow = UTF8 if encoding in (UTF8_BOM, UTF16) else encoding
    for data, overlong in _whole_lines(source, encoding, block_bytes):
        skipped = 0
        while skip_lines and data:
            data = data[data.index(b"\n") + 1 :]
            skip_lines -= 1
            skipped += 1
        if data:
            undecodable, text = _decoded(data, narrow)
            yield TextBlock(text, undecodable, tuple((at - skipped, size) for at, size in overlong if at >= skipped))


def _whole_lines(
    source: InputFile, encoding: str, block_bytes: int
) -> Iterator[tuple[bytes, list[tuple[int, int]]]]:  # fmt: skip
    """Lines in the file's encoding (UTF-16: in UTF-8), each ended by a newline, and which of them (position, bytes)
    were too long and are left empty. No more than a block and a line are in memory."""
    head = source.head(HEAD_BYTES)
    carriage_returns = b"\n" not in head and b"\r" in head.removesuffix(b"\r") and encoding != UTF16
    decoder = codecs.getincrementaldecoder(UTF16)("replace") if encoding == UTF16 else None
    longest = format_facts().reading.longest_line
    with source.open() as stream:
        if encoding == UTF8_BOM:
            stream.read(len(codecs.BOM_UTF8))
        rest, lost, last = b"", 0, False
        while not last:
            data = _read(stream, block_bytes, source)
            last = len(data) < block_bytes
            if decoder is not None:
                data = decoder.decode(data, last).encode("utf-8")
            if carriage_returns:
                data = data.replace(b"\r", b"\n")
            overlong = []
            if lost:  # inside a line of which so many bytes are dropped already
                end = data.find(b"\n")
                if end < 0 and not last:
                    lost += len(data)
                    continue
                end = len(data) if end < 0 else end
                overlong, data, lost = [(0, lost + end)], data[end:] or b"\n", 0
            text = rest + data
            end = len(text) if last else text.rfind(b"\n") + 1
            data, rest = text[:end], text[end:]
            if len(rest) > longest:
                rest, lost = b"", len(rest)
            if data:
                whole, more = _shortened(data if data.endswith(b"\n") else data + b"\n", longest)
                yield whole, overlong + more


def _shortened(data: bytes, longest: int) -> tuple[bytes, list[tuple[int, int]]]:
    """Whole lines with those longer than `longest` bytes left empty, and these: position of the line, bytes."""
    pieces, found = [], []
    start = kept = counted = line = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + longest + 1)  # of all lines that end so soon, none is too long
        if end < 0:
            end = data.index(b"\n", start + longest)
            line += data.count(b"\n", counted, start)
            found.append((line, end - start))
            pieces.append(data[kept:start])
            kept = counted = end
        start = end + 1
    return (b"".join([*pieces, data[kept:]]), found) if found else (data, found)


def _decoded(data: bytes, encoding: str) -> tuple[tuple[int, ...], bytes]:
    """Lines in `encoding` as UTF-8, and the positions of those that are not valid in it."""
    if data.isascii() or (encoding == UTF8 and _is_utf8(data)):
        return (), data
    bad = _bad_lines(data, encoding)
    if not bad:
        return (), data.decode(encoding).encode("utf-8")
    # line by line, so that a damaged character at the end of a line cannot swallow the newline
    lines = [line.decode(encoding, "replace") for line in data.split(b"\n")]
    return bad, "\n".join(lines).encode("utf-8")
