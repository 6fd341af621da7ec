"""What routes ask for: the service, and who is asking."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.http.errors import Refused, not_found
from api.service.audit import Actor
from api.service.context import ANYONE, Service
from api.service.roles import Role
from api.service.tokens import actor_of
from reference_tables.problems import Problem

_bearer = HTTPBearer(auto_error=False, description="drgdip token create 生成的访问令牌")
ROLE_ZH = {Role.HOSPITAL: "医疗机构", Role.OFFICE: "经办机构", Role.POLICY: "政策研究", Role.ADMIN: "管理员"}


def service_of(request: Request) -> Service:
    """The service of the application."""
    service: Service = request.app.state.service
    return service


ServiceHere = Annotated[Service, Depends(service_of)]


def actor(
    request: Request,
    service: ServiceHere,
    given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
) -> Actor:
    """Who asks. Refused (401) without a token that holds."""
    if given is None and service.settings.open_access and service.settings.is_loopback:
        found: Actor | None = ANYONE
    elif given is None:
        found = None
    else:
        with service.database.read() as connection:
            found = actor_of(connection, given.credentials)
    if found is None:
        raise Refused(Problem("SV01"), headers={"WWW-Authenticate": "Bearer"})
    request.state.actor_id = found.id
    return found


ActorHere = Annotated[Actor, Depends(actor)]


class Allowed:
    """A dependency that lets only some roles pass. Refused (403) for others."""

    def __init__(self, what: str, *roles: Role) -> None:
        self.what, self.roles = what, frozenset(role.value for role in roles)

    def __call__(self, who: ActorHere) -> Actor:
        if who.role not in self.roles:
            role = ROLE_ZH[Role(who.role)]
            raise Refused(Problem("SV02", {"role": role, "what": self.what}))
        return who


def own(who: Actor, hospital_id: str, what: str, value: str) -> None:
    """A hospital sees its own alone: another's looks as if it were not there (404)."""
    if who.role == Role.HOSPITAL.value and who.hospital_id != hospital_id:
        raise not_found(what, value)
