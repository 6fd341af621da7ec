"""What cases are grouped and paid by: the policy, its scheme and values, the register of hospitals.

The policy is the office's latest document of that kind, else the one of the settings; so is the grouping scheme, else
the policy's own. Loading is kept until any of it changes.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import sqlalchemy as sa

from api.core.book_policies import policy_source
from api.core.pay_inputs import group_values, read_hospitals, read_separate
from api.service.context import Service
from api.service.documents import DocumentInfo, laid_out, latest
from api.service.scheme_files import opened_pack
from budget.group_values import GroupValues
from grouper.schemes import Scheme, open_scheme
from reference_tables.group_weights import GroupWeights
from reference_tables.policy import Policy, load_policy
from reference_tables.problems import Problem, TablesRefused

_PARTS = ("policy", "weights", "hospitals", "separate", "scheme")
_kept: dict[tuple[object, ...], Basis] = {}
_lock = threading.Lock()
_MOST_KEPT = 8


@dataclass(frozen=True)
class Basis:
    """`weights` the table that `values` come from, None = the scheme's own; `hospitals`, `separate` None = not given;
    `key` tells one basis from another by content."""

    policy: Policy
    scheme: Scheme
    values: GroupValues
    weights: GroupWeights | None
    hospitals: pl.DataFrame | None
    separate: pl.DataFrame | None
    policy_text: str
    documents: tuple[DocumentInfo, ...]

    @property
    def about(self) -> dict[str, str]:
        """Names and checksums of everything that decides groups and payments."""
        pack = self.scheme.pack
        weights = {} if self.weights is None else {"weights": self.weights.id, "weights_sha256": self.weights.sha256}
        lists = {
            f"{item.kind}_sha256": item.sha256 for item in self.documents if item.kind in {"hospitals", "separate"}
        }
        return {
            "policy": self.policy.id, "policy_sha256": self.policy.sha256, "scheme": pack.id,
            "scheme_version": pack.version, "scheme_sha256": pack.sha256, "data_level": self.policy.header.data_level,
            **weights, **lists,
        }  # fmt: skip


def basis_of(service: Service, connection: sa.Connection) -> Basis:
    """The basis that holds now. Raises TablesRefused when a document cannot be used."""
    found = tuple(item for kind in _PARTS if (item := latest(connection, kind)) is not None)
    key = (
        service.settings.policy,
        service.settings.scheme,
        service.settings.data,
        *((i.kind, i.sha256) for i in found),
    )
    with _lock:
        if key not in _kept:
            if len(_kept) >= _MOST_KEPT:
                _kept.pop(next(iter(_kept)))
            _kept[key] = _loaded(service, found)
        return _kept[key]


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


def _loaded(service: Service, found: tuple[DocumentInfo, ...]) -> Basis:
    by_kind = {item.kind: item for item in found}
    with TemporaryDirectory(dir=service.work) as folder:
        paths: dict[str, Path] = {
            kind: laid_out(service.files, item, Path(folder)) for kind, item in by_kind.items()
        }  # fmt: skip
        name = str(paths["policy"]) if "policy" in paths else service.settings.policy
        policy = load_policy(name)
        if "scheme" in paths:
            asked = str(opened_pack(paths["scheme"], service.settings.max_unpacked_bytes))
        else:
            asked = service.settings.scheme or policy.header.scheme
        if not asked:
            raise TablesRefused(policy.id, [Problem("SI03", {"policy": policy.id})])
        scheme = open_scheme(asked)
        values, weights = group_values(policy, scheme, str(paths["weights"]) if "weights" in paths else None)
        hospitals = read_hospitals(paths["hospitals"], policy) if "hospitals" in paths else None
        separate = read_separate(paths["separate"]) if "separate" in paths else None
        return Basis(policy, scheme, values, weights, hospitals, separate, policy_source(name), found)
