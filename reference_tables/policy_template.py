"""A policy to fill in: every parameter that pricing, budget, settlement and clearing ask for under a payment method.

What is always needed stands with a blank value, which `policy check` tells until it is filled; what is needed only
beside some other value, or when such a case comes up, stands as a comment with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reference_tables.policy_schema import METHODS, Condition, Parameter, policy_schema
from reference_tables.policy_shown import choices_shown
from reference_tables.policy_values import shown

TEMPLATE_METHODS = ("drg-rate", "drg-point", "dip")
_SOURCE = "own"
_SCHEME = {
    "dip": '# scheme = "dip-3.0"                 # 分组方案：DIP 目录的文件夹或工作簿；不写则运行时用 --scheme 给出'
}
_DRG_SCHEME = 'scheme = "chs-drg-1.1"               # 分组方案：内置编号，或方案的文件夹、工作簿'
_WEIGHTS = "内置编号，或同一文件夹的 .csv 文件，列 group,weight，可有 tier,coefficient,peer_average"


def policy_template(method: str) -> str:
    """The TOML text for one of TEMPLATE_METHODS."""
    return "\n".join([*_head(method), *_sections(method)]) + "\n"


def _head(method: str) -> Iterator[str]:
    yield f'# {METHODS[method]}支付政策。凡 "" 处必填；填好后用 drgdip policy check 校验，一次指出全部没填或填错的项。'
    yield "# 以 # 开头的 [[set]] 只在所说的情形下需要：去掉行首的“# ”再填。金额、比例等小数都加引号，日期不加引号。"
    yield '# 一个参数按险种、级别、时期取不同的值时，写几个 [[set]]，各加 for = { insurance = "职工", tier = "三级" }、'
    yield "# from = 2026-01-01、until = 2026-07-01（不再适用的第一天）；不写 for 的适用于其余全部。"
    yield ""
    yield 'id = ""                              # 编号，如 my-city-2026'
    yield 'name = ""                            # 名称'
    yield 'region = ""                          # 统筹地区'
    yield f'method = "{method}"'
    yield _SCHEME.get(method, _DRG_SCHEME)
    if method == "dip":
        yield f'# weights = ""                       # 分值表（方案自带分值时不写）：{_WEIGHTS}'
    else:
        yield f'weights = ""                         # 权重表：{_WEIGHTS}'
    yield 'insurances = ["职工", "居民"]        # 险种'
    yield 'tiers = ["三级", "二级", "一级"]     # 机构级别，由高到低'
    yield 'effective_from = ""                  # 施行首日，如 2026-01-01（不加引号）'
    yield "# effective_until = 2027-01-01       # 不再适用的第一天；不写为长期"
    yield 'data_level = "local"'
    yield 'statement = ""                       # 一句话说明：依据、用途'
    yield ""
    yield f"[sources.{_SOURCE}]"
    yield 'title = ""                           # 文件名称；另可写 publisher、number（文号）、article、date'


def _sections(method: str) -> Iterator[str]:
    section, spare = "", list[Parameter]()
    for parameter in policy_schema().parameters.values():
        if method not in parameter.methods:
            continue
        if parameter.section != section:
            yield from _spare(spare)
            section, spare = parameter.section, []
            yield from ("", "", f"# ---- {section}")
        if parameter.needed or parameter.on_demand:
            yield from _block(parameter, method)
        else:
            spare.append(parameter)
    yield from _spare(spare)


def _spare(parameters: Sequence[Parameter]) -> Iterator[str]:
    """Parameters that nothing asks for, by name alone."""
    if parameters:
        yield ""
        yield "# 另可规定（写法见 drgdip policy list --parameters）："
        yield from (f"#   {parameter.key}  {parameter.label}" for parameter in parameters)


def _block(parameter: Parameter, method: str) -> Iterator[str]:
    schema = policy_schema()
    yield ""
    yield f"# {parameter.label}：{parameter.meaning}"
    yield f"#   写法：{schema.types[parameter.type]}"
    measures = [f"单位：{parameter.unit}"] if parameter.unit else []
    bounds = [
        f"{word} {shown(bound)}"
        for word, bound in (("不小于", parameter.minimum), ("不大于", parameter.maximum))
        if bound is not None
    ]
    if bounds:
        measures.append(f"范围：{'、'.join(bounds)}")
    if measures:
        yield f"#   {'；'.join(measures)}"
    words = [word for word in parameter.values if _fits(word, method)]
    if words:
        yield f"#   可用值：{choices_shown(parameter, words)}"
    scopes = "、".join(f"{schema.scopes[name]} {name}" for name in parameter.scope)
    yield f"#   可按 {scopes} 区分" if scopes else "#   全区一个值"
    reason, active = _need(parameter, method)
    yield f"#   {reason}"
    mark = "" if active else "# "
    yield f"{mark}[[set]]"
    yield f'{mark}key = "{parameter.key}"'
    yield f'{mark}value = ""'
    yield f'{mark}source = "{_SOURCE}"'
    yield f'{mark}confidence = "official"'


def _need(parameter: Parameter, method: str) -> tuple[str, bool]:
    """When it is needed, in Chinese, and whether that is always."""
    commands = policy_schema().commands.values()

    def of(needed: Sequence[str]) -> str:
        return "、".join(command.label for command in commands if {command.key, *command.after} & set(needed))

    if not parameter.needed:
        return f"遇到此类病例或事项时需要（{of(parameter.on_demand)}）", False
    if method not in parameter.needed_under:
        return f"可不设（{of(parameter.needed)}）", False
    if parameter.needed_if:
        causes = [cause for condition in parameter.needed_if if (cause := _cause(condition, method))]
        return f"必填的情形：{'；'.join(causes)}（{of(parameter.needed)}）", False
    instead = [text for key in (*parameter.rivals, *parameter.unless) if (text := _instead(key))]
    return "；".join([f"必填（{of(parameter.needed)}）", *instead]), True


def _cause(condition: Condition, method: str) -> str:
    """The value of another parameter that asks for this one; "" when the method does not have it."""
    parameter = policy_schema().parameters[condition.key]
    words = [word for word in condition.values if _fits(word, method)]
    if method not in parameter.methods or (condition.values and not words):
        return ""
    return f"{parameter.label}（{condition.key}）{'为 ' + '、'.join(words) if words else '有规定'}"


def _instead(key: str) -> str:
    if key == "coefficient_table":
        return "权重表带 coefficient 列时可删"
    return f"改用 {key} 时删去" if key in policy_schema().parameters else ""


def _fits(word: str, method: str) -> bool:
    """Is the word a formula of the method, or no formula at all?"""
    return method in policy_schema().formula_methods.get(word, (method,))
