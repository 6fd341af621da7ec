"""API tokens: made once, shown once, kept as a hash; they expire and can be revoked.

A token is `drgdip_<id>_<secret>`; the secret has 256 random bits, so that its plain sha256 tells nothing of it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hmac import compare_digest

import sqlalchemy as sa

from api.service.audit import Actor, record
from api.service.hospitals import is_hospital_id
from api.service.roles import Role
from api.service.values import checksum, later, now
from api.store.tables import token

DAY = 86_400
_PREFIX = "drgdip"


class NoHospital(ValueError):
    """A text that cannot be the id of a hospital."""


class NoSuchToken(Exception):
    """There is no token of that id."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What may be told of a token."""

    id: str
    role: str
    hospital_id: str
    label: str
    created_at: str
    expires_at: str
    revoked_at: str | None


def check_holder(role: Role, hospital_id: str, days: int) -> None:
    """Can there be a token of this kind? Raises as `create_token`."""
    if (role is Role.HOSPITAL) != bool(hospital_id):
        raise ValueError("a hospital's token names its hospital, others none")
    if hospital_id and not is_hospital_id(hospital_id):
        raise NoHospital(hospital_id)
    if days <= 0:
        raise ValueError("a token is valid for a day at least")


def create_token(
    connection: sa.Connection, actor: Actor, role: Role, *, hospital_id: str = "", label: str = "", days: int = 365
) -> str:
    """A new token, shown this once. Raises ValueError: a hospital's token without a hospital, another's with one, no
    days; NoHospital for a hospital that cannot be one."""
    check_holder(role, hospital_id, days)
    name, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    row = {
        "id": name, "hash": checksum(secret), "role": role.value, "hospital_id": hospital_id, "label": label,
        "created_at": now(), "expires_at": later(days * DAY),
    }  # fmt: skip
    connection.execute(token.insert().values(row))
    record(connection, actor, "token.create", name, {"role": role.value, "hospital": hospital_id, "days": days})
    return f"{_PREFIX}_{name}_{secret}"


def revoke_token(connection: sa.Connection, actor: Actor, name: str) -> None:
    """End a token now. Raises NoSuchToken."""
    done = connection.execute(
        token.update().where(token.c.id == name, token.c.revoked_at.is_(None)).values(revoked_at=now())
    )
    if done.rowcount == 0:
        if connection.execute(sa.select(token.c.id).where(token.c.id == name)).first() is None:
            raise NoSuchToken(name)
        return
    record(connection, actor, "token.revoke", name)


def list_tokens(connection: sa.Connection) -> list[TokenInfo]:
    """All tokens, without their hashes, the oldest first."""
    columns = [token.c[name] for name in TokenInfo.__dataclass_fields__]
    return [TokenInfo(*row) for row in connection.execute(sa.select(*columns).order_by(token.c.created_at, token.c.id))]


def has_tokens(connection: sa.Connection) -> bool:
    """Is there a token that still holds?"""
    holds = token.c.revoked_at.is_(None) & (token.c.expires_at > now())
    return connection.execute(sa.select(token.c.id).where(holds).limit(1)).first() is not None


def actor_of(connection: sa.Connection, text: str) -> Actor | None:
    """Who a token stands for; None when it is not one, has expired or was revoked."""
    prefix, _, rest = text.partition("_")
    name, _, secret = rest.partition("_")
    if prefix != _PREFIX or not name or not secret:
        return None
    row = connection.execute(sa.select(token).where(token.c.id == name)).first()
    if row is None or not compare_digest(row.hash, checksum(secret)):
        return None
    if row.revoked_at is not None or row.expires_at <= now():
        return None
    return Actor(row.id, row.role, row.hospital_id)
