"""Small made-up schemes in the manner of regional ones: together they use every feature of the pack format
that CHS-DRG 1.1 does not. Synthetic, of no clinical meaning.
"""

from __future__ import annotations

from pathlib import Path

from tests.oracle.pack_folder import PackText


def codes(stem: str, first: int, last: int) -> list[str]:
    """Codes of one stem, numbered; every third in the extended form with an x."""
    return [f"{stem}.{n:02d}0{f'x{n:03d}' if n % 3 == 0 else ''}" for n in range(first, last + 1)]


# Not before brackets, memberships and numbers; and, or and not mixed without brackets; upper and lower case.
NEGATION = PackText(
    mdc=[
        ("MDCA", ""),
        ("MDCB", "not (ZYZD in DI_C or ZYZD in DI_D) and ZYZD in {DI_B, DI_C}"),
        ("MDCC", "ZYZD in DI_C or ZYZD in DI_D and not XB = 1"),
        ("MDCD", "not not ZYZD in {DI_B, DI_C, DI_D}"),
    ],
    adrg=[
        ("AA1", "MDCA", "ZYSS in OP_A and not QTSS in OP_B or NL > 80 and ZYZD in DI_D"),
        ("AA2", "MDCA", "0"),
        ("BB1", "MDCB", "ZYSS not in OP_A And {ZYSS, QTSS} not in OP_B AND NOT NL < 18"),
        ("BB2", "MDCB", "not ZYSS not in OP_A"),
        ("BR1", "MDCB", "not NL != 18 or not XSRTL > 5"),
        ("CB1", "MDCC", "not (ZYSS in OP_A and QTSS in OP_B) and not (NL >= 70)"),
        ("CR1", "MDCC", "not 1 or QTZD not in {DI_B, DI_C}"),
        ("C00", "MDCC", ""),
        ("DR1", "MDCD", "{ZYZD, QTZD} in DI_B or {ZYZD, QTZD} in DI_C and XB != 1"),
        ("D00", "MDCD", ""),
    ],
    drg=[
        ("AA11", "AA1", "QTZD not in MCC and QTZD in CC"),
        ("AA15", "AA1", "not (QTZD in MCC or QTZD in CC)"),
        ("AA29", "AA2", "1"),
        ("BB15", "BB1", "not QTZD in {MCC, CC}"),
        ("BB19", "BB1", "1"),
        ("BB23", "BB2", "QTZD in CC or not QTZD not in MCC"),
        ("BR19", "BR1", ""),
        ("CB15", "CB1", "not (NL < 6 or NL > 60)"),
        ("CR19", "CR1", " "),
        ("C000", "C00", "1"),
        ("DR19", "DR1", "1"),
        ("D000", "D00", "1"),
    ],
    sets={
        "DI_B": codes("K35", 1, 8),
        "DI_C": codes("K35", 7, 15),
        "DI_D": codes("K36", 1, 6),
        "OP_A": codes("47", 1, 8),
        "OP_B": codes("47", 6, 12),
    },
    cc=[(code, "MCC" if n % 2 else "CC", "EX_1" if n % 3 else "") for n, code in enumerate(codes("J96", 1, 9))],
    exclusion={"EX_1": [*codes("K35", 1, 5), *codes("J96", 1, 3)]},
)

