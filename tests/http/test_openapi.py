"""The interface is as it describes itself: requests made from the description, and answers checked against it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import jsonschema_rs
import pytest
import requests
import schemathesis
from direct import ask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from small_service import SmallService, small_service

from api.http.answers import Asked
from api.http.errors import MEDIA_TYPE, REFUSED, status_of
from api.http.reasons import form_zh
from reference_tables.problems import catalogue

ROLES = ("H1", "office", "policy", "admin")
_KNOWN = ("method", "url", "headers", "params", "json", "data", "files")
_HEALTH = list(HealthCheck)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallService]:
    with small_service(tmp_path_factory.mktemp("service"), requests_per_minute=10**6) as made:
        yield made


@schemathesis.serializer("application/toml", "application/octet-stream")
def _plain(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _answer(app: Any, authorization: str, case: Any) -> Response:
    """The answer to a generated request, whatever bytes it comes to."""
    asked = case.as_transport_kwargs(base_url="http://test")
    known = {name: asked[name] for name in _KNOWN if asked.get(name) is not None}
    sent = requests.Request(**known).prepare()
    headers = {name.lower(): value for name, value in sent.headers.items() if isinstance(value, str)}
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body or b""
    found = asyncio.run(ask(app, str(sent.method), sent.path_url, body, headers | {"authorization": authorization}))
    told = {name: [value] for name, value in found.headers.items()}
    return Response(found.status, told, found.body, sent, elapsed=0.0, verify=False)


@pytest.mark.parametrize(
    ("role", "examples"), [("office", 3), *(pytest.param(role, 60, marks=pytest.mark.long) for role in ROLES)]
)
def test_requests_made_from_the_description(here: SmallService, role: str, examples: int) -> None:
    app: Any = here.client(role).app
    authorization = here.client(role).headers["authorization"]
    described = schemathesis.openapi.from_dict(app.openapi())
    listed = _listed(here)
    seen = 0
    for result in described.get_all_operations():
        operation = result.ok()
        if operation.path.endswith("/events"):
            continue  # runs until its job ends; see test_submissions
        seen += 1

        @given(case=operation.as_strategy())
        @settings(
            max_examples=examples,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=_HEALTH,
            phases=[Phase.explicit, Phase.generate],
        )
        def check(case: Any) -> None:
            answer = _answer(app, authorization, case)
            case.validate_response(answer, checks=CHECKS)
            if answer.status_code >= 400 and answer.status_code != 422:
                assert answer.json()["code"] in listed[f"{case.operation.method} {case.operation.path}"]

        check()
    assert seen > 50


def _operations(here: SmallService) -> Iterator[tuple[str, Any]]:
    described = here.client("nobody").get("/openapi.json").json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_every_route_says_what_it_is_and_how_it_refuses(here: SmallService) -> None:
    described = here.client("nobody").get("/openapi.json").json()
    text = str(described)
    for word in ("HTTPValidationError", "Successful Response", "-Input", "-Output", "Page_"):
        assert word not in text
    for key, operation in _operations(here):
        assert re.search("[\u4e00-\u9fff]", operation["summary"]), key
        assert re.search("[\u4e00-\u9fff]", operation["description"]), key
        public = key in {"get /healthz", "get /readyz"}
        assert ("security" in operation) != public, key
        assert [name for name in operation["responses"] if name.startswith("2")], key
        for status, answer in operation["responses"].items():
            assert re.search("[\u4e00-\u9fff]", answer["description"]), (key, status)
            assert answer["content"], (key, status)
            if status < "4":
                continue
            ((media, content),) = answer["content"].items()
            assert (media, content["schema"]) == (MEDIA_TYPE, {"$ref": "#/components/schemas/Refusal"})
            for code in content["examples"]:
                assert described["components"]["examples"][code]["value"]["status"] == int(status), key
        wanted = {"500"} if public else {"401", "422", "429", "500", "503"}
        assert wanted <= operation["responses"].keys(), key
        for item in operation.get("parameters", ()):
            assert re.search("[\u4e00-\u9fff]", item["description"]), (key, item["name"])
    for name, schema in described["components"]["schemas"].items():
        assert re.search("[\u4e00-\u9fff]", schema["description"]), name
        for field, item in schema.get("properties", {}).items():
            assert item.get("description"), (name, field)


def _patterns(value: Any) -> Iterator[str]:
    """Every pattern that a description holds values to."""
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        yield from (found for item in value.values() for found in _patterns(item))
    elif isinstance(value, list):
        yield from (found for item in value for found in _patterns(item))


def test_every_pattern_has_words_with_an_example_of_it(here: SmallService) -> None:
    found = set(_patterns(here.client("nobody").get("/openapi.json").json()))
    assert len(found) >= 12
    for pattern in found:
        words = form_zh(pattern)
        shown = words.partition("如 ")[2].partition("，")[0] or words.partition("：")[2].partition("、")[0]
        assert re.search(pattern, shown), (pattern, words)
        assert "^" not in words


def _listed(here: SmallService) -> dict[str, set[str]]:
    """The codes that each route is said to answer."""
    return {
        key: {
            code
            for answer in operation["responses"].values()
            for code in answer["content"].get(MEDIA_TYPE, {}).get("examples", ())
        }
        for key, operation in _operations(here)
    }


def test_a_route_lists_the_refusals_that_it_has(here: SmallService) -> None:
    listed = _listed(here)
    assert listed["get /healthz"] == {"SV22", "SV84"}
    assert listed["get /v1/codes"] == {"SV01", "SV04", "SV06", "SV21", "SV22", "SV84"}
    asked = {"SV02", "SV03", "SV05", "SV08", "SV09", "SV14", "SV81", "SV83"}
    assert listed["post /v1/budgets"] == listed["get /v1/codes"] | asked
    assert listed["post /v1/submissions"] >= {"SV03", "SV08", "SV10", "SV11", "SV14", "SV39"}
    assert not listed["post /v1/submissions"] & {"SV07", "SV37"}
    # What has a status of its own is some route's, but for what no route is asked.
    own = {code for code in catalogue() if status_of(code) != REFUSED}
    assert own - {code for codes in listed.values() for code in codes} == {"SV12", "SV13", "SV15"}


def _examples(value: Any, place: str = "#") -> Iterator[tuple[str, Any, Any]]:
    """Every example with the schema that it is one of: place, schema, example."""
    if isinstance(value, dict):
        if "properties" in value or "type" in value or "anyOf" in value:
            yield from (
                (place, value, item) for item in value.get("examples", ()) if isinstance(value["examples"], list)
            )
            if "default" in value:
                yield place, value, value["default"]
        if "schema" in value:
            yield from ((place, value["schema"], value[name]) for name in ("example",) if name in value)
            shown = value.get("examples", {})
            named = shown.values() if isinstance(shown, dict) else ()
            yield from ((place, value["schema"], item["value"]) for item in named if "value" in item)
        for name, item in value.items():
            if name not in {"examples", "example", "default"}:
                yield from _examples(item, f"{place}/{name}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _examples(item, f"{place}/{at}")


def test_every_example_is_one_of_what_it_is_shown_for(here: SmallService) -> None:
    described = here.client("nobody").get("/openapi.json").json()
    shapes = described["components"]
    found = list(_examples({**described, "components": {"schemas": shapes["schemas"]}}))
    found += [
        (name, {"$ref": "#/components/schemas/Refusal"}, item["value"]) for name, item in shapes["examples"].items()
    ]
    assert len(found) > 150
    for place, schema, example in found:
        checked = jsonschema_rs.Draft202012Validator({**schema, "components": shapes})
        assert checked.is_valid(example), (place, example, [error.message for error in checked.iter_errors(example)])


def test_refusals_are_as_described(here: SmallService) -> None:
    shape = here.client("nobody").get("/openapi.json").json()["components"]["schemas"]["Refusal"]
    for path in ("/v1/runs", "/nothing", "/v1/submissions"):
        told = here.client("nobody").post(path, content=b"{").json()
        assert told.keys() == shape["properties"].keys()
        assert set(shape["required"]) <= told.keys()


def test_bodies_are_of_one_family(here: SmallService) -> None:
    """Every JSON body is checked for texts that no database keeps."""
    seen = 0
    left: list[Any] = list(here.client("office").app.routes)
    while left:
        route = left.pop()
        left += getattr(getattr(route, "original_router", None), "routes", [])
        field = getattr(route, "body_field", None)
        if field is not None:
            seen += 1
            assert issubclass(field.field_info.annotation, Asked), route.path
    assert seen >= 10


class _Links(HTMLParser):
    """What a page would load or lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [value or "" for name, value in attrs if name in {"src", "href"}]


def test_the_page_opens_offline(here: SmallService) -> None:
    answer = here.client("nobody").get("/docs")
    page = _Links()
    page.feed(answer.text)
    assert not {"script", "link", "img", "iframe"} & page.tags
    assert all(link.startswith("#") or link == "/openapi.json" for link in page.found)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "[0-9]" not in answer.text, "no patterns but their words"
    for key, operation in _operations(here):
        assert key.split(" ")[1] in answer.text
        assert operation["operationId"] in answer.text
