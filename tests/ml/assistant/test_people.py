"""Named tokens: who made them may decide, under their own name, for as long as they are valid."""

import itertools
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from ml.assistant import people_command
from ml.assistant.app import create_app
from ml.assistant.people import REFRESH_S, People, TokenError, list_tokens, make_token, revoke_tokens
from ml.assistant.store import Store
from tests.ml.assistant.conftest import served, vase_picture

BRONZE = "300010957"
KEYS = itertools.count()


@pytest.fixture
def store(tmp_path: Path, empty_database: Path):
    """A store whose clock the test sets: store.clock.now."""

    class Clock:
        now = datetime(2026, 1, 1, tzinfo=UTC)

        def __call__(self) -> datetime:
            return self.now

    made = Store(f"sqlite:///{shutil.copy(empty_database, tmp_path)}", clock=Clock())
    yield made
    made.close()


def desk(service, **access) -> TestClient:
    service.people.read()
    headers = {"x-assistant": "1", "host": "127.0.0.1:8760"}
    return TestClient(create_app(service, **access), base_url="http://127.0.0.1:8760", headers=headers)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def decide(client, image: str, headers: dict, **body) -> httpx.Response:
    values = {"version": 0, "key": f"key-{next(KEYS):08d}", "tag_id": BRONZE, "action": "accept", **body}
    return client.post(f"/api/images/{image}/decisions", json=values, headers=headers)


def test_a_decision_carries_the_name_of_the_token_whatever_the_request_says(service, store):
    anna = make_token(store, "Anna", "cataloguer")
    with desk(service) as client:
        added = client.post("/api/images?who=Eve", content=vase_picture(), headers=bearer(anna)).json()["image"]
        assert added["added_by"] == "Anna"
        assert decide(client, added["image_id"], bearer(anna), who="Eve").status_code == 200
        assert decide(client, added["image_id"], bearer(anna), version=1).status_code == 200
        log = client.get(f"/api/images/{added['image_id']}/log", headers=bearer(anna)).json()["steps"]
        assert [step["who"] for step in log] == ["Anna", "Anna"]
        assert client.get("/api/about", headers=bearer(anna)).json()["person"] == {
            "name": "Anna",
            "role": "cataloguer",
            "by": "token",
        }


def test_a_desk_with_named_tokens_asks_everyone_for_one_also_on_loopback(service, store):
    make_token(store, "Anna", "cataloguer")
    revoke_tokens(store, "Anna")
    with desk(service) as client:
        for method, path in (("GET", "/api/queue"), ("GET", "/"), ("POST", "/api/images"), ("GET", "/page/main.js")):
            assert client.request(method, path).status_code == 401, path


def test_an_unsigned_decision_is_refused(client, uploaded):
    answer = decide(client, uploaded, {})
    assert (answer.status_code, answer.json()["message"]) == (422, "who: Say who you are.")


def test_an_expired_token_gets_a_sentence_and_what_was_saved_stays(service, store):
    anna = make_token(store, "Anna", "cataloguer", days=1)
    with desk(service) as client:
        image = client.post("/api/images", content=vase_picture(), headers=bearer(anna)).json()["image"]["image_id"]
        assert decide(client, image, bearer(anna)).status_code == 200
        store.clock.now += timedelta(days=1)
        refused = decide(client, image, bearer(anna), version=1)
        assert (refused.status_code, refused.json()["error"]) == (401, "token_expired")
        assert "expired" in refused.json()["message"]
        again = make_token(store, "Anna", "cataloguer")
        service.people.read()
        assert decide(client, image, bearer(again), version=1, action="withdraw").status_code == 200
        assert service.refusals.counts["token_expired"] == 1


@pytest.mark.anyio
async def test_a_revoked_token_is_known_within_seconds(store):
    now = [0.0]
    people, token = People(store, clock=lambda: now[0]), make_token(store, "Anna", "admin")
    await people.refresh()
    revoke_tokens(store, "Anna")
    await people.refresh()
    assert people.of_token(token).state(store.clock()) == "valid"  # not read again yet
    now[0] += REFRESH_S + 0.1
    await people.refresh()
    assert people.of_token(token).state(store.clock()) == "revoked"


@pytest.fixture
def anyio_backend():
    return "asyncio"


def test_the_database_has_no_token_in_it(store, tmp_path):
    token = make_token(store, "Anna", "admin")
    store.close()
    assert not [file for file in tmp_path.iterdir() if token.encode() in file.read_bytes()]


def test_one_valid_token_for_each_name(store):
    make_token(store, "Anna", "cataloguer", days=1)
    with pytest.raises(TokenError, match="Revoke it first"):
        make_token(store, " Anna ", "admin")
    store.clock.now += timedelta(days=2)
    make_token(store, "Anna", "admin")
    assert [each.state(store.clock()) for each in list_tokens(store)] == ["expired", "valid"]


