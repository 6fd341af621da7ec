"""The policies a year book was kept by: kept in it by content, so that an earlier month can be priced again as it was.

    policies/<key>/policy.toml    the policy file
    policies/<key>/<weights>.csv  what it prices groups by: weight or score, coefficient, peer average

`key` stands for policy, group values and grouping scheme together. The month of a case decides which of them prices it.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from importlib import resources
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from api.core.book import Book, BookPolicy, BookRefused
from api.core.book_seals import POLICIES, POLICY_ROLE, policy_key
from budget.group_values import COLUMNS, GroupValues
from budget.money import decimal_text
from reference_tables.group_weights import built_in_weights
from reference_tables.policy import Policy, find_policies, parse_policy
from reference_tables.problems import Problem, TablesRefused

FILE = "policy.toml"
TABLE = "weights.csv"
_WEIGHTS = re.compile(r"(?m)^[ \t]*weights[ \t]*=.*$")


@dataclass(frozen=True)
class Basis:
    """What cases are priced by: the policy and the group values, `pack_sha256` of the scheme they were grouped by."""

    key: str
    policy: Policy
    values: GroupValues
    pack: str
    pack_sha256: str

    @cached_property
    def weights_sha256(self) -> str:
        """Of the group values as they are kept."""
        return hashlib.sha256(_table(self.values)).hexdigest()


def policy_source(name: str) -> str:
    """The text of a built-in policy by its id, or of a policy file by its path."""
    if name in find_policies():
        return (resources.files("reference_tables") / "policies" / f"{name}.toml").read_text(encoding="utf-8")
    return Path(name).read_text(encoding="utf-8-sig")


def basis_of(policy: Policy, values: GroupValues, pack: Mapping[str, str]) -> Basis:
    """Policy, values and scheme (`pack`: id, sha256) as one basis."""
    basis = Basis("", policy, values, pack.get("id", ""), pack.get("sha256", ""))
    return replace(basis, key=policy_key(policy.id, policy.sha256, basis.weights_sha256, basis.pack_sha256))


def noted(basis: Basis, since: str, reason: str) -> BookPolicy:
    """The basis as the book's index names it."""
    policy = basis.policy
    return BookPolicy(
        policy.id, policy.sha256, since, reason, basis.key, basis.weights_sha256, basis.pack, basis.pack_sha256
    )  # fmt: skip


def files_of(basis: Basis, text: str) -> dict[str, tuple[str, bytes]]:
    """By role, the files that keep a basis: their place in the book and their bytes; `text` of the policy file.

    Raises ValueError when the text is not that of the policy.
    """
    place, name = f"{POLICIES}/{basis.key}", _table_name(basis.policy)
    kept = text
    if basis.policy.weights not in ("", *built_in_weights()):  # the file lies beside the kept policy
        kept = _WEIGHTS.sub(f'weights = "{name}"', text, count=1)
    table = _table(basis.values)
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(table)
        if parse_policy(kept, FILE, Path(folder)).sha256 != basis.policy.sha256:
            raise ValueError(f"text of another policy than {basis.policy.id}")
    return {POLICY_ROLE: (f"{place}/{FILE}", kept.encode("utf-8")), "weights": (f"{place}/{name}", table)}


class KeptPolicies:
    """What a book's months were settled by, read from the book when it is asked for; `now`: what the run goes by."""

    def __init__(self, book: Book, now: Basis) -> None:
        self.book, self.now = book, now
        self._read = {now.key: now}

    def of(self, key: str) -> Basis:
        """The basis of a key. Raises BookRefused (ST66) when its files are not as they were."""
        if key not in self._read:
            self._read[key] = kept_basis(self.book, key)
        return self._read[key]

    def pack_of(self, key: str) -> tuple[str, str]:
        """The scheme of a basis: id and sha256."""
        known = {policy.key: (policy.pack, policy.pack_sha256) for policy in self.book.policies}
        return known.get(key, (self.now.pack, self.now.pack_sha256))

    def key_of(self, month: str) -> str:
        """What new cases of a month are priced by: what that month was settled by, where the scheme is the same."""
        if not self.book.policies or month >= self.book.policies[-1].since:
            return self.now.key
        before = [policy for policy in self.book.policies if policy.since <= month]
        found = before[-1] if before else self.book.policies[0]
        return found.key if found.pack_sha256 == self.now.pack_sha256 else self.now.key


def kept_basis(book: Book, key: str) -> Basis:
    """A basis as the book keeps it. Raises BookRefused (ST66)."""
    noted_as = next(policy for policy in book.policies if policy.key == key)
    place = book.path / POLICIES / key
    try:
        policy = parse_policy((place / FILE).read_text(encoding="utf-8"), FILE, place)
        data = (place / _table_name(policy)).read_bytes()
    except (OSError, UnicodeDecodeError, TablesRefused):
        raise _not_as_it_was(noted_as) from None
    if (policy.sha256, hashlib.sha256(data).hexdigest()) != (noted_as.sha256, noted_as.weights_sha256):
        raise _not_as_it_was(noted_as)
    values = GroupValues.of_frame(pl.read_csv(io.BytesIO(data), infer_schema=False))
    found = basis_of(policy, values, {"id": noted_as.pack, "sha256": noted_as.pack_sha256})
    if found.key != key:
        raise _not_as_it_was(noted_as)
    return found


def _not_as_it_was(policy: BookPolicy) -> BookRefused:
    args: dict[str, str | int] = {"policy": policy.id, "path": f"{POLICIES}/{policy.key}"}
    return BookRefused([Problem("ST66", args, file=f"{POLICIES}/{policy.key}/{FILE}")])


def _table_name(policy: Policy) -> str:
    """The name of the file of group values: as the policy names its own, that it can be used as it lies there."""
    own = policy.weights not in ("", *built_in_weights())
    return Path(policy.weights).name if own else TABLE


def _table(values: GroupValues) -> bytes:
    """Group values as CSV, every number as exact decimal text; the order of rows decides nothing."""
    rows = [
        (*(name or None for name in key), *map(_decimal, (of.weight, of.coefficient, of.peer_average)))
        for key, of in sorted(values.values.items())
    ]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    return frame.write_csv().encode("utf-8")


def _decimal(value: Fraction | None) -> str | None:
    """The decimal text of a number that came from one."""
    if value is None:
        return None
    places = next(places for places in count() if (value * 10**places).denominator == 1)
    return decimal_text(value, places)
