"""A Python client out of a service's own description: one function for each route, nothing but the standard library.

    python examples/make_client.py http://127.0.0.1:8471 > drgdip_client.py

Functions are named by method and path (`GET /v1/jobs/{name}` is `get_jobs_by_name`); what is in the path comes first,
then the body (bytes as they are, anything else as JSON), then what may be asked for by name; `media` says what bytes
are where several kinds are taken.
"""

from __future__ import annotations

import json
import keyword
import re
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

_BEGINNING = '''"""Client of {title} {version}, made from its description by make_client.py."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any

ENDED = ("done", "failed", "cancelled")


class Refused(Exception):
    """The service refused; `problem` says why and what to do: code, detail, problems."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{{problem['code']}} {{problem['detail']}}")
        self.problem = problem


class Client:
    """One caller of a service."""

    def __init__(self, url: str, token: str, attempts: int = 5) -> None:
        self.url, self.token, self.attempts = url.rstrip("/"), token, attempts

    def finished(self, job: str) -> dict[str, Any]:
        """A job, once it has ended."""
        while (found := self.get_jobs_by_name(job))["state"] not in ENDED:
            time.sleep(0.3)
        return found

    def _ask(
        self, method: str, path: str, body: Any, query: dict[str, Any], headers: dict[str, Any], media: str = ""
    ) -> Any:
        """The answer: parsed when it is JSON, else bytes; `media` says what bytes of a body are. A busy service is
        asked again, under the same key where the route takes one, so that nothing is done twice."""
        asked = urllib.parse.urlencode({{name: value for name, value in query.items() if value is not None}})
        sent = {{"Authorization": f"Bearer {{self.token}}", **{{k: v for k, v in headers.items() if v is not None}}}}
        if body is not None:
            raw = isinstance(body, bytes)
            sent["Content-Type"] = media or ("application/octet-stream" if raw else "application/json")
            body = body if raw else json.dumps(body).encode()
        for attempt in range(1, self.attempts + 1):
            request = urllib.request.Request(f"{{self.url}}{{path}}?{{asked}}", body, sent, method=method)
            try:
                with urllib.request.urlopen(request) as answer:
                    data, media = answer.read(), answer.headers.get_content_type()
                    return json.loads(data) if media == "application/json" else data
            except urllib.error.HTTPError as error:
                if error.code not in (429, 503) or attempt == self.attempts:
                    raise Refused(json.load(error)) from None
                time.sleep(int(error.headers.get("Retry-After", 1)))
'''


def functions(described: dict[str, Any]) -> Iterator[str]:
    """The source of the function of each route."""
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield _function(path, method, operation)


def _function(path: str, method: str, operation: dict[str, Any]) -> str:
    given: dict[str, list[dict[str, Any]]] = {"path": [], "query": [], "header": []}
    for item in operation.get("parameters", ()):
        given[item["in"]].append(item)
    head = ["self", *(_name(item["name"]) for item in given["path"])]
    if "requestBody" in operation:
        head.append("body: Any")
    named = [item for place in ("query", "header") for item in given[place]]
    asked = [_name(item["name"]) + ("" if item.get("required") else "=None") for item in named]
    # Where bodies of several kinds are taken, the caller says which one it sends.
    several = set(operation.get("requestBody", {}).get("content", ())) - {"application/json"}
    asked += ['media=""'] if several else []
    head += ["*", *asked] if asked else []
    query = ", ".join(f"{item['name']!r}: {_name(item['name'])}" for item in given["query"])
    headers = ", ".join(f"{item['name']!r}: {_key(_name(item['name']))}" for item in given["header"])
    where = re.sub(r"\{(\w+)}", lambda m: f"{{urllib.parse.quote(str({_name(m[1])}))}}", path)
    body = "body" if "requestBody" in operation else "None"
    return (
        f"\n    def {_title(path, method)}({', '.join(head)}) -> Any:\n"
        f'        """{operation.get("summary", "")}"""\n'
        f'        return self._ask("{method.upper()}", f"{where}", {body}, {{{query}}}, {{{headers}}})\n'
    )


def _title(path: str, method: str) -> str:
    """The name of a route's function."""
    words = re.sub(r"\{(\w+)}", r"by_\1", path.removeprefix("/v1")).strip("/")
    return f"{method}_{re.sub('[^a-z0-9]+', '_', words.lower())}"


def _name(name: str) -> str:
    """A parameter's name in Python."""
    plain = re.sub("[^a-z0-9]+", "_", name.lower())
    return plain + "_" if keyword.iskeyword(plain) else plain


def _key(name: str) -> str:
    """A key for every request, unless one is given."""
    return f"{name} or uuid.uuid4().hex" if name == "idempotency_key" else name


def main() -> None:
    """Read the description of the service that is named, write the client."""
    with urllib.request.urlopen(sys.argv[1].rstrip("/") + "/openapi.json") as answer:  # noqa: S310 (the user's own)
        described = json.load(answer)
    sys.stdout.write(_BEGINNING.format(**described["info"]) + "".join(functions(described)))


if __name__ == "__main__":
    main()