# How many different codes, with every operator and over one and several variables.
COUNTING = PackText(
    mdc=[("MDCF", "length(DI_F ∩ {ZYZD, QTZD}) >= 1"), ("MDCG", "length(DI_F∩ZYZD)=0")],
    adrg=[
        ("FA1", "MDCF", "length(OP_F ∩ {ZYSS, QTSS}) > 3"),
        ("FA2", "MDCF", "length(OP_F ∩ {ZYSS, QTSS}) = 3 and ZYSS in OP_F"),
        ("FA3", "MDCF", "length(OP_F ∩ QTSS) != 0 and length(OP_G ∩ {QTSS}) < 2"),
        ("FA4", "MDCF", "not length(OP_G ∩ {ZYSS, QTSS}) <= 1"),
        ("FQY", "MDCF", "{ZYSS, QTSS} in {OP_F, OP_G}"),
        ("FR1", "MDCF", "length(DI_F ∩ QTZD) <= 1 and length(DI_G ∩ QTZD) < 1"),
        ("F00", "MDCF", ""),
        ("GR1", "MDCG", "length(DI_G ∩ {ZYZD, QTZD}) != 2"),
        ("GR2", "MDCG", "length(OP_F ∩ ZYSS) < 0 or length(OP_F ∩ ZYSS) > 1"),
        ("GR3", "MDCG", "length(OP_F ∩ {ZYSS, QTSS}) >= 0 and XB = 2"),
    ],
    drg=[
        ("FA19", "FA1", ""),
        ("FA29", "FA2", ""),
        ("FA31", "FA3", "length(DI_G ∩ {ZYZD, QTZD}) >= 3"),
        ("FA33", "FA3", "length(DI_G ∩ {ZYZD, QTZD}) = 2"),
        ("FA35", "FA3", "length(DI_G ∩ {ZYZD, QTZD}) < 2"),
        ("FA49", "FA4", ""),
        ("FQY", "FQY", ""),
        ("FR11", "FR1", "length(DI_F ∩ {ZYZD, QTZD}) > 1"),
        ("FR15", "FR1", "1"),
        ("F000", "F00", ""),
        ("GR19", "GR1", ""),
        ("GR29", "GR2", ""),
        ("GR39", "GR3", ""),
    ],
    sets={
        "DI_F": codes("I21", 1, 6),
        "DI_G": codes("I21", 4, 12),
        "OP_F": codes("36", 1, 7),
        "OP_G": codes("36", 6, 10),
    },
)

# Discharge way, department, length of stay and hours of intensive care.
STAY = PackText(
    mdc=[("MDCE", "ZYZD in DI_E"), ("MDCX", "KS in KS_康复 or LYFS in LY_转院 and ZYTS > 30")],
    adrg=[
        ("EA1", "MDCE", "ICUXS >= 96 and ZYSS in OP_E"),
        ("EA2", "MDCE", "ICUXS > 24 and LYFS in LY_死亡"),
        ("ER1", "MDCE", "LYFS in {LY_死亡, LY_转院} and ZYTS <= 2"),
        ("ER2", "MDCE", "KS in {KS_ICU, KS_康复} and LYFS not in LY_死亡"),
        ("ER3", "MDCE", "ZYTS < 60"),
        ("E00", "MDCE", ""),
        ("XR1", "MDCX", "ZYTS != 7"),
        ("XR2", "MDCX", "{KS, LYFS} in {LY_转院, KS_康复}"),
    ],
    drg=[
        ("EA11", "EA1", "ICUXS >= 300"),
        ("EA15", "EA1", "ZYTS > 1"),
        ("EA29", "EA2", ""),
        ("ER19", "ER1", ""),
        ("ER21", "ER2", "ZYTS > 30 or ICUXS > 0"),
        ("ER25", "ER2", "KS not in KS_康复"),
        ("ER31", "ER3", "QTZD in MCC and LYFS not in {LY_死亡, LY_转院}"),
        ("ER35", "ER3", "not ICUXS = 24"),
        ("E000", "E00", ""),
        ("XR19", "XR1", ""),
        ("XR29", "XR2", ""),
    ],
    sets={
        "DI_E": codes("J15", 1, 9),
        "OP_E": codes("96", 1, 4),
        "LY_死亡": ["5"],
        "LY_转院": ["2", "3", "9x"],
        "KS_ICU": ["重症医学科", "0301"],
        "KS_康复": ["康复医学科", "16X1"],
    },
    cc=[(code, "MCC", "") for code in codes("R57", 1, 4)],
)

# A retry with each other procedure alone, answers of its own for ungrouped and invalid, QY by any procedure.
RETRY = PackText(
    mdc=[("MDCH", "ZYZD in DI_H and {ZYSS, QTSS} not in OP_X"), ("MDCI", "ZYZD in DI_I")],
    adrg=[
        ("HB1", "MDCH", "ZYSS in OP_H and QTSS not in OP_I"),
        ("HB2", "MDCH", "ZYSS in OP1_H and {ZYSS, QTSS} in OP2_H"),
        ("HQY", "MDCH", "{ZYSS, QTSS} in OP_ALL and XB = 1"),
        ("IB1", "MDCI", "length(OP_I ∩ {ZYSS, QTSS}) = 1"),
        ("IR1", "MDCI", "ZYSS not in OP_ALL and NL < 60"),
    ],
    drg=[
        ("HB11", "HB1", "QTZD in MCC"),
        ("HB13", "HB1", "QTZD in CC"),
        ("HB29", "HB2", ""),
        ("HQY", "HQY", ""),
        ("IB15", "IB1", "NL >= 18"),
        ("IR19", "IR1", ""),
    ],
    sets={
        "DI_H": codes("K80", 1, 8),
        "DI_I": codes("M17", 1, 8),
        "OP_H": codes("51", 1, 6),
        "OP1_H": codes("51", 5, 9),
        "OP2_H": codes("51", 8, 12),
        "OP_I": codes("81", 1, 5),
        "OP_X": codes("99", 1, 3),
        "OP_ALL": [*codes("51", 1, 10), *codes("81", 1, 6)],
    },
    cc=[(code, level, "") for code, level in zip(codes("E11", 1, 4), ["MCC", "CC"] * 2, strict=True)],
    meta={
        "retry": "each_other_procedure_alone",
        "ungrouped_mdc": "KBB",
        "ungrouped_adrg": "KBB",
        "ungrouped_drg": "KBBZ",
        "invalid_mdc": "",
        "invalid_adrg": "",
        "invalid_drg": "",
    },
)

