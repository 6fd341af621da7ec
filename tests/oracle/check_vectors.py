"""Compare the oracle alone with a file of expected answers: python -m tests.oracle.check_vectors PACK FILE"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import time
from pathlib import Path

from tests.oracle.oracle import Case, Oracle


def read_vectors(path: Path) -> list[dict[str, str]]:
    """The rows of a vector file, CSV or CSV in gzip."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def differences(oracle: Oracle, rows: list[dict[str, str]]) -> list[str]:
    """One line per case whose answer is not the expected one."""
    lines: list[str] = []
    for row in rows:
        expected = (row["mdc"], row["adrg"], row["drg"])
        answered = oracle.group(Case.from_row(row))
        if answered != expected:
            lines.append(f"case {row['case_id']}: expected {expected}, answered {answered}")
    return lines


def main(pack: str, file: str) -> int:
    oracle = Oracle.from_folder(pack)
    rows = read_vectors(Path(file))
    started = time.perf_counter()
    wrong = differences(oracle, rows)
    seconds = time.perf_counter() - started
    print(*wrong, sep="\n")
    print(f"{len(rows) - len(wrong)} of {len(rows)} as expected, {len(rows) / seconds:.0f} cases a second")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
