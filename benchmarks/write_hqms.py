"""Cases as HQMS front pages: one row a stay under the codes of the standard, in its order.

Source of codes and order: 国家医院质量监测系统（HQMS）住院病案首页数据采集接口标准.
"""

from __future__ import annotations

from functools import cache

import polars as pl

OTHER_DIAGNOSES = 40
OTHER_PROCEDURES = 40
_OPERATION = (
    ("C14x01C", "C35x{}C"), ("C15x01N", "C36x{}N"), ("C16x01", "C37x{}"), ("C17x01", "C38x{}"), ("C18x01", "C39x{}"),
    ("C19x01", "C40x{}"), ("C20x01", "C41x{}"), ("C21x01C", "C42x{}C"), ("C22x01C", "C43x{}C"), ("C23x01", "C44x{}"),
)  # fmt: skip
_BEFORE = """A01 A02 A48 A49 B12 B15 A47 A46C A11 A12C A13 A14 A15C A21C A38C A19C A20 A22 A23C A24 A25C A26 A27 A28C
A29 A30 A31C A32 A33C A34 A35 B11C B13C B14 B21C B16C B17 B20 C01C C02N C03C C04N C05C"""
_BETWEEN = """C09C C10N C11 C12C C13N C24C C25 B22 B23 B24 B25 B26 B27 B28 B29 B30C B31 B32 B33 C34C C26C C27C"""
_AFTER = """A16 A18x01 A18x02 A18x03 A18x04 A18x05 A17 C28 C29 C30 C31 C32 C33 B36C B37 B34C B35 D01 D09 D11 D12 D13 D14
D15 D16 D17 D18 D19 D19x01 D20 D20x01 D20x02 D21 D22 D23 D23x01 D24 D25 D26 D27 D28 D29 D30 D31 D32 D33 D34"""
# Charge categories of the settlement list -> items of the front page; a share (percent) goes to each.
_ITEMS: dict[str, tuple[tuple[str, int], ...]] = {
    "bed": (("D11", 100),),
    "consultation": (("D11", 100),),
    "registration": (("D11", 100),),
    "general_consultation": (("D11", 100),),
    "nursing": (("D13", 100),),
    "examination": (("D18", 35), ("D17", 65)),
    "laboratory": (("D15", 6), ("D16", 94)),
    "treatment": (("D12", 25), ("D19", 75)),
    "operation": (("D20", 100),),
    "material": (("D31", 8), ("D32", 22), ("D33", 70)),
    "western_drug": (("D23", 100),),
    "patent_drug": (("D24", 100),),
    "herbal": (("D25", 100),),
    "other": (("D34", 100),),
}
_ANAESTHESIA_PERCENT = 20
_ANTIBACTERIAL_PERCENT = 15
_PAYERS = {"310": "01", "390": "02"}


@cache
def header() -> tuple[str, ...]:
    """All columns in the order of the standard."""
    diagnoses = [f"C{item}x{at:02d}{kind}" for at in range(1, OTHER_DIAGNOSES + 1) for item, kind in _DIAGNOSIS]
    first = [principal for principal, _ in _OPERATION]
    others = [other.format(f"{at:02d}") for at in range(1, OTHER_PROCEDURES + 1) for _, other in _OPERATION]
    return (*_BEFORE.split(), *diagnoses, *_BETWEEN.split(), *first, *others, *_AFTER.split())


_DIAGNOSIS = (("06", "C"), ("07", "N"), ("08", "C"))


def front_pages(cases: pl.DataFrame) -> pl.DataFrame:
    """Front pages of cases with details, all text, null for empty. Everything personal is plainly made up."""
    columns = {**_person(), **_stay(), **_diagnoses(), **_procedures(), **_charges(cases)}
    texts = [expr.cast(pl.String).replace("", None).alias(name) for name, expr in columns.items()]
    known = cases.select(texts)
    nothing = pl.lit(None, dtype=pl.String)
    return known.select(pl.col(name) if name in columns else nothing.alias(name) for name in header())


