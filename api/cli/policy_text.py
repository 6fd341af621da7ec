"""Payment policies as Chinese text on standard output, and as rows for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from api.cli.console import DATA_LEVEL_ZH, out
from reference_tables.policy import Policy, Setting
from reference_tables.policy_readiness import Lack, Readiness
from reference_tables.policy_schema import METHODS, Parameter, policy_schema
from reference_tables.policy_settings import scope_text
from reference_tables.policy_shown import choices_shown, value_shown


def value_text(setting: Setting) -> str:
    """A value in Chinese, with its unit; groups with the name of their list."""
    shown = value_shown(policy_schema().parameters[setting.key], setting.value)
    named = isinstance(setting.raw, str) and policy_schema().parameters[setting.key].type == "groups"
    return f"{setting.raw}：{shown}" if named else shown


def _period(since: object, until: object) -> str:
    if since is None and until is None:
        return ""
    return f"{since or ''} 起" + (f"，{until} 前" if until else "")


def _origin(policy: Policy, setting: Setting) -> str:
    source = policy.header.sources[setting.source]
    number = f"（{source.number}）" if source.number else ""
    article = f" {setting.article}" if setting.article else ""
    return f"{source.title}{number}{article}"


def _print_setting(console: Console, policy: Policy, setting: Setting) -> None:
    confidence = policy_schema().confidences[setting.confidence]
    mark = "，[yellow]存疑[/]" if setting.suspect else ""
    period = _period(setting.since, setting.until)
    where = "  ".join(part for part in (scope_text(setting.scope), period) if part)
    console.print(f"    {escape(value_text(setting))}  [dim]{escape(where)}[/]")
    console.print(f"      来源：{escape(_origin(policy, setting))}  可信度：{confidence}{mark}")
    if setting.note:
        console.print(f"      说明：{escape(setting.note)}")


def print_list(policies: Iterable[tuple[Policy, Sequence[Readiness]]]) -> None:
    """One block for each policy: what it is and what it can run."""
    console = out()
    for policy, ready in policies:
        header = policy.header
        level = DATA_LEVEL_ZH[header.data_level]
        period = _period(header.effective_from, header.effective_until)
        console.print(f"[bold]{policy.id}[/]  {escape(policy.name)}  {METHODS[policy.method]}  {period}  {level}")
        can = [policy_schema().commands[item.command].label for item in ready if item.can_run]
        console.print(f"  可运行：{'、'.join(can) or '无（缺参数）'}")


def print_parameters(parameters: Iterable[Parameter]) -> None:
    """Every parameter a policy may set."""
    console, section = out(), ""
    for parameter in parameters:
        if parameter.section != section:
            section = parameter.section
            console.print(f"[bold]{section}[/]")
        _print_meaning(console, parameter)


def _print_meaning(console: Console, parameter: Parameter) -> None:
    schema = policy_schema()
    unit = f"（{parameter.unit}）" if parameter.unit else ""
    console.print(f"  [bold]{parameter.key}[/]  {escape(parameter.label)}{unit}")
    console.print(f"    {escape(parameter.meaning)}")
    console.print(f"    写法：{escape(schema.types[parameter.type])}")
    if parameter.values:
        console.print(f"    可用值：{escape(choices_shown(parameter, parameter.values))}")
    scopes = "、".join(f"{name}（{schema.scopes[name]}）" for name in parameter.scope)
    console.print(f"    可按：{scopes or '全区一个值'}")


def print_parameter(policy: Policy, parameter: Parameter) -> None:
    """One parameter: what it means and the values the policy gives it."""
    console = out()
    _print_meaning(console, parameter)
    settings = policy.all(parameter.key)
    if not settings:
        default = "，按默认不采用" if parameter.default is not None else ""
        console.print(f"  政策 {policy.id} 没有规定{default}")
    for setting in settings:
        _print_setting(console, policy, setting)
        console.print(f"      位置：{escape(setting.place)}")


def print_policy(policy: Policy, ready: Sequence[Readiness]) -> None:
    """The whole policy by sections, and what it can run."""
    console, header = out(), policy.header
    console.print(f"[bold]{policy.id}[/] {escape(policy.name)}（{DATA_LEVEL_ZH[header.data_level]}）")
    console.print(f"  {METHODS[policy.method]}  {_period(header.effective_from, header.effective_until)}")
    tiers = f"  机构级别 {'、'.join(policy.tiers)}" if policy.tiers else ""
    console.print(escape(f"  险种 {'、'.join(policy.insurances)}{tiers}"))
    console.print(f"  权重表 {escape(policy.weights) or '无'}  校验值 {policy.sha256[:12]}")
    console.print(f"  {escape(header.statement)}")
    section = ""
    for parameter in policy_schema().parameters.values():
        settings = policy.all(parameter.key)
        if not settings:
            continue
        if parameter.section != section:
            section = parameter.section
            console.print(f"[bold]{section}[/]")
        console.print(f"  {escape(parameter.label)} [dim]{parameter.key}[/]")
        for setting in settings:
            _print_setting(console, policy, setting)
    _print_ready(console, ready)


def _lacks(lacks: Iterable[Lack]) -> str:
    parts = []
    for lack in lacks:
        scopes = f"：{'；'.join(lack.scopes)}" if lack.scopes else ""
        because = f"，因为 {lack.because}" if lack.because else ""
        parts.append(f"{lack.label}（{lack.key}{scopes}{because}）")
    return "、".join(parts)


def _print_ready(console: Console, ready: Sequence[Readiness]) -> None:
    console.print("[bold]能运行的命令[/]")
    for item in ready:
        label = policy_schema().commands[item.command].label
        verdict = "[green]可以[/]" if item.can_run else "[red]不能[/]"
        console.print(f"  {label}（{item.command}）：{verdict}")
        for title, lacks in (("缺", item.missing), ("部分缺", item.partial), ("遇到才需要", item.on_demand)):
            if lacks:
                console.print(f"    {title}：{escape(_lacks(lacks))}")


def print_checked(policy: Policy, ready: Sequence[Readiness]) -> None:
    """The verdict on a sound policy."""
    console = out()
    console.print(
        f"[bold]{escape(policy.id)}[/] {escape(policy.name)}  {len(policy.settings)} 个值  {policy.sha256[:12]}"
    )
    count = len(policy.problems)
    console.print(f"[yellow]警告 {count} 个[/]" if count else "[green]没有问题[/]")
    _print_ready(console, ready)


def print_refused(name: str, count: int) -> None:
    """The verdict on a refused policy."""
    out().print(f"[red]政策不可用[/] {escape(name)}，共 {count} 个问题")


def setting_row(setting: Setting) -> dict[str, Any]:
    """A value for JSON: as written, as shown, with its scope, dates and provenance."""
    return {
        "key": setting.key, "label": policy_schema().parameters[setting.key].label, "value": setting.raw,
        "text": value_text(setting), "scope": dict(setting.scope), "from": setting.since, "until": setting.until,
        "source": setting.source, "article": setting.article, "confidence": setting.confidence,
        "suspect": setting.suspect, "note": setting.note, "place": setting.place,
    }  # fmt: skip


def policy_row(policy: Policy, ready: Sequence[Readiness]) -> dict[str, Any]:
    """A policy's head and readiness for JSON."""
    header = policy.header
    return {
        "id": policy.id, "name": policy.name, "region": policy.region, "method": policy.method,
        "effective_from": header.effective_from, "effective_until": header.effective_until,
        "data_level": header.data_level, "weights": policy.weights, "insurances": policy.insurances,
        "tiers": policy.tiers, "statement": header.statement, "sha256": policy.sha256,
        "commands": {
            item.command: {
                "can_run": item.can_run, "missing": item.missing, "partial": item.partial, "on_demand": item.on_demand,
            }
            for item in ready
        },
    }  # fmt: skip


def parameter_row(parameter: Parameter) -> dict[str, Any]:
    """A parameter of the schema for JSON."""
    return {
        "key": parameter.key, "section": parameter.section, "label": parameter.label, "meaning": parameter.meaning,
        "type": parameter.type, "unit": parameter.unit, "values": parameter.values, "labels": parameter.labels,
        "scope": parameter.scope,
        "methods": parameter.methods, "needed": parameter.needed, "on_demand": parameter.on_demand,
    }  # fmt: skip
