"""Sums of payments by hospital, insurance and group, exact, without a priced frame in between."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from budget.fund_share import amount
from budget.plain_cases import BLOCK, PlainCases
from budget.pricing import Pricer
from budget.text_codes import Codes, Ints

KEYS = ("hospital_id", "insurance", "group")
AMOUNTS = ("cost_fen", "package_fen", "fund_fen")
_DENSE = 1 << 23


class PriceSums:
    """Adds up what frames of cases are paid."""

    def __init__(self, pricer: Pricer) -> None:
        self._plain = PlainCases(pricer, KEYS)
        self._texts = [self._plain.texts[name] for name in KEYS]
        self._sizes = (0, 0, 0)
        self._sums: Ints = np.zeros((0, 0), np.int64)
        self._parts: list[pl.DataFrame] = []

    def add(self, cases: pl.DataFrame) -> None:
        """Take up a PAYABLE frame, priced as by Pricer.price: yearly numbers of capped groups count within the frame.

        Raises TablesRefused with every parameter that the policy lacks for these cases.
        """
        pricer = self._plain.pricer
        odd: list[pl.DataFrame] = []
        for part in cases.iter_slices(BLOCK):
            block = self._plain.price(part, self._plain.codes(part))
            if block.odd.size:
                odd.append(part[block.odd])
            if block.odd.size < part.height:
                amounts = (block.cost, block.package, block.fund)
                self._count([block.codes[name] for name in KEYS], amounts, block.odd)
        pricer.refuse_missing(self._plain.problems)
        if odd:
            frame = pricer.price(pl.concat(odd), display=False).frame
            codes = [coder.codes(frame[name]) for name, coder in zip(KEYS, self._texts, strict=True)]
            self._count(codes, tuple(amount(frame, name) for name in AMOUNTS), np.zeros(0, np.int64))

    def _count(self, codes: Sequence[Codes], amounts: Sequence[Ints], odd: Ints) -> None:
        """Add cases up by the numbers of their texts; the rows of `odd` count for nothing."""
        self._make_room()
        _, insurances, groups = self._sizes
        hospital, insurance, group = codes
        key = np.array(np.broadcast_to((hospital * insurances + insurance) * groups + group + 1, len(amounts[0])))
        key[odd] = 0
        if self._sums.size:
            np.add.at(self._sums[0], key, 1)
            for sums, fen in zip(self._sums[1:], amounts, strict=True):
                np.add.at(sums, key, fen)
            return
        # Too many different keys for a table.
        frame = pl.DataFrame({"key": key, **dict(zip(AMOUNTS, amounts, strict=True))}).filter(pl.col("key") > 0)
        found = frame.group_by("key").agg(pl.len().cast(pl.Int64).alias("cases"), pl.col(AMOUNTS).sum())
        self._parts.append(self._named(found["key"].to_numpy() - 1, found.drop("key")))

    def _make_room(self) -> None:
        """Sizes that hold all numbers given so far; what was summed up under smaller ones is put away."""
        if all(len(coder) <= size for coder, size in zip(self._texts, self._sizes, strict=True)):
            return
        self._empty()
        hospitals, insurances, groups = (1 << (len(coder) - 1).bit_length() for coder in self._texts)
        self._sizes = hospitals, insurances, groups
        keys = hospitals * insurances * groups + 1
        self._sums = np.zeros((1 + len(AMOUNTS), keys if keys <= _DENSE else 0), np.int64)

    def _empty(self) -> None:
        """Put away what is summed up in the table, in the order of hospital, insurance and group."""
        if not self._sums.size:
            return
        inside = np.ix_(*(_order(coder.texts[:size]) for coder, size in zip(self._texts, self._sizes, strict=True)))
        keys = np.arange(self._sums.shape[1] - 1).reshape(self._sizes)[inside].reshape(-1)
        keys = keys[self._sums[0][1:].take(keys) > 0]
        amounts = dict(zip(("cases", *AMOUNTS), self._sums[:, 1:].take(keys, axis=1), strict=True))
        self._parts.append(self._named(keys, pl.DataFrame(amounts)))
        self._sums = np.zeros_like(self._sums)

    def _named(self, keys: Ints, amounts: pl.DataFrame) -> pl.DataFrame:
        _, insurances, groups = self._sizes
        rest, group = np.divmod(keys, groups)
        hospital, insurance = np.divmod(rest, insurances)
        named = {
            name: pl.Series(coder.texts, dtype=pl.String)[pl.Series(code.astype(np.uint32))]
            for name, coder, code in zip(KEYS, self._texts, (hospital, insurance, group), strict=True)
        }
        return pl.DataFrame(named).with_columns(amounts.iter_columns())

    def result(self) -> pl.DataFrame:
        """One row per hospital, insurance and group, sorted: cases, cost_fen, package_fen, fund_fen."""
        self._empty()
        schema = {name: pl.String() for name in KEYS} | {name: pl.Int64() for name in ("cases", *AMOUNTS)}
        parts = [part for part in self._parts if part.height]
        self._parts = parts
        if len(parts) == 1:
            return parts[0]
        whole = pl.concat([pl.DataFrame(schema=schema), *parts])
        return whole.group_by(KEYS).agg(pl.col("cases", *AMOUNTS).sum()).sort(KEYS)


def _order(texts: list[str | None]) -> Ints:
    """The numbers of texts in the order of the texts, none first."""
    return np.array(sorted(range(len(texts)), key=lambda at: (texts[at] is not None, texts[at] or "")), np.int64)
