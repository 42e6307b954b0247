"""The command that serves the desk: who needs the token, behind a proxy too, and what a wrong database says."""

import asyncio
import re
import shlex
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

import ml.assistant.__main__ as command
from ml.assistant.__main__ import new_listener
from ml.assistant.limits import AssistantLimits
from ml.assistant.people import make_token, revoke_tokens
from ml.assistant.service import AssistantService
from pipeline.settings import SettingsError
from tests.ml.assistant.conftest import TAG_LIST, vase_picture
from tests.support.iiif_server import serving
from tests.support.reverse_proxy import reverse_proxy

TOKEN = "a-token-of-the-museum"
DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def desk(service: AssistantService, monkeypatch, tmp_path) -> Iterator[Callable[..., str]]:
    """Serves the small assistant by the command: desk("--token", …) gives its address on loopback."""
    servers, threads = [], []

    def made(*arguments, **options):
        servers.append(command_server(*arguments, **options))
        return servers[-1]

    command_server = command.server
    monkeypatch.setattr(command, "server", made)
    monkeypatch.setattr(command, "make_service", lambda options: service)

    def start(*arguments: str) -> str:
        run = ["--storage", str(tmp_path), "--port", "0", *arguments]
        threads.append(threading.Thread(target=command.main, args=(run,)))
        threads[-1].start()
        while not (servers and servers[-1].started):
            assert threads[-1].is_alive(), "the command has ended"
            time.sleep(0.02)
        return f"http://127.0.0.1:{servers[-1].servers[0].sockets[0].getsockname()[1]}"

    yield start
    for server in servers:
        server.should_exit = True
    for thread in threads:
        thread.join()


def asked(address: str, path: str = "/api/queue", **headers: str) -> int:
    return httpx.get(
        address + path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    ).status_code


def test_a_given_token_counts_on_loopback_too(desk):
    address = desk("--token", TOKEN, "--allow-host", "desk.example")
    assert asked(address, host="desk.example") == 401
    assert asked(address) == 401
    assert asked(address, host="desk.example", authorization=f"Bearer {TOKEN}") == 200
    assert asked(address, host="other.example", authorization=f"Bearer {TOKEN}") == 421
    posted = httpx.post(f"{address}/api/images?who=x", content=vase_picture(), headers={"x-assistant": "1"})
    assert posted.status_code == 401


def test_a_further_host_name_comes_with_a_token(desk, capsys):
    address = desk("--allow-host", "desk.example")
    token = re.search(r"\?token=([\w-]{32})", capsys.readouterr().out)[1]
    assert asked(address, host="desk.example") == 401
    assert asked(address, host="desk.example", authorization=f"Bearer {token}") == 200


def test_beyond_loopback_named_tokens_are_enough_and_nobody_enters_without_one(desk, service, capsys):
    anna = make_token(service.store, "Anna", "cataloguer")
    address = desk("--allow-host", "desk.example")
    assert "?token=" not in capsys.readouterr().out  # no token for all is made beside them
    host = {"host": "desk.example"}
    for path in ("/", "/api/queue", "/api/about", "/iiif/manifest?batch=x", "/page/main.js", "/reconcile"):
        assert asked(address, path, **host) == 401, path
    assert asked(address, **host, authorization=f"Bearer {anna}") == 200
    assert asked(address, "/api/status", **host, authorization=f"Bearer {anna}") == 403
    revoke_tokens(service.store, "Anna")
    service.people.read()
    assert asked(address, **host, authorization=f"Bearer {anna}") == 401


def printed_address(capsys) -> str:
    return re.search(r"serves at (\S+)", capsys.readouterr().out)[1]


def test_the_printed_address_opens_the_desk_whatever_the_token_contains(desk, capsys):
    address = desk("--token", "pa+s/s=~.a+b")
    opened = httpx.get(printed_address(capsys))
    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    assert asked(address, cookie=opened.headers["set-cookie"].split(";")[0]) == 200


def test_the_printed_address_is_answered_if_it_is_of_ipv6(desk, capsys):
    """127.0.0.1 inside of an IPv6 address: a name besides loopback's that listens on this machine only."""
    address = desk(
        "--host", "0:0:0:0:0:FFFF:127.0.0.1", "--allow-host", "desk.example", "2001:DB8::1", "--token", TOKEN
    )
    printed = urlsplit(printed_address(capsys)).netloc
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert printed == f"[::ffff:7f00:1]:{urlsplit(address).port}"
    assert asked(address, host=printed, **bearer) == asked(address, host="[2001:db8::1]:8760", **bearer) == 200
    assert asked(address, host="[2001:db8::2]", **bearer) == 421


@pytest.mark.parametrize("token", ["", " ", "with space", "semi;colon", "línia"])
def test_a_token_that_could_not_be_checked_is_an_error(token, tmp_path, capsys):
    assert command.main(["--storage", str(tmp_path), "--token", token]) == 1
    assert "must not be empty" in capsys.readouterr().err


def test_the_token_may_come_from_the_environment():
    options = command._parser().parse_args(["--storage", "x"])
    assert command.token_of(options, {}) is None
    assert command.token_of(options, {command.TOKEN: TOKEN}) == TOKEN
    with pytest.raises(SettingsError):
        command.token_of(options, {command.TOKEN: ""})


