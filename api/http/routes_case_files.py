"""The office's case files grouped, checked by the quality rules, or priced: the commands' own results, as jobs."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from api.http.answers import Asked, Job, KeyHeader
from api.http.choices import SCHEME, CaseFiles, Choosing, DocumentName, Reading
from api.http.deps import ServiceHere
from api.http.job_asked import asked_by_body
from api.http.routes_documents import Office
from api.http.routes_runs import Year
from api.service import case_files_job
from api.service.audit import Actor
from api.service.runs import GROUP, PAY, VALIDATE

router = APIRouter(prefix="/v1", tags=["office"])


class GroupingAsked(Reading):
    """病例分组的要求。"""

    year: Year
    cases: CaseFiles
    scheme: str = Field("", max_length=120, description=SCHEME)
    strict: bool = Field(False, description="质控规则拒收的病例记为数据无效")


class ValidationAsked(Reading):
    """病例质控的要求。"""

    year: Year
    cases: CaseFiles
    scheme: str = Field("", max_length=120, description=SCHEME)
    by_scheme: bool = Field(
        True, description="另按分组方案检查（不作主诊断的编码、歧义组、未入组等）；false 只按质控规则"
    )


class PaymentAsked(Choosing):
    """病例定价的要求；不写的，与该年结算所用的相同。"""

    year: Year
    cases: CaseFiles
    decisions: DocumentName | None = Field(
        None, description="特例单议评议结果的文件名；不写为该年结算所用的", examples=["decisions-2026.csv"]
    )
    separate: DocumentName | None = Field(
        None, description="单列支付的文件名；不写为正在使用的", examples=["separate.csv"]
    )
    month: str = Field("", pattern=r"^(20[0-9]{2}-(0[1-9]|1[0-2]))?$", description="只定价这个结算月份的病例")


@router.post("/groupings", status_code=202, summary="病例分组")
def grouping(service: ServiceHere, who: Office, asked: GroupingAsked, key: KeyHeader = None) -> Job:
    """病例文件逐例分组，与命令 drgdip group 的结果相同（CSV、Parquet），附问题清单；不提交，不定价。"""
    return _asked(service, who, key, "groupings", GROUP, asked)


@router.post("/validations", status_code=202, summary="病例质控：问题清单")
def validation(service: ServiceHere, who: Office, asked: ValidationAsked, key: KeyHeader = None) -> Job:
    """按结算清单质控规则检查病例文件，一次列出全部问题（XLSX、CSV）；不提交，不定价。"""
    return _asked(service, who, key, "validations", VALIDATE, asked)


@router.post("/payments", status_code=202, summary="病例定价")
def payment(service: ServiceHere, who: Office, asked: PaymentAsked, key: KeyHeader = None) -> Job:
    """为病例文件逐例定价（CSV），与命令 drgdip pay 的结果相同；不记账，结算用 /v1/settlements。

    不写的，所用与该年结算相同：正在使用的政策、分组方案、权重、医疗机构名册、单列支付清单，以及该年的特例单议清单（年度文件所指的；
    没有则为 decisions-年度.csv）；要换哪一种，写明放入的文件名或内置编号。"""
    return _asked(service, who, key, "payments", PAY, asked)


def _asked(service: ServiceHere, who: Actor, key: str | None, route: str, kind: str, asked: Asked) -> Job:
    return asked_by_body(
        service, who, key, route, asked,
        lambda connection, args: case_files_job.ask(service, connection, who, kind, args),
    )  # fmt: skip
