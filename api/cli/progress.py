"""A progress bar on standard error once a run lasts longer than a person likes to wait."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from api.cli.console import err
from grouper.intake import SourceInfo
from grouper.pipeline import Progress as Report

_AFTER = 2.0  # seconds
_SAMPLE = 1 << 18  # bytes of a text file looked at to guess its rows


def expected_rows(path: str) -> int | None:
    """About how many cases a file holds; None where that cannot be told without reading it."""
    place = Path(path)
    if not place.is_file():
        return None
    with place.open("rb") as stream:
        sample = stream.read(_SAMPLE)
    if sample.startswith(b"PAR1"):
        try:
            return int(pl.scan_parquet(place, glob=False).select(pl.len()).collect().item())
        except pl.exceptions.PolarsError:
            return None
    lines = sample.count(b"\n")
    if lines == 0 or sample.startswith((b"PK", b"\x1f\x8b")):
        return None
    return round(place.stat().st_size * lines / len(sample))


@contextmanager
def progress_bar(paths: Sequence[str]) -> Iterator[Report]:
    """Gives the function that the pipeline tells its progress to; nothing is shown off a terminal."""
    console = err()
    if not console.is_terminal:
        yield lambda _source, _rows: None
        return
    guesses = [expected_rows(path) for path in paths]
    known = [guess for guess in guesses if guess is not None]
    total = sum(known) if len(known) == len(guesses) else None
    started = time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[done]}"),
        TimeRemainingColumn(), console=console, transient=True,
    )  # fmt: skip
    task = bar.add_task("", total=total, done="")

    def show(source: SourceInfo, rows: int) -> None:
        passed = time.monotonic() - started
        if passed > _AFTER:
            bar.start()
            done = f"{rows:,} 例  {rows / passed:,.0f} 例/秒"
            bar.update(task, completed=rows, description=escape(source.path), done=done)

    try:
        yield show
    finally:
        bar.stop()
