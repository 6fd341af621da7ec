"""What routes ask for: the service, and who is asking."""

from __future__ import annotations

import time
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from api.http.callers import Callers
from api.http.errors import Refused, not_found
from api.http.strict import check_given
from api.service.audit import Actor
from api.service.context import ANYONE, Service
from api.service.roles import Role
from api.service.settings import only_here
from reference_tables.problems import Problem

bearer = HTTPBearer(auto_error=False, description="drgdip token create 生成的访问令牌")
ROLE_ZH = {Role.HOSPITAL: "医疗机构", Role.OFFICE: "经办机构", Role.POLICY: "政策研究", Role.ADMIN: "管理员"}


async def service_of(request: Request) -> Service:
    """The service of the application."""
    service: Service = request.app.state.service
    return service


ServiceHere = Annotated[Service, Depends(service_of)]


async def actor(
    request: Request,
    service: ServiceHere,
    given: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)] = None,
) -> Actor:
    """Who asks. Refused: 401 without a token that holds, 429 when it asks too often (by token; without one by
    address), 422 when something is given that is not known or given twice."""
    return await asking(request, service, None if given is None else given.credentials)


async def asking(request: Request, service: Service, token: str | None) -> Actor:
    """As `actor`, by the token's text."""
    callers: Callers = request.app.state.callers
    found: Actor | None = None
    doubled = sum(name == b"authorization" for name, _ in request.scope["headers"]) > 1
    if doubled:
        pass  # nobody knows which of them is meant
    elif token is not None:
        found = callers.known(token)
        if found is None:
            found = await run_in_threadpool(callers.looked_up, token)
    elif service.settings.open_access and service.settings.is_loopback and _from_here(request):
        found = ANYONE
    client = request.client.host if found is None and request.client else ""
    wait = callers.rates.wait(found.id if found is not None else f"address {client}", time.monotonic())
    if wait:
        seconds = int(wait) + 1
        problem = Problem("SV06", {"limit": callers.rates.limit, "seconds": seconds})
        raise Refused(problem, headers={"Retry-After": str(seconds)})
    if found is None:
        place = "header.Authorization"
        once = [Problem("SV04", {"field": place, "reason": "只能给一次"}, field=place)] if doubled else []
        raise Refused(Problem("SV01"), *once, headers={"WWW-Authenticate": "Bearer"})
    request.scope["state"]["actor_id"] = found.id
    await check_given(request)
    return found


def token_of(request: Request) -> str | None:
    """The token that a request bears, as `bearer` finds it."""
    for name, value in request.scope["headers"]:
        if name == b"authorization":
            scheme, _, text = value.decode("latin-1").partition(" ")
            return text.strip() or None if scheme.lower() == "bearer" else None
    return None


ActorHere = Annotated[Actor, Depends(actor)]


class Allowed:
    """A dependency that lets only some roles pass. Refused (403) for others."""

    def __init__(self, what: str, *roles: Role) -> None:
        self.what, self.roles = what, frozenset(role.value for role in roles)

    async def __call__(self, who: ActorHere) -> Actor:
        return self.check(who)

    def check(self, who: Actor) -> Actor:
        """Who asks, if it may."""
        if who.role not in self.roles:
            role = ROLE_ZH[Role(who.role)]
            raise Refused(Problem("SV02", {"role": role, "what": self.what}))
        return who


def own(who: Actor, hospital_id: str, what: str, value: str) -> None:
    """A hospital sees its own alone: another's looks as if it were not there (404)."""
    if who.role == Role.HOSPITAL.value and who.hospital_id != hospital_id:
        raise not_found(what, value)


def _from_here(request: Request) -> bool:
    """Was this machine itself addressed, and not by a page of another site? Where no token is asked for, a web page
    open in a browser on this machine must not be able to use the service."""
    try:
        hosts = [urlsplit(f"//{request.headers.get('host', '')}").hostname]
        if "origin" in request.headers:
            hosts.append(urlsplit(request.headers["origin"]).hostname)
    except ValueError:  # no address at all
        return False
    return all(only_here(host or "") for host in hosts)
