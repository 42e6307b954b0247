"""Dagster's page behind the gate: it works in a browser, and pages of other origins can do nothing with it.

The page and the attacking page are real servers on loopback, under different names and ports, in a real Chromium.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
import yaml
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from assets.cli import dev, webserver
from assets.engine.project import ROOT
from tests.ml.assistant.pages import CHROMIUM, FLAGS
from tests.operations.services import end, free_port, wait_until_it_answers

pytestmark = pytest.mark.xdist_group("dagster_page")
DEFINITIONS = """
import dagster as dg

@dg.op
def nothing() -> None: ...

@dg.job
def harmless() -> None:
    nothing()

defs = dg.Definitions(jobs=[harmless])
"""
INSTANCE = "telemetry: {enabled: false}\nnux: {enabled: false}\n"
LAUNCH = """mutation { launchRun(executionParams: {mode: "default", runConfigData: {}, selector: {jobName: "harmless",
repositoryLocationName: "definitions.py", repositoryName: "__repository__"}}) { __typename } }"""
RUNS = "{ runsOrError { ... on Runs { results { id } } } }"
WAIT_MS = 30_000
ATTACKS = {
    "image": "new Image().src = page + '/graphql?query=' + encodeURIComponent(query)",
    "get": "fetch(page + '/graphql?query=' + encodeURIComponent(query), {mode: 'no-cors', credentials: 'include'})",
    "text": "fetch(page + '/graphql', {method: 'POST', mode: 'no-cors', body: JSON.stringify({query})})",
    "json": "fetch(page + '/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'},"
    " body: JSON.stringify({query})})",
    "report": "fetch(page + '/report_asset_materialization/stolen', {method: 'POST', mode: 'no-cors', body: '{}'})",
    "form": """
const form = document.createElement('form')
form.method = 'POST'; form.target = 'inner'
form.action = page + '/graphql?query=' + encodeURIComponent(query)
document.body.append(form); form.submit()""",
}


def runs(address: str) -> list[str]:
    """The ids of all runs, as a program on this machine asks for them."""
    answer = httpx.post(f"{address}/graphql", json={"query": RUNS}, timeout=30).json()
    return [run["id"] for run in answer["data"]["runsOrError"]["results"]]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Dagster's page, with one job."""
    home, port = tmp_path_factory.mktemp("home"), free_port()
    (home / "dagster.yaml").write_text(INSTANCE)
    (home / "definitions.py").write_text(DEFINITIONS)
    command = [sys.executable, "-m", "assets.cli.webserver", "-f", str(home / "definitions.py"), "-p", str(port)]
    given = os.environ | {"DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=given, cwd=home, stdout=log, stderr=log)
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}", process, 120)
            yield f"http://127.0.0.1:{port}"
        finally:
            end(process)


