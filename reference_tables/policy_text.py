"""Where the tables and keys of a TOML text stand: the lines that tomllib does not tell.

The text is walked once, past strings, comments and brackets, so that what only looks like a key inside a text is
never taken for one. Keys and tables given twice are found here, all of them, and can be blanked out so that the
rest of the file is still read.
"""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass

Path = tuple[str | int, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*")
_ONE = re.compile(_PART)
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)+")
_BARE = re.compile(r"[ \t]*=[ \t]*(?P<value>[^\s\"'\[\]{}#][^\"'\\#\n]*?)[ \t]*(?:#[^\n]*)?")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"*"""|' + r"'''(?:[^']|'(?!''))*'*'''|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Twice:
    """A key or table given again: its name, the line, the line of the first one, and what to blank out."""

    name: str
    line: int
    first: int
    start: int
    end: int


class TomlLines:
    """Lines of a TOML text by path; a table of an array has its index in the path: ("set", 3, "value")."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self.lines: dict[Path, int] = {}
        self.twice: list[Twice] = []
        self._bare: dict[Path, tuple[int, int]] = {}
        self._arrays: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}
        self._walk()

    def line(self, *path: str | int) -> int:
        """The line of a path, else of the table it stands in; 0 when neither is there."""
        for length in range(len(path), 0, -1):
            found = self.lines.get(path[:length])
            if found is not None:
                return found
        return 0

    def without_twice(self, days: Collection[str] = ()) -> str:
        """The text with everything given twice blanked out, line for line the same.

        What stands bare under a key of `days` and is no TOML (2025-02-30, 2025/1/1) is put in quotes, so that it can
        be told like any other wrong value and the rest of the file is still read.
        """
        parts, at = [], 0
        for start, end, text in sorted([*self._blanked(), *self._quoted(days)]):
            if start < at:
                continue
            parts += [self.text[at:start], text]
            at = end
        return "".join([*parts, self.text[at:]])

    def _blanked(self) -> Iterator[tuple[int, int, str]]:
        for item in self.twice:
            yield item.start, item.end, re.sub(r"[^\n]", " ", self.text[item.start : item.end])

    def _quoted(self, keys: Collection[str]) -> Iterator[tuple[int, int, str]]:
        for path, (start, end) in self._bare.items():
            bare = self.text[start:end]
            if path[-1] in keys:
                try:
                    tomllib.loads(f"x = {bare}")
                except tomllib.TOMLDecodeError:
                    yield start, end, json.dumps(bare, ensure_ascii=False)

    def _line_at(self, offset: int) -> int:
        return bisect_left(self._ends, offset) + 1

    def _walk(self) -> None:
        text, at = self.text, 0
        table: Path = ()
        dropped: Twice | None = None
        while at < len(text):
            blank = _BLANK.match(text, at)
            if blank:
                at = blank.end()
                continue
            start = at
            if text[at] == "[":
                if dropped is not None:
                    self._close(dropped, start)
                at, table, dropped = self._header(at)
                continue
            key = _KEY.match(text, at)
            at = self._end_of_value(key.end() if key else at)
            if key and dropped is None:
                self._note(table, key.group(), start, at)
                bare = _BARE.fullmatch(text, key.end(), at)
                if bare:
                    self._bare.setdefault((*table, *_names(key.group())), bare.span("value"))
        if dropped is not None:
            self._close(dropped, len(text))

    def _close(self, item: Twice, end: int) -> None:
        self.twice.append(Twice(item.name, item.line, item.first, item.start, end))

    def _header(self, at: int) -> tuple[int, Path, Twice | None]:
        start, array = at, self.text.startswith("[[", at)
        at += 2 if array else 1
        blank = _BLANK.match(self.text, at)
        key = _KEY.match(self.text, blank.end() if blank else at)
        stop = self.text.find("\n", at)
        end = len(self.text) if stop < 0 else stop
        if not key:
            return end, (), None
        names, line = _names(key.group()), self._line_at(start)
        path: Path = ()
        for place, name in enumerate(names):
            path = (*path, name)
            last = place == len(names) - 1
            if path in self._arrays and not (last and array):
                path = (*path, self._arrays[path])
        if array:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            self.lines.setdefault(path, line)
            path = (*path, self._arrays[path])
        elif path in self._tables:
            return end, path, Twice(".".join(names), line, self._tables[path], start, end)
        else:
            self._tables[path] = line
        self.lines.setdefault(path, line)
        return end, path, None

    def _note(self, table: Path, key: str, start: int, end: int) -> None:
        names, line = _names(key), self._line_at(start)
        path: Path = (*table, *names)
        if path in self.lines:
            self.twice.append(Twice(".".join(names), line, self.lines[path], start, end))
            return
        for length in range(len(table) + 1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def _end_of_value(self, at: int) -> int:
        """Just past the value that starts at or after `at`: the end of its line, outside of brackets and texts."""
        text, depth = self.text, 0
        while at < len(text):
            string = _STRING.match(text, at) if text[at] in "\"'" else None
            if string:
                at = string.end()
                continue
            if text[at] == "#" and (stop := text.find("\n", at)) != at:
                at = len(text) if stop < 0 else stop
                continue
            if text[at] == "\n" and depth <= 0:
                return at
            depth += (text[at] in "[{") - (text[at] in "]}")
            at += 1
        return at


def _names(key: str) -> list[str]:
    return [part[1:-1] if part[0] in "\"'" else part for part in _ONE.findall(key)]
