"""A DIP catalog made to be explained: every step a case can take, in few rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from reference_tables.columns import case_schema
from reference_tables.dip_pack import DipPack
from reference_tables.packs import read_pack
from tests.oracle.dip_pack_folder import DipText, layer

PACK = DipText(
    tables={
        "layer": [layer("XQ", 1, "number"), layer("BX", 2), layer("JC", 3)],
        "core": [
            {"layer": "XQ", "code": "XQ-1", "px_mode": "anywhere", "px": "96.7201+39.9500x007"},
            {"layer": "XQ", "code": "XQ-2", "px_mode": "anywhere", "px": "96.7201"},
            {"layer": "XQ", "code": "XQ-3", "any_dx": "P07", "age_days": "0-28", "birth_weight_g": "1000-1499",
             "px_mode": "any"},
            {"layer": "BX", "code": "BX-11", "principal_dx": "O34", "px": "74.1x01|74.1x02"},
            {"layer": "BX", "code": "BX-12", "principal_dx": "O34", "px": "74.1x01|74.1x02", "related_px": "38.8609"},
            {"layer": "BX", "code": "BX-13", "principal_dx": "O34.2", "px": "74.1x01"},
            {"layer": "BX", "code": "BX-14", "principal_dx": "A15-A16", "flag": "耐药"},
            {"layer": "BX", "code": "BX-15", "principal_dx": "A15-A16", "flag": "!耐药"},
            {"layer": "BX", "code": "BX-16", "principal_dx": "T20.2|T21.2", "other_dx": "T31.0|T32.0"},
            {"layer": "JC", "code": "JC-21", "principal_dx": "K35", "px_mode": "exact", "px": "47.0100+54.5904"},
            {"layer": "JC", "code": "JC-22", "principal_dx": "K35", "px": "47.0100"},
            {"layer": "JC", "code": "JC-23", "principal_dx": "K35"},
            {"layer": "JC", "code": "JC-24", "principal_dx": "C34", "px": "32.4100+40.3x00"},
        ],
        "mixed": [
            {"code": "A09.0-1", "name": "亚目组", "level": "subcategory", "scope": "A09.0", "nature": 1},
            {"code": "A09-1", "name": "类目组", "level": "category", "scope": "A09", "nature": 1},
            {"code": "A09-3", "name": "类目治疗组", "level": "category", "scope": "A09", "nature": 3},
            {"code": "A17-1", "name": "无剑号", "level": "category", "scope": "A17", "nature": 1},
            {"code": "A17+-1", "name": "剑号", "level": "category", "scope": "A17+", "nature": 1},
            {"code": "K-2", "name": "章", "level": "chapter", "scope": "K00-K93", "nature": 2},
            {"code": "K-4", "name": "章", "level": "chapter", "scope": "K00-K93", "nature": 4},
        ],
        "flag": [
            {"flag": "耐药", "role": "principal", "item": "A15.000x010"},
            {"flag": "耐药", "role": "other", "item": "U84.300"},
        ],
        "excluded_dx": [{"code": "I10.x00", "name": "高血压"}],
        "excluded_px": [
            {"code": "00.0100", "rule": "conservative"},
            {"code": "00.4000", "rule": "not_principal"},
            {"code": "45.2302", "rule": "with_principal", "principal_dx": "A00-A09|K20-K93"},
        ],
        "primary_care": [
            {"number": 7, "principal_dx": "K35", "px": "47.0100"},
            {"number": 8, "principal_dx": "A09", "px": ""},
        ],
        "nature": [{"code": "00.0901", "nature": 3}],
        "score": [
            {"code": "BX-12", "score": "812.345"},
            {"code": "JC-22", "score": "100.0001", "mean_cost_fen": 500000},
            {"code": "A09-1", "score": "55"},
        ],
        "aux_level": [
            {"dimension": "CCI", "level": "重", "name": "三分及以上", "order": 1, "rule": "CCI >= 3"},
            {"dimension": "CCI", "level": "轻", "name": "一至二分", "order": 2, "rule": "CCI >= 1"},
            {"dimension": "年龄", "level": "老", "name": "七十岁以上", "order": 3, "rule": "NL >= 70"},
            {"dimension": "费用", "level": "高", "name": "三倍", "order": 4, "rule": "FYBL >= 300"},
            {"dimension": "次诊", "level": "有", "name": "", "order": 5, "rule": "QTZDX in 感染"},
        ],
        "aux_set": [{"set": "感染", "item": "K35"}, {"set": "感染", "item": "A41.900"}],
        "cci": [
            {"disease": "DM", "name": "糖尿病", "weight": 1, "item": "E11.9", "covered_by": "DMX"},
            {"disease": "DMX", "name": "糖尿病伴并发症", "weight": 2, "item": "E11.2"},
            {"disease": "MET", "name": "转移", "weight": 6, "item": "C78"},
        ],
        "aux_factor": [
            {"code": "*", "dimension": "CCI", "level": "轻", "factor": "1.1"},
            {"code": "JC-22", "dimension": "CCI", "level": "轻", "factor": "1.05"},
            {"code": "*", "dimension": "年龄", "level": "老", "factor": "1.2345"},
            {"code": "*", "dimension": "费用", "level": "高", "factor": "2"},
        ],
    },
)  # fmt: skip


def pack_in(folder: Path, **meta: str) -> DipPack:
    """The pack, with keys of meta.csv."""
    pack = read_pack(DipText(tables=PACK.tables, meta=meta).write(folder))
    assert isinstance(pack, DipPack)
    return pack


def record(diagnoses: str = "", procedures: str = "", **values: Any) -> dict[str, Any]:
    """A man of 40 with codes joined by |."""
    listed = {
        "diagnoses": diagnoses.split("|") if diagnoses else [],
        "procedures": procedures.split("|") if procedures else [],
    }
    return {"row": 2, "case_id": "K1", "sex": 1, "age_years": 40, **listed, **values}


def case(diagnoses: str = "", procedures: str = "", **values: Any) -> pl.DataFrame:
    """The same as a canonical frame of one row."""
    made = record(diagnoses, procedures, **values)
    return pl.DataFrame([made], schema=case_schema(made))
