"""A made-up city's year in small files, as a payment office has them: cases by month, register, decisions, year."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.unit.pay_examples import HEADER, row

HOSPITALS = {"H1": "3", "H2": "2", "H3": "1"}
_TIERS = {"3": "三级", "2": "二级", "1": "一级"}
_DISEASES = ("I61.000", "J18.900", "E11.900", "K80.100", "I63.900", "N20.000")


@dataclass(frozen=True)
class City:
    """Where its files are; `months` in order of time."""

    months: tuple[Path, ...]
    register: Path
    decisions: Path
    year_file: Path


def write_city(folder: Path) -> City:
    """Twelve months of 24 cases in three hospitals: some low, some dear, a few that no group takes."""
    months = []
    for month in range(1, 13):
        rows = ""
        for at in range(24):
            number = month * 24 + at
            cost = 2000_00 + number * 7919_13 % 26000_00
            patient = cost * (25 + number % 20) // 100
            own = patient // 3
            rows += row(
                f"C{number}", _yuan(cost), hospital_id=list(HOSPITALS)[number % 3],
                hospital_level=list(HOSPITALS.values())[number % 3], insurance_type=("310", "390")[number // 3 % 2],
                discharge_date=f"2026-{month:02d}-{1 + at:02d}", principal_dx=_DISEASES[number * 5 % 7 % 6],
                fund_pay=_yuan(cost - patient), self_pay=_yuan(patient - own), own_pay=_yuan(own),
            )  # fmt: skip
        months.append(folder / f"2026-{month:02d}.csv")
        months[-1].write_text(HEADER + rows, encoding="utf-8")
    register = folder / "hospitals.csv"
    register.write_text(
        "hospital_id,name,tier\n" + "".join(f"{name},{name} 医院,{_TIERS[tier]}\n" for name, tier in HOSPITALS.items()),
        encoding="utf-8",
    )
    decisions = folder / "decisions.csv"
    decisions.write_text("case_id,decision\nC30,by_item\nC31,refused\nC100,by_item\n", encoding="utf-8")
    year_file = folder / "year.toml"
    year_file.write_text(_year(), encoding="utf-8")
    return City(tuple(months), register, decisions, year_file)


def _year() -> str:
    lines = ["year = 2026", 'region = "合成市"', 'data_level = "synthetic"', 'decisions = "decisions.csv"']
    for insurance in ("职工", "居民"):
        lines += ["[[fund]]", f'insurance = "{insurance}"', 'income = "2200000.00"']
        for item in ("catastrophic", "offsite", "outpatient", "pharmacy", "separate_drugs", "by_item"):
            lines += ["[[deduction]]", f'insurance = "{insurance}"', f'item = "{item}"', 'amount = "70000.00"']
    for name, score in zip(HOSPITALS, ("96", "88", "61"), strict=True):
        lines += ["[[hospital]]", f'id = "{name}"', f'name = "{name} 医院"', f'score = "{score}"']
    lines += ["[[violation]]", 'hospital = "H2"', 'insurance = "居民"', 'amount = "123.45"', 'reason = "重复收费"']
    return "\n".join(lines) + "\n"


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"
