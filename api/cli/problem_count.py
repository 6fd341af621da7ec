"""Problems of a run counted on their way to a list, and the most frequent ones told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import polars as pl
from rich.markup import escape

from api.cli.console import SHOWN, err
from grouper.pipeline import Sink, most_frequent
from reference_tables.problems import LEVEL_ZH, Level

_REFUSED = {Level.ERROR.value, Level.REJECT.value}


@dataclass
class CountedProblems:
    """A sink that counts by code and level, keeps the first message of each and passes the frames on to `sink`."""

    sink: Sink | None = None
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)

    def write(self, frame: pl.DataFrame) -> None:
        """Take problems (PROBLEM_SCHEMA)."""
        for code, level, message, count in (
            frame.group_by("code", "level", maintain_order=True).agg(pl.col("message").first(), pl.len()).iter_rows()
        ):
            self.counts[code, level] += count
            self.examples.setdefault((code, level), message)
        if self.sink is not None:
            self.sink.write(frame)

    @property
    def refused(self) -> bool:
        """Was a case or a file rejected?"""
        return any(level in _REFUSED for _, level in self.counts)

    def rows(self) -> list[dict[str, str | int]]:
        """code, level and count of each, for JSON."""
        return [{"code": code, "level": level, "count": n} for (code, level), n in sorted(self.counts.items())]

    def tell(self) -> None:
        """The most frequent problems in Chinese on standard error."""
        console = err()
        if self.counts:
            console.print("[bold]主要问题[/]")
        for (code, level), count in most_frequent(self.counts, SHOWN):
            example = self.examples[code, level]
            console.print(f"  {count:>9,}  {LEVEL_ZH[Level(level)]} {code}  {escape(f'如：{example}')}")
