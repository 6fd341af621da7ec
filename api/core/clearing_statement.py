"""A hospital's clearing statement: every figure of every pool with how it came about, in Chinese, as plain rows.

The same rows make the workbook and the printed page. Amounts are exact texts in yuan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import polars as pl

from api.core.clearing import Clearing
from budget.bundle_clearing import ClearedBundle
from budget.clearing import Account, Line
from budget.clearing_accounts import LINES_ZH, ClearedPool
from budget.frames import CASE_KIND_ZH
from budget.hospital_units import Tally
from budget.money import FEN, decimal_text, yuan_text

UNITS_ZH = {"drg-rate": "总权重（含系数）", "drg-point": "总点数", "dip": "总分值", "quota": "总点数"}
VALUES_ZH = {"drg-rate": "清算费率", "drg-point": "结算点值", "dip": "结算点值", "quota": "结算点值"}
UNIT_PLACES = VALUE_PLACES = 4


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a statement: what, the figure, how it came about. `total`: a sum that the rows above lead to."""

    label: str
    value: str
    how: str = ""
    total: bool = False


@dataclass(frozen=True)
class PoolStatement:
    """A hospital's statement in one pool: its items, and its cases by kind as text rows (KIND_HEADER)."""

    pool: str
    items: tuple[Item, ...]
    kinds: tuple[tuple[str, ...], ...]
    line: Line


@dataclass(frozen=True)
class HospitalStatement:
    """All pools of a hospital; `balance` of them together, fen."""

    hospital: str
    name: str
    pools: tuple[PoolStatement, ...]

    @property
    def balance(self) -> int:
        return sum(pool.line.balance for pool in self.pools)


def statement_json(statement: HospitalStatement) -> dict[str, object]:
    """The statement as plain values: every figure as exact text, as the page tells it."""
    return {
        "hospital": statement.hospital, "name": statement.name, "balance": yuan_text(statement.balance),
        "pools": [
            {
                "pool": pool.pool,
                "items": [
                    {"label": item.label, "value": item.value, "how": item.how, "total": item.total}
                    for item in pool.items
                ],
                "kinds": [dict(zip(KIND_HEADER, row, strict=True)) for row in pool.kinds],
            }
            for pool in statement.pools
        ],
    }  # fmt: skip


KIND_HEADER = ("病例类型", "例数", "费用（元）", "按标准应付（元）", "其中统筹基金（元）")


def hospital_statements(clearing: Clearing) -> list[HospitalStatement]:
    """The statements of all hospitals, in the order of their ids."""
    writer = _Writer(clearing)
    found: dict[str, list[PoolStatement]] = {}
    for pool, line in clearing.lines:
        found.setdefault(line.hospital, []).append(writer.statement(pool, line))
    names = clearing.given.year_file
    return [HospitalStatement(name, names.name(name), tuple(pools)) for name, pools in found.items()]


def is_synthetic(clearing: Clearing, *levels: str) -> bool:
    """Is anything that the statement rests on made up?"""
    given = clearing.given
    return "synthetic" in {given.policy.header.data_level, given.year_file.data_level, *levels}


