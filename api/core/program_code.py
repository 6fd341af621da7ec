"""The program's own code as a checksum, so that a result can name exactly what computed it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_PACKAGES = ("reference_tables", "grouper", "budget", "api")
_CODE = {".py", ".toml"}


@cache
def code_sha256() -> str:
    """sha256 over names and bytes of every .py and .toml file of the program's packages, in order of their names."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for package in _PACKAGES:
        files = [path for path in (root / package).rglob("*") if path.suffix in _CODE and path.is_file()]
        for path in sorted(files, key=lambda item: item.relative_to(root).as_posix()):
            name = path.relative_to(root).as_posix()
            digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
