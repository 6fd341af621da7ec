"""The national list 3.0 in small, as a pack folder: the sample rows, and the rows that only worked cases tell of.

Layers, exclusions and primary-care diseases come from the sample of the published list in tests/golden; what the list
leaves to other tables (drug-resistant tuberculosis, mixed groups) is written here.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from tests.oracle.dip_pack_folder import DipText, Row, layer
from tests.oracle.dip_tables import read_book

SAMPLE = Path(__file__).resolve().parents[1] / "golden" / "dip_3_0_sample.csv"
LAYERS = {
    "pre": "XQ", "newborn": "XQ", "merged": "BX", "burn": "FZ", "tumour": "FZ", "tuberculosis": "FZ", "base": "JC",
}  # fmt: skip
PX_RULES = {"按保守治疗入组": "conservative", "不可作为主要手术操作": "not_principal"}
ENDOSCOPY = "A00-A09|C15-C26|D01|D12|D13|D37|I85|K20-K93"
NATURES = ("1", "2", "3", "4")

# (number, principal diagnoses, principal procedures, related procedures): not in the sample, but worked cases end here.
WORKED_ROWS = (
    ("BX-332", "D18.0", "21.0300x003|21.0300x004", ""),
    ("BX-609", "I20.0|I20.1", "36.0700", ""),
    ("BX-720", "I70.1", "39.9016", "39.5002"),
    ("JC-2975", "H16.0", "", ""),
    ("JC-3285", "I70.1", "39.5002", ""),
    ("JC-3625", "K35", "47.0100", ""),
    ("JC-4478", "P07.0", "", ""),
    ("JC-4513", "P59.9", "", ""),
    ("JC-5111", "Z51.1", "", ""),
)
EXCLUDED_BY_WORKED_CASES = (("00.0100", "conservative"), ("11.6000", "conservative"))
ENDOSCOPIC = ("45.1300", "45.2300")
RESISTANT = "耐药"


def sample_rows() -> list[dict[str, str]]:
    """The rows of the sample."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def sample_pack() -> DipText:
    """The catalog of the sample rows, of the worked rows and of mixed groups for every category of the code book."""
    rows = sample_rows()
    return DipText(
        tables={
            "layer": [layer("XQ", 1, "number"), layer("BX", 2), layer("FZ", 3), layer("JC", 4)],
            "core": [*_core(rows), *map(_worked, WORKED_ROWS)],
            "mixed": list(_mixed()),
            "flag": [
                {"flag": RESISTANT, "role": "principal", "item": "A15.000x010"},
                {"flag": RESISTANT, "role": "other", "item": "U84.300"},
            ],
            "excluded_dx": [
                {"code": row["principal_dx"], "name": row["principal_dx"]}
                for row in rows
                if row["sheet"] == "excluded_dx"
            ],
            "excluded_px": list(_excluded_px(rows)),
            "primary_care": [
                {"number": row["number"], "principal_dx": row["principal_dx"], "px": row["px"]}
                for row in rows
                if row["sheet"] == "primary_care"
            ],
        },
    )


def _core(rows: list[dict[str, str]]) -> Iterator[Row]:
    for row in rows:
        if row["sheet"] not in LAYERS:
            continue
        prefix = LAYERS[row["sheet"]]
        made: dict[str, str | int] = {
            "code": f"{prefix}-{row['number']}",
            "layer": prefix,
            "number": row["number"],
            "principal_dx": row["principal_dx"] or "*",
            "other_dx": row["other_dx"],
            "px": row["px"],
            "related_px": row["related_px"],
        }
        if row["resistant"]:
            made["flag"] = RESISTANT if row["resistant"] == "是" else f"!{RESISTANT}"
        if row["sheet"] == "newborn":
            below = int(row["age_days"].strip("<天"))
            made |= {"principal_dx": "*", "any_dx": row["principal_dx"], "px_mode": "any"}
            made |= {"age_days": f"0-{below - 1}", "birth_weight_g": row["birth_weight_g"].removesuffix("克")}
        elif row["remark"] == "不限定主要手术操作":
            made["px_mode"] = "anywhere"
        yield made


def _worked(row: tuple[str, str, str, str]) -> Row:
    code, principal, px, related = row
    prefix, number = code.split("-")
    return {
        "code": code, "layer": prefix, "number": number, "principal_dx": principal, "px": px, "related_px": related,
    }  # fmt: skip


def _excluded_px(rows: list[dict[str, str]]) -> Iterator[Row]:
    for row in rows:
        if row["sheet"] == "excluded_px":
            yield {"code": row["px"], "name": row["px"], "rule": PX_RULES[row["remark"]]}
    for code, rule in EXCLUDED_BY_WORKED_CASES:
        yield {"code": code, "name": code, "rule": rule}
    for code in ENDOSCOPIC:
        yield {"code": code, "name": code, "rule": "with_principal", "principal_dx": ENDOSCOPY}


def _mixed() -> Iterator[Row]:
    """Every category, and every category of dagger codes, by the four natures: A09-1, A17+-1."""
    scopes = set()
    for code in read_book("diagnosis").spelling:
        scopes |= {code[:3], code[:3] + "+"} if "+" in code else {code[:3]}
    for scope in sorted(scopes):
        for nature in NATURES:
            yield {
                "code": f"{scope}-{nature}", "name": f"综合病种 {scope}", "level": "category", "scope": scope,
                "nature": nature,
            }  # fmt: skip
