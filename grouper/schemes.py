"""From a scheme's name, folder or workbook to a compiled scheme."""

from __future__ import annotations

from pathlib import Path

from grouper.compile import CompiledScheme, compile_scheme
from grouper.dip.compile import CompiledDip, compile_dip
from reference_tables.packs import DipPack, find_pack

Scheme = CompiledScheme | CompiledDip
_COMPILED: dict[tuple[str, str], Scheme] = {}


def open_scheme(name_or_path: str | Path) -> Scheme:
    """Load, check and compile a DRG or DIP scheme: the id of a built-in pack, a pack folder, or an official workbook.

    The same content is compiled once. Raises TablesRefused with every problem when the tables cannot be used.
    """
    pack = find_pack(name_or_path)
    key = (pack.id, pack.sha256)
    if key not in _COMPILED:
        _COMPILED[key] = compile_dip(pack) if isinstance(pack, DipPack) else compile_scheme(pack)
    return _COMPILED[key]