class _Writer:
    def __init__(self, clearing: Clearing) -> None:
        self.clearing = clearing
        self.policy, self.year = clearing.given.policy, clearing.given.year_file
        self.pools = {pool.budget.pool: pool for pool in clearing.pools}
        self.accounts = {
            (pool.budget.pool, account.hospital): account for pool in clearing.pools for account in pool.accounts
        }
        self.bundles = {bundle.group: bundle for bundle in clearing.bundles}

    def statement(self, name: str, line: Line) -> PoolStatement:
        if name in self.bundles:
            items = tuple(self._of_bundle(self.bundles[name], line))
            return PoolStatement(f"医共体 {self.bundles[name].name}", items, (), line)
        pool, account = self.pools[name], self.accounts[name, line.hospital]
        tally = self.clearing.tallies.tallies.get((line.hospital, name), Tally())
        items = tuple(self._of_pool(pool, account, line, tally))
        return PoolStatement(name, items, tuple(self._kinds(name, line.hospital)), line)

    def _kinds(self, pool: str, hospital: str) -> Iterator[tuple[str, ...]]:
        kinds = self.clearing.kinds.filter((pl.col("pool") == pool) & (pl.col("hospital_id") == hospital))
        for kind, cases, *amounts in kinds.select(
            "case_kind", "cases", "cost_fen", "package_fen", "fund_fen"
        ).iter_rows():
            yield CASE_KIND_ZH[kind], f"{cases:,}", *(yuan_text(amount) for amount in amounts)

    def _of_pool(self, pool: ClearedPool, account: Account, line: Line, tally: Tally) -> Iterator[Item]:
        yield Item("清算病例（例）", f"{line.cases:,}", "结算月份在本年度的病例，再入院合并后")
        yield from self._entitlement(pool, account, line, tally)
        yield from self._beyond(pool, line.hospital)
        yield from self._sharing(pool, account, line)
        yield from self._deposit(account, line)
        yield from self._violations(pool, account)
        prepaid = [f"年内已付 {yuan_text(account.prepaid)}"]
        if account.advance:
            prepaid.append(f"预付金冲抵 {yuan_text(account.advance)}")
        yield Item("已付金额", yuan_text(line.prepaid), "，".join(prepaid))
        yield _balance(line)

    def _entitlement(self, pool: ClearedPool, account: Account, line: Line, tally: Tally) -> Iterator[Item]:
        method, due = self.policy.method, pool.due
        units = sum((item.points for item in pool.accounts), Fraction(0))
        yield Item(UNITS_ZH[method], decimal_text(line.points, UNIT_PLACES), "按病组（病种）支付的病例逐段精确合计")
        if due.value is not None:
            how = f"{self._value_how(pool)}÷全区{UNITS_ZH[method]} {decimal_text(units, UNIT_PLACES)}；分配时不舍入"
            yield Item(VALUES_ZH[method], decimal_text(due.value, VALUE_PLACES), how)
        if pool.budget.quotas:
            how = "下达的医院总额减固定支付"
        elif not pool.formula:
            how = "按政策费率逐例定价的统筹基金部分合计"
        elif pool.formula == "DRG_TOTAL":
            how = (
                f"（可分配＋个人等支付）按点数占比分到本院，减本院病例的个人等支付 {yuan_text(tally.patient_fen)} 元；"
                "尾差按最大余数"
            )
        else:
            how = "可分配金额按占比分到本院，尾差按最大余数"
        yield Item("按点数（权重）应得", yuan_text(account.due), how)
        yield Item(
            "固定支付", yuan_text(account.fixed), "按项目、特例单议、床日、单病种、医共体打包等病例的统筹基金部分"
        )
        moved = line.entitlement - account.entitlement
        if moved:
            yield Item("统筹区结余（超支）分担", yuan_text(moved), "统筹区结余归医院或超支由医院承担的部分，按应得分摊")
        yield Item("应得金额", yuan_text(line.entitlement), total=True)

    def _beyond(self, pool: ClearedPool, hospital: str) -> Iterator[Item]:
        """Special cases whose decision fell away, by number, and why."""
        found = self.clearing.beyond.filter(
            (pl.col("hospital_id") == hospital) & pl.col("insurance").is_in(list(pool.budget.insurances))
        )
        if found.is_empty():
            return
        quota, discharges = found.select("quota", "discharges").row(0)
        cases = "、".join(found["case_id"])
        how = (
            f"本院年度出院 {discharges:,} 人次，名额 {quota} 例，按评议先后取；超出名额的改按病组（病种）支付：{cases}"
        )
        yield Item("超出名额的特例单议（例）", f"{found.height:,}", how)

    def _value_how(self, pool: ClearedPool) -> str:
        """What the settlement value is made of, but the units."""
        due = pool.due
        given = f"可分配 {yuan_text(due.distributable)} 元"
        if pool.formula == "DRG_TOTAL":
            tallies, name = self.clearing.tallies.tallies, pool.budget.pool
            patients = sum(tallies.get((item.hospital, name), Tally()).patient_fen for item in pool.accounts)
            return f"（{given}＋个人等支付 {yuan_text(patients)} 元）"
        ratio = due.per_unit / FEN / due.value if due.value else Fraction(1)
        return given if ratio == 1 else f"{given}÷支付比例 {decimal_text(ratio * 100, 2)}%"

    def _sharing(self, pool: ClearedPool, account: Account, line: Line) -> Iterator[Item]:
        share = line.shared - (account.quota_top_up if self._topped() else 0)
        if account.sharing is not None or line.given_up or line.retained or share:
            own = line.entitlement - account.bundled
            ratio = f"，占应得 {decimal_text(Fraction(account.actual * 100, own), 2)}%" if own > 0 else ""
            if account.bundled:
                ratio = f"（医共体打包的病例和应得不计）{ratio}"
            yield Item("按项目的统筹基金费用", yuan_text(account.actual), f"病例明细中基金应付合计{ratio}")
            if account.recognised is not None:
                yield Item("认定的合理超支", yuan_text(account.recognised), "只分担经认定的部分")
            yield Item("结余留用", yuan_text(line.retained), "在应得金额之内，仅供说明")
            yield Item("未留用的结余", yuan_text(line.given_up), "按政策比例回到基金")
            paid_by = LINES_ZH.get(pool.line, "")
            yield Item("基金分担的超支", yuan_text(share), f"由{paid_by}承担" if paid_by and share else "")
        if self._topped() and account.quota_top_up:
            how = f"定额高于按结算点值应得的差额，由{LINES_ZH.get(pool.line, '')}承担"
            yield Item("定额病种补差", yuan_text(account.quota_top_up), how)

    def _topped(self) -> bool:
        setting = self.policy.get("top_up")
        return bool(setting and setting.value)

    def _deposit(self, account: Account, line: Line) -> Iterator[Item]:
        if not line.deposit:
            return
        how = "年内各月留存" if account.held is not None else "应得金额的规定比例"
        yield Item("质量保证金", yuan_text(line.deposit), how)
        score = self.year.score(line.hospital)
        told = "" if score is None else f"考核得分 {decimal_text(score, 2)}，"
        share = Fraction(line.assessment, line.deposit)
        yield Item("考核返还", yuan_text(line.assessment), f"{told}返还 {decimal_text(share * 100, 2)}%")

    def _violations(self, pool: ClearedPool, account: Account) -> Iterator[Item]:
        for insurance in pool.budget.insurances:
            for row in self.year.rows("violation", hospital=account.hospital, insurance=insurance):
                yield Item("违规扣款", yuan_text(row["amount"]), row["reason"])

    def _of_bundle(self, found: ClearedBundle, line: Line) -> Iterator[Item]:
        bundle = found.bundle
        yield Item("人头总额", yuan_text(bundle.gross), "参保人数×每人金额")
        yield Item("预留", yuan_text(bundle.reserve), "按政策比例")
        yield Item("打包预算", yuan_text(bundle.budget))
        yield Item("成员机构内支出", yuan_text(found.inside))
        yield Item("成员机构外支出", yuan_text(found.outside))
        if bundle.overrun:
            yield Item("超支", yuan_text(bundle.overrun), f"其中基金分担 {yuan_text(bundle.fund_share)}")
            yield Item("医共体承担", yuan_text(bundle.group_bears), _split_text(bundle.split))
        else:
            yield Item("结余", yuan_text(bundle.surplus))
            yield Item("医共体留用", yuan_text(bundle.retained), _split_text(bundle.split))
        yield Item("本院分得", yuan_text(line.shared))
        yield Item("医共体超支分担（本院承担）", yuan_text(line.borne))
        yield _balance(line)


def _split_text(split: tuple[tuple[str, int], ...]) -> str:
    return "，".join(f"{name} {yuan_text(amount)}" for name, amount in split)


def _balance(line: Line) -> Item:
    how = "应得＋分担与补差－保证金＋返还－扣款（含未留用结余）－医共体超支分担－已付；" + (
        "由医院退回或在下期抵扣" if line.balance < 0 else "应付医院"
    )
    return Item("清算余额", yuan_text(line.balance), how, total=True)
