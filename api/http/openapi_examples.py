"""Requests to try, in the interface's description: they fit the made-up year of `examples/year`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CASES = (
    "case_id,hospital_id,hospital_level,sex,age_years,los_days,discharge_way,insurance_type,discharge_date,"
    "principal_dx,other_dx,principal_px,total_cost,fund_pay,self_pay,own_pay\n"
    "H1-101,H1,3,1,63,9,1,310,2026-03-05,I63.900,E11.900,,12850.00,8995.00,2891.25,963.75\n"
)
_REGISTER = "hospital_id,name,tier\nH1,合成市第一医院,三级\nH2,合成市第二医院,二级\n"
_REFORM = """id = "basic-one-price"
name = "基础病组同病同价"
data_level = "synthetic"
statement = "虚构的改革方案，仅供演示和测试，不代表任何地区。"

[[change]]
key = "basic_rule"
action = "set"
value = { kind = "coefficient", value = "1" }
"""
_REASON = "经办会议 2026-05-12"

BODIES: Mapping[str, Any] = {
    "POST /v1/settlements": {"month": "2026-01", "close": True},
    "POST /v1/clearings": {"year": 2026, "policies": [], "supersedes": ""},
    "POST /v1/clearing-trials": {"year": 2026, "cases": ["2026-01.csv"], "policy": "synthetic-city-drg-point"},
    "POST /v1/clearings/{name}/answer": {"state": "disputed", "comment": "违规扣款已另行缴纳"},
    "POST /v1/clearings/{name}/approve": {
        "reason": "逾期未答复的视同确认；经办会议 2027-02-10", "anyway": True,
        "unsettled_reason": "3 月迟报的一份已告知医院，来年办理",
    },
    "POST /v1/budgets": {"year": 2026, "cases": ["2026-01.csv"], "format": "flat", "edition": "insurance"},
    "POST /v1/advances": {
        "month": "2026-01", "spend": "spend.csv", "balances": {"职工": "15.2"}, "deficits": [],
    },
    "POST /v1/indicators": {
        "year": 2026, "cases": ["2026-01.csv"], "priced": True, "policy": "synthetic-city-drg-rate",
    },
    "POST /v1/groupings": {"year": 2026, "cases": ["2026-01.csv"], "strict": True},
    "POST /v1/validations": {"year": 2026, "cases": ["2026-01.csv"]},
    "POST /v1/payments": {
        "year": 2026, "cases": ["2026-01.csv"], "month": "2026-01", "policy": "synthetic-city-drg-rate",
    },
    "POST /v1/reports": {"year": 2026, "title": "合成市 2026 年住院医保支付与清算"},
    "PUT /v1/years/{year}/tables/{table}": {
        "version": 1, "rows": [{"insurance": "职工", "amount": "5000.00", "reason": "年中追加"}], "reason": _REASON,
    },
    "POST /v1/years/{year}/scores": {"scores": {"H1": "96.5", "H2": "88"}, "reason": "2026 年度考核"},
    "POST /v1/years/{year}/violations": {
        "hospital": "H2", "insurance": "居民", "amount": "123.45", "what": "重复收费", "reason": _REASON,
    },
    "POST /v1/years/{year}/violations/{at}/withdraw": {"version": 4, "reason": "录入有误"},
    "POST /v1/years/{year}/decisions": {
        "hospital_id": "H1", "case_id": "H1-013", "decision": "by_item", "amount": "", "reason": _REASON,
    },
    "POST /v1/simulations": {
        "reforms": ["synthetic-basic-one-price"], "cases": ["2026-01.csv"], "policy": "synthetic-city-drg-rate",
    },
    "POST /v1/weights": {"cases": ["2026-01.csv"], "years": [2026], "year_weights": ["1"], "trim": "none"},
    "POST /v1/catalogs": {"cases": ["2026-01.csv"], "years": [2026], "year_weights": ["1"], "id": "my-city-2027"},
}  # fmt: skip
"""JSON bodies by route."""

FILES: Mapping[str, Mapping[str, str]] = {
    "POST /v1/submissions": {"text/csv": _CASES},
    "PUT /v1/documents/{kind}/{name}": {"application/octet-stream": _REGISTER},
    "POST /v1/documents/{kind}/{name}/check": {"application/octet-stream": _REGISTER},
    "PUT /v1/reforms/{name}": {"application/toml": _REFORM},
    "POST /v1/reforms/check": {"application/toml": _REFORM},
}
"""Files by route and media type."""

PLACES: Mapping[str, Any] = {
    "kind": "hospitals", "year": 2026, "table": "adjustment", "at": 0, "part": "results", "method": "dip",
    "file": "statement.csv", "code": "GZ13", "other": "chs-drg-1.1",
}  # fmt: skip
"""Examples of what is in a path, but for `name`, which is another thing on every route."""

NAMES: Mapping[str, str] = {
    "submissions": "sub_5d1f0c2b9a7e4c3d8f6a1b20", "jobs": "job_5d1f0c2b9a7e4c3d8f6a1b20",
    "runs": "run_5d1f0c2b9a7e4c3d8f6a1b20", "clearings": "run_5d1f0c2b9a7e4c3d8f6a1b20",
    "documents": "hospitals.csv", "reforms": "basic.toml", "schemes": "chs-drg-1.1",
    "policies": "synthetic-city-drg-point",
}  # fmt: skip
"""Examples of `name` by what the path begins with."""

GROUPED: Mapping[str, Any] = {
    "schema": {
        "type": "object", "required": ["drg", "name", "status", "reason", "reason_zh"],
        "properties": {
            "mdc": {"type": "string", "description": "主要诊断大类"},
            "adrg": {"type": "string", "description": "核心疾病诊断相关组（DIP 方案为核心病种）"},
            "drg": {"type": "string", "description": "组的编码"}, "name": {"type": "string", "description": "组的名称"},
            "status": {"type": "string", "description": "GROUPED 已入组；其余为没有入组的种类"},
            "reason": {"type": "string", "description": "没有入组的原因（编号）"},
            "reason_zh": {"type": "string", "description": "没有入组的原因"},
            "severity": {"type": "string", "description": "并发症或合并症的程度"},
            "trace": {"description": "trace=true 时：逐条规则的依据"},
            "whatif": {"description": "whatif=true 时：别的编码会怎样"},
            "payment": {"type": "object", "description": "pay=true 时：预计支付（元）"},
        },
    },
}  # fmt: skip
"""What a single case is answered with."""
