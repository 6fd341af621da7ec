"""Sums of payments by hospital, insurance and group, exact, without a priced frame in between."""

from __future__ import annotations

import numpy as np
import polars as pl

from budget.plain_cases import BLOCK, PlainBlock, PlainCases
from budget.pricing import Pricer
from budget.text_codes import Ints

KEYS = ("hospital_id", "insurance", "group")
AMOUNTS = ("cost_fen", "package_fen", "fund_fen")
_DENSE = 1 << 23


class PriceSums:
    """Adds up what frames of cases are paid."""

    def __init__(self, pricer: Pricer) -> None:
        self._plain = PlainCases(pricer, KEYS)
        self._parts: list[pl.DataFrame] = []
        self._sizes = (0, 0, 0)
        self._sums: Ints = np.zeros((0, 0), np.int64)

    def add(self, cases: pl.DataFrame) -> None:
        """Take up a PAYABLE frame, priced as by Pricer.price: yearly numbers of capped groups count within the frame.

        Raises TablesRefused with every parameter that the policy lacks for these cases.
        """
        pricer = self._plain.pricer
        odd: list[pl.DataFrame] = []
        for part in cases.iter_slices(BLOCK):
            block = self._plain.price(part, self._plain.codes(part))
            self._count(block)
            if block.odd.size:
                odd.append(part[block.odd])
        pricer.refuse_missing(self._plain.problems)
        if odd:
            frame = pricer.price(pl.concat(odd), display=False).frame
            texts = frame.with_columns(pl.col(KEYS).cast(pl.String))
            self._parts.append(texts.group_by(KEYS).agg(pl.len().alias("cases"), pl.col(AMOUNTS).sum()))

    def result(self) -> pl.DataFrame:
        """One row per hospital, insurance and group, sorted: cases, cost_fen, package_fen, fund_fen."""
        self._empty()
        schema = {name: pl.String() for name in KEYS} | {name: pl.Int64() for name in ("cases", *AMOUNTS)}
        parts = [pl.DataFrame(schema=schema), *(part.cast(schema) for part in self._parts)]  # type: ignore[arg-type]
        return pl.concat(parts).group_by(KEYS).agg(pl.col("cases", *AMOUNTS).sum()).sort(KEYS)

    def _count(self, block: PlainBlock) -> None:
        hospital, insurance, group = (block.codes[name] for name in KEYS)
        self._make_room()
        _, insurances, groups = self._sizes
        key = np.asarray((hospital * insurances + insurance) * groups + group + 1)
        key = np.array(np.broadcast_to(key, block.cases.height))
        key[block.odd] = 0  # counts for nothing
        if self._sums.size:
            np.add.at(self._sums[0], key, 1)
            for sums, amount in zip(self._sums[1:], (block.cost, block.package, block.fund), strict=True):
                np.add.at(sums, key, amount)
            return
        # Too many different keys for a table.
        frame = pl.DataFrame({"key": key, "cost_fen": block.cost, "package_fen": block.package, "fund_fen": block.fund})
        found = frame.filter(pl.col("key") > 0).group_by("key").agg(pl.len().alias("cases"), pl.col(AMOUNTS).sum())
        self._parts.append(self._named(found["key"].to_numpy(), found.drop("key")))

    def _make_room(self) -> None:
        """Sizes that hold all numbers given so far; what was summed up under smaller ones is put away."""
        counts = tuple(len(self._plain.texts[name]) for name in KEYS)
        if all(count <= size for count, size in zip(counts, self._sizes, strict=True)):
            return
        self._empty()
        self._sizes = tuple(1 << count.bit_length() for count in counts)  # type: ignore[assignment]
        keys = int(np.prod(self._sizes)) + 1
        self._sums = np.zeros((1 + len(AMOUNTS), keys if keys <= _DENSE else 0), np.int64)

    def _empty(self) -> None:
        """Put away what is summed up in the table."""
        if not self._sums.size:
            return
        used = np.flatnonzero(self._sums[0])
        used = used[used > 0]
        amounts = dict(zip(("cases", *AMOUNTS), self._sums[:, used], strict=True))
        self._parts.append(self._named(used, pl.DataFrame(amounts)))
        self._sums[:] = 0

    def _named(self, keys: Ints, amounts: pl.DataFrame) -> pl.DataFrame:
        _, insurances, groups = self._sizes
        rest, group = np.divmod(keys - 1, groups)
        hospital, insurance = np.divmod(rest, insurances)
        named = {
            name: pl.Series(self._plain.texts[name].texts, dtype=pl.String)[pl.Series(code)]
            for name, code in zip(KEYS, (hospital, insurance, group), strict=True)
        }
        return pl.DataFrame(named).with_columns(amounts.select(pl.all().cast(pl.Int64)).iter_columns())
