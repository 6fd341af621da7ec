"""The year book (账册): a folder with the accepted cases, prices, postings and runs of one region's year.

    book.json                    index: year, policies, runs in order, each file with its checksum; written last
    months/2026-03/<hash>.parquet    accepted cases of a run (PAYABLE_SCHEMA), named by the sha256 of the file
    ledger/<run>.parquet         postings of a run (POSTING_SCHEMA)
    policies/<key>/              policies the book was kept by, with their group values (api/core/book_policies.py)
    runs/<run>/...               prices, changes to earlier cases, decisions, statement, refused cases, proof

Files are only added. Each is written under a temporary name, flushed and renamed, and counts from the moment the index
names it; a run that breaks off leaves files nobody reads, never half a month.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from api.core.book_rows import json_of, parquet_of, part_of
from api.core.book_seals import broken, read_as_written, seal_of
from api.store.faults import point
from budget.frames import PAYABLE_SCHEMA, PRICED_SCHEMA
from budget.ledger import POSTING_SCHEMA, balances
from reference_tables.problems import Problem

CLEAR = "clear"
INDEX = "book.json"
LOCK = ".lock"
PARTIAL = ".partial"
HELD = "ST03"
"""The problem of a book that another command holds."""
PARTS = ("months", "ledger", "runs", "policies")
FORMAT = 2
KEY = ("hospital_id", "case_id")
POSTED_SCHEMA: dict[str, pl.DataType] = {**PRICED_SCHEMA, "pool": pl.String(), "basis": pl.String()}
"""A priced case with the pool it is posted in, and the key of the policy it was priced by."""

CHANGE_SCHEMA: dict[str, pl.DataType] = {
    "hospital_id": pl.String(),
    "case_id": pl.String(),
    "action": pl.String(),
    "reason": pl.String(),
    "from_run": pl.String(),
}
"""One row an earlier case that is no longer as it was: `action` replace, decide or withdraw; `from_run` the run whose
version it ends."""

DECISION_SCHEMA: dict[str, pl.DataType] = {
    "hospital_id": pl.String(),
    "case_id": pl.String(),
    "decision": pl.String(),
    "amount_fen": pl.Int64(),
}
"""Special cases (特例单议) as decided: by_item, adjusted (with amount_fen) or refused."""

PAID_COLUMNS = {
    "due_fen": "5001", "owed_fen": "2201", "held_fen": "2202", "deferred_fen": "2203", "advance_fen": "1201",
    "paid_fen": "1001",
}  # fmt: skip


class BookRefused(Exception):
    """A book cannot be used, or refuses what is asked of it; carries every problem found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