# A code in several rows of the complication list, a principal in several exclusion tables.
SEVERITY = PackText(
    mdc=[("MDCK", "ZYZD in DI_K"), ("MDCL", "QTZD in MCC")],
    adrg=[
        ("KA1", "MDCK", "QTZD in MCC and QTZD in CC"),
        ("KR1", "MDCK", "QTZD in {CC, DI_K} and NL >= 60"),
        ("KR2", "MDCK", "1"),
        ("LR1", "MDCL", "QTZD not in CC"),
    ],
    drg=[
        ("KA19", "KA1", ""),
        ("KR11", "KR1", "QTZD in MCC"),
        ("KR13", "KR1", "QTZD in CC"),
        ("KR21", "KR2", "QTZD in MCC"),
        ("KR23", "KR2", "QTZD in {MCC, CC}"),
        ("KR25", "KR2", "not QTZD in DI_K"),
        ("LR19", "LR1", "XB = 1 or QTZD in {DI_K, MCC}"),
    ],
    sets={"DI_K": codes("E10", 1, 12)},
    cc=[
        *((code, "MCC", f"EX_{1 + n % 3}") for n, code in enumerate(codes("N17", 1, 9))),
        *((code, "MCC", f"EX_{1 + n % 2}") for n, code in enumerate(codes("N17", 4, 9))),
        *((code, "CC", "EX_3") for code in codes("N17", 7, 12)),
        *((code, "CC", "") for code in codes("N17", 11, 14)),
        *((code, "CC", "EX_4") for code in codes("E10", 1, 4)),
    ],
    exclusion={
        "EX_1": codes("E10", 1, 6),
        "EX_2": [*codes("E10", 4, 9), "N17.010"],
        "EX_3": [*codes("E10", 6, 8), *codes("N17", 1, 4)],
        "EX_4": [code.replace("x", "X") for code in codes("E10", 1, 8)],
    },
)

# Opened ADRGs and MDCs in which nothing is true, rows of zeros ordered before others, orders not in file order.
FALL_THROUGH = PackText(
    mdc=[
        ("0000", "", 1),
        ("MDCR", "ZYZD in DI_R", 30),
        ("MDCO", "ZYZD in {DI_O, DI_R} and XB = 2", 20),
        ("MDCA", "1", 10),
        ("MDCS", "ZYZD in DI_O or QTZD in DI_R", 40),
        ("MDCT", "", 40),
    ],
    adrg=[
        ("000", "0000", "", 1),
        ("AA1", "MDCA", "ZYSS in OP_A", 1),
        ("AA2", "MDCA", "ZYSS in OP_A", 2),
        ("O00", "MDCO", "NL > 20", 1),
        ("OT1", "MDCO", "ZYZD in DI_O", 3),
        ("OB1", "MDCO", "ZYSS in OP_B", 2),
        ("R00", "MDCR", "", 2),
        ("RB1", "MDCR", "ZYSS in OP_B", 2),
        ("RB2", "MDCR", "ZYSS in OP_B and NL < 50", 2),
        ("SR1", "MDCS", "ZYZD in DI_O", 2),
        ("SR2", "MDCS", "", 1),
    ],
    drg=[
        ("0000", "000", "", 1),
        ("AA11", "AA1", "QTZD in MCC", 1),
        ("AA23", "AA2", "QTZD in {CC, MCC} and NL > 5", 1),
        ("O000", "O00", "", 1),
        ("OT15", "OT1", "NL <= 40", 2),
        ("OT11", "OT1", "QTZD in MCC and NL <= 50", 1),
        ("OB13", "OB1", "QTZD in CC", 5),
        ("R000", "R00", "XB = 1", 1),
        ("RB11", "RB1", "QTZD in MCC", 1),
        ("RB13", "RB1", "QTZD in CC", 2),
        ("RB29", "RB2", "", 9),
        ("SR19", "SR1", "NL != 45", 1),
        ("SR21", "SR2", "QTZD in DI_O", 1),
    ],
    sets={
        "DI_O": codes("O80", 1, 7),
        "DI_R": codes("C50", 1, 7),
        "OP_A": codes("50", 1, 4),
        "OP_B": codes("74", 1, 5),
    },
    cc=[(code, level, "EX_9") for code, level in zip(codes("D62", 1, 6), ["MCC", "CC"] * 3, strict=True)],
    exclusion={"EX_9": ["O80.010", "C50.020", "D62.010"]},
)

