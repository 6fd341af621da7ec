"""The application: routes, one envelope around them, one shape for errors, and workers beside them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import orjson
from fastapi import FastAPI, Response

from api.http import (
    routes_audit,
    routes_cases,
    routes_checks,
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
from api.http.errors import add_handlers
from api.http.middleware import Envelope, Metrics
from api.http.openapi import describe
from api.http.strict import query_names
from api.service.basis import RecentBasis
from api.service.context import Service
from api.service.worker import Handler, Worker
from grouper.proof import program_version

_TITLE = "drgdip"
_ABOUT = "DRG/DIP 分组与医保预算服务。金额单位为分（fen）或注明的元，日期为 ISO 8601，编码为国家医保版。"
_ROUTES = (
    routes_cases, routes_submissions, routes_office, routes_runs, routes_policy, routes_checks, routes_jobs,
    routes_reference, routes_audit, routes_system,
)  # fmt: skip


def create_app(service: Service, handlers: Mapping[str, Handler]) -> FastAPI:
    """The application of an open service; `handlers` do its jobs in as many threads as the settings say."""

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

    app = FastAPI(
        title=_TITLE, description=_ABOUT, version=program_version(), lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url=None, redirect_slashes=False, separate_input_output_schemas=False,
    )  # fmt: skip
    app.state.service, app.state.metrics, app.state.callers = service, Metrics(), Callers(service)
    app.state.basis = RecentBasis(service)
    add_handlers(app)
    for module in _ROUTES:
        app.include_router(module.router)
    _add_docs(app)
    app.add_middleware(Envelope, service=service, metrics=app.state.metrics)
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
