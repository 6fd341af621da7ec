"""Names that people and hospitals give, as names of files: a file system counts bytes, 255 of them at most, a person
characters, of which a Chinese one has three."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import quote

LONGEST_NAME = 180
"""Bytes of UTF-8 that a name may have: endings and marks of files that are not whole yet come to it."""
_LONGEST_FILE = 230
"""No file is written under a longer name, whoever gave it; room for an ending is left."""
_KEPT = 180
_LONGEST_ENDING = 8


def is_short(name: str) -> bool:
    """Is a name one that files can be called by, with what comes to it?"""
    return len(name.encode()) <= LONGEST_NAME


def file_name(name: str) -> str:
    """What a file of this name is called on a disk: so, or by the name's beginning, its checksum and its ending."""
    data = name.encode()
    if len(data) <= _LONGEST_FILE:
        return name
    _, dot, ending = name.rpartition(".")
    ending = f".{ending}" if dot and len(ending.encode()) <= _LONGEST_ENDING else ""
    return f"{data[:_KEPT].decode(errors='ignore')}-{sha256(data).hexdigest()[:16]}{ending}"


def statement_name(hospital: str) -> str:
    """What the files of a hospital's statement are called, without their endings."""
    return file_name(quote(hospital, safe=""))