# Names of sets in every shape the words of a formula allow; the newborn's weight is the one at admission.
NAMES = PackText(
    mdc=[
        ("MDCP", "NL = 0 and XSRTL < 29 or NL = 0 and ZYZD in 新生儿.主表 and XSRTL < 366"),
        ("MDCV", "ZYZD in v-1"),
    ],
    adrg=[
        ("PS1", "MDCP", "XSRTL < 29 and XSRTZ < 1000 and {ZYZD, QTZD} in {早产_1, ZYZD}"),
        ("PS2", "MDCP", "XSRTL < 29 and XSRTZ >= 1000 and XSRTZ <= 1499"),
        ("PS3", "MDCP", "XSRTL <= 28 and XSRTZ = 0 or XSRTZ > 4000"),
        ("PV1", "MDCP", "XSRTL >= 29 and ZYSS not in 3D"),
        ("P00", "MDCP", ""),
        ("VB1", "MDCV", "ZYSS in 3D or QTSS in OP_VB1_附表二"),
        ("VR1", "MDCV", "QTZD in DI"),
    ],
    drg=[
        ("PS11", "PS1", "XSRTZ < 500"),
        ("PS13", "PS1", "XSRTL <= 7"),
        ("PS15", "PS1", "1"),
        ("PS29", "PS2", "1"),
        ("PS39", "PS3", "1"),
        ("PV19", "PV1", "1"),
        ("P000", "P00", "1"),
        ("VB19", "VB1", "1"),
        ("VR19", "VR1", "1"),
    ],
    sets={
        "新生儿.主表": codes("P07", 1, 6),
        "早产_1": codes("P07", 4, 9),
        "ZYZD": codes("P22", 1, 3),
        "v-1": codes("S72", 1, 6),
        "3D": codes("79", 1, 4),
        "OP_VB1_附表二": codes("79", 4, 8),
        "DI": codes("T14", 1, 3),
        "没有成员": [""],
    },
    meta={"newborn_weight": "admission"},
)

# Counts over variables of several kinds: one code is one code wherever it stands.
MIXED_COUNTS = PackText(
    mdc=[("MDCW", "length(DI_W ∩ {ZYZD, QTSS}) >= 1"), ("MDCX", "")],
    adrg=[
        ("WA1", "MDCW", "length(W ∩ {ZYZD, ZYSS}) = 2"),
        ("WA2", "MDCW", "length(W ∩ {QTZD, QTSS, LYFS}) > 2"),
        ("WR1", "MDCW", "length(W ∩ {QTZD, ZYSS}) <= 1"),
        ("W00", "MDCW", ""),
        ("XR1", "MDCX", "length(W ∩ {ZYZD, ZYSS, LYFS, KS}) != 1"),
        ("X00", "MDCX", ""),
    ],
    drg=[
        ("WA19", "WA1", ""),
        ("WA29", "WA2", ""),
        ("WR19", "WR1", ""),
        ("W000", "W00", ""),
        ("XR19", "XR1", ""),
        ("X000", "X00", ""),
    ],
    sets={
        "DI_W": [*codes("T20", 1, 4), "5"],
        "W": [*codes("T20", 3, 6), *codes("86", 1, 3), "5", "2"],
    },
)

SYNTHETIC_PACKS: dict[str, PackText] = {
    "negation": NEGATION,
    "counting": COUNTING,
    "stay": STAY,
    "retry": RETRY,
    "severity": SEVERITY,
    "fall_through": FALL_THROUGH,
    "names": NAMES,
}


def build_synthetic_pack(name: str, folder: Path) -> Path:
    """Write the synthetic pack of that name under `folder` and return its own folder."""
    return SYNTHETIC_PACKS[name].write(folder / name)
