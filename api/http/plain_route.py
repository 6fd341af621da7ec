"""A route for the requests that come by the thousand: asked without parameters, it is answered without resolving any.

FastAPI finds the route among all, and resolves and checks the parameters and dependencies that it declares, at each
request; that costs more than the answer to a single case. Without a query string a route of this class has nothing to
resolve but who asks: that is asked of the same functions, in the same order, and all parameters have their defaults.
The envelope (`api.http.middleware`) takes such requests to `answered` itself; those with a query string, and all other
routes, go through FastAPI as ever.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.http.deps import Allowed, asking, token_of


class PlainRoute(APIRoute):
    """A route whose endpoint takes the request, who asks as `who` (an `Allowed`), and parameters of the query with
    defaults. Raises TypeError, when it is made, for one that is declared in another way."""

    def __init__(self, path: str, endpoint: Any, **given: Any) -> None:
        super().__init__(path, endpoint, **given)
        needs = self.dependant
        allowed = needs.dependencies[0].call if len(needs.dependencies) == 1 else None
        others = [*needs.path_params, *needs.header_params, *needs.cookie_params, *needs.body_params]
        required = [item for item in needs.query_params if item.field_info.is_required()]
        if not isinstance(allowed, Allowed) or needs.dependencies[0].name != "who" or others or required:
            raise TypeError(f"{self.path} needs more than who asks")
        self._allowed = allowed

    async def answered(self, request: Request) -> Response:
        """The answer to a request without a query string."""
        who = self._allowed.check(await asking(request, request.app.state.service, token_of(request)))
        response: Response = await self.endpoint(request, who)
        return response
