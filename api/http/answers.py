"""Shapes of answers and of what requests carry, with examples for the interface's description.

Money is a decimal text in yuan with two decimals unless its name ends in `_fen`; times are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from reference_tables.columns import HEADER_FORMATS, MESSAGE_FORMATS

MONTH = r"^20[0-9]{2}-(0[1-9]|1[0-2])$"
IdPath = Annotated[str, Path(max_length=40, pattern=r"^[a-z]+_[0-9a-f]+$", description="编号")]
MonthQuery = Annotated[str, Query(pattern=MONTH, description="月份", examples=["2026-03"])]
Limit = Annotated[int, Query(ge=1, le=1000, description="最多几条")]
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", max_length=200,
        description="重发同一请求时给同一个值：得到第一次的回答，不会办理两次",
    ),
]  # fmt: skip
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""No character at all, and halves of one."""
T = TypeVar("T")


class CaseFormat(StrEnum):
    """In which form the cases are."""

    AUTO = "auto"
    FLAT, OPENDRG, HQMS, N041 = HEADER_FORMATS
    MESSAGE_4101, MESSAGE_4101A = MESSAGE_FORMATS


class Edition(StrEnum):
    """In which edition the codes are."""

    INSURANCE = "insurance"
    CLINICAL = "clinical"


class Answer(BaseModel):
    """What all answers share: unknown names are refused, so that none slips in."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


class Asked(Answer):
    """What all requests that are no files share: texts that every database can keep."""

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, given: Any) -> Any:
        left = [given]
        while left:
            item = left.pop()
            if isinstance(item, Mapping):
                left += [*item.keys(), *item.values()]
            elif isinstance(item, list):
                left += item
            elif isinstance(item, str) and _UNSTORABLE.search(item):
                raise ValueError("文本中有不能保存的字符")
        return given


class Page(Answer, Generic[T]):
    """A page of a list; `next` is the `after` of the next one, null when this is the last."""

    items: list[T]
    next: str | None = None


class Submission(Answer):
    """提交：医疗机构一个月的病例文件及其受理结果。"""

    id: str = Field(examples=["sub_5d1f0c2b9a7e4c3d8f6a1b20"])
    hospital_id: str = Field(examples=["H01"])
    month: str = Field(examples=["2026-03"])
    kind: str = Field(description="new 新提交、correction 更正、withdrawal 撤回", examples=["new"])
    state: str = Field(
        description="received、accepted、done；refused、superseded、withdrawn、cancelled", examples=["accepted"]
    )
    file_name: str = Field(examples=["cases.csv"])
    format: str = Field(examples=["auto"])
    sha256: str = Field(description="上传内容的校验值")
    bytes: int = Field(description="字节", examples=[204800])
    reason: str = ""
    supersedes: str | None = None
    rows: int | None = Field(None, description="行数", examples=[2000])
    accepted: int | None = Field(None, description="受理的病例", examples=[1987])
    rejected: int | None = Field(None, description="拒收的行", examples=[13])
    summary: dict[str, Any] | None = Field(
        None,
        description="by_kind 按病例类型的例数和金额（元），problems 问题分类，basis 所用政策和分组方案，"
        "documents 所用文件的版本，late 因迟报而拒收的，of_closed_months 迟报而受理的：已关账月份到例数，"
        "settlement 结算时拒收了病例的：结算的月份 month、拒收例数 refused、时间 at，原因在问题清单",
    )
    job_id: str
    created_at: str = Field(examples=["2026-04-02T01:30:00.000000Z"])
    finished_at: str | None = None


class Job(Answer):
    """任务：较长的工作，可查进度、可取消。"""

    id: str = Field(examples=["job_5d1f0c2b9a7e4c3d8f6a1b20"])
    kind: str = Field(examples=["submission"])
    state: str = Field(description="queued、running、done、failed、cancelled", examples=["running"])
    attempts: int
    progress: int = Field(description="已完成（行、步）", examples=[1024])
    progress_of: int | None = Field(
        None, description="总数（行、步）；null = 还不知道，如 XLSX、JSON 数组要读完才知道有多少行", examples=[2000]
    )
    created_at: str
    finished_at: str | None = None
    waits_for: str | None = Field(
        None, description="要等它结束才办的任务（如正在进行的月度结算），它结束后自动办理；null = 没有", examples=[None]
    )
    result: dict[str, Any] | None = Field(
        None,
        description="结束时的结果，之后的变化看所办的提交或办理结果；"
        "月度结算拒收了病例的，refused 逐个提交写明例数和原因",
    )
    error: dict[str, Any] | None = None
