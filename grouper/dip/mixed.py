"""Mixed groups (综合病种): the group of every diagnosis and nature of treatment, looked up at once.

Source: 《按病种分值（DIP）付费3.0版分组方案》, 综合病种; `reference_tables/dip_schema.toml`, natures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grouper.code_index import FIRST, NONE, CodeIndex, Ids
from grouper.dip.codes import DiagnosisCodes
from reference_tables.codes import CodeBooks
from reference_tables.dip_cells import diagnosis_items
from reference_tables.dip_pack import DipPack, dip_schema

NO_ROW = -1
CONSERVATIVE = 1


class MixedGroups:
    """Which row of mixed.csv takes a case, by diagnosis id and nature.

    `nature` uint8 [px ids]: nature of each effective principal procedure (none: CONSERVATIVE); `row` int32
    [natures + 1, dx ids]: row of the table, NO_ROW = none.
    """

    def __init__(self, pack: DipPack, books: CodeBooks, dx: DiagnosisCodes, px: CodeIndex) -> None:
        self.nature = _natures(pack, books, px)
        self.row = np.full((max(dip_schema().natures) + 1, dx.index.size), NO_ROW, np.int32)
        levels = dip_schema().words["mixed_level"]
        columns = pack.tables["mixed"].select("level", "scope", "nature")
        claims = [
            (levels.index(level), not item.mark, place, int(nature), item)
            for place, (level, scope, nature) in enumerate(columns.iter_rows())
            for item in diagnosis_items(scope)
        ]
        # The finest level wins, in it a marked scope, then the first row: what is laid last stays.
        for _, _, place, nature, item in sorted(claims, key=lambda claim: claim[:3], reverse=True):
            self.row[nature, dx.ids_under((item,))] = place

    def of(self, principal: Ids, procedure: Ids) -> NDArray[np.int32]:
        """int32 [cases]: the row of each case by its principal diagnosis and effective principal procedure."""
        place = self.nature.take(procedure) * np.int64(self.row.shape[1]) + principal
        return self.row.ravel().take(place)


def _natures(pack: DipPack, books: CodeBooks, px: CodeIndex) -> NDArray[np.uint8]:
    nature = np.full(px.size, int(pack.setting("unknown_nature")), np.uint8)
    known = dip_schema().nature_of_category
    book = books.procedure.frame
    ids = px.encode_column(book["code"])
    nature[ids] = [known.get(category, nature[FIRST - 1]) for category in book["category"]]
    own = pack.tables["nature"]
    ids = px.encode_column(own["code"].str.strip_chars().str.to_uppercase())
    nature[ids] = own["nature"].cast(int).to_numpy()
    nature[NONE] = CONSERVATIVE
    return nature
