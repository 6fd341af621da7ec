"""Hospitals: what an id of one looks like, and which ones the office's register holds."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from api.service.documents import Stand, laid_out
from reference_tables.table_files import read_table

if TYPE_CHECKING:
    from api.service.context import Service

LONGEST_ID = 64
ID_ZH = f"应为 1 至 {LONGEST_ID} 位字母、数字，中间可有 - . _"
_ID = re.compile(r"\w(?:[\w.-]*\w)?")
_kept: dict[str, frozenset[str] | None] = {}
_lock = threading.Lock()
_MOST_KEPT = 8


def is_hospital_id(text: str) -> bool:
    """Is a text fit to be the id of a hospital: letters, digits, with - . _ between them, 64 characters at most?"""
    return len(text) <= LONGEST_ID and ".." not in text and _ID.fullmatch(text) is not None


def registered(service: Service, stand: Stand) -> frozenset[str] | None:
    """The hospitals that the office's register holds; None where there is no register (or none that can be read, which
    is told where its contents are used)."""
    found = stand.latest("hospitals")
    if found is None:
        return None
    with _lock:
        if found.sha256 not in _kept:
            if len(_kept) >= _MOST_KEPT:
                _kept.pop(next(iter(_kept)))
            with TemporaryDirectory(dir=service.work) as folder:
                table = read_table(laid_out(service.files, found, Path(folder)), {"hospital_id": "text"})
            _kept[found.sha256] = None if table.frame is None else frozenset(table.frame["hospital_id"])
        return _kept[found.sha256]
