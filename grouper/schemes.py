"""From a scheme's name, folder or workbook to a compiled scheme."""

from __future__ import annotations

from pathlib import Path

from grouper.compile import CompiledScheme, compile_scheme
from reference_tables.packs import find_pack

_COMPILED: dict[tuple[str, str], CompiledScheme] = {}


def open_scheme(name_or_path: str | Path) -> CompiledScheme:
    """Load, check and compile a scheme: the id of a built-in pack, a pack folder, or an official workbook.

    The same content is compiled once. Raises TablesRefused with every problem when the tables cannot be used.
    """
    pack = find_pack(name_or_path)
    key = (pack.id, pack.sha256)
    if key not in _COMPILED:
        _COMPILED[key] = compile_scheme(pack)
    return _COMPILED[key]
