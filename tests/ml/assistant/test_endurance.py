"""Long runs: fuzzed requests, kills during saves, twenty clients at once, PostgreSQL."""

import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from ml.assistant.app import create_app
from ml.assistant.limits import AssistantLimits
from ml.assistant.opinions import Settled, begin_opinions, compare, read_conflicts, settle
from ml.assistant.store import Act, Conflict, NewImage, Store
from ml.assistant.vocabulary import Term, Vocabulary

pytestmark = pytest.mark.long
TAG_LIST = Path(__file__).with_name("tag_list.json")
TAGS = ("300010957", "300011029", "300015637", "300037222", "300014109")
ODD = (
    "", " ", "0", "-1", "9" * 40, "1e309", "NaN", "null", "true", "[]", "{}", "\x00", "../../etc/passwd", "..%2f..%2f",
    "%00", "a" * 5_000, "'; DROP TABLE images;--", "<script>", "{{7*7}}", "${7*7}", "300010957", "300099999", "0" * 64,
    "f" * 64, "é" * 50, "𝕏", "\u202e", "=1+1", "ensemble", "materials", "ca", "2026-01-01T00:00:00",
)  # fmt: skip


def fuzzed(rng: random.Random, paths: dict, image_id: str) -> tuple[str, str, dict]:
    """One request: an address of the API with odd values in its path, query and body, or something else entirely."""
    path, methods = rng.choice(sorted(paths.items()))
    method = rng.choice(sorted(methods)).upper()
    if rng.random() < 0.05:
        method = rng.choice(["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
    good = {"image_id": image_id, "tag_id": rng.choice(TAGS), "facet": "materials", "project_id": "softmax.materials"}
    good |= {"factor": "1", "column": "0", "row": "0"}
    filled = re.sub(r"\{(\w+)\}", lambda m: good[m[1]] if rng.random() < 0.6 else quoted(rng.choice(ODD)), path)
    names = ["q", "lang", "limit", "offset", "who", "title", "model", "format", "machine", "queries", "prefix", "facet"]
    params = {name: rng.choice(ODD) for name in rng.sample(names, rng.randrange(4))}
    content: dict = {}
    kind = rng.random()
    if kind < 0.6:
        body = {
            "who": "anna", "version": rng.choice([0, 1, 2, -1, 2**31, 2**63, "x", None]),
            "key": f"key-{rng.random()}"[:20].replace(".", "-"), "tag_id": rng.choice([*TAGS, *ODD]),
            "action": rng.choice(["accept", "reject", "withdraw", "drop"]), "clicks": rng.choice([0, -1, 2**40]),
            "kind": rng.choice(["done", "skip", "reopen", "?"]), "split": "train", "address": rng.choice(ODD),
            "count": rng.choice([1, 10**9, "x"]), "showing_id": rng.choice([None, "0" * 64, "x"]),
            "opened_at": rng.choice([*ODD, "0001-01-01T00:00:00+14:00"]),
        }  # fmt: skip
        chosen = {name: body[name] for name in rng.sample(sorted(body), rng.randrange(len(body) + 1))}
        content["content"] = json.dumps(chosen)
        content["headers"] = {"content-type": rng.choice(["application/json", "text/plain", "image/jpeg"])}
    elif kind < 0.8:
        content["content"] = rng.randbytes(rng.randrange(3_000))
        content["headers"] = {"content-type": rng.choice(["image/png", "application/x-www-form-urlencoded", "x", ""])}
    elif kind < 0.9:
        content["data"] = {
            rng.choice(["queries", "text", "limit"]): rng.choice(
                [*ODD, '{"q0":{"query":"silk","limit":-1}}', "[" * 3_000]
            )
        }
    return method, filled, {"params": params, **content}


def quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def test_ten_thousand_fuzzed_requests_give_no_5xx_and_no_traceback(service, drawn_vase):
    service.limits = replace(service.limits, requests_per_second=1e9, request_burst=10**9)
    rng = random.Random(340)
    app = create_app(service)
    with TestClient(
        app, base_url="http://127.0.0.1", headers={"x-assistant": "1"}, raise_server_exceptions=False
    ) as client:
        image_id = client.post("/api/images?who=anna", content=drawn_vase()).json()["image"]["image_id"]
        paths = client.get("/openapi.json").json()["paths"]
        seen: dict[int, int] = {}
        for _ in range(10_000):
            method, address, options = fuzzed(rng, paths, image_id)
            answer = client.request(method, address, **options)
            assert answer.status_code < 500, (method, address, options, answer.text)
            assert "Traceback" not in answer.text
            seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        assert client.get(f"/api/images/{image_id}").status_code == 200
    assert {200, 404, 405, 415, 422} <= set(seen)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def started(storage: Path, port: int) -> subprocess.Popen:
    """The real command, serving a storage with nothing but a tag list."""
    command = [sys.executable, "-m", "ml.assistant", "--storage", str(storage), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=os.getcwd())
    for _ in range(2_400):
        try:
            httpx.get(f"http://127.0.0.1:{port}/api/about")
            return server
        except httpx.TransportError:
            time.sleep(0.05)
    server.kill()
    raise AssertionError("the assistant did not start")


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(tmp_path, drawn_vase):
    (tmp_path / "dataset").mkdir()
    shutil.copy(TAG_LIST, tmp_path / "dataset" / "tag_list.json")
    port, acknowledged = free_port(), {}
    for round_ in range(5):
        server = started(tmp_path, port)
        stop = threading.Event()

        def cataloguer(number: int, round_=round_, stop=stop) -> None:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"x-assistant": "1"}, timeout=60) as client:
                try:
                    sent = client.post("/api/images?who=x", content=drawn_vase(f"rgb({number * 60},{round_ * 50},9)"))
                    image = sent.json()["image"]["image_id"]
                    for version in itertools.count():
                        body = {"who": "x", "version": version, "key": f"{image[:40]}-{version}"}
                        body |= {"tag_id": TAGS[version % 5], "action": "accept"}
                        answer = client.post(f"/api/images/{image}/decisions", json=body)
                        acknowledged[image] = answer.json()["annotation"]["version"]
                except httpx.TransportError:
                    assert stop.is_set()  # only the kill ends it

        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(cataloguer, number) for number in range(4)]
            before, deadline = sum(acknowledged.values()), time.monotonic() + 60
            while sum(acknowledged.copy().values()) < before + 15 + 7 * round_ and time.monotonic() < deadline:
                time.sleep(0.003)  # killed in the midst of saves, whatever the machine's speed
            stop.set()
            server.send_signal(signal.SIGKILL)
            server.wait()
            for future in futures:
                future.result()
    store = Store(f"sqlite:///{tmp_path / 'assistant' / 'assistant.sqlite'}")
    for image, version in acknowledged.items():
        assert store.annotation(image).version >= version
        assert (tmp_path / "assistant" / "pictures" / image[:2] / f"{image}.jpg").stat().st_size > 0
    store.close()
    assert sum(acknowledged.values()) > 50