@contextmanager
def attacking(html: str) -> Iterator[int]:
    """The port of a server of another origin that has this page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, format: str, *arguments: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(10)


def wait_for(tab: Any, condition: Callable[[], bool]) -> None:
    """Let the browser go on until the condition holds."""
    deadline = time.monotonic() + WAIT_MS / 1000
    while not condition():
        assert time.monotonic() < deadline
        tab.wait_for_timeout(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.mark.browser
@pytest.mark.parametrize("other", ["localhost", "127.0.0.1"])  # another site, and another port of the same site
def test_a_page_of_another_origin_starts_nothing(page: str, browser: Any, other: str):
    before = runs(page)
    html = f"<iframe name=inner></iframe><script>const page = {page!r}, query = {' '.join(LAUNCH.split())!r}</script>"
    with attacking(html) as port:
        tab = browser.new_page()
        tab.goto(f"http://{other}:{port}")
        ended: list[str] = []
        for event in ("requestfinished", "requestfailed"):
            tab.on(event, lambda request: ended.append(f"{request.method} {urlsplit(request.url).path}"))
        for script in ATTACKS.values():
            tab.evaluate(f"() => {{ {script} }}")
        wait_for(
            tab, lambda: {"GET /graphql", "POST /graphql", "POST /report_asset_materialization/stolen"} <= {*ended}
        )
        wait_for(tab, lambda: len(ended) >= len(ATTACKS))
        tab.goto(f"{page}/graphql?query={quote(LAUNCH)}")  # a link that somebody clicks
        assert "not_by_get" in tab.content()
        tab.close()
    assert runs(page) == before


@pytest.mark.browser
def test_a_page_of_another_origin_cannot_frame_it_or_open_its_socket(page: str, browser: Any):
    socket = page.replace("http", "ws") + "/graphql"
    with attacking(f"<iframe src='{page}/runs'></iframe>") as port:
        tab = browser.new_page()
        with tab.expect_response(lambda response: response.url.startswith(page)) as framed:
            tab.goto(f"http://localhost:{port}")
        assert framed.value.status == 403
        opened = tab.evaluate(
            """address => new Promise(done => {
              const socket = new WebSocket(address, 'graphql-ws')
              socket.onopen = () => done('open'); socket.onerror = () => done('refused') })""",
            socket,
        )
        assert opened == "refused"
        tab.close()


@pytest.mark.browser
def test_a_person_starts_a_run_on_the_page_itself(page: str, browser: Any):
    before = runs(page)
    tab = browser.new_page(viewport={"width": 1600, "height": 1000})
    errors: list[str] = []
    tab.on("response", lambda response: errors.append(response.url) if response.status in (403, 405, 421) else None)
    sockets: list[str] = []
    tab.on("websocket", lambda socket: sockets.append(socket.url))
    tab.goto(f"{page}/locations/definitions.py/jobs/harmless/playground", timeout=WAIT_MS)
    button = tab.get_by_role("button", name="Launch Run")
    button.click(timeout=WAIT_MS)
    tab.wait_for_url("**/runs/**", timeout=WAIT_MS)
    tab.get_by_text("harmless").first.wait_for(timeout=WAIT_MS)
    tab.goto(f"{page}/graphql")
    tab.get_by_role("button", name="Execute query").wait_for(timeout=WAIT_MS)
    tab.close()
    assert len(runs(page)) == len(before) + 1
    assert sockets, "the page subscribes to the run's events"
    assert errors == []


@pytest.mark.browser
def test_a_program_on_this_machine_starts_what_the_attacks_ask_for(page: str):
    before = runs(page)
    answer = httpx.post(f"{page}/graphql", json={"query": LAUNCH}, timeout=30).json()
    assert answer["data"]["launchRun"]["__typename"] == "LaunchRunSuccess"
    assert len(runs(page)) == len(before) + 1


@pytest.fixture
def client() -> TestClient:
    inside = Starlette(routes=[Route("/{path:path}", lambda _: PlainTextResponse("in"), methods=["GET", "POST"])])
    return TestClient(webserver.gated(inside, {}), base_url="http://127.0.0.1:3000")


def test_a_name_that_was_rebound_to_this_machine_is_refused(client: TestClient):
    assert client.get("/", headers={"host": "evil.example:3000"}).status_code == 421
    assert client.post("/graphql", json={}, headers={"host": "evil.example:3000"}).status_code == 421


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ({}, "/graphql?query=x"),
        ({}, "/graphql/?query=x"),
        ({}, "/prefix/graphql?query=x"),
        ({}, "/%67raphql?query=x"),
        ({"accept": "text/html"}, "/graphql?query=x"),
        ({}, "/graphql"),
    ],
)
def test_nothing_is_executed_by_get(client: TestClient, headers: dict[str, str], target: str):
    assert client.get(target, headers=headers).json()["error"] == "not_by_get"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_nothing_is_executed_that_a_form_can_send(client: TestClient, kind: str):
    answer = client.post("/graphql?query=x", content=b'{"query": "x"}', headers={"content-type": kind})
    assert answer.json()["error"] == "not_by_get"


def test_programs_and_the_page_itself_get_through(client: TestClient):
    assert client.post("/graphql", json={"query": "x"}).text == "in"
    own = {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}
    assert client.post("/graphql", json={"query": "x"}, headers=own).text == "in"
    assert client.get("/graphql", headers={"accept": "text/html"}).text == "in"  # the editor
    assert client.get("/runs").text == "in"
    assert client.post("/report_asset_materialization/x").text == "in"


def test_further_names_are_those_of_the_environment():
    inside = Starlette(routes=[Route("/", lambda _: PlainTextResponse("in"))])
    named = webserver.gated(inside, {webserver.PAGE_HOSTS: "Dagster.Museum.example, "})
    for host, status in (("dagster.museum.example", 200), ("museum.example", 421), ("", 421)):
        assert TestClient(named, base_url="http://127.0.0.1").get("/", headers={"host": host}).status_code == status


def test_eufcc_dev_starts_our_page_and_what_it_needs():
    code, page, daemon = dev.commands(Path("/x/code.sock"), Path("/x/workspace.yaml"), 3000)
    assert code[1:] == [
        "code-server", "start", "-m", "assets.definitions",
        "--socket", "/x/code.sock", "--location-name", "assets.definitions",
    ]  # fmt: skip
    assert page[1:3] == ["-m", "assets.cli.webserver"]
    assert page[3:] == ["--workspace", "/x/workspace.yaml", "--host", "127.0.0.1", "--port", "3000"]
    assert daemon[1:] == ["run", "--workspace", "/x/workspace.yaml"]
    assert all(Path(command[0]).exists() for command in (code, page, daemon))


def test_the_page_of_the_containers_is_behind_the_gate():
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    commands = [service["command"] for service in services.values() if "ports" in service]
    assert commands
    assert all(command[:3] == ["python", "-m", "assets.cli.webserver"] for command in commands)
    text = "".join(Path(ROOT / "deploy" / name).read_text() for name in ("compose.yaml", "Dockerfile"))
    assert "dagster-webserver" not in text
