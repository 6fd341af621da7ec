"""More of the office's work: budgets, advances, indicators, the yearly page, year books, special cases, the figures of
the year file row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Path
from pydantic import Field

from api.core.book import Book
from api.core.book_check import month_totals, sound, verify_book
from api.core.book_seals import readable
from api.http.answers import Answer, Asked, Job, KeyHeader, Limit, Page
from api.http.choices import Choosing, DocumentName
from api.http.deps import ServiceHere
from api.http.job_asked import asked_by_body, asked_job, once, taken
from api.http.paging import After, page_of
from api.http.routes_documents import Document, DocumentPut, Office, shown_document
from api.http.routes_office import FIRST_YEAR, LAST_YEAR
from api.service import budget_job, decisions, indicator_job, year_edits
from api.service.documents import DocumentInfo, standing
from api.service.office_work import book_of
from api.service.told import told
from api.service.year_told import not_held
from budget.money import yuan_text
from reference_tables.problems import Problem

router = APIRouter(prefix="/v1", tags=["office"])
_YUAN = r"^[0-9]{1,12}(\.[0-9]{1,2})?$"
_MONTHS = r"^[0-9]{1,3}(\.[0-9]{1,4})?$"
_SCORE = r"^[0-9]{1,4}(\.[0-9]{1,6})?$"
Hospital = Annotated[str, Field(min_length=1, max_length=64, examples=["H01"], description="医疗机构编码")]
Insurance = Annotated[str, Field(min_length=1, max_length=20, examples=["职工"], description="险种")]
Why = Annotated[str, Field(min_length=1, max_length=500, examples=["经办会议 2026-05-12"], description="理由或依据")]
Year = Annotated[int, Field(ge=FIRST_YEAR, le=LAST_YEAR, examples=[2026], description="年度")]
YearPath = Annotated[int, Path(ge=FIRST_YEAR, le=LAST_YEAR, description="年度")]
_FEN = "_fen"


class BudgetAsked(Choosing):
    """总额预算的要求；除政策外，所用文件和读法只用于病例文件。"""

    year: Year
    cases: list[DocumentName] = Field(
        default_factory=list, max_length=60, description="病例文件名：按政策定价得出总点数；不写则用年度文件的历年数据"
    )


class AdvanceAsked(Asked):
    """预付金的要求。"""

    month: str = Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-01"])
    spend: DocumentName = Field(description="申请机构各年支出的文件名（kind=spend）", examples=["spend.csv"])
    balances: dict[Annotated[str, Field(max_length=20)], Annotated[str, Field(pattern=_MONTHS)]] = Field(
        max_length=10, description="各险种基金累计结余可支付月数", examples=[{"职工": "15.2"}]
    )
    deficits: list[Insurance] = Field(default_factory=list, max_length=10, description="上年或预计当年赤字的险种")


class IndicatorsAsked(Choosing):
    """运行指标的要求：年度账册的，或给出的病例文件的；所用文件和读法只用于病例文件。"""

    year: Year
    cases: list[DocumentName] = Field(default_factory=list, max_length=60, description="病例文件名；不写则用年度账册")
    priced: bool = Field(True, description="病例文件按政策定价，另有倍率和支付方式的指标；false 时不用政策和名册")


class ReportAsked(Asked):
    """年度报告网页的要求。"""

    year: Year
    clearing: str = Field("", max_length=40, description="清算编号；不写则用已锁定的")
    title: str = Field("住院医保支付与清算", min_length=1, max_length=100)


class YearFigures(Answer):
    """年度文件的内容：表名到各行，与文件写法相同。"""

    document: Document
    figures: dict[str, Any] = Field(examples=[{"year": 2026, "hospital": [{"id": "H01", "score": "96"}]}])


class RowsAsked(Asked):
    """年度文件一个表的全部行。"""

    version: int = Field(ge=1, description="所依据的版本；期间有人改过则不收")
    rows: list[dict[Annotated[str, Field(max_length=40)], str | int | bool]] = Field(
        max_length=5000, examples=[[{"insurance": "职工", "amount": "500000.00", "reason": "年中追加"}]]
    )
    reason: Why


class ScoresAsked(Asked):
    """年度考核得分。"""

    scores: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(pattern=_SCORE)]] = Field(
        min_length=1, max_length=5000, examples=[{"H01": "96.5"}]
    )
    reason: Why


class ViolationAsked(Asked):
    """查实的违规扣款。"""

    hospital: Hospital
    insurance: Insurance
    amount: str = Field(pattern=_YUAN, examples=["1234.50"], description="金额（元）")
    what: str = Field(min_length=1, max_length=500, examples=["重复收费"], description="事由")
    reason: Why


class Withdrawn(Asked):
    """撤回一条违规扣款。"""

    version: int = Field(ge=1, description="所依据的版本")
    reason: Why


class DecisionAsked(Asked):
    """特例单议的评议结果。"""

    hospital_id: Hospital
    case_id: str = Field(min_length=1, max_length=120, examples=["2026030001"])
    decision: str = Field(
        max_length=20, examples=["by_item"],
        description="by_item 按项目付费、adjusted 调整支付标准（写金额）、refused 不通过；空为通过，按政策所定办法支付",
    )  # fmt: skip
    amount: str = Field("", pattern=rf"({_YUAN})|(^$)", description="金额（元），decision 为 adjusted 时")
    reason: Why


class Quota(Answer):
    """一家医疗机构的特例单议名额：按已结算的出院人次。"""

    hospital_id: str
    discharges: int
    quota: int
    accepted: int = Field(description="已提交或已结算的病例中，评议通过的")
    unknown: int = Field(description="评议通过而病例尚未提交的，不计入 accepted")
    over: int = Field(description="超过名额的，清算时按评议先后不予特例支付")


class Decisions(Answer):
    """一年的特例单议。"""

    document: Document | None
    items: list[dict[str, str]]
    quotas: list[Quota]
    problems: list[dict[str, Any]] = Field(default_factory=list, description="录入时的提示：病例尚未提交、超过名额")


class BookShown(Answer):
    """年度账册。"""

    year: int
    seal: str
    closed_until: str
    cleared: str | None
    sound: bool
    policies: list[dict[str, str]]
    months: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    hospitals: list[dict[str, Any]]


@router.post("/budgets", status_code=202, summary="总额预算")
def budget(service: ServiceHere, who: Office, asked: BudgetAsked, key: KeyHeader = None) -> Job:
    """从基金收入按政策的顺序逐项扣除，得出住院总额、可分配总额、医院总额、预算点值或费率。"""
    return asked_by_body(
        service, who, key, "budgets", asked,
        lambda connection, args: budget_job.ask_budget(service, connection, who, args),
    )  # fmt: skip


@router.post("/advances", status_code=202, summary="年初预付金")
def advance(service: ServiceHere, who: Office, asked: AdvanceAsked, key: KeyHeader = None) -> Job:
    """按政策判断各险种能否预付、预付多少，分到申请的医疗机构，记入年度账册；每年每险种一次。"""
    return asked_job(
        service, who, key, {"route": "advances", **asked.model_dump()},
        lambda connection: budget_job.ask_advance(
            service, connection, who, asked.month, asked.spend, asked.balances, asked.deficits
        ),
    )  # fmt: skip


@router.post("/indicators", status_code=202, summary="运行指标")
def indicators(service: ServiceHere, who: Office, asked: IndicatorsAsked, key: KeyHeader = None) -> Job:
    """按全区、医疗机构、科室和病组给出 CMI、费用与时间消耗指数、各类占比。"""
    return asked_by_body(
        service, who, key, "indicators", asked,
        lambda connection, args: indicator_job.ask_indicators(service, connection, who, args),
    )  # fmt: skip


@router.post("/reports", status_code=202, summary="年度报告网页")
def report(service: ServiceHere, who: Office, asked: ReportAsked, key: KeyHeader = None) -> Job:
    """一年的支付与清算画成一个可离线打开、可打印的网页。"""
    return asked_job(
        service, who, key, {"route": "reports", **asked.model_dump()},
        lambda connection: indicator_job.ask_report(
            service, connection, who, asked.year, asked.clearing, asked.title
        ),
    )  # fmt: skip


@router.get("/years/{year}", summary="年度文件的内容")
def figures(service: ServiceHere, _who: Office, year: YearPath) -> YearFigures:
    """基金、扣除、考核得分、违规扣款等，附版本。"""
    with service.database.read() as connection, taken():
        found, tables = year_edits.year_tables(service, standing(connection), year)
    return YearFigures(document=shown_document(found), figures=year_edits.plain(tables))


@router.put("/years/{year}/tables/{table}", summary="改写年度文件的一个表")
def put_table(
    service: ServiceHere, who: Office, year: YearPath,
    table: Annotated[str, Path(max_length=40, pattern=r"^[a-z_]+$", description="表名，如 adjustment、quota")],
    asked: RowsAsked,
) -> DocumentPut:  # fmt: skip
    """扣除、年中调整、医院总额、认定的合理超支等；校验通过才成为新版本。"""
    with service.database.write() as connection, taken():
        found = year_edits.replace_rows(
            service, connection, who, year, table, asked.rows, asked.version, asked.reason
        )  # fmt: skip
        return _edited(connection, year, found)


@router.post("/years/{year}/scores", summary="录入年度考核得分")
def scores(
    service: ServiceHere, who: Office, year: YearPath, asked: ScoresAsked, key: KeyHeader = None
) -> DocumentPut:  # fmt: skip
    """只改所列机构的得分，其余不变；名册、账册和提交中都没有的机构不收。"""
    return once(
        service, who, key, {"route": f"years/{year}/scores", **asked.model_dump()}, DocumentPut,
        lambda connection: _edited(
            connection, year, year_edits.set_scores(service, connection, who, year, asked.scores, asked.reason)
        ),
    )  # fmt: skip


@router.post("/years/{year}/violations", summary="录入违规扣款")
def violation(
    service: ServiceHere, who: Office, year: YearPath, asked: ViolationAsked, key: KeyHeader = None
) -> DocumentPut:  # fmt: skip
    """从该机构的清算中扣除，留在基金。"""
    row = {
        "hospital": asked.hospital, "insurance": asked.insurance, "amount": asked.amount, "reason": asked.what,
    }  # fmt: skip
    return once(
        service, who, key, {"route": f"years/{year}/violations", **asked.model_dump()}, DocumentPut,
        lambda connection: _edited(
            connection, year, year_edits.add_violation(service, connection, who, year, row, asked.reason)
        ),
    )  # fmt: skip


@router.post("/years/{year}/violations/{at}/withdraw", summary="撤回一条违规扣款")
def withdraw(
    service: ServiceHere, who: Office, year: YearPath,
    at: Annotated[int, Path(ge=0, le=100_000, description="在表中的序号，从 0 起")], asked: Withdrawn,
    key: KeyHeader = None,
) -> DocumentPut:  # fmt: skip
    """录入有误时撤回；以前的版本留存。"""
    return once(
        service, who, key, {"route": f"years/{year}/violations/{at}/withdraw", **asked.model_dump()}, DocumentPut,
        lambda connection: _edited(
            connection, year,
            year_edits.drop_violation(service, connection, who, year, at, asked.version, asked.reason),
        ),
    )  # fmt: skip


def _edited(connection: sa.Connection, year: int, found: DocumentInfo) -> DocumentPut:
    """A year file as it was changed, with the clearings that do not hold the change."""
    problems = [told(problem) for problem in not_held(connection, year)]
    return DocumentPut(**shown_document(found).model_dump(), problems=problems)


@router.get("/years/{year}/decisions", summary="特例单议的评议结果和名额")
def decision_list(service: ServiceHere, _who: Office, year: YearPath) -> Decisions:
    """按评议先后；名额按政策的比例和账册中的出院人次。"""
    with service.database.read() as connection, taken():
        return _decisions(service, connection, year)


@router.post("/years/{year}/decisions", summary="录入一例特例单议的评议结果")
def decide(
    service: ServiceHere, who: Office, year: YearPath, asked: DecisionAsked, key: KeyHeader = None
) -> Decisions:  # fmt: skip
    """下一次月度结算时生效；同一病例再次录入则更改，先后次序不变。没有听说过的机构不收；尚未提交的病例、超过名额的有提示。"""
    row = {name: getattr(asked, name) for name in decisions.COLUMNS}

    def work(connection: sa.Connection) -> Decisions:
        problems = decisions.decide(service, connection, who, year, row)
        return _decisions(service, connection, year, problems)

    return once(service, who, key, {"route": f"years/{year}/decisions", **asked.model_dump()}, Decisions, work)


def _decisions(
    service: ServiceHere, connection: sa.Connection, year: int, problems: Sequence[Problem] = ()
) -> Decisions:
    found, rows = decisions.decided(service, connection, year)
    made = decisions.quotas(service, connection, year)
    shown = None if found is None else shown_document(found)
    quotas = [Quota(**asdict(item)) for item in made]
    return Decisions(document=shown, items=rows, quotas=quotas, problems=[told(problem) for problem in problems])


@router.get("/books", summary="列出年度账册")
def books(service: ServiceHere, _who: Office, after: After = "", limit: Limit = 100) -> Page[int]:
    """已有账册的年度。"""
    names = sorted(path.name for path in service.books.iterdir() if path.name.isdigit())
    return page_of(names, str, after, limit, int)


@router.get("/books/{year}", summary="查看年度账册")
def book(service: ServiceHere, _who: Office, year: YearPath) -> BookShown:
    """各月的运行、合计、是否关账，各医疗机构已付、留存和结转（元），借贷是否平衡。"""
    with taken():
        found = book_of(service, year)
    problems = verify_book(found)
    return _shown_book(found, balanced=sound(problems), readable=readable(problems))


@router.get("/books/{year}/check", summary="核验年度账册")
def check(service: ServiceHere, _who: Office, year: YearPath) -> dict[str, Any]:
    """文件校验值、运行的封印、借贷平衡、病例不重复、病例合计与账一致。"""
    with taken():
        found = book_of(service, year)
    problems = verify_book(found)
    return {"sound": sound(problems), "seal": found.seal, "problems": [told(problem) for problem in problems]}


def _shown_book(found: Book, *, balanced: bool, readable: bool) -> BookShown:
    return BookShown(
        year=found.year, seal=found.seal, closed_until=found.closed_until, sound=balanced,
        cleared=None if found.cleared is None else found.cleared.run_id,
        policies=[
            {"id": item.id, "sha256": item.sha256, "since": item.since, "reason": item.reason}
            for item in found.policies
        ],
        months=[_yuan(dict(row)) for row in month_totals(found)] if readable else [],
        runs=[
            {"run_id": run.run_id, "kind": run.kind, "month": run.month, "totals": _yuan(dict(run.totals))}
            for run in found.runs
        ],
        hospitals=[_yuan(row) for row in found.paid().iter_rows(named=True)] if readable else [],
    )  # fmt: skip


def _yuan(row: dict[str, Any]) -> dict[str, Any]:
    """Amounts in fen as yuan, under their name without the unit."""
    return {name.removesuffix(_FEN): yuan_text(value) if name.endswith(_FEN) else value for name, value in row.items()}
