"""The context of a case under DIP: one bit for every condition beside its principal codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from grouper.code_index import CodeIndex
from grouper.context_words import or_others, or_table, set_bit
from grouper.dip.codes import DiagnosisCodes
from grouper.dip.terms import Condition, FlagHolds, InRange, Items, Lacks, SomeDiagnosis, SomeProcedure
from grouper.encode import UNKNOWN_NUMBER, CodeLists
from grouper.result import Reason
from grouper.term_tables import WORD, Words, bit_mask

FlagItems = Mapping[str, tuple[Items, Items]]
"""Named condition -> its items among principal diagnoses, and among other diagnoses."""
Numbers = Mapping[str, NDArray[np.int32]]


class DipContextPlan:
    """Everything about a pack's context that does not depend on the cases."""

    def __init__(
        self, conditions: Sequence[Condition], words: int, flags: FlagItems, dx: DiagnosisCodes, px: CodeIndex
    ) -> None:
        self.words = words
        self.numbers: list[tuple[int, InRange | Lacks]] = []
        self._principal: dict[str, Words] = {}
        self._others: dict[str, Words] = {}
        size = {"dx": dx.index.size, "px": px.size}

        def lay(tables: dict[str, Words], kind: str, bit: int, ids: NDArray[np.int64]) -> None:
            table = tables.setdefault(kind, np.zeros((words, size[kind]), np.uint64))
            table[bit // WORD, ids] |= bit_mask(bit)

        for bit, condition in enumerate(conditions):
            if isinstance(condition, SomeDiagnosis):
                ids = dx.ids_under(condition.items)
                lay(self._others, "dx", bit, ids)
                if condition.principal:
                    lay(self._principal, "dx", bit, ids)
            elif isinstance(condition, FlagHolds):
                principal, others = flags.get(condition.flag, ((), ()))
                lay(self._principal, "dx", bit, dx.ids_under(principal))
                lay(self._others, "dx", bit, dx.ids_under(others))
            elif isinstance(condition, SomeProcedure):
                ids = procedure_ids(px, condition.codes)
                lay(self._others, "px", bit, ids)
                if not condition.beside:
                    lay(self._principal, "px", bit, ids)
            else:
                self.numbers.append((bit, condition))
        self._flags = {kind: np.any(table != 0, axis=0) for kind, table in self._others.items()}

    def of(self, dx: CodeLists, px: CodeLists, numbers: Numbers) -> Words:
        """uint64 [W, cases]; `px` with the effective principal procedure as principal; `numbers` int32 [cases] by
        field (NL, XSRTL, XSRTZ), unknown = UNKNOWN_NUMBER."""
        words = np.zeros((self.words, len(dx.offsets) - 1), np.uint64)
        for kind, lists in (("dx", dx), ("px", px)):
            if kind in self._principal:
                or_table(words, self._principal[kind], lists.principal)
            if kind in self._others:
                or_others(words, self._others[kind], self._flags[kind], lists)
        for bit, condition in self.numbers:
            set_bit(words, bit, _true(condition, numbers))
        return words


def procedure_ids(px: CodeIndex, codes: Iterable[str]) -> NDArray[np.int64]:
    """Ids of some procedures spelt as `spelled` gives them ("" = no procedure), ascending."""
    return np.unique(np.array([px.id_of(code) for code in codes], np.int64))


def _true(condition: InRange | Lacks, numbers: Numbers) -> NDArray[np.bool_]:
    if isinstance(condition, InRange):
        values = numbers[condition.field]
        low, high = condition.span
        true: NDArray[np.bool_] = values != UNKNOWN_NUMBER
        if low is not None:
            true &= values >= low
        if high is not None:
            true &= values <= high
        return true
    if condition.reason is Reason.WEIGHT_UNKNOWN:
        return np.asarray(numbers["XSRTZ"] == UNKNOWN_NUMBER)
    years, days = numbers["NL"], numbers["XSRTL"]
    unknown = years == UNKNOWN_NUMBER
    # From the first birthday on days are not recorded: such a patient is too old for any range of days.
    asked = unknown if condition.reason is Reason.AGE_UNKNOWN else (years < 1) & ~unknown
    return np.asarray(asked & (days == UNKNOWN_NUMBER))
