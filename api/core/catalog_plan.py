"""How a catalog is to be built, and the words that its manifest keeps of it so that it can be built again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Literal

from budget.money import yuan_text
from budget.trimming import Trimming, read_trimming
from grouper.catalog.case_keys import Combination
from grouper.catalog.history import share_text
from grouper.intake import SourceInfo
from grouper.normalize import Edition
from reference_tables.catalog_rules import catalog_rules
from reference_tables.dip_pack import DipPack
from reference_tables.manifest import DIP, DataLevel, Manifest, Source

TRIMMING_RULE = "每个病种按全部统计年度的病例一起定界，基准均值按全部病例一起定界；百分位按 n-1 线性插值"
REFERENCE_MEAN = "裁剪后、按年度加权的全部病例次均费用"
PLAIN_MEAN = "全部病例次均费用（不裁剪、不加权）"
MethodName = Literal["mean-cost", "benchmark", "standard-quota"]


@dataclass(frozen=True)
class CatalogPlan:
    """What decides a catalog beside the history.

    `years`: None = the latest full ones; `year_weights`: their positive weights, oldest first; `trimming`: a rule
    in its own words; `benchmark`: the group whose mean cost is worth 1000 (method benchmark); `quota_fen`: the amount
    worth 1 (standard-quota); `scheme`: an existing pack whose groups are kept, "" = grow them; `auxiliary`: default,
    none or a folder, "" = that of the kept pack.
    """

    years: tuple[int, ...] | None = None
    year_weights: tuple[Fraction, ...] = tuple(map(Fraction, catalog_rules().year_weights))
    min_cases: int = catalog_rules().min_cases
    combination: Combination = "all"
    method: MethodName = "mean-cost"
    benchmark: str = ""
    quota_fen: int = 0
    trimming: str = catalog_rules().trimming
    scheme: str = ""
    auxiliary: str = "none"
    fmt: str = "auto"
    edition: Edition = "insurance"

    @property
    def trim(self) -> Trimming:
        return read_trimming(self.trimming)


@dataclass(frozen=True, slots=True)
class CatalogIdentity:
    """Who the catalog is."""

    id: str
    name: str
    region: str
    data_level: DataLevel
    effective_from: date | None = None


def ratio_text(parts: Sequence[Fraction]) -> str:
    """Weights as 1:2:7."""
    return ":".join(_plain(part) for part in parts)


def _plain(number: Fraction) -> str:
    """A fraction that was given as a decimal, as that decimal."""
    return f"{Decimal(number.numerator) / Decimal(number.denominator):f}"


def statement(plan: CatalogPlan, years: Sequence[int], base: DipPack | None) -> str:
    """What the catalog is and how far it can be trusted, in Chinese."""
    rules = catalog_rules()
    if base is None:
        how = (
            f"核心病种为诊断亚目×{rules.combinations[plan.combination].label}，不少于 {plan.min_cases} 例；"
            "其余病例按亚目、类目、章三级与治疗方式归入综合病种"
        )
    else:
        how = f"沿用分组方案 {base.id} {base.version}（校验值 {base.sha256[:12]}）的病种，只测算分值"
    method = rules.methods[plan.method].label
    if plan.method == "mean-cost":
        method += f"（基准为进入病种的{REFERENCE_MEAN}）"
    if plan.method == "benchmark":
        method += f"（基准病种 {plan.benchmark}）"
    if plan.method == "standard-quota":
        method += f"（固定额度 {yuan_text(plan.quota_fen)} 元）"
    return (
        f"由 {'、'.join(map(str, years))} 年历史病例生成，年度权重 {ratio_text(plan.year_weights)}"
        f"（年度由 --years 指明，未指明时取各年病例数均不少于最多一年 {share_text()} 的最近连续 {len(years)} 年，"
        f"其他年度的病例不计入统计）。{how}。"
        f"分值按{method}，费用裁剪 {plan.trimming}（{TRIMMING_RULE}）。病种无某年病例时，其余年度的权重按比例补足。"
        f"{_caution(base)}"
    )


def _caution(base: DipPack | None) -> str:
    """What the pack whose groups are kept says of itself, and how much of it is open."""
    kept = base.manifest if base is not None else None
    if base is None:
        return ""
    if kept is None:
        return f"分组方案 {base.id} 没有说明，来源未经核验。"
    asked = f"；另有未决问题 {len(kept.open_questions)} 项，见 open_questions" if kept.open_questions else ""
    return f"所沿用的分组方案 {base.id} 的说明：“{kept.statement}”（数据级别 {kept.data_level}）{asked}。"


def command(plan: CatalogPlan, years: Sequence[int], identity: CatalogIdentity, files: Sequence[str]) -> str:
    """The command that builds the same catalog again, run beside the files."""
    words = ["drgdip", "catalog", "build", *files, "-o", identity.id]
    options: dict[str, str] = {
        "--years": ",".join(map(str, years)),
        "--year-weights": ratio_text(plan.year_weights),
        "--method": plan.method,
        "--trim": plan.trimming,
        "--edition": plan.edition,
        "--id": identity.id,
        "--name": identity.name,
        "--region": identity.region,
        "--data-level": identity.data_level,
    }
    if plan.scheme:
        options["--scheme"] = Path(plan.scheme).name
    else:
        options["--min-cases"] = str(plan.min_cases)
        options["--combination"] = plan.combination
    if plan.benchmark:
        options["--benchmark"] = plan.benchmark
    if plan.quota_fen:
        options["--quota"] = yuan_text(plan.quota_fen)
    if plan.auxiliary:
        options["--auxiliary"] = Path(plan.auxiliary).name
    if plan.fmt != "auto":
        options["--format"] = plan.fmt
    if identity.effective_from:
        options["--effective-from"] = identity.effective_from.isoformat()
    words += [word for pair in options.items() for word in pair]
    return " ".join(shlex.quote(word) for word in words)


def manifest_of(
    plan: CatalogPlan,
    years: Sequence[int],
    identity: CatalogIdentity,
    sources: Sequence[SourceInfo],
    base: DipPack | None,
) -> Manifest:
    """The manifest of the catalog: its statement ends with the command that repeats it; the history files stand as
    sources by name with their checksums, whatever the order in which they were given."""
    ordered = sorted(sources, key=lambda source: source.path)
    kept = base.manifest if base is not None else None
    documents = [Source(f"分组方案 {base.id}", base.name, number=f"sha256 {base.sha256}")] if base is not None else []
    history = [Source(source.path, identity.region, number=f"sha256 {source.sha256}") for source in ordered]
    again = command(plan, years, identity, [source.path for source in ordered])
    return Manifest(
        id=identity.id,
        scheme=DIP,
        version=f"{years[0]}-{years[-1]}",
        name=identity.name,
        region=identity.region,
        effective_from=identity.effective_from,
        effective_until=None,
        newborn_weight=base.newborn_weight if base is not None else "birth",
        data_level=identity.data_level,
        statement=f"{statement(plan, years, base)}重做（在历史文件所在的文件夹运行；-o 换名，结果相同）：{again}",
        files={},
        sources=(*documents, *(kept.sources if kept else ()), *history),
        amendments=kept.amendments if kept else (),
        open_questions=kept.open_questions if kept else (),
    )
