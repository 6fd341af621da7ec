"""What cases are grouped and paid by: the policy, its scheme and values, the register of hospitals.

The policy is the office's latest document of that kind, else the one of the settings; so is the grouping scheme, else
the policy's own; a request may name others (`chosen`). Loading is kept until any of it changes. What does not fit
together is told at once, all of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import polars as pl
import sqlalchemy as sa

from api.core import book_policies
from api.core.book_policies import policy_source
from api.core.pay_inputs import group_values, read_hospitals, read_separate
from api.core.program_code import code_sha256
from api.service.chosen import NOTHING, Source, sources_of
from api.service.context import Service
from api.service.documents import DocumentInfo, Stand, laid_out, standing
from api.service.scheme_files import opened_pack
from api.service.settings import Settings
from budget.group_values import GroupValues
from grouper.proof import program_version
from grouper.schemes import Scheme, open_scheme
from reference_tables.group_weights import GroupWeights, find_group_weights
from reference_tables.policy import Policy, load_policy
from reference_tables.problems import Problem, TablesRefused

_Read = TypeVar("_Read")
_kept: dict[tuple[object, ...], Basis] = {}
_lock = threading.Lock()
_MOST_KEPT = 8


@dataclass(frozen=True)
class Basis:
    """`weights` the table that `values` come from, None = the scheme's own; `hospitals`, `separate` None = not given;
    `sources`: where each comes from, by kind."""

    policy: Policy
    scheme: Scheme
    values: GroupValues
    weights: GroupWeights | None
    hospitals: pl.DataFrame | None
    separate: pl.DataFrame | None
    policy_text: str
    sources: Mapping[str, Source]

    @property
    def about(self) -> dict[str, str]:
        """Names and checksums of everything that decides groups and payments."""
        pack = self.scheme.pack
        weights = {} if self.weights is None else {"weights": self.weights.id, "weights_sha256": self.weights.sha256}
        lists = {
            f"{kind}_sha256": item.sha256
            for kind in ("hospitals", "separate")
            if isinstance(item := self.sources.get(kind), DocumentInfo)
        }
        return {
            "policy": self.policy.id, "policy_sha256": self.policy.sha256, "scheme": pack.id,
            "scheme_version": pack.version, "scheme_sha256": pack.sha256, "data_level": self.policy.header.data_level,
            **weights, **lists,
        }  # fmt: skip


def as_priced(basis: Basis) -> book_policies.Basis:
    """The basis as year books know it."""
    pack = basis.scheme.pack
    return book_policies.basis_of(basis.policy, basis.values, {"id": pack.id, "sha256": pack.sha256})


def made_with(basis: Basis | None, stand: Stand) -> dict[str, Any]:
    """What a result was made with: policy, scheme and values by name and checksum, every document with its version, the
    program with the checksum of its code."""
    program = {"name": "drgdip", "version": program_version(), "code_sha256": code_sha256()}
    return {
        "basis": None if basis is None else basis.about, "documents": [item.place for item in stand.items],
        "program": program,
    }  # fmt: skip


def basis_of(
    service: Service, connection: sa.Connection, stand: Stand | None = None, chosen: Mapping[str, str] = NOTHING
) -> Basis:  # fmt: skip
    """The basis that holds now, or by documents as they stood; `chosen`: what is named instead (`sources_of`). Raises
    TablesRefused with all that cannot be used."""
    sources = sources_of(standing(connection) if stand is None else stand, service.settings, chosen)
    contents = ((kind, item if isinstance(item, str) else ("", item.sha256)) for kind, item in sources.items())
    key = (service.settings.data, *sorted(contents, key=lambda item: item[0]))
    with _lock:
        if key not in _kept:
            if len(_kept) >= _MOST_KEPT:
                _kept.pop(next(iter(_kept)))
            _kept[key] = _loaded(service, sources)
        return _kept[key]


def check_settings(stand: Stand, settings: Settings) -> None:
    """Can the policy and the scheme be used that the settings name, where no document takes their place? Raises
    TablesRefused."""
    sources = sources_of(stand, settings)
    policy, scheme = sources["policy"], sources.get("scheme")
    if isinstance(policy, str):
        load_policy(policy)
    if isinstance(scheme, str):
        open_scheme(scheme)


class RecentBasis:
    """The basis as it was within the last second, so that single cases need not ask the database each time. A new
    document decides their estimates a second later at most; submissions and settlements never read it here."""

    SECONDS = 1.0

    def __init__(self, service: Service) -> None:
        self._service = service
        self._found: tuple[Basis, float] | None = None

    def known(self) -> Basis | None:
        """The basis, without asking; None when it has to be looked up."""
        found = self._found
        return found[0] if found is not None and time.monotonic() < found[1] else None

    def looked_up(self) -> Basis:
        """The basis that holds now. Raises as `basis_of`."""
        until = time.monotonic() + self.SECONDS
        with self._service.database.read() as connection:
            found = basis_of(self._service, connection)
        self._found = found, until
        return found


def _loaded(service: Service, sources: Mapping[str, Source]) -> Basis:
    with TemporaryDirectory(dir=service.work) as folder:
        # Each in a folder of its own: two documents may have the same name.
        paths: dict[str, Path] = {
            kind: laid_out(service.files, item, Path(folder) / kind)
            for kind, item in sources.items()
            if isinstance(item, DocumentInfo)
        }
        names = {**sources, **{kind: str(path) for kind, path in paths.items()}}
        attempt = _Attempts()
        hospitals = separate = priced = None
        name = str(names["policy"])
        policy = load_policy(name)
        limit, usual = service.settings.max_unpacked_bytes, str(names.get("scheme", "")) or policy.header.scheme
        if "scheme" in paths:
            scheme = attempt(lambda: open_scheme(str(opened_pack(paths["scheme"], limit))))
        elif usual:
            scheme = attempt(lambda: open_scheme(usual))
        else:
            scheme = None
            attempt.problems.append(Problem("SV40", {"policy": policy.id}))
        table = str(names["weights"]) if "weights" in names else None
        if scheme is not None:
            priced = attempt(lambda: group_values(policy, scheme, table))
        elif table is not None:
            attempt(lambda: find_group_weights(table))
        if "hospitals" in paths:
            hospitals = attempt(lambda: read_hospitals(paths["hospitals"], policy))
        if "separate" in paths:
            separate = attempt(lambda: read_separate(paths["separate"]))
        if attempt.problems or scheme is None or priced is None:
            raise TablesRefused(policy.id, attempt.problems)
        values, weights = priced
        return Basis(policy, scheme, values, weights, hospitals, separate, policy_source(name), sources)


class _Attempts:
    """Reads one thing after the other; `problems` of all of them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def __call__(self, read: Callable[[], _Read]) -> _Read | None:
        try:
            return read()
        except TablesRefused as error:
            self.problems += error.problems
            return None