def _person() -> dict[str, pl.Expr]:
    number = pl.col("record_no")
    infant = pl.col("age_years") == 0
    return {
        "A01": pl.col("hospital_id"),
        "A02": pl.col("hospital_name"),
        "A48": number,
        "A49": pl.col("admission_seq"),
        "A46C": pl.col("insurance_type").replace_strict(_PAYERS, default="99"),
        "A11": pl.format("合成患者{}", number),
        "A12C": pl.col("sex"),
        "A13": pl.col("birth_date").dt.to_string("%Y-%m-%d"),
        "A14": pl.when(infant).then(None).otherwise(pl.col("age_years")),
        "A15C": pl.lit("CHN"),
        "A19C": pl.lit("01"),
        "A20": pl.format("SYN{}", number),
        "A26": pl.lit("合成市示例路1号"),
        "A32": pl.format("合成联系人{}", number),
        "A35": pl.lit("00000000000"),
        "A16": pl.when(infant).then(pl.col("age_days")),
        "A18x01": pl.col("newborn_birth_weight_g"),
        "A17": pl.col("newborn_admission_weight_g"),
    }


def _stay() -> dict[str, pl.Expr]:
    coma: dict[str, pl.Expr] = {}
    for name, codes in (("coma_before_minutes", ("C28", "C29", "C30")), ("coma_after_minutes", ("C31", "C32", "C33"))):
        minutes = pl.col(name)
        parts = (minutes // 1440, minutes % 1440 // 60, minutes % 60)
        coma |= dict(zip(codes, parts, strict=True))
    return {
        "B12": pl.col("admission_time").dt.to_string("%Y-%m-%d %H:%M:%S"),
        "B15": pl.col("discharge_time").dt.to_string("%Y-%m-%d %H:%M:%S"),
        "B11C": pl.col("admission_route"),
        "B13C": pl.col("department"),
        "B16C": pl.col("department"),
        "B20": pl.col("los_days"),
        "B34C": pl.col("discharge_way"),
        "B36C": pl.lit("1"),
        "C24C": pl.lit("1"),
        **coma,
    }


def _diagnoses() -> dict[str, pl.Expr]:
    lists = ("diagnoses", "dx_names", "dx_on_admission")
    found = {
        code: pl.col(name).list.get(0, null_on_oob=True)
        for code, name in zip(("C03C", "C04N", "C05C"), lists, strict=True)
    }
    for at in range(1, OTHER_DIAGNOSES + 1):
        for (item, kind), name in zip(_DIAGNOSIS, lists, strict=True):
            found[f"C{item}x{at:02d}{kind}"] = pl.col(name).list.get(at, null_on_oob=True)
    return found


def _procedures() -> dict[str, pl.Expr]:
    lists = (
        "procedures",
        "px_names",
        "px_begin",
        "px_level",
        "px_surgeon",
        None,
        None,
        None,
        "px_anaesthesia",
        "px_anaesthetist",
    )
    found: dict[str, pl.Expr] = {}
    for (principal, other), name in zip(_OPERATION, lists, strict=True):
        if name is None:
            continue
        for at in range(OTHER_PROCEDURES + 1):
            item = pl.col(name).list.get(at, null_on_oob=True)
            if name == "px_begin":
                item = item.dt.to_string("%Y-%m-%d %H:%M:%S")
            found[other.format(f"{at:02d}") if at else principal] = item
    return found


def _charges(cases: pl.DataFrame) -> dict[str, pl.Expr]:
    """The items D11 to D34 add up to D01; the four "of which" items lie inside theirs."""
    sums: dict[str, list[pl.Expr]] = {}
    for category, shares in _ITEMS.items():
        fee = pl.col(f"fee_{category}_fen")
        left = fee
        for item, percent in shares[:-1]:
            part = fee * percent // 100
            sums.setdefault(item, []).append(part)
            left = left - part
        sums.setdefault(shares[-1][0], []).append(left)
    items = {item: pl.sum_horizontal(parts) for item, parts in sums.items()}
    items["D20x01"] = items["D20"] * _ANAESTHESIA_PERCENT // 100
    items["D20x02"] = items["D20"] - items["D20x01"]
    items["D23x01"] = items["D23"] * _ANTIBACTERIAL_PERCENT // 100
    items["D01"] = pl.col("total_cost_fen")
    items["D09"] = pl.col("self_pay_fen")
    assert "total_cost_fen" in cases.columns
    return {
        item: (fen // 100).cast(pl.String) + "." + (fen % 100).cast(pl.String).str.zfill(2)
        for item, fen in items.items()
    }
