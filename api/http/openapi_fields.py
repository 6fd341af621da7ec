"""What fields and parameters are whose declarations do not say it: the same name means the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PARAMETERS: Mapping[str, str] = {
    "month": "只看这个月，如 2026-03", "hospital": "只看这家医疗机构", "state": "只看这个状态",
    "after": "上一页的 next", "kind": "只看这一类", "year": "只看这一年", "limit": "最多几条",
    "part": "results 受理结果、problems 问题清单",
    "method": "支付方式：drg-rate、drg-point、dip", "file": "文件名，见 Run.files", "name": "编号或文件名",
}  # fmt: skip

FIELDS: Mapping[str, tuple[str, Any]] = {
    "seq": ("序号，从 1 起，没有空缺", None), "role": ("角色", None), "action": ("做了什么", None),
    "state_text": ("状态的中文名", None), "object": ("对什么做", None),
    "commands": ("每个命令能否运行，缺哪些参数", None),
    "case_id": ("病例编号", None),
    "rows": ("各行，字段同年度文件", None), "scores": ("医疗机构编码到得分", None),
    "file_name": ("上传时的文件名", None),
    "format": ("病例格式；auto 为自动识别", None), "figures": ("表名到各行", None), "args": ("说明中各处的值", None),
    "file": ("文件名；空为不是文件的问题", None), "field": ("字段；空为不是某个字段的问题", None),
    "value": ("不符合要求的值", None), "type": ("问题的 URN", None), "detail": ("说明，给人看", None),
    "accepted": ("受理、采纳的数目", 12), "answers": ("医疗机构的确认和异议", None),
    "attempts": ("已试次数", 1), "auxiliary": ("辅助目录：空为沿用或默认、default、none", None),
    "before": ("上一条的 hash", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    "built_in": ("内置的", True), "cleared": ("年终清算的证明编号；null 为未清算", "5d1f0c2b9a7e"),
    "closed_until": ("已关账到哪个月；空为都未关", "2026-03"), "code": ("编号", None),
    "combination": ("核心病种由哪些手术操作组成：all 全部、principal 主要的", None),
    "created_at": ("时间（UTC）", "2026-04-02T01:30:00.000000Z"),
    "data_level": ("数据性质：official 国家、local 本地、published 公布、synthetic 虚构", None),
    "details": ("做了什么，依什么", None), "discharges": ("已结算的出院人次", 2400),
    "document": ("所在文件的版本", None),
    "dtype": ("类型", "Int64"), "entries": ("条数", 1024),
    "error": ("失败的原因：problems 为问题的编号和参数；null 为没有失败", None),
    "finished_at": ("结束的时间（UTC）；null 为未结束", "2026-04-02T01:31:00.000000Z"),
    "fix": ("处理办法", "核对编号"), "hash": (
        "本条的校验值（SHA-256）", "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    ),
    "hospital_id": ("医疗机构编码", "H1"), "hospitals": ("各医疗机构已付、留存、结转（元）", None),
    "id": ("编号", None), "items": ("各条", None), "job_id": ("任务编号", "job_5d1f0c2b9a7e4c3d8f6a1b20"),
    "kind": ("种类", None), "label": ("中文名", "年龄（岁）"), "meaning": ("含义", "入院时的周岁"),
    "media_type": ("内容类型", "text/csv"), "message": ("说明", None), "method": ("办法；空为政策所定", None),
    "min_cases": ("核心病种、病组至少几例", None), "month": ("月份；按年的为空", "2026-03"),
    "months": ("各月合计（元）", None), "name": ("名称", None), "next": ("下一页的 after；null 为没有下一页", None),
    "policies": ("所用政策，由早到晚", None), "policy_reason": ("政策与账册所记不同时，变动的原因", "年中调整点值"),
    "problems": ("问题，见 /v1/problems", None), "proof": ("证明：全部输入及其校验值", None),
    "quota": ("名额", 12), "quotas": ("各医疗机构的名额", None), "reason": ("理由", "经办会议 2026-05-12"),
    "region": ("统筹地区", "合成市"), "required_for": ("哪些命令或接口必须有", None),
    "result": ("完成后的结果，如 {\"run\": 编号}；null 为未完成", None), "runs": ("已入账的运行及其金额（元）", None),
    "seal": ("账册的封印（校验值）", None), "seed": ("随机数种子：相同则结果相同", None),
    "sha256": ("内容的校验值", None),
    "sound": ("借贷平衡、各处一致", True), "state": ("状态", None), "summary": ("汇总（金额为元）", None),
    "supersedes": ("所取代的；null 为没有", None), "title": ("标题", None), "usable": ("可以使用", True),
    "values": ("代码及其含义", None), "version": ("版本，从 1 起", 3),
    "who": ("由谁处理：hospital、office", "hospital"),
    "year": ("年度", 2026),
}  # fmt: skip
"""Descriptions of fields, each with an example or None."""

SHAPES: Mapping[str, str] = {
    "Auxiliary": "辅助目录：空为沿用所给方案的，或默认的维度；default 默认；none 不用。",
    "CaseFormat": "病例文件的格式；auto 为自动识别。",
    "CatalogMethod": "分值的测算办法；空为通常的。", "Combination": "病例的哪些手术操作组成核心病种。",
    "Edition": "编码版本：insurance 医保版 2.0、clinical 国临版。",
    "FileKind": "下载的形式。", "Kind": "提交的种类：new 新提交、correction 更正、withdrawal 撤回。",
    "LocalLevel": "病例的性质：local 本地的、synthetic 虚构的。", "Method": "支付方式，各有一个政策模板。",
    "Part": "results 受理的病例及其支付，problems 各行的问题。",
    "State": "提交的状态。",
    "Shape": "批量结果的形式：rows 逐例、columns 按列、parquet、arrow。",
    "WeightMethod": "权重（分值）的测算办法；空为通常的。",
    "Word": "对清算草稿的意见：confirmed 确认、disputed 有异议。",
}  # fmt: skip
"""Descriptions of shapes whose declarations are for programmers."""
LIST = "列表的一页。"
