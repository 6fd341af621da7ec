"""A small history of three years whose catalog is worked out by hand in the tests."""

from __future__ import annotations

from pathlib import Path

HEADER = "case_id,sex,age,los_days,discharge_way,diagnoses,procedures,total_cost,discharge_time"
OPERATED, CONSERVATIVE = "K80.200x003,51.2300", "I10.x05,"
PNEUMONIA, APPENDIX = "J18.900x001,", "K35.300,47.0100"

YEARS: dict[int, list[tuple[str, int]]] = {
    2023: [(OPERATED, 10_000), (OPERATED, 12_000), (CONSERVATIVE, 1_000)],
    2024: [(OPERATED, 20_000), (PNEUMONIA, 4_000)],
    2025: [
        (OPERATED, 30_000), (OPERATED, 34_000), (CONSERVATIVE, 2_000), (CONSERVATIVE, 3_000),
        (APPENDIX, 5_000), (APPENDIX, 7_000),
    ],
}  # fmt: skip
"""Diagnosis and procedure, cost in yuan. The code of the pneumonia is in no code book.

Gallstones operated: mean (11000 + 2 x 20000 + 7 x 32000) / 10 = 27500. Hypertension: no case in 2024, mean
(1000 + 7 x 2500) / 8 = 2312.50. All cases: (23000 / 3 + 2 x 12000 + 7 x 13500) / 10 = 37850 / 3.
"""

SCORES = [
    # code, score = mean / (37850 / 3) x 1000, cases, share of 11, CV, mean in fen
    ("I10.x:0", "183.2893", "3", "0.272727", "0.4082", "231250"),
    ("K80.2:51.2300", "2179.6565", "5", "0.454545", "0.4489", "2750000"),
    ("CH10-1", "317.0410", "1", "0.090909", "0.0000", "400000"),
    ("CH11-4", "475.5614", "2", "0.181818", "0.1667", "600000"),
]


def line(case_id: str, codes: str, yuan: str | int, date: str) -> str:
    diagnosis, procedure = codes.split(",")
    return f"{case_id},1,50,5,1,{diagnosis},{procedure},{yuan},{date}"


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return str(path)


def write_years(folder: Path) -> list[str]:
    """The history as one file a year."""
    return [
        write(
            folder / f"h{year}.csv",
            *(line(f"{year}-{at}", codes, yuan, f"{year}-05-{at:02d}") for at, (codes, yuan) in enumerate(cases, 1)),
        )
        for year, cases in YEARS.items()
    ]
