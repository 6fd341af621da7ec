"""The application: routes, one envelope around them, one shape for errors, and workers beside them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import orjson
from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from api.http import (
    routes_audit,
    routes_case_files,
    routes_cases,
    routes_checks,
    routes_documents,
    routes_jobs,
    routes_office,
    routes_policy,
    routes_reference,
    routes_runs,
    routes_submissions,
    routes_system,
)
from api.http.callers import Callers
from api.http.docs_page import HEADERS, docs_page
from api.http.errors import add_handlers, unexpected
from api.http.metrics import Metrics
from api.http.middleware import Envelope
from api.http.openapi import describe
from api.http.plain_route import PlainRoute
from api.http.rates import Rates
from api.http.strict import query_names
from api.service.basis import RecentBasis
from api.service.context import Service
from api.service.worker import Handler, Worker
from grouper.proof import program_version

_TITLE = "drgdip"
_ABOUT = "DRG/DIP 分组与医保预算服务。金额单位为分（fen）或注明的元，日期为 ISO 8601，编码为国家医保版。"
_ROUTES = (
    routes_cases, routes_submissions, routes_documents, routes_office, routes_runs, routes_case_files, routes_policy,
    routes_checks, routes_jobs, routes_reference, routes_audit, routes_system,
)  # fmt: skip


class Application(FastAPI):
    """FastAPI within the envelope that every request goes through first."""

    envelope: Envelope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or begin and end."""
        await (self.envelope if scope["type"] == "http" else self.inner)(scope, receive, send)

    async def inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application without its envelope."""
        await super().__call__(scope, receive, send)


def create_app(
    service: Service, handlers: Mapping[str, Handler], *, rates: Rates | None = None, metrics: Metrics | None = None
) -> Application:
    """The application of an open service; `handlers` do its jobs in as many threads as the settings say. `rates` and
    `metrics` are those of all its processes, where there are several."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        workers = [Worker(service.queue, handlers) for _ in range(service.settings.workers)]
        threads = [threading.Thread(target=worker.run, name=f"worker-{at}") for at, worker in enumerate(workers)]
        for thread in threads:
            thread.start()
        yield
        for worker in workers:
            worker.stopping.set()
        for thread in threads:
            thread.join()

    app = Application(
        title=_TITLE, description=_ABOUT, version=program_version(), lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url=None, redirect_slashes=False, separate_input_output_schemas=False,
    )  # fmt: skip
    app.state.service, app.state.metrics = service, metrics or Metrics()
    app.state.callers = Callers(service, rates or Rates(service.settings.requests_per_minute))
    app.state.basis = RecentBasis(service)
    add_handlers(app)

    @app.exception_handler(Exception)
    async def broken(request: Request, _error: Exception) -> Response:
        return unexpected(request)  # the envelope hears of it, too, and logs it

    for module in _ROUTES:
        app.include_router(module.router)
    _add_docs(app)
    plain = {
        (method, route.path): route
        for module in _ROUTES
        for route in module.router.routes
        if isinstance(route, PlainRoute)
        for method in route.methods or ()
    }
    app.envelope = Envelope(app, app.inner, service, app.state.metrics, plain)
    return app


def _add_docs(app: FastAPI) -> None:
    """The interface described: for programs at /openapi.json, for people at /docs; the same for everybody."""
    described = describe(app)
    data, page = orjson.dumps(described), docs_page(described)
    app.openapi = lambda: described  # type: ignore[method-assign]
    app.state.query_names = query_names(described)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(data, media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(page, media_type="text/html; charset=utf-8", headers=HEADERS)