@dataclass(frozen=True, slots=True)
class BookFile:
    """One file of a run: what it holds, where, the sha256 of its bytes, and its rows."""

    role: str
    path: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `run_id`: hash of all it was made from, the book before it included; `input_id`: the same without the
    book and the program's version, by which a repetition is known. `kind` settle, correct, advance, close or clear;
    `closes`: the month is closed with it. `totals`: counts and sums in fen. `seal`: hash of the run's record and of
    the seal before it, so that nothing earlier can change unseen."""

    run_id: str
    input_id: str
    kind: str
    month: str
    closes: bool
    note: str
    totals: Mapping[str, int]
    files: tuple[BookFile, ...] = ()
    seal: str = ""


@dataclass(frozen=True, slots=True)
class BookPolicy:
    """A policy the book is kept by, from the month `since` on; `reason` why it replaced the one before. `key` stands
    for it with its group values (`weights_sha256`) and the grouping scheme (`pack`, `pack_sha256`)."""

    id: str
    sha256: str
    since: str
    reason: str
    key: str
    weights_sha256: str
    pack: str
    pack_sha256: str


@dataclass(frozen=True)
class Book:
    """A year book as it stands on disk. Reading is lazy; `append` gives the book with one more run.

    Whatever is read or added raises BookRefused when the index is not as it was written (ST61, ST66, ST67), and
    reading also when a file of it is gone or changed (ST60): each file is checked as it is read, from the same bytes.
    """

    path: Path
    year: int
    policies: tuple[BookPolicy, ...] = ()
    runs: tuple[Run, ...] = ()
    faults: tuple[Problem, ...] = field(default=(), repr=False, compare=False)
    _read: dict[tuple[str, ...], pl.DataFrame] = field(default_factory=dict, repr=False, compare=False)
    _counting: dict[tuple[str, ...], pl.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    @property
    def closed_until(self) -> str:
        """The last closed month, "" when none is; every earlier one is closed with it."""
        return max((run.month for run in self.runs if run.closes), default="")

    @property
    def last_month(self) -> str:
        """The last month that has a run but clearing, "" for an empty book."""
        return max((run.month for run in self.runs if run.kind != CLEAR), default="")

    @property
    def last_run(self) -> str:
        return self.runs[-1].run_id if self.runs else ""

    @property
    def cleared(self) -> Run | None:
        """The clearing that holds: the last run, when that is one; any later run takes it back."""
        return self.runs[-1] if self.runs and self.runs[-1].kind == CLEAR else None

    @property
    def settled_seal(self) -> str:
        """The seal of the last run that is no clearing: it stands for all that is cleared."""
        return next((run.seal for run in reversed(self.runs) if run.kind != CLEAR), "")

    @property
    def seal(self) -> str:
        """The seal of the last run; it stands for everything in the book."""
        return self.runs[-1].seal if self.runs else ""

    def with_input(self, input_id: str) -> Run | None:
        """The run that was made from these inputs, if there is one."""
        return next((run for run in self.runs if run.input_id == input_id), None)

    def run_of(self, month: str, kind: str) -> Run | None:
        """The first run of a kind in a month."""
        return next((run for run in self.runs if (run.month, run.kind) == (month, kind)), None)

    def check_index(self) -> None:
        """Raise BookRefused (ST61, ST66, ST67) unless the index was found as it was written."""
        if self.faults:
            raise BookRefused(self.faults)

    def data(self, file: BookFile) -> bytes:
        """The bytes of a file of the book, as they were written."""
        self.check_index()
        found = read_as_written(self.path, file)
        if isinstance(found, Problem):
            raise BookRefused([found])
        return found

    def frame(
        self, role: str, schema: Mapping[str, pl.DataType], run: Run | None = None, among: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """What all runs (or one) have of a role, in the order of runs, with `book_run` and `book_month`: the columns of
        the schema, which may be some of the role's; of the cases `among` (KEY), or of all."""
        frames = [pl.DataFrame(schema={**schema, "book_run": pl.String(), "book_month": pl.String()})]
        for each in self.runs if run is None else (run,):
            for file in each.files:
                if file.role == role:
                    marks = pl.lit(each.run_id).alias("book_run"), pl.lit(each.month).alias("book_month")
                    frames.append(self._part(file, tuple(schema), among).with_columns(*marks))
        return pl.concat(frames)

    def _part(self, file: BookFile, names: tuple[str, ...], among: pl.DataFrame | None) -> pl.DataFrame:
        if among is not None:
            return part_of(self.data(file), names, among)
        known = (file.path, *names)
        if known not in self._read:
            self._read[known] = part_of(self.data(file), names, None)
        return self._read[known]

    def cases(self, names: Sequence[str] = tuple(PAYABLE_SCHEMA), among: pl.DataFrame | None = None) -> pl.DataFrame:
        """The cases that count now (PAYABLE_SCHEMA, or the columns `names` of it with KEY) with `book_run` and
        `book_month`, where each was accepted last; of the cases `among` (KEY), or all."""
        return self._current("cases", {name: PAYABLE_SCHEMA[name] for name in names}, among)

    def priced(self, names: Sequence[str] = tuple(POSTED_SCHEMA), among: pl.DataFrame | None = None) -> pl.DataFrame:
        """The same as they were priced and posted: POSTED_SCHEMA."""
        return self._current("priced", {name: POSTED_SCHEMA[name] for name in names}, among)

    def _current(self, role: str, schema: Mapping[str, pl.DataType], among: pl.DataFrame | None) -> pl.DataFrame:
        known = (role, *schema)
        if among is None and known in self._counting:
            return self._counting[known]
        ended = self.changes().select(*KEY, book_run="from_run")
        found = self.frame(role, schema, among=among)
        if ended.height:
            found = found.join(ended, on=[*KEY, "book_run"], how="anti", maintain_order="left")
        if among is None:
            self._counting[known] = found
        return found

    def changes(self) -> pl.DataFrame:
        """What later runs changed of earlier cases: CHANGE_SCHEMA with the changing run and its month."""
        return self.frame("changes", CHANGE_SCHEMA)

    def decisions(self) -> pl.DataFrame:
        """Decisions on special cases (DECISION_SCHEMA), the last of each case."""
        found = self.frame("decisions", DECISION_SCHEMA).unique(list(KEY), keep="last", maintain_order=True)
        return found.select(*DECISION_SCHEMA)

    def ledger(self) -> pl.DataFrame:
        """Every posting (POSTING_SCHEMA), in the order of runs."""
        return self.frame("postings", POSTING_SCHEMA).select(*POSTING_SCHEMA)

    def year_ledger(self) -> pl.DataFrame:
        """The postings without those of clearing, and without those that take a clearing back."""
        clearings = [run.run_id for run in self.runs if run.kind == CLEAR]
        ledger = self.ledger()
        return ledger.filter(~pl.col("run_id").is_in(clearings) & ~pl.col("supersedes").is_in(clearings))

    def paid(self) -> pl.DataFrame:
        """What was settled and paid in the year, before any clearing, by hospital and pool, fen: hospital_id, pool,
        due_fen (fund's part of all cases), paid_fen (cash paid out, advances not counted), held_fen (deposit),
        deferred_fen (left for clearing), owed_fen (due and not yet paid), advance_fen (still out). due = paid + held +
        deferred + owed."""
        found = balances(self.year_ledger())
        wide = found.select("hospital_id", "pool").unique().sort("hospital_id", "pool")
        for name, account in PAID_COLUMNS.items():
            part = found.filter(pl.col("account") == account).select(
                "hospital_id", "pool", pl.col("balance_fen").alias(name)
            )
            wide = wide.join(part, on=["hospital_id", "pool"], how="left", maintain_order="left")
        filled = wide.with_columns(pl.col(*PAID_COLUMNS).fill_null(0))
        return filled.with_columns(paid_fen=-pl.col("paid_fen") - pl.col("advance_fen"))

    def append(
        self,
        run: Run,
        frames: Mapping[str, pl.DataFrame],
        documents: Mapping[str, object],
        kept: Mapping[str, tuple[str, bytes]] | None = None,
    ) -> Book:
        """Write a run and its files, the index last; the book with it.

        `frames` by role: cases, priced, changes, decisions, postings, statement, ...; `documents` are JSON files of
        the run, by role; `kept` further files by role: their place in the book and their bytes. Raises OSError when
        the folder cannot be written; then the book is as it was.
        """
        self.check_index()
        files = [self._store(run, role, parquet_of(frame), frame.height) for role, frame in frames.items()]
        files += [self._store(run, role, json_of(value), 1) for role, value in documents.items()]
        for role, (place, data) in (kept or {}).items():
            write_whole(self.path / place, data)
            files.append(BookFile(role, place, hashlib.sha256(data).hexdigest(), 1))
        made = replace(run, files=tuple(files))
        sealed = replace(made, seal=seal_of(made, self.seal))
        point("book files written")
        book = replace(self, runs=(*self.runs, sealed), _counting={})
        book.write_index()
        return book

    def _store(self, run: Run, role: str, data: bytes, rows: int) -> BookFile:
        digest = hashlib.sha256(data).hexdigest()
        ending = "json" if data[:1] == b"{" else "parquet"
        place = {
            "cases": f"months/{run.month}/{digest}.parquet",
            "postings": f"ledger/{run.run_id}.parquet",
        }.get(role, f"runs/{run.run_id}/{role}.{ending}")
        write_whole(self.path / place, data)
        return BookFile(role, place, digest, rows)

    def write_index(self) -> None:
        """Write book.json; from then on the book is as this object says."""
        content: dict[str, Any] = {
            "format": FORMAT,
            "year": self.year,
            "policies": [asdict(policy) for policy in self.policies],
            "runs": [asdict(run) for run in self.runs],
        }
        write_whole(self.path / INDEX, json_of(content))

    def document(self, run: Run, role: str) -> Any:
        """A JSON file of a run."""
        return orjson.loads(self.data(next(file for file in run.files if file.role == role)))


