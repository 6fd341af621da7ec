"""The code sets of a pack as ids, encoded once for each kind of code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from grouper.code_index import FIRST, CodeIndex, Ids
from reference_tables.packs import DrgPack


class SetIds:
    """Every set of a pack, looked up in every index of codes."""

    def __init__(self, pack: DrgPack, indexes: Mapping[str, CodeIndex]) -> None:
        sets = pack.sets.group_by("set", maintain_order=True).agg("code")
        self._place = {name: at for at, name in enumerate(sets["set"])}
        self._size = {kind: index.size for kind, index in indexes.items()}
        self._lists: dict[str, tuple[Ids, NDArray[np.int64]]] = {
            kind: index.encode_lists(sets["code"]) for kind, index in indexes.items()
        }

    def members(self, kind: str, names: Iterable[str]) -> NDArray[np.bool_]:
        """bool [ids of the kind]: codes in some of the sets; no code and an unknown code never are."""
        inside = np.zeros(self._size[kind], np.bool_)
        flat, offsets = self._lists[kind]
        for name in names:
            place = self._place.get(name)
            if place is not None:
                inside[flat[offsets[place] : offsets[place + 1]]] = True
        inside[:FIRST] = False
        return inside
