"""Chinese names of grown groups, out of the code books: diagnosis of the group, then its procedures or treatment."""

from __future__ import annotations

from reference_tables.catalog_rules import catalog_rules
from reference_tables.codes import CodeBooks
from reference_tables.dip_cells import spelled, subcategory_of
from reference_tables.dip_pack import dip_schema

_FIRST_OF_SUBCATEGORY = "00"
_WHOLE_CATEGORY = ".X00"
_BETWEEN = "："
_JOIN = "+"


class GroupNames:
    """Names of subcategories, categories and combinations of procedures."""

    def __init__(self, books: CodeBooks) -> None:
        self._diagnoses: dict[str, str] = {}
        self._spelling: dict[str, str] = {}
        for code, name in books.diagnosis.frame.select("code", "name").iter_rows():
            plain = spelled(code)
            start = subcategory_of(plain)
            # The code that ends in 00 is named as its whole subcategory; where there is none, the first code stands.
            if start not in self._diagnoses or plain == start + _FIRST_OF_SUBCATEGORY:
                self._diagnoses[start] = name
            self._spelling[start] = code[: len(start)]
            if plain.endswith(_WHOLE_CATEGORY):
                self._diagnoses[plain.removesuffix(_WHOLE_CATEGORY)] = name
        self._procedures = dict(books.procedure.frame.select("code", "name").iter_rows())

    def diagnosis(self, start: str) -> str:
        """A category or subcategory as the code book spells it (I10.x)."""
        return self._spelling.get(start, start)

    def scope(self, start: str) -> str:
        """The name of a subcategory or category; its code with 类 where the book has no name for it."""
        named = self._diagnoses.get(start)
        return f"{self.diagnosis(start)}{catalog_rules().category_word}" if named is None else named

    def core(self, subcategory: str, procedures: str) -> str:
        """The name of a core group; `procedures` joined by `+`, blank = conservative treatment (保守治疗)."""
        if not procedures:
            return f"{self.scope(subcategory)}{_BETWEEN}{dip_schema().natures[1]}"
        return (
            self.scope(subcategory) + _BETWEEN + _JOIN.join(self._procedures[code] for code in procedures.split(_JOIN))
        )