def new_book(path: Path, year: int) -> Book:
    """An empty book for a year; nothing is written yet."""
    return Book(path, year)


def open_book(path: Path) -> Book:
    """The book in a folder; `faults` say what of its index is not as it was written.

    Raises BookRefused: ST01 no book there, ST02 the index cannot be read.
    """
    place = path / INDEX
    if not place.is_file():
        raise BookRefused([Problem("ST01", {"path": str(path)}, file=path.name)])
    return book_of(path, place.read_bytes())


def book_of(path: Path, index: bytes) -> Book:
    """The book in a folder as an index of it says. Raises BookRefused (ST02)."""
    try:
        data = orjson.loads(index)
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}")
        policies = tuple(BookPolicy(**policy) for policy in data["policies"])
        runs = tuple(_run(run) for run in data["runs"])
        return Book(path, int(data["year"]), policies, runs, tuple(broken(runs, policies, INDEX)))
    except (ValueError, KeyError, TypeError) as error:
        raise BookRefused([Problem("ST02", {"reason": str(error)}, file=INDEX)]) from None


def _run(data: dict[str, Any]) -> Run:
    files = tuple(BookFile(**file) for file in data.pop("files"))
    return Run(**data, files=files)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a book for writing; the folder is made when it does not exist, and taken away when nothing came into it.

    Raises BookRefused (ST03) when another command holds it; the lock goes with the process that holds it.
    """
    new = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    try:
        with (path / LOCK).open("a+b") as stream:
            try:
                _take(stream.fileno())
            except OSError:
                raise BookRefused([Problem(HELD, {"path": str(path)}, file=path.name)]) from None
            yield
    finally:
        if new and {entry.name for entry in path.iterdir()} <= {LOCK}:
            shutil.rmtree(path)


def _take(handle: int) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: temporary name, flush to disk, rename, flush the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
