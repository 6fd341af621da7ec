"""DIP catalogs of random rows over few codes: every feature of the format, and rows that overlap in every way.

With few codes almost every condition holds for some cases and not for others, and many rows fit the same case.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.oracle.dip_pack_folder import DipText, Row, layer

# Codes of the books and codes that only a pack has; codes that differ late; daggers; the same beginning in any length.
DIAGNOSES = (
    "A01.000", "A01.000x001", "A01.000x005+J17.0*", "A01.001+K77.0*", "A01.200", "A15.000x010", "A15.300", "A16.200",
    "A17.000+G01*", "A17.800x009+G07*", "A18.000", "C50.900", "C80.x00", "I10.x00", "I10.x00x002", "K35.800x001",
    "K35.900", "M47.000+G99.2*", "M47.800", "P07.100", "P07.200x001", "U84.300", "Z51.100", "Z51.100x001", "G01*",
)  # fmt: skip
PROCEDURES = (
    "47.0100", "47.0901", "44.1401", "45.2300", "39.9500", "39.9500x007", "96.7201", "99.2503", "99.2800x005",
    "36.0700", "17.98330", "86.3x02", "38.01ZZ",
)  # fmt: skip
BEGINNINGS = (
    "A01", "A01.0", "A01.2", "A15", "A15.0", "A16.2", "A17", "A17+", "A17.0+", "A17.8", "A01+", "C50", "I10", "I10.x",
    "K35", "K35.9", "M47+", "M47.0", "M47.0+", "P07", "P07.1", "Z51.1", "G01*", "U84.3",
)  # fmt: skip
RANGES = ("A15-A16", "A15.0-A16", "A01-A17.0", "C00-C75", "C76-C97.9", "A00-Z99", "K35.8-K35.9")
FLAGS = ("耐药", "重症")
AGE_DAYS = ("0-28", "-28", "29-", "10-400", "365-")
WEIGHTS = ("0-999", "1000-1499", "1500-", "-2499")
DISEASES = ("心", "肝轻", "肝重", "瘤")
AUX_NUMBERS = {
    "NL": (1, 5, 60), "XSRTL": (28, 365), "XSRTZ": (1500,), "ZYTS": (2, 3, 14), "ICUXS": (48, 200), "CCI": (0, 1, 3),
    "FYBL": (50, 100, 300), "ZLZB": (33, 50), "YPZB": (25, 50), "XB": (1,),
}  # fmt: skip
FACTS = ("other_dx", "any_dx", "flag", "age_days", "birth_weight_g")


def random_dip_pack(seed: int) -> DipText:
    """A catalog of one to four layers and some dozens of core groups; every other table now and then missing."""
    rng = random.Random(seed)
    write = _Writer(rng)
    layers = [f"L{number}" for number in range(rng.randint(1, 4))]
    orders = rng.sample(range(1, 20), len(layers))
    flags = rng.random() < 0.8
    tables: dict[str, Sequence[Row]] = {
        "layer": [
            layer(code, order, rng.choice(("specific", "number"))) for code, order in zip(layers, orders, strict=True)
        ],
        "core": [write.core(number, rng.choice(layers), flags=flags) for number in range(rng.randint(12, 60))],
    }
    optional: dict[str, Sequence[Row]] = {
        "mixed": list(write.mixed()),
        "excluded_dx": [{"code": code, "name": code} for code in rng.sample(DIAGNOSES, rng.randint(1, 3))],
        "excluded_px": list(write.excluded_px()),
        "primary_care": [write.primary_care(number) for number in range(1, rng.randint(2, 12))],
        "nature": [
            {"code": code, "nature": rng.randint(1, 4)}
            for code in rng.sample((*PROCEDURES, "38.02ZZ"), rng.randint(1, 5))
        ],
    }
    tables |= {name: rows for name, rows in optional.items() if rng.random() < 0.8}
    if flags:
        tables["flag"] = list(write.flags())
    codes = [str(row["code"]) for name in ("core", "mixed") for row in tables.get(name, ())]
    if rng.random() < 0.8:
        tables["score"] = [
            {
                "code": code,
                "score": f"{rng.randint(1, 3_000_000)}.{rng.randint(0, 9999):04d}",
                "mean_cost_fen": rng.choice(("", 100_000, 333_333)),
            }
            for code in dict.fromkeys(codes)
            if rng.random() < 0.9
        ]
    if rng.random() < 0.6:
        tables |= write.auxiliary([str(row["code"]) for row in tables["core"]])
    meta: dict[str, str] = {}
    if rng.random() < 0.5:
        meta["unknown_nature"] = rng.choice("1234")
    if rng.random() < 0.6:
        meta["conservative"] = rng.choice(("case", "skip"))
    return DipText(tables, meta)


class _Writer:
    """Writes random cells and rows."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def items(self, most: int = 3) -> str:
        """A diagnosis cell: beginnings, now and then a range or a whole code."""
        pools = (BEGINNINGS, DIAGNOSES[:-1], RANGES)
        chosen = [self.rng.choice(self.rng.choices(pools, (6, 2, 1))[0]) for _ in range(self.rng.randint(1, most))]
        return "|".join(self._case(item) for item in dict.fromkeys(chosen))

    def _case(self, code: str) -> str:
        return code.upper() if self.rng.random() < 0.1 else code

    def alternatives(self, most_codes: int = 3) -> str:
        """A procedure cell: one to three alternatives of one to three codes."""
        chosen = [
            "+".join(self.rng.sample(PROCEDURES, self.rng.choice((1, 1, 1, 2, most_codes))))
            for _ in range(self.rng.choice((1, 1, 2, 3)))
        ]
        return "|".join(dict.fromkeys(chosen))

    def core(self, place: int, layer_code: str, *, flags: bool) -> Row:
        rng = self.rng
        mode = rng.choice(("any", "none", "principal", "principal", "principal", "anywhere", "exact", "exact"))
        row: dict[str, str | int] = {
            "code": f"G{place}", "layer": layer_code, "number": rng.choice((place, place, rng.randint(1, 40))),
            "principal_dx": "*" if rng.random() < 0.08 else self.items(), "px_mode": mode,
        }  # fmt: skip
        if mode not in ("any", "none"):
            row["px"] = self.alternatives()
        if mode == "principal" and rng.random() < 0.4:
            row["related_px"] = self.alternatives(2)
        # A row that asks nothing of the procedures would take every case of its diagnoses: it asks something else.
        if mode in ("any", "none") or rng.random() < 0.3:
            row |= self._fact(rng.choice(FACTS), flags=flags)
            if rng.random() < 0.3:
                row |= self._fact(rng.choice(FACTS), flags=flags)
        return row

    def _fact(self, asked: str, *, flags: bool) -> Row:
        if asked == "flag":
            return {"flag": self.rng.choice(("", "!")) + self.rng.choice(FLAGS)} if flags else {}
        if asked in ("other_dx", "any_dx"):
            return {asked: self.items(2)}
        return {asked: self.rng.choice(AGE_DAYS if asked == "age_days" else WEIGHTS)}

    def mixed(self) -> Iterator[Row]:
        scopes = {
            "subcategory": ("A01.0", "A17.0", "K35.9", "I10.x", "M47.0"),
            "category": ("A01", "A01+", "A15", "A17", "A17+", "G01*", "M47+", "I10", "K35", "Z51"),
            "chapter": ("A00-B99", "C00-D48", "M00-M99", "Z00-Z99"),
        }
        for level, listed in scopes.items():
            for scope in listed:
                if self.rng.random() < 0.6:
                    for nature in self.rng.sample(range(1, 5), self.rng.randint(1, 4)):
                        yield {
                            "code": f"{scope}-{nature}", "name": f"综合 {scope}", "level": level, "scope": scope,
                            "nature": nature,
                        }  # fmt: skip

    def excluded_px(self) -> Iterator[Row]:
        for code in self.rng.sample((*PROCEDURES, "38.03ZZ"), self.rng.randint(1, 5)):
            rule = self.rng.choice(("conservative", "not_principal", "with_principal"))
            principal = self.items() if rule == "with_principal" else ""
            yield {"code": code, "name": code, "rule": rule, "principal_dx": principal}

    def flags(self) -> Iterator[Row]:
        for flag in FLAGS:
            for role in ("principal", "other"):
                for item in dict.fromkeys(self.items(2).split("|")):
                    yield {"flag": flag, "role": role, "item": item}

    def primary_care(self, number: int) -> Row:
        px = "" if self.rng.random() < 0.4 else self.alternatives(2)
        return {"number": number, "principal_dx": self.items(2), "px": px}

    # --- auxiliary catalog ---

    def auxiliary(self, groups: Sequence[str]) -> dict[str, list[Row]]:
        """Two dimensions or three of two to four levels, their sets, a Charlson table and factors."""
        rng = self.rng
        sets: dict[str, list[str]] = {
            "重症": self.items(3).split("|"),
            "肿瘤": ["C00-C97", *self.items(2).split("|")],
            "操作": rng.sample(PROCEDURES, 3),
            "死亡": ["5"],
        }
        levels: list[Row] = []
        for dimension in ("年龄", "严重程度", "CCI")[: rng.randint(2, 3)]:
            for level in range(rng.randint(2, 4)):
                rule = self.rule(2)
                order = (level + 1) * 10 + rng.randint(0, 9)
                levels.append({"dimension": dimension, "level": f"{level}级", "order": order, "rule": rule})
        pairs = [(row["dimension"], row["level"]) for row in levels]
        factors: list[Row] = [
            {"code": code, "dimension": dimension, "level": level, "factor": f"{rng.randint(2000, 40000) / 10000:.4f}"}
            for code in ("*", *groups)
            for dimension, level in pairs
            if rng.random() < 0.5
        ]
        return {
            "aux_level": levels,
            "aux_set": [{"set": name, "item": item} for name, items in sets.items() for item in dict.fromkeys(items)],
            "cci": self.charlson(),
            "aux_factor": factors,
        }

    def charlson(self) -> list[Row]:
        covers = {"肝轻": "肝重", "心": self.rng.choice(("", "肝轻", "瘤|肝轻"))}
        return [
            {"disease": disease, "weight": place, "item": self.items(3), "covered_by": covers.get(disease, "")}
            for place, disease in enumerate(DISEASES, start=1)
        ]

    def rule(self, depth: int) -> str:
        """A formula of the auxiliary language."""
        rng = self.rng
        if depth and rng.random() < 0.7:
            parts = [self.rule(depth - 1) for _ in range(2)]
            return f"({parts[0]}) {rng.choice(('and', 'or'))} ({parts[1]})"
        kind = rng.random()
        if kind < 0.4:
            name = rng.choice(list(AUX_NUMBERS))
            return f"{name} {rng.choice(('<', '<=', '>', '>=', '=', '!='))} {rng.choice(AUX_NUMBERS[name])}"
        if kind < 0.5:
            return f"length(重症 ∩ {rng.choice(('QTZD', 'QTZDX', '{ZYZD, QTZD}'))}) >= {rng.randint(1, 2)}"
        if kind < 0.6:
            return f"{rng.choice(('ZYSS', 'QTSS', '{ZYSS, QTSS}'))} {rng.choice(('in', 'not in'))} 操作"
        if kind < 0.7:
            return f"LYFS {rng.choice(('in', 'not in'))} 死亡"
        fields = rng.choice(("ZYZD", "QTZD", "QTZDX", "QTZDX", "{ZYZD, QTZDX}"))
        return f"{fields} {rng.choice(('in', 'in', 'not in'))} {rng.choice(('重症', '肿瘤', '{重症, 肿瘤}'))}"
