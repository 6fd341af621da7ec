"""The made catalog of the benchmarks: its shape, and the engine's answers on it beside the oracle's."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from benchmarks.dip_catalog import MadeCatalog
from benchmarks.dip_lines import RESULT, make_history, oracle_rate, result_hash
from grouper.dip.compile import compile_dip
from grouper.engine import group_cases
from reference_tables.pack_writer import write_pack
from tests.oracle.synthetic_packs import build_synthetic_pack

ROWS = 400
CASES = 3_000


@pytest.fixture(scope="module")
def made() -> MadeCatalog:
    return MadeCatalog(ROWS, 7)


def test_shape(made: MadeCatalog) -> None:
    core = made.pack.tables["core"]
    assert core.height == ROWS
    modes = dict(core["px_mode"].value_counts().iter_rows())
    assert ROWS // 4 <= modes["none"] <= ROWS // 4 + 4
    assert 40 < modes["principal"] < 120 < modes["exact"]
    assert core.filter(px_mode="principal").filter(pl.col("related_px") == "").height == 0
    assert set(made.pack.tables["score"]["code"]) == {*core["code"], *made.pack.tables["mixed"]["code"]}


def test_same_seed_same_bytes(made: MadeCatalog) -> None:
    again = MadeCatalog(ROWS, 7)
    assert again.pack.sha256 == made.pack.sha256 != MadeCatalog(ROWS, 8).pack.sha256
    assert again.cases(500).equals(made.cases(500))


def test_most_cases_come_into_core_groups_and_the_engine_answers_as_the_oracle(
    made: MadeCatalog, tmp_path: Path
) -> None:
    write_pack(made.pack, tmp_path / "pack")
    frame = made.cases(CASES)
    result = group_cases(frame, compile_dip(made.pack))
    kinds = dict(result["kind"].value_counts().iter_rows())
    assert 0.75 * CASES < kinds["core"] < 0.95 * CASES
    assert kinds["core"] + kinds["mixed"] == CASES
    _, answered = oracle_rate(tmp_path, frame)
    assert result_hash(result.head(400)) == answered
    assert result_hash(result.head(399)) != answered
    assert set(RESULT) <= set(result.columns)


def test_history_of_three_years(tmp_path: Path) -> None:
    scheme = build_synthetic_pack("severity", tmp_path)
    files = make_history(tmp_path / "history", str(scheme), 100, 3)
    frames = [pl.read_parquet(file) for file in files]
    assert [frame.height for frame in frames] == [34, 33, 33]
    assert [frame["discharge_time"].dt.year().unique().to_list() for frame in frames] == [[2023], [2024], [2025]]
    assert pl.concat([frame["case_id"] for frame in frames]).n_unique() == 100
    assert min(frame["total_cost_fen"].min() for frame in frames) > 0
