"""The ledger's chart of accounts (会计科目) and the events that are posted, from accounts.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

KINDS = {"asset": "资产", "owed": "应付", "kept": "留在基金", "spending": "支出"}


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """One account (科目). `kind` one of KINDS: assets and spending grow by debits, the others by credits."""

    code: str
    label: str
    kind: str
    meaning: str

    @property
    def grows_by(self) -> str:
        """The side that makes it larger: debit or credit."""
        return "debit" if self.kind in {"asset", "spending"} else "credit"


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """One kind of posting (业务): the same amount debited to one account and credited to another."""

    name: str
    label: str
    debit: str
    credit: str


@cache
def ledger_accounts() -> Mapping[str, LedgerAccount]:
    """Every account by its code, in the order of the file."""
    return {code: LedgerAccount(code, **body) for code, body in _data()["accounts"].items()}


@cache
def ledger_events() -> Mapping[str, LedgerEvent]:
    """Every event by its name, in the order of the file."""
    return {name: LedgerEvent(name, **body) for name, body in _data()["events"].items()}


@cache
def _data() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    text = (resources.files("reference_tables") / "accounts.toml").read_text(encoding="utf-8")
    data: dict[str, dict[str, dict[str, str]]] = tomllib.loads(text)
    return data
