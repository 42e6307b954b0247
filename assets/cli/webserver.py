"""`python -m assets.cli.webserver`: Dagster's page behind the gate, with the options of `dagster-webserver`.

Dagster's page has no login, executes mutations that arrive by GET, and answers under any Host: without the gate, every
page that a browser shows could start runs. Further names, for a proxy or a forwarded port: EUFCC_PAGE_HOSTS.
"""

import os
from collections.abc import Mapping
from typing import Any

from dagster_webserver import cli
from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Scope

from pipeline.web_gate import LOOPBACK_NAMES, PageGate, Refusal

PAGE_HOSTS = "EUFCC_PAGE_HOSTS"  # comma-separated: `dagster.museum.example`
NOT_BY_GET = Refusal(405, "not_by_get", "GraphQL is answered to a POST of JSON alone.")


def gated(app: ASGIApp, environ: Mapping[str, str] = os.environ) -> PageGate:
    """Dagster's page behind the gate: its own names and origin, no frame, GraphQL by POST of JSON or by socket."""
    named = {name.strip().lower() for name in environ.get(PAGE_HOSTS, "").split(",") if name.strip()}
    return PageGate(app, hosts={*LOOPBACK_NAMES, *named}, refusal=refusal)


def refusal(scope: Scope) -> Refusal | None:
    """Refuses GraphQL that a link, an image or a form could carry: a query in the address, or a body that is no JSON.

    A page of another origin cannot send JSON without asking the server first (fetch.spec.whatwg.org, CORS-preflight).
    """
    if scope["type"] != "http" or not scope["path"].rstrip("/").endswith("/graphql"):
        return None
    headers = Headers(scope=scope)
    if scope["method"] == "POST":
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        return None if kind == "application/json" else NOT_BY_GET
    is_editor = "text/html" in headers.get("accept", "") and "query" not in QueryParams(scope["query_string"])
    return None if is_editor else NOT_BY_GET


def main() -> None:
    """Serve the page as `dagster-webserver` does, with its options."""
    make = cli.create_app_from_workspace_process_context

    def make_gated(*arguments: Any, **named: Any) -> PageGate:
        return gated(make(*arguments, **named))

    cli.create_app_from_workspace_process_context = make_gated  # type: ignore[assignment]
    cli.main()


if __name__ == "__main__":
    main()
