"""Rules that only a whole batch can answer; what they remember does not depend on where blocks are cut.

Memory: some 60 bytes a case for repeated cases, the same again where the file names persons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import polars as pl

from grouper.quality.block import Block, bare_date, is_blank
from grouper.quality.report import Finding
from grouper.quality.setup import QualitySetup

_STAY = ("hospital_id", "record_no", "admission_time", "discharge_time")


class BatchRule(Protocol):
    """Collects from every block, answers once."""

    rule: str

    def add(self, block: Block) -> None: ...

    def finish(self) -> list[Finding]: ...


def _args(**columns: str) -> dict[str, pl.Expr | str]:
    return {name: pl.col(column) for name, column in columns.items()}


class RepeatedCases:
    """A07: the same case id, or the same stay under another id; every one of them is reported."""

    rule = "A07"

    def __init__(self) -> None:
        self.ids: list[pl.DataFrame] = []
        self.stays: list[pl.DataFrame] = []

    def add(self, block: Block) -> None:
        self.ids.append(block.cases.filter(~is_blank(pl.col("case_id"), [])).select("row", "case_id"))
        if block.has(*_STAY):
            told = ~is_blank(pl.col("record_no"), []) & pl.all_horizontal(pl.col(_STAY).is_not_null())
            self.stays.append(block.cases.filter(told).select("row", "case_id", *_STAY))

    def finish(self) -> list[Finding]:
        found = []
        for frames, key, what in (
            (self.ids, ["case_id"], "病例号"),
            (self.stays, list(_STAY), "医疗机构、病案号和入出院时间"),
        ):
            if frames:
                repeated = self._repeated(pl.concat(frames), key)
                args = {"what": what, **_args(other="other")}
                found.append(Finding(self.rule, repeated, "case_id", pl.col("case_id"), args))
        return found

    @staticmethod
    def _repeated(cases: pl.DataFrame, key: list[str]) -> pl.DataFrame:
        """Rows that share the key with another row (`other`: the first of those)."""
        rows = cases.filter(cases.select(key).is_duplicated())
        if key != ["case_id"]:
            rows = rows.filter(pl.col("case_id").n_unique().over(key) > 1)
        rows = rows.sort("row").with_columns(
            pl.col("row").first().over(key).alias("first"), pl.col("row").get(1).over(key).alias("second")
        )
        other = pl.when(pl.col("row") == pl.col("first")).then("second").otherwise("first")
        return rows.select("row", "case_id", other.alias("other"))


class EditionSuspicion:
    """E03: how many diagnoses of the batch the insurance edition does not know."""

    rule = "E03"

    def __init__(self, setup: QualitySetup) -> None:
        self.setup = setup
        self.total = self.unknown = 0

    def add(self, block: Block) -> None:
        dx = block.dx
        self.total += int(dx.present.sum())
        self.unknown += int((dx.present & ~dx.known).sum())

    def finish(self) -> list[Finding]:
        least = self.setup.number("unknown_share_least_codes")
        limit = self.setup.number("unknown_share_percent")
        if self.total < least or self.unknown * 100 <= self.total * limit:
            return []
        frame = pl.DataFrame({"row": [0], "case_id": [""]}, schema={"row": pl.UInt32, "case_id": pl.String})
        share = f"{self.unknown * 1000 // self.total / 10:.1f}"
        args = {"total": str(self.total), "value": str(self.unknown), "share": share}
        return [Finding(self.rule, frame, "diagnoses", pl.lit(str(self.unknown)), args)]


class _Stays:
    """Stays of persons: row, case_id, person_id, begin, end, category of the principal diagnosis."""

    def __init__(self) -> None:
        self.frames: list[pl.DataFrame] = []

    def add(self, block: Block) -> None:
        named = ~is_blank(pl.col("person_id"), [])
        dated = (pl.col("admission_time") <= pl.col("discharge_time")).fill_null(False)
        principal = pl.col("diagnoses").list.first().str.slice(0, 3)
        self.frames.append(
            block.cases.filter(named & dated).select(
                "row", "case_id", "person_id", "admission_time", "discharge_time", principal.alias("category")
            )
        )

    def of_repeated_persons(self, *key: str) -> pl.DataFrame:
        """Stays whose key stands more than once, by key and time."""
        stays = pl.concat(self.frames) if self.frames else pl.DataFrame()
        if stays.is_empty():
            return stays
        return stays.filter(stays.select(key).is_duplicated()).sort(*key, "admission_time", "discharge_time", "row")


class OverlappingStays:
    """C12: a stay that begins before an earlier one of the same person has ended."""

    rule = "C12"

    def __init__(self) -> None:
        self.stays = _Stays()

    def add(self, block: Block) -> None:
        self.stays.add(block)

    def finish(self) -> list[Finding]:
        stays = self.stays.of_repeated_persons("person_id")
        if stays.is_empty():
            return []
        person = stays["person_id"].rle_id().cast(pl.Int64).to_numpy()
        # A bare admission date may mean any hour of that day.
        admission = pl.col("admission_time")
        begin = pl.when(bare_date(admission)).then(admission.dt.offset_by("1d")).otherwise(admission)
        times = stays.select(begin.dt.epoch("s").alias("begin"), pl.col("discharge_time").dt.epoch("s").alias("end"))
        starts, ends = times["begin"].to_numpy(), times["end"].to_numpy()
        # Persons stand one after the other on one axis, so the latest end so far is never another person's.
        origin = min(starts.min(), ends.min())
        offset = person * (max(starts.max(), ends.max()) - origin + 1) - origin
        latest = np.maximum.accumulate(offset + ends)
        record = np.r_[True, latest[1:] > latest[:-1]]
        holder = np.maximum.accumulate(np.where(record, np.arange(latest.size), 0))
        overlaps = (offset + starts)[1:] < latest[:-1]
        at = np.flatnonzero(overlaps & (person[1:] == person[:-1]))
        found = stays[at + 1].select("row", "case_id").with_columns(stays["row"][holder[at]].alias("other"))
        return [Finding(self.rule, found, "admission_time", None, _args(other="other"))]


class EarlyReadmission:
    """C13: back within the days of the policy with a principal diagnosis of the same category."""

    rule = "C13"

    def __init__(self, setup: QualitySetup) -> None:
        self.setup = setup
        self.stays = _Stays()

    def add(self, block: Block) -> None:
        self.stays.add(block)

    def finish(self) -> list[Finding]:
        key = ("person_id", "category")
        stays = self.stays.of_repeated_persons(*key)
        if stays.is_empty():
            return []
        rows = stays.with_columns(
            pl.col("row").shift(1).over(key).alias("other"),
            (pl.col("admission_time").dt.date() - pl.col("discharge_time").shift(1).over(key).dt.date())
            .dt.total_days()
            .alias("days"),
        )
        limit = self.setup.number("readmission_days")
        found = rows.filter(pl.col("days").is_between(0, limit) & (pl.col("category") != ""))
        args = _args(other="other", days="days", category="category")
        return [Finding(self.rule, found, "admission_time", pl.col("days"), args)]


BATCH_RULES: Mapping[str, Callable[[QualitySetup], BatchRule]] = {
    RepeatedCases.rule: lambda _: RepeatedCases(),
    EditionSuspicion.rule: EditionSuspicion,
    OverlappingStays.rule: lambda _: OverlappingStays(),
    EarlyReadmission.rule: EarlyReadmission,
}
