"""A text file as blocks of UTF-8: which encoding it has, where lines end, which lines cannot be decoded."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import polars as pl

from grouper.formats.source import InputFile
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
    bytes are replaced, so that the rest of the line can be told apart but not used.
    """

    data: bytes
    undecodable: tuple[int, ...]


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
    """Whole lines from the first one that is not ASCII, and its line number (from 1); b"" when all is ASCII."""
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
            return (text[:end] if end else text + _read_line(stream, source)), line
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


def _read(stream: BinaryIO, size: int, source: InputFile) -> bytes:
    """Read, or refuse a gzip file that breaks off. Raises IntakeError."""
    try:
        return stream.read(size)
    except (OSError, EOFError) as error:
        raise source.refused("IN01", reason=unreadable(error)) from error


def _read_line(stream: BinaryIO, source: InputFile) -> bytes:
    """The rest of the line."""
    try:
        return stream.readline()
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


def text_blocks(source: InputFile, encoding: str, *, skip_lines: int, block_bytes: int) -> Iterator[TextBlock]:
    """The file in blocks of about `block_bytes` bytes after its first `skip_lines` lines, cut between lines.

    Lines end with a newline; a file that uses bare carriage returns is read as if they were newlines.
    Raises IntakeError when a gzip file breaks off.
    """
    carriage_returns = b"\n" not in source.head(HEAD_BYTES) and encoding != UTF16
    decoder = codecs.getincrementaldecoder(UTF16)("replace") if encoding == UTF16 else None
    narrow = UTF8 if encoding in (UTF8_BOM, UTF16) else encoding
    with source.open() as stream:
        if encoding == UTF8_BOM:
            stream.read(len(codecs.BOM_UTF8))
        rest = b""
        last = False
        while not last:
            data = _read(stream, block_bytes, source)
            last = len(data) < block_bytes
            if decoder is not None:
                text = rest + decoder.decode(data, last).encode("utf-8")
                end = len(text) if last else text.rfind(b"\n") + 1
                data, rest = text[:end], text[end:]
            elif not last:
                data += _read_line(stream, source)
            if carriage_returns:
                data = data.replace(b"\r", b"\n")
            while skip_lines and data:
                newline = data.find(b"\n") + 1
                data = data[newline:] if newline else b""
                skip_lines -= 1 if newline else 0
            if data:
                yield _decoded(data if data.endswith(b"\n") else data + b"\n", narrow)


def _decoded(data: bytes, encoding: str) -> TextBlock:
    """Lines in `encoding` as UTF-8."""
    if data.isascii() or (encoding == UTF8 and _is_utf8(data)):
        return TextBlock(data, ())
    bad = _bad_lines(data, encoding)
    if not bad:
        return TextBlock(data.decode(encoding).encode("utf-8"), ())
    # line by line, so that a damaged character at the end of a line cannot swallow the newline
    lines = [line.decode(encoding, "replace") for line in data.split(b"\n")]
    return TextBlock("\n".join(lines).encode("utf-8"), bad)
