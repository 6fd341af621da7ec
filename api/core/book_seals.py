"""What makes a later change of a year book show: the checksum of each file, in a chain of seals over all runs.

The record of a run names its files with their sha256; its seal covers the record and the seal before it. The notes of
policies in the index are those of the files that the runs brought, and the key of each covers what it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from reference_tables.problems import Problem

if TYPE_CHECKING:
    from api.core.book import BookFile, BookPolicy, Run

POLICIES = "policies"
POLICY_ROLE = "policy"
_KEY = 16
SHOWN_RUN = 12
"""Of a checksum that stands for a run as much is shown."""
_UNREADABLE = frozenset({"ST60", "ST61", "ST66", "ST67"})


def readable(problems: Iterable[Problem]) -> bool:
    """Are all files there and as they were written, by an index that is as it was?"""
    return not any(problem.code in _UNREADABLE for problem in problems)


def seal_of(run: Run, before: str) -> str:
    """The seal of a run after the one before it."""
    record = {**asdict(replace(run, seal="")), "before": before}
    return hashlib.sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()


def policy_key(policy_id: str, sha256: str, weights_sha256: str, pack_sha256: str) -> str:
    """What stands for a policy with its group values and its grouping scheme."""
    record = [policy_id, sha256, weights_sha256, pack_sha256]
    return hashlib.sha256(orjson.dumps(record)).hexdigest()[:_KEY]


def broken(runs: Sequence[Run], policies: Sequence[BookPolicy], index: str) -> Iterator[Problem]:
    """What of a book's index (the name of the file) is not as it was written: runs by their seals (ST61), notes of
    policies by their keys (ST66) and by the runs that brought them (ST67)."""
    before = ""
    for run in runs:
        if seal_of(run, before) != run.seal:
            yield Problem("ST61", {"run": run.run_id[:SHOWN_RUN]}, file=index)
        before = run.seal
    brought = [(run.month, file.path.split("/")[1]) for run in runs for file in run.files if file.role == POLICY_ROLE]
    if brought != [(policy.since, policy.key) for policy in policies]:
        yield Problem("ST67", file=index)
    for policy in policies:
        if policy_key(policy.id, policy.sha256, policy.weights_sha256, policy.pack_sha256) != policy.key:
            args: dict[str, str | int] = {"policy": policy.id, "path": f"{POLICIES}/{policy.key}"}
            yield Problem("ST66", args, file=index)


def read_as_written(folder: Path, file: BookFile) -> bytes | Problem:
    """The bytes of a file of the book in a folder when they are those that were written, else what is wrong (ST60).

    Raises OSError when the disk does not answer.
    """
    try:
        data = (folder / file.path).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return file_fault(file.path, gone=True)
    return data if hashlib.sha256(data).hexdigest() == file.sha256 else file_fault(file.path, gone=False)


def file_fault(path: str, *, gone: bool) -> Problem:
    """A file of a book that is gone or changed."""
    reason = "不见了" if gone else "与索引中的校验值不符，被改动过"
    return Problem("ST60", {"path": path, "reason": reason}, file=path)
