"""The cases of issue 17 that come through the desk's doors: manifests, Europeana's addresses, reconciliation."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from fastapi.testclient import TestClient
from starlette.types import Receive, Scope, Send

from ml.assistant.app import create_app
from ml.assistant.limits import AssistantLimits
from ml.assistant.models import Models
from ml.assistant.remote_images import RemoteImages
from ml.assistant.search import SearchIndex
from ml.assistant.service import AssistantService
from ml.assistant.store import NewImage, Store
from ml.assistant.vocabulary import Vocabulary, read_tag_list
from pipeline.settings import HarvestSettings, HttpSettings, ImageSettings
from tests.conftest import SHARED
from tests.support.iiif_server import Museum, Offered, serving

pytestmark = pytest.mark.shared
CASES = SHARED / "cases"
RECONCILED = ("300027221", "300033618", "300041273", "300046300", "300028094")
Case = dict[str, Any]


def cases(kind: str, *doors: str) -> list[Any]:
    """The cases of a kind that come through these doors, as parameters; none where ../shared is missing."""
    file = CASES / kind / "cases.json"
    listed = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    return [pytest.param(each, id=each["case"]) for each in listed if not doors or each["door"] in doors]


def vocabulary_of(file: Path) -> Vocabulary:
    order, terms = read_tag_list(file)
    return Vocabulary(terms, tuple(order))


def small_vocabulary(tmp_path: Path) -> Vocabulary:
    rows = [{"tag_id": tag, "label": label, "path": [tag]} for tag, label in zip(RECONCILED, LABELS, strict=True)]
    file = tmp_path / "tag_list.json"
    file.write_text(json.dumps({"facets": {"object_types": rows}}), encoding="utf-8")
    return vocabulary_of(file)


LABELS = ("posters", "paintings (visual works)", "prints (visual works)", "photographs", "maps (documents)")


class Street:
    """The one address behind which every case's museum stands in its turn."""

    museum: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on to the museum of the case."""
        await self.museum(scope, receive, send)


@pytest.fixture(scope="module")
def open_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Street]]:
    folder, street = tmp_path_factory.mktemp("desk"), Street()
    with serving(street) as address:
        service = AssistantService(
            vocabulary=small_vocabulary(folder),
            models=Models({}, [], default=None),
            store=Store(f"sqlite:///{folder / 'first.sqlite'}"),
            folder=folder,
            remote_images=RemoteImages(
                folder / "in",
                limits=AssistantLimits(max_upload_bytes=3_000_000, most_from_manifest=20),
                images=ImageSettings(allowed_addresses=("127.0.0.0/8",)),
                http=HttpSettings(hosts={"*": address}),
                harvest=HarvestSettings(),
            ),
        )
        app = create_app(service)
        with TestClient(app, base_url="http://127.0.0.1:8760", headers={"x-assistant": "1"}) as client:
            yield client, street
        service.store.close()


@pytest.fixture
def desk(open_desk: tuple[TestClient, Street], tmp_path: Path) -> Callable[..., TestClient]:
    """desk(vocabulary, museum): an assistant with an empty queue that fetches only from this museum."""
    client, street = open_desk
    service = client.app.state.service

    def made(vocabulary: Vocabulary, museum: Any = None) -> TestClient:
        street.museum = museum or Museum()
        service.vocabulary, service.index = vocabulary, SearchIndex(vocabulary)
        service.store.close()
        service.store = Store(f"sqlite:///{tmp_path / 'desk.sqlite'}")
        return client

    return made


def added(client: TestClient, address: str) -> Any:
    return client.post("/api/images/address", json={"address": address, "who": "anna"})


def record_museum(case: Case, kind: str) -> Museum:
    """A museum with the case's answer at its path, and every picture that the answer names."""
    content = (CASES / kind / case["input"]).read_bytes()
    path = case.get("path") or f"/record/v2{case['address']}.json"
    host = urlsplit(case["address"]).netloc if "manifest" in path else "api.europeana.eu"
    return Museum({f"https://{host}{path}": content}, _pictures_in(json.loads(content)))


def _pictures_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.startswith("https://") and value.endswith(".jpg") else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [found for each in inner for found in _pictures_in(each)]


@pytest.mark.parametrize("case", cases("iiif-manifests"))
def test_manifest(case: Case, desk, tmp_path):
    folder = CASES / "iiif-manifests"
    services = {base: Offered(**each) for base, each in case["services"].items()}
    documents = {address: (folder / file).read_bytes() for address, file in case["documents"].items()}
    museum = Museum(documents, case["static"], services)
    answer = added(desk(small_vocabulary(tmp_path), museum), case["address"]).json()
    assert [museum.source_of(image["image_id"]) for image in answer["images"]] == case["right"]["images"]
    for name, column in (("titles", "title"), ("attributions", "attribution")):
        if name in case["right"]:
            assert [image[column] for image in answer["images"]] == case["right"][name]


