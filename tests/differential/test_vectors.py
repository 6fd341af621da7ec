"""Expected answers as files: every case of a vector file must be grouped exactly as the file says.

DRGDIP_DRG_VECTORS=PACK:FILE[,PACK:FILE] names the files to test: PACK is a pack folder or the id of a
built-in pack, FILE a CSV (or .csv.gz) with the flat columns and mdc, adrg, drg. Without it, the committed
vectors of CHS-DRG 1.1 are tested.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.differential.compare import engine_answers, folder_of, oracle_of
from tests.oracle.check_vectors import differences, read_vectors

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "chs-drg-1.1.csv.gz"
ORACLE_SAMPLE = 3_000
SHOWN = 5


def named_vectors(setting: str) -> list[tuple[str, Path]]:
    """(pack, file) pairs of the setting; the committed file without one."""
    pairs = [entry.strip().rpartition(":") for entry in setting.split(",") if entry.strip()]
    return [(pack, Path(file)) for pack, _, file in pairs] or [("chs-drg-1.1", GOLDEN)]


VECTORS = named_vectors(os.environ.get("DRGDIP_DRG_VECTORS", ""))


@pytest.mark.parametrize(("pack", "file"), VECTORS, ids=[f"{Path(p).name}:{f.name}" for p, f in VECTORS])
def test_engine(pack: str, file: Path) -> None:
    rows = read_vectors(file)
    assert rows
    answers = engine_answers(rows, pack)
    wrong = [
        f"case {row['case_id']}: expected {(row['mdc'], row['adrg'], row['drg'])}, answered {answer}"
        for row, answer in zip(rows, answers, strict=True)
        if (row["mdc"], row["adrg"], row["drg"]) != answer
    ]
    assert not wrong, f"{len(wrong)} of {len(rows)}, the first: {wrong[:SHOWN]}"


@pytest.mark.parametrize(("pack", "file"), VECTORS, ids=[f"{Path(p).name}:{f.name}" for p, f in VECTORS])
def test_oracle(pack: str, file: Path) -> None:
    rows = read_vectors(file)
    sample = rows[:: max(1, len(rows) // ORACLE_SAMPLE)]
    assert sample
    wrong = differences(oracle_of(str(folder_of(pack))), sample)
    assert not wrong, f"{len(wrong)} of {len(sample)}, the first: {wrong[:SHOWN]}"


def test_the_committed_file_is_whole() -> None:
    rows = read_vectors(GOLDEN)
    assert len(rows) == 3_000
    assert [row["case_id"] for row in rows[:30]] == [str(number) for number in range(1, 31)]
    assert len({row["drg"] for row in rows}) == 662


def test_naming_vectors() -> None:
    assert named_vectors("") == [("chs-drg-1.1", GOLDEN)]
    assert named_vectors("a:b.csv, /x/y:/z.csv.gz") == [("a", Path("b.csv")), ("/x/y", Path("/z.csv.gz"))]