@pytest.fixture
def postgres(tmp_path):
    """A PostgreSQL server of its own, run by the system's `postgres` user."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert binaries, "PostgreSQL is not installed: apt-get install postgresql"
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    folder = Path("/tmp") / f"eufcc-postgres-{os.getpid()}"
    folder.mkdir()
    shutil.chown(folder, "postgres")
    port = free_port()
    subprocess.run(
        [*as_postgres, binaries[-1] / "initdb", "-D", folder / "data", "-A", "trust"], check=True, capture_output=True
    )
    server = subprocess.Popen(
        [*as_postgres, binaries[-1] / "postgres", "-D", folder / "data", "-p", str(port), "-k", folder],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(200):
        if (
            subprocess.run(
                [binaries[-1] / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True
            ).returncode
            == 0
        ):
            break
        time.sleep(0.05)
    yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    server.terminate()
    server.wait()
    shutil.rmtree(folder)


def test_the_store_works_the_same_on_postgresql(postgres, vocabulary):
    store = Store(postgres)
    image = store.add_image(NewImage("a" * 64, 640, 480, title="vase")).image_id
    assert store.add_image(NewImage("a" * 64, 1, 1)).title == "vase"

    def attempt(number: int) -> str:
        try:
            store.decide(image, TAGS[0], "accept", Act(f"c{number}", 0, f"key-{number}"), vocabulary)
        except Conflict:
            return "conflict"
        return "saved"

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(attempt, range(10))) == ["conflict"] * 9 + ["saved"]
    showing = store.record_showing(image, "softmax", {"materials": [(TAGS[1], 0.5)]})
    assert store.record_showing(image, "softmax", {"materials": [(TAGS[1], 0.5)]}) == showing
    store.decide(image, TAGS[1], "reject", Act("anna", 1, "key-reject", showing_id=showing), vocabulary)
    assert store.undo(image, Act("anna", 2, "key-undo")).verdicts == {TAGS[0]: "accepted"}
    from ml.assistant.decisions import read_decisions

    assert read_decisions(postgres)["tag_id"].to_list() == [TAGS[0]]
    path = "object_types: " + " | ".join(["accessori d'indumentària"] * 12)  # a tag of the published files
    paths = Vocabulary([Term(path, "object_types", in_model=True)])
    assert store.decide(image, path, "accept", Act("anna", 3, "key-path"), paths).verdicts[path] == "accepted"
    store.close()


def test_opinions_are_compared_and_settled_by_many_at_once_on_postgresql(postgres, vocabulary):
    with closing(Store(postgres)) as store, ThreadPoolExecutor(8) as pool:
        image = store.add_image(NewImage("a" * 64, 640, 480)).image_id
        store.move(image, "done", Act("anna", 0, "key-anna"))
        (second,) = begin_opinions(store, "berta", 1)
        store.decide(second, TAGS[0], "accept", Act("berta", 0, "key-berta"), vocabulary)
        for number in range(12):
            store.move(second, "done", Act("berta", 1 + number, f"key-done-{number}"))
            list(pool.map(lambda _: compare(store, vocabulary), range(8)))
            assert [each.rating.tag_id for each in read_conflicts(store)] == [TAGS[0]]
            key = f"key-settled-{number}"
            list(pool.map(lambda who, n=number, key=key: settle(store, image, TAGS[0], True, who, n, key), "ABCDEFGH"))
            assert read_conflicts(store)[0].settled.number == number + 1  # one request, sent again and again

        def settled(who: str) -> bool:
            try:
                settle(store, image, TAGS[0], False, who, 12, f"key-of-{who}")
            except Settled:
                return False
            return True

        assert sum(pool.map(settled, "ABCDEFGH")) == 1


def test_twenty_clients_for_a_minute_without_an_error_and_nothing_lost(tmp_path, drawn_vase):
    (tmp_path / "dataset").mkdir()
    shutil.copy(TAG_LIST, tmp_path / "dataset" / "tag_list.json")
    port = free_port()
    server = started(tmp_path, port)
    end = time.monotonic() + 60
    per_second = AssistantLimits().requests_per_second / 20

    def cataloguer(number: int) -> tuple[str, int]:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"x-assistant": "1"}, timeout=60) as client:
            image = client.post("/api/images?who=x", content=drawn_vase(f"rgb({number * 12},9,9)")).json()["image"][
                "image_id"
            ]
            version = 0
            while time.monotonic() < end:
                at = time.monotonic()
                body = {"who": f"c{number}", "version": version, "key": f"{image[:40]}-{version}"}
                body |= {"tag_id": TAGS[version % 5], "action": "accept"}
                answer = client.post(f"/api/images/{image}/decisions", json=body)
                assert answer.status_code == 200, answer.text
                version = answer.json()["annotation"]["version"]
                assert client.get("/api/search?q=por&lang=ca").status_code == 200
                time.sleep(max(0.0, 4 / per_second - (time.monotonic() - at)))
            return image, version

    with ThreadPoolExecutor(20) as pool:
        saved = list(pool.map(cataloguer, range(20)))
    server.kill()
    server.wait()
    store = Store(f"sqlite:///{tmp_path / 'assistant' / 'assistant.sqlite'}")
    assert [(image, store.annotation(image).version) for image, _ in saved] == saved
    store.close()
    assert sum(version for _, version in saved) > 200  # a few a second each, on a slow machine too