@pytest.mark.parametrize("case", cases("europeana-addresses", "desk"))
def test_europeana_address(case: Case, desk, tmp_path):
    museum = record_museum(case, "europeana-addresses")
    answer = added(desk(small_vocabulary(tmp_path), museum), case["address"]).json()
    image = answer["images"][0]
    assert {name: image[name] for name in case["right"]} == case["right"]
    assert "notakey" not in json.dumps(answer)


@pytest.mark.parametrize("case", cases("europeana-addresses", "refused"))
def test_refused_address(case: Case, desk, tmp_path):
    museum = Museum()
    answer = added(desk(small_vocabulary(tmp_path), museum), case["address"])
    assert answer.status_code == case["right"]["status"]
    assert not [url for url in museum.asked if "api.europeana.eu" in url]


@pytest.mark.parametrize("case", cases("text-surrogates", "manifest", "record"))
def test_text_into_the_queue(case: Case, desk, tmp_path):
    content = (CASES / "text-surrogates" / case["input"]).read_bytes()
    path = (
        case["address"] if case["door"] == "manifest" else f"https://api.europeana.eu/record/v2{case['address']}.json"
    )
    museum = Museum({path: content}, _pictures_in(json.loads(content)))
    image = added(desk(small_vocabulary(tmp_path), museum), case["address"]).json()["images"][0]
    assert {name: image[name] for name in case["right"]} == case["right"]


@pytest.mark.parametrize("case", cases("text-surrogates", "decision"))
def test_decision(case: Case, desk, tmp_path):
    client = desk(small_vocabulary(tmp_path))
    image_id = client.app.state.service.store.add_image(NewImage("a" * 64, 640, 480)).image_id
    body = (CASES / "text-surrogates" / case["input"]).read_bytes()
    headers = {"content-type": "application/json"}
    answer = client.post(f"/api/images/{image_id}/decisions", content=body, headers=headers)
    assert answer.status_code in case["right"]["status"]


@pytest.mark.parametrize("case", cases("text-surrogates", "reconcile"))
def test_batch_of_texts(case: Case, desk, tmp_path):
    text = (CASES / "text-surrogates" / case["input"]).read_text(encoding="utf-8")
    answer = desk(small_vocabulary(tmp_path)).post("/reconcile", data={"queries": text})
    assert answer.status_code == case["right"]["status"]
    results = json.loads(answer.content.decode("utf-8"))
    assert {name: results[name]["result"][0]["id"] for name in case["right"]["first"]} == case["right"]["first"]


@pytest.mark.parametrize("case", cases("aat-spellings", "reconcile"))
def test_reconciled_spelling(case: Case, desk, tmp_path):
    queries = json.dumps({"q0": {"query": case["query"]}})
    answer = desk(small_vocabulary(tmp_path)).post("/reconcile", data={"queries": queries}).json()
    first = answer["q0"]["result"][0]
    assert (first["id"], first["match"]) == (case["right"]["first"], case["right"]["match"])


@pytest.mark.parametrize("case", cases("reconciliation"))
def test_reconciliation(case: Case, desk):
    client = desk(vocabulary_of(CASES / "reconciliation" / "tag_list.json"))
    answer = _sent(client, case["input"])
    for check in case["right"]:
        assert holds(check, answer, client), check


def _sent(client: TestClient, sent: Mapping[str, Any]) -> Any:
    request = client.build_request(sent["method"], sent["path"], headers=sent["headers"], content=sent.get("body"))
    del request.headers["x-assistant"]  # another program does not send it
    return client.send(request)


def _at(answer: Any, path: str) -> Any:
    value = answer.json()
    for name in path.split("/") if path else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value


def holds(check: Mapping[str, Any], answer: Any, client: TestClient) -> bool:
    """Whether one expectation of a reconciliation case holds."""
    if "either" in check:
        return any(all(holds(each, answer, client) for each in checks) for checks in check["either"])
    if "status" in check:
        return answer.status_code in check["status"]
    if "status_4xx" in check:
        return (400 <= answer.status_code < 500) == check["status_4xx"]
    if "header" in check:
        value = answer.headers.get(check["header"], "")
        return value in check["among"] if "among" in check else check["lists"] in [v.strip() for v in value.split(",")]
    return _value_holds(check, _at(answer, check["at"]), client)


def _value_holds(check: Mapping[str, Any], value: Any, client: TestClient) -> bool:
    if "has" in check:
        return isinstance(value, dict) and check["has"] in value
    if "if_declared" in check:
        return value is None or check["if_declared"] in client.get(value.replace("{{id}}", quote(check["id"]))).text
    ids = [each["id"] for each in value or []]
    if "shifted" in check:
        return ids == [each["id"] for each in _sent(client, check["whole"]).json()["result"]][check["shifted"] :]
    verdicts = {
        "at_most": lambda right: len(ids) <= right,
        "matched": lambda right: [each["id"] for each in value if each["match"]] == right,
        "ids": lambda right: ids == right,
        "ids_in_any_order": lambda right: sorted(ids) == sorted(right),
        "contains": lambda right: set(right) <= set(ids),
        "empty_or_absent": lambda right: (not ids) == right,
    }
    (name,) = set(check) - {"at"}
    return verdicts[name](check[name])
