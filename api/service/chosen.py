"""What decides groups and payments: the documents in force, or what a request names instead: another of the office's
documents, or what the program brings along."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from api.service.absent import absent
from api.service.documents import ASIDE, IN_FORCE, KINDS, DocumentInfo, Stand
from api.service.settings import Settings
from reference_tables.group_weights import built_in_weights
from reference_tables.packs import built_in_packs
from reference_tables.policy import find_policies
from reference_tables.problems import TablesRefused

CURRENT = "current"
"""Stands for what is in force."""
Source = DocumentInfo | str
"""A document, or the name of what needs none: a built-in thing, or one of the settings."""
NOTHING: Mapping[str, str] = MappingProxyType({})
_OF_THE_POLICY = ("scheme", "weights")
"""What a policy names itself."""
_BUILT_IN: Mapping[str, Callable[[], Iterable[str]]] = {
    "policy": find_policies, "scheme": built_in_packs, "weights": built_in_weights,
}  # fmt: skip


def sources_of(stand: Stand, settings: Settings, chosen: Mapping[str, str] = NOTHING) -> Mapping[str, Source]:
    """Where each of IN_FORCE comes from; a kind that is not there: the policy's own scheme or weights, no list.

    `chosen`: names by kind, "" = not named, CURRENT = that in force. What is not named is that in force, but a policy
    that is named brings its own scheme and weights, as it does with the commands. Raises TablesRefused (SV03).
    """
    found: dict[str, Source] = {"policy": settings.policy}
    if settings.scheme:
        found["scheme"] = settings.scheme
    found |= {kind: item for kind in IN_FORCE if (item := stand.latest(kind)) is not None}
    if chosen.get("policy", CURRENT) not in {"", CURRENT}:
        for kind in _OF_THE_POLICY:
            if not chosen.get(kind):
                found.pop(kind, None)
    named = {kind: name for kind, name in chosen.items() if name not in {"", CURRENT}}
    return found | {kind: source_of(stand, kind, name) for kind, name in named.items()}


def source_of(stand: Stand, kind: str, name: str) -> Source:
    """A document of a kind by its name, else what is built in under it; a name is never taken for a path. Raises
    TablesRefused (SV03)."""
    item = stand.named(kind, name) if kind in ASIDE else stand.latest(kind, name)
    if item is not None:
        return item
    if kind in _BUILT_IN and name in _BUILT_IN[kind]():
        return name
    raise TablesRefused(name, [absent(KINDS[kind], name, _listed(kind))])


def _listed(kind: str) -> str:
    """Where the names are that there are."""
    routes = {"policy": "GET /v1/policies", "scheme": "GET /v1/schemes", "weights": "GET /v1/weight-tables"}
    kinds = "、".join(f"GET /v1/documents?kind={item}" for item in (kind, ASIDE.get(kind)) if item)
    return f"核对名称；放入的见 {kinds}" + (f"，内置的见 {routes[kind]}" if kind in routes else "")


def documents_of(sources: Mapping[str, Source]) -> list[DocumentInfo]:
    """The documents among them."""
    return [item for item in sources.values() if isinstance(item, DocumentInfo)]
