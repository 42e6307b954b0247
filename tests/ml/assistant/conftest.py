"""A small assistant: a tag list of real AAT ids, a temporary store, drawn pictures, models that see only colours."""

import io
import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, sync_playwright

from ml.assistant.app import create_app
from ml.assistant.connections import server
from ml.assistant.models import Models
from ml.assistant.service import AssistantService
from ml.assistant.store import Act, NewImage, Store
from ml.assistant.suggest import ModelInfo, Suggester
from ml.assistant.vocabulary import Vocabulary, read_tag_list
from tests.ml.assistant.pages import CHROMIUM, FLAGS

TAG_LIST = Path(__file__).with_name("tag_list.json")


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """The tags of the small list."""
    return Vocabulary(read_tag_list(TAG_LIST)[1])


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with all migrations and nothing in it, to be copied."""
    file = tmp_path_factory.mktemp("database") / "assistant.sqlite"
    Store(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def store(tmp_path: Path, empty_database: Path):
    """An empty store whose clock moves by a second at each look."""
    seconds = itertools.count()
    made = Store(
        f"sqlite:///{shutil.copy(empty_database, tmp_path)}",
        clock=lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(seconds)),
    )
    yield made
    made.close()


@pytest.fixture
def image_id(store: Store) -> str:
    """An image in the queue."""
    return store.add_image(NewImage("a" * 64, 640, 480, title="vase.jpg")).image_id


@pytest.fixture
def act():
    """Makes acts with their own keys: act(version), act(version, who=…)."""
    keys = itertools.count()

    def make(version: int, **values: object) -> Act:
        return Act(**{"who": "anna", "version": version, "key": f"key-{next(keys)}", **values})

    return make


class ColourScorer:
    """Stands in for a trained network: scores that depend on the picture's mean colour and nothing else."""

    def __init__(self, order: dict[str, list[str]], seed: int):
        generator = np.random.default_rng(seed)
        self._weights = {facet: generator.normal(size=(len(tags), 3)) for facet, tags in order.items()}

    memory = None

    def scores(self, picture: Image.Image, group: int) -> dict[str, np.ndarray]:
        """Sigmoids of a linear map of the mean colour."""
        colour = np.asarray(picture, dtype=np.float64).mean(axis=(0, 1)) / 64 - 2
        return {facet: 1 / (1 + np.exp(-(weights @ colour))) for facet, weights in self._weights.items()}

    def features(self, picture: Image.Image) -> np.ndarray:
        """The mean colour, and how far it is from grey."""
        colour = np.asarray(picture, dtype=np.float64).mean(axis=(0, 1)) / 255
        return np.append(colour - colour.mean(), 0.1)


def colour_models(order: dict[str, list[str]]) -> Models:
    """Two models for the assistant."""
    infos = [
        ModelInfo("multilabel", "colours", version="abc123", thresholds=dict.fromkeys(order, 0.7)),
        ModelInfo("softmax", "other colours", version="def456"),
    ]
    loaders: dict[str, Callable[[], Suggester]] = {
        info.key: lambda info=info, seed=seed: Suggester(info, ColourScorer(order, seed), order)
        for seed, info in enumerate(infos)
    }
    return Models(loaders, infos, default="multilabel")


def vase_picture(colour: str = "saddlebrown", size: tuple[int, int] = (640, 480), kind: str = "JPEG") -> bytes:
    """A picture of a vase."""
    picture = Image.new("RGB", size, "beige")
    draw = ImageDraw.Draw(picture)
    width, height = size
    draw.ellipse((width * 0.3, height * 0.3, width * 0.7, height * 0.95), fill=colour, outline="black")
    draw.rectangle((width * 0.43, height * 0.1, width * 0.57, height * 0.35), fill=colour)
    draw.line((width * 0.3, height * 0.6, width * 0.7, height * 0.6), fill="gold", width=6)
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


@pytest.fixture
def service(tmp_path: Path, vocabulary: Vocabulary, store: Store) -> AssistantService:
    """A service with the small list and two models."""
    order = read_tag_list(TAG_LIST)[0]
    models = colour_models(order)
    return AssistantService(vocabulary=vocabulary, models=models, store=store, folder=tmp_path / "service")


@pytest.fixture
def client(service: AssistantService):
    """A client that is the page: same origin, with the page's header."""
    with TestClient(create_app(service), base_url="http://127.0.0.1:8760", headers={"x-assistant": "1"}) as made:
        yield made


@pytest.fixture
def uploaded(client: TestClient) -> str:
    """The id of an image sent to the queue."""
    return client.post("/api/images?who=anna&title=vase.jpg", content=vase_picture()).json()["image"]["image_id"]


@pytest.fixture(scope="session")
def drawn_vase() -> Callable[..., bytes]:
    """Draws pictures: drawn_vase(), drawn_vase("navy"), drawn_vase(kind="PNG")."""
    return vase_picture


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@contextmanager
def served(service: AssistantService, *, proxies: list[str] | None = None, **access: Any) -> Iterator[str]:
    """The address of the assistant on a free port, served as its command serves it."""
    made = server(create_app(service, **access), service.limits, service.refusals, proxies=proxies or [])
    made.config.port = 0
    thread = threading.Thread(target=made.run)
    thread.start()
    while not made.started:
        assert thread.is_alive(), "the server has ended"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{made.servers[0].sockets[0].getsockname()[1]}"
    finally:
        made.should_exit = True
        thread.join()


@pytest.fixture
def address(service: AssistantService) -> Iterator[str]:
    """The assistant served on a free port."""
    with served(service) as found:
        yield found


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page as a cataloguer with a browser of their own; any error in the page fails the test."""
    contexts, errors = [], []

    def make(locale: str = "en-GB", **options) -> Page:
        context = browser.new_context(locale=locale, reduced_motion="reduce", **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        return page

    yield make
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def pictures(drawn_vase) -> list[dict]:
    """Files as a person chooses them."""
    return [
        {"name": f"vase {colour}.jpg", "mimeType": "image/jpeg", "buffer": drawn_vase(colour)}
        for colour in ("saddlebrown", "navy")
    ]
