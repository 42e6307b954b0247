"""Manifests as fuzzers make them, from a server that answers as fuzzers do: images, or a refusal in one sentence."""

import asyncio
import gzip
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ml.assistant.limits import AssistantLimits
from ml.assistant.remote_images import NotFetched, RemoteImages
from pipeline.settings import HarvestSettings, HttpSettings, ImageSettings
from tests.support.iiif_server import serving

ROOT = Path(__file__).parents[3]
MOST_MEMORY_MB = 400  # four manifests of 5 MB at once, each of which may take 10 times as much when parsed
EMPTY = {
    "canvases": b'{"type":"Manifest","items":[' + b"{}," * 8_300_000 + b"{}]}",
    "members": b'{"type":"Collection","items":[' + b"{}," * 8_300_000 + b"{}]}",
}


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    """The address of the hostile server, a process of its own, so that its memory is not counted."""
    run = [sys.executable, "-m", "tests.ml.assistant.hostile_manifests"]
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


def made(folder: Path, address: str, timeout_s: float = 60.0) -> RemoteImages:
    images = ImageSettings(allowed_addresses=("127.0.0.0/8",), timeout_s=timeout_s)
    http = HttpSettings(hosts={"*": address})
    return RemoteImages(folder, limits=AssistantLimits(), images=images, http=http, harvest=HarvestSettings())


class Watched:
    """While the context lasts: how much memory this process has taken, and how long its event loop stood still."""

    async def __aenter__(self) -> "Watched":
        self._process, self._over, self.stood_still_s = psutil.Process(), threading.Event(), 0.0
        self._before = self._most = self._process.memory_info().rss
        self._task = asyncio.create_task(self._tick())
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        self._task.cancel()
        self._thread.join()

    @property
    def grown_mb(self) -> float:
        return (self._most - self._before) / 1e6

    async def _tick(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            self.stood_still_s = max(self.stood_still_s, time.perf_counter() - began - 0.01)

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self._most = max(self._most, self._process.memory_info().rss)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", EMPTY)
async def test_a_manifest_that_unpacks_to_millions_of_empty_objects_is_refused(tmp_path, kind):
    packed = gzip.compress(EMPTY[kind], 6, mtime=0)
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    app = Starlette(routes=[Route("/manifest", lambda _: Response(packed, headers=headers))])
    with serving(app) as address:
        async with made(tmp_path, address) as remote_images, Watched() as watched:
            began = time.monotonic()
            with pytest.raises(NotFetched) as refused:
                await remote_images.find("https://iiif.example/manifest")
    assert refused.value.code == "too_large"
    assert time.monotonic() - began < 3
    assert watched.grown_mb < 200


@pytest.mark.anyio
@pytest.mark.parametrize("kind", EMPTY)
@pytest.mark.parametrize("count", [240_000, 1_600_000])  # as many as are allowed, and as many as 5 MB hold
async def test_millions_of_empty_objects_hold_nobody_up(tmp_path, kind, count):
    whole = EMPTY[kind][: EMPTY[kind].index(b"[") + 1] + b"{}," * count + b"{}]}"
    app = Starlette(routes=[Route("/manifest", lambda _: Response(whole))])
    with serving(app) as address:
        async with made(tmp_path, address) as remote_images, Watched() as watched:
            began = time.monotonic()
            with pytest.raises(NotFetched) as refused:
                await remote_images.find("https://iiif.example/manifest")
            took = time.monotonic() - began
    assert refused.value.code == "no_manifest"
    assert took < 5
    assert watched.stood_still_s < 1
    assert watched.grown_mb < 200


@pytest.mark.anyio
@pytest.mark.parametrize("count", [pytest.param(100, id="100"), pytest.param(2_000, id="2000", marks=pytest.mark.long)])
async def test_every_answer_is_images_or_a_sentence(hostile, tmp_path, count):
    outcomes: Counter[str] = Counter()
    sentences = []
    numbers = iter(range(count))

    async def read_some() -> None:
        for number in numbers:
            try:
                found = (await remote_images.find(f"https://n{number}.example/manifest")).images
            except NotFetched as error:
                sentences.append(str(error))
                outcomes[error.code] += 1
            else:
                assert 0 < len(found) <= 200, number
                outcomes["images"] += 1

    async with made(tmp_path, hostile, timeout_s=1.5) as remote_images, Watched() as watched:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(AssistantLimits().addresses_at_once):
                group.create_task(read_some())
    took = time.monotonic() - began
    print(f"{count} manifests: {dict(outcomes.most_common())}; +{watched.grown_mb:.0f} MB, {took:.0f} s")
    print(f"the loop stood still for {watched.stood_still_s:.2f} s at most")
    assert sum(outcomes.values()) == count
    assert "" not in outcomes
    assert [each for each in sentences if not each.endswith(".")] == []
    assert outcomes["images"] > count / 50
    assert watched.grown_mb < MOST_MEMORY_MB
    assert list(tmp_path.iterdir()) == []  # nothing is left behind
