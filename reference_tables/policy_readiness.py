"""Which commands a policy can run, and what it still lacks for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from reference_tables.group_weights import find_group_weights
from reference_tables.policy import Policy
from reference_tables.policy_schema import Parameter, policy_schema
from reference_tables.policy_settings import scope_text, why_needed

WEIGHTS = "weights"
_WEIGHTS_LABEL = "病组权重表"


@dataclass(frozen=True, slots=True)
class Lack:
    """A parameter that is missing: everywhere (`scopes` empty) or for some tiers and insurances only; `because`: the
    value that makes it needed, "" when it always is."""

    key: str
    label: str
    scopes: tuple[str, ...] = ()
    because: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Of one command. `missing`: without these it cannot run; `partial`: missing for some tiers or insurances;
    `on_demand`: missing, and asked for when such a case comes up."""

    command: str
    missing: tuple[Lack, ...]
    partial: tuple[Lack, ...]
    on_demand: tuple[Lack, ...]

    @property
    def can_run(self) -> bool:
        return not self.missing


def readiness(policy: Policy, command: str) -> Readiness:
    """What `policy` lacks for `command` and for the commands it builds on, in the order of the schema."""
    schema = policy_schema()
    commands = {command, *schema.commands[command].after}
    missing: list[Lack] = []
    partial: list[Lack] = []
    on_demand: list[Lack] = []
    if "pay" in commands and policy.method == "quota":
        missing.append(Lack("method", "按病组定价的支付方式"))
    elif "pay" in commands and policy.method != "dip" and not policy.weights:
        missing.append(Lack(WEIGHTS, _WEIGHTS_LABEL))
    by_key = {key: policy.all(key) for key in schema.parameters}
    for parameter in schema.parameters.values():
        if policy.method not in parameter.methods or _unnecessary(policy, parameter):
            continue
        because = why_needed(parameter, by_key)
        needed = set(parameter.needed) if policy.method in parameter.needed_under else set()
        if commands & needed and (because or not parameter.needed_if):
            scopes = [] if parameter.default is not None else list(_uncovered(policy, parameter))
            if not policy.has(parameter.key) and scopes:
                missing.append(Lack(parameter.key, parameter.label, (), because))
            elif scopes:
                partial.append(Lack(parameter.key, parameter.label, tuple(scopes), because))
        elif commands & set(parameter.on_demand) and not policy.has(parameter.key):
            on_demand.append(Lack(parameter.key, parameter.label))
    return Readiness(command, tuple(missing), tuple(partial), tuple(on_demand))


def all_readiness(policy: Policy) -> Sequence[Readiness]:
    """Of every command, in order."""
    return tuple(readiness(policy, command) for command in policy_schema().commands)


def _unnecessary(policy: Policy, parameter: Parameter) -> bool:
    if any(policy.has(key) for key in (*parameter.unless, *parameter.rivals)):
        return True
    if "dip_pack" in parameter.unless and policy.method == "dip":
        return True
    if not policy.weights or not {"coefficient_table", "average_table"} & set(parameter.unless):
        return False
    table = find_group_weights(policy.weights)
    return bool(table.coefficient_e6 if "coefficient_table" in parameter.unless else table.average_fen)


def _uncovered(policy: Policy, parameter: Parameter) -> Iterator[str]:
    """Tiers and insurances for which there is no value at all, not even for some hospital, group or month."""
    settings = policy.all(parameter.key)
    names = {name for setting in settings for name, _ in setting.scope}
    tiers = policy.tiers if "tier" in names else ()
    insurances = policy.insurances if "insurance" in names else ()
    for tier, insurance in product(tiers or ("",), insurances or ("",)):
        given = {name: value for name, value in (("tier", tier), ("insurance", insurance)) if value}
        if not any(
            all(given.get(name, value) == value for name, value in setting.scope if name in ("tier", "insurance"))
            for setting in settings
        ):
            yield scope_text(given.items())
