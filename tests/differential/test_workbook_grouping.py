"""A scheme read from the official workbook answers as the same scheme read from its folder of CSV."""

from pathlib import Path

from reference_tables.packs import find_pack
from tests.differential.compare import engine_answers
from tests.differential.test_vectors import GOLDEN
from tests.oracle.check_vectors import read_vectors
from tests.unit.official_workbook import save, sheets


def test_committed_vectors_through_the_workbook(tmp_path: Path) -> None:
    workbook = save(tmp_path / "1.1.xlsx", sheets(find_pack("chs-drg-1.1")).values())
    rows = read_vectors(GOLDEN)
    assert len(rows) == 3_000
    answers = engine_answers(rows, str(workbook))
    wrong = [
        row["case_id"]
        for row, answer in zip(rows, answers, strict=True)
        if (row["mdc"], row["adrg"], row["drg"]) != answer
    ]
    assert wrong == []