def recipe() -> list[str]:
    """The options of the command that docs/security.md gives for a desk behind a proxy."""
    line = re.search(r"^ASSISTANT_TOKEN=.*eufcc assistant (.*)$", (DOCS / "security.md").read_text(), re.MULTILINE)
    return shlex.split(line[1])


def test_the_recipe_for_a_proxy_works_and_lets_nobody_in_without_the_token(desk, service, monkeypatch):
    monkeypatch.setenv(command.TOKEN, TOKEN)
    with serving(reverse_proxy(desk(*recipe()))) as outside:
        host = {"host": "desk.example"}
        with httpx.Client(base_url=outside, headers=host) as client:
            assert client.get("/").status_code == client.get("/api/queue").status_code == 401
            opened = client.get(f"/?token={TOKEN}")
            assert (opened.status_code, opened.headers["location"]) == (303, "/")
            assert opened.headers["set-cookie"].endswith("; Secure")
            cookie = {"cookie": opened.headers["set-cookie"].split(";")[0]}
            assert client.get("/api/queue", headers=cookie).status_code == 200
            own = {**cookie, "x-assistant": "1", "origin": "https://desk.example"}
            sent = client.post("/api/images?who=x", content=vase_picture(), headers=own)
            assert sent.status_code == 201
            for origin in ("https://evil.example", "null", "http://["):
                foreign = client.post("/api/images?who=x", content=b"x", headers={**own, "origin": origin})
                assert foreign.status_code == 403, origin
            assert client.get("/api/queue", headers={**cookie, "host": "rebound.example"}).status_code == 421
            assert client.get("/reconcile", headers=cookie).json()["suggest"]["entity"]["service_url"] == (
                "https://desk.example"
            )
    assert service.refusals.counts["no_token"] == 2


def test_behind_a_proxy_each_client_has_its_own_rate_and_cannot_change_its_address(desk, service):
    service.limits = AssistantLimits(requests_per_second=0.001, request_burst=3)
    address = desk("--token", TOKEN, "--trusted-proxy", "127.0.0.1")
    with serving(reverse_proxy(address)) as outside, httpx.Client(base_url=outside) as client:

        def codes(who: str, forged: str = "") -> list[int]:
            headers = {"authorization": f"Bearer {TOKEN}", "x-client": who}
            several = [headers | ({"x-forwarded-for": f"{forged}{n}"} if forged else {}) for n in range(5)]
            return [client.get("/api/about", headers=each).status_code for each in several]

        assert codes("203.0.113.1") == [200, 200, 200, 429, 429]
        assert codes("203.0.113.2", forged="198.51.100.") == [200, 200, 200, 429, 429]


def test_without_a_trusted_proxy_no_header_changes_the_clients_address(desk, service):
    service.limits = AssistantLimits(requests_per_second=0.001, request_burst=3)
    address = desk()
    codes = Counter(asked(address, x_forwarded_for=f"203.0.113.{n}") for n in range(6))
    assert codes == {200: 3, 429: 3}


@pytest.fixture
def storage(tmp_path) -> Path:
    """A storage folder with a tag list and nothing else."""
    (tmp_path / "dataset").mkdir()
    shutil.copy(TAG_LIST, tmp_path / "dataset" / "tag_list.json")
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql+psycopg://desk:Tr0ub4dor@127.0.0.1:PORT/desk", "does not answer"),
        ("postgresql+psycopg://desk:pa/Tr0ub4dor@127.0.0.1:PORT/desk", "does not answer"),
        ("postgresql+psycopg://desk:pa@Tr0ub4dor:x@127.0.0.1/desk", "cannot be read"),
        ("postgresql://desk:x@127.0.0.1:Tr0ub4dor/desk", "cannot be read"),
        ("oracle+nosuch://desk:Tr0ub4dor@h/desk", "does not know this kind"),
        ("mysql://desk:Tr0ub4dor@h/desk", "driver"),
        ("Tr0ub4dor", "cannot be read"),
        ("sqlite:////proc/nowhere/Tr0ub4dor/desk.sqlite", "cannot be written"),
    ],
)
def test_a_wrong_database_is_one_sentence_without_its_address(url, reason, storage, capsys):
    wrong = url.replace("PORT", str(free_port()))
    assert command.main(["--storage", str(storage), "--no-fetch", "--port", "0", "--database", wrong]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert reason in said
    assert "Tr0ub4dor" not in said


@pytest.mark.parametrize(
    "content", [b"not a database " * 100, b"SQLite format 3\0" + b"\xff" * 4_000], ids=["other", "damaged"]
)
def test_a_file_that_is_no_database_is_one_sentence(content, storage, capsys):
    file = storage / "desk.sqlite"
    file.write_bytes(content)
    assert (
        command.main(["--storage", str(storage), "--no-fetch", "--port", "0", "--database", f"sqlite:///{file}"]) == 1
    )
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "it is damaged, is no database of the assistant" in said
    assert file.read_bytes() == content


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_body_of_an_answer_does_not_wait_for_the_clients_acknowledgement(host):
    """asyncio turns Nagle's algorithm off on connections of a listener that names TCP, and on no others."""

    async def delayed() -> int:
        with new_listener(host) as listener:
            listener.bind((host, 0))
            accepted = asyncio.get_running_loop().create_future()
            server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), sock=listener)
            _, client = await asyncio.open_connection(host, listener.getsockname()[1])
            writer = await accepted
            at_once = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            client.close()
            writer.close()
            server.close()
            return at_once

    assert asyncio.run(delayed()) != 0