@pytest.mark.parametrize("name", ["", " ", "line\nbreak", "x" * 101])
def test_a_name_can_be_written_into_every_export(store, name):
    with pytest.raises(TokenError):
        make_token(store, name, "cataloguer")


def test_the_status_is_for_admins(service, store):
    tokens = {role: make_token(store, role, role) for role in ("cataloguer", "reviewer", "admin")}
    with desk(service) as client:
        codes = {role: client.get("/api/status", headers=bearer(token)).status_code for role, token in tokens.items()}
    assert codes == {"cataloguer": 403, "reviewer": 403, "admin": 200}


def test_signing_in_by_the_form_keeps_the_token_in_a_cookie_and_signing_out_drops_it(service, store):
    anna = make_token(store, "Anna", "cataloguer")
    html = {"accept": "text/html", "accept-language": "nl"}
    with desk(service) as client:
        asked = client.get("/", headers=html)
        assert (asked.status_code, "Meld u aan" in asked.text) == (401, True)
        assert client.get("/page/style.css").status_code == 200
        wrong = client.post("/sign-in", data={"token": "guess"}, headers=html)
        assert (wrong.status_code, "Meld u aan" in wrong.text) == (401, True)
        foreign = client.post("/sign-in", data={"token": anna}, headers={"origin": "https://evil.example"})
        assert foreign.status_code == 403
        signed_in = client.post("/sign-in", data={"token": anna}, headers=html, follow_redirects=False)
        assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/")
        assert client.get("/api/about").json()["person"]["name"] == "Anna"
        assert client.post("/sign-out").status_code == 204
        assert client.get("/api/about").status_code == 401


SHARED = "the-token-of-the-proxy"


@pytest.mark.parametrize(
    ("proxies", "token", "header", "expected"),
    [
        (["127.0.0.1"], SHARED, "Anna Müller", {"name": "Anna Müller", "role": "cataloguer", "by": "proxy"}),
        (["127.0.0.1"], SHARED, "Berta", {"name": "Berta", "role": "reviewer", "by": "proxy"}),
        (["127.0.0.1"], SHARED, "Carla", "token_revoked"),
        (["127.0.0.1"], SHARED, "", "not_signed_in"),
        (["127.0.0.1"], None, "Anna", "no_token"),
        (["192.0.2.1"], SHARED, "Anna", "not_signed_in"),
    ],
    ids=["named", "with a role", "revoked", "nobody", "without the proxy's token", "from elsewhere"],
)
def test_a_proxys_header_counts_from_the_trusted_proxy_with_its_token_only(
    service, store, proxies, token, header, expected
):
    make_token(store, "Berta", "reviewer")
    make_token(store, "Carla", "admin")
    revoke_tokens(store, "Carla")
    headers = {"x-remote-user": header.encode()} | (bearer(token) if token else {})
    with served(service, proxies=proxies, token=SHARED, user_header="x-remote-user") as address:
        answer = httpx.get(f"{address}/api/about", headers=headers).json()
    assert answer.get("person", answer.get("error")) == expected


def test_of_two_headers_with_a_name_neither_counts(service):
    """A proxy that adds its header behind that of the visitor."""
    names = [("x-remote-user", "Eve, as the visitor says"), ("x-remote-user", "Anna, as the proxy says")]
    with served(service, proxies=["127.0.0.1"], token=SHARED, user_header="x-remote-user") as address:
        answer = httpx.get(f"{address}/api/about", headers=[*names, ("authorization", f"Bearer {SHARED}")])
    assert (answer.status_code, answer.json()["error"]) == (401, "not_signed_in")


def test_without_the_option_no_header_names_anyone(service):
    with served(service, proxies=["127.0.0.1"], token=SHARED) as address:
        answer = httpx.get(f"{address}/api/about", headers=bearer(SHARED) | {"x-remote-user": "Anna"}).json()
    assert answer["person"] == {"name": None, "role": "admin", "by": None}


def test_tokens_are_made_listed_and_revoked_by_the_command(tmp_path, capsys):
    storage = ["--storage", str(tmp_path)]
    assert people_command.main(["add", "Anna Puig", "--role", "reviewer", "--days", "30", *storage]) == 0
    token = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"[\w-]{32}", token)
    assert people_command.main(["list", *storage]) == 0
    listed = capsys.readouterr().out
    assert re.fullmatch(r"valid    until \d{4}-\d\d-\d\d  reviewer    'Anna Puig'\n", listed)
    assert token not in listed
    assert people_command.main(["revoke", "Anna Puig", *storage]) == 0
    assert people_command.main(["revoke", "Anna Puig", *storage]) == 1
    assert "Nobody called 'Anna Puig' has a token" in capsys.readouterr().err
