"""A route for the requests that come by the thousand: asked without parameters, it is answered without resolving any.

FastAPI resolves and checks the parameters and dependencies that a route declares at each request, which costs more than
the answer to a single case. Without a query string a route of this class has nothing to resolve but who asks: that is
asked of the same functions, in the same order, and all parameters have their defaults. With a query string FastAPI does
all as ever; so it does for /openapi.json.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.http.deps import Allowed, actor, bearer, service_of


class PlainRoute(APIRoute):
    """A route whose endpoint takes the request, who asks as `who` (an `Allowed`), and parameters of the query with
    defaults. Raises TypeError, when it is made, for one that is declared in another way."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler: FastAPI's own where there is a query string."""
        declared = super().get_route_handler()
        needs = self.dependant
        allowed = needs.dependencies[0].call if len(needs.dependencies) == 1 else None
        others = [*needs.path_params, *needs.header_params, *needs.cookie_params, *needs.body_params]
        required = [item for item in needs.query_params if item.field_info.is_required()]
        if not isinstance(allowed, Allowed) or needs.dependencies[0].name != "who" or others or required:
            raise TypeError(f"{self.path} needs more than who asks")

        async def answered(request: Request) -> Response:
            if request.scope["query_string"]:
                return await declared(request)
            who = await allowed(await actor(request, await service_of(request), await bearer(request)))
            response: Response = await self.endpoint(request, who)
            return response

        return answered
