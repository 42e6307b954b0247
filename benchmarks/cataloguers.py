"""Twenty cataloguers at once: how long each kind of request takes, and what the log keeps of their decisions.

`benchmarks.assistant` runs it. The clients share the machine with the server.
"""

import itertools
import os
import random
import signal
import sqlite3
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

CLIENTS = 20
LANGUAGES = ("ca", "es", "en", "de", "nl", "fr")
# Seconds, drawn evenly: looking at a new picture, and between two acts. Forty pictures of a museum took cataloguers of
# the paper's tool longer; a shorter pause is the harder case.
LOOKS, ACTS = (2.0, 6.0), (0.5, 2.5)
AWAY_S = 120.0  # a desk that has not come back by then is a failure
SHORT_BREAK_S = 0.1


@dataclass
class Record:
    """What the cataloguers saw: milliseconds by kind of request, refusals, and the acts that were acknowledged."""

    times: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: Counter[str] = field(default_factory=Counter)
    acknowledged: set[tuple[str, str]] = field(default_factory=set)  # image and key
    sent: set[str] = field(default_factory=set)  # keys
    away_s: list[float] = field(default_factory=list)  # of a request that had no answer at first, until it had one

    def by_kind(self) -> dict[str, dict[str, float]]:
        """Number, median and 95th percentile of every kind, and of all requests together."""
        together = [each for times in self.times.values() for each in times]
        return {kind: _spread(times) for kind, times in [*sorted(self.times.items()), ("all", together)]}


def _spread(times: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(times, (50, 95))
    return {"n": len(times), "p50_ms": round(float(p50), 1), "p95_ms": round(float(p95), 1)}


class Cataloguer:
    """Someone at a desk of their own: each sends from another loopback address, as the desk limits the rate of one."""

    def __init__(self, number: int, address: str, phase: "Phase"):
        self.name, self._record, self._until, self._paced = (
            f"{phase.name} {number}",
            phase.record,
            phase.over,
            phase.paced,
        )
        self._rng = random.Random(self.name)
        transport = httpx.HTTPTransport(local_address=f"127.0.1.{number + 1}")
        self._http = httpx.Client(base_url=address, headers={"x-assistant": "1"}, timeout=60, transport=transport)
        self._serial = itertools.count(1)  # of the acts, kept as the number of clicks

    def work(self, images: list[str]) -> None:
        """One image after the other, until the time is over."""
        self._pause((0, sum(LOOKS)))  # people do not begin in the same second
        with self._http:
            for position, image_id in enumerate(itertools.cycle(images)):
                if self._until():
                    return
                if position % 10 == 0:
                    self._ask("queue", "GET", f"/api/queue?limit=200&at={image_id}&who={self.name}")
                self._image(image_id)

    def _image(self, image_id: str) -> None:
        opened = self._ask("open", "GET", f"/api/images/{image_id}")
        self._ask("picture", "GET", f"/api/images/{image_id}/picture")
        shown = self._ask("suggestions", "POST", f"/api/images/{image_id}/suggestions")
        self._pause(LOOKS)
        tags = [tag["tag_id"] for of_facet in shown["facets"].values() for tag in of_facet["tags"][:2]]
        self._look(image_id, self._rng.choice(tags))
        act = {"version": opened["annotation"]["version"], "showing_id": shown["showing_id"]}
        for tag in self._rng.sample(tags, min(4, len(tags))):
            if self._until():
                return
            action = "accept" if self._rng.random() < 0.7 else "reject"
            self._act("decide", image_id, "decisions", act, {"tag_id": tag, "action": action})
            self._pause(ACTS)
        if self._rng.random() < 0.2:
            self._act("undo", image_id, "undo", act, {})
        self._act("done", image_id, "state", act, {"kind": "done"})

    def _look(self, image_id: str, tag: str) -> None:
        """Now and then a word typed into the search, a tag's details, and why it was suggested."""
        if self._rng.random() < 0.3:
            for end in range(1, 6):
                query = {"q": "porcelain"[:end], "lang": self._rng.choice(LANGUAGES), "limit": 12}
                self._ask("search", "GET", "/api/search", params=query)
        if self._rng.random() < 0.3:
            self._ask("tag", "GET", f"/api/tags/{tag}")
            self._ask("why", "POST", f"/api/tags/{tag}/evidence", json={"image_id": image_id})
            self._pause(ACTS)

    def _act(self, kind: str, image_id: str, path: str, act: dict[str, Any], more: dict[str, Any]) -> None:
        """A step, sent again with the same key until it is answered; on a conflict again from the newer version."""
        while not self._until():
            serial = next(self._serial)
            key = f"{self.name.replace(' ', '-')}-{serial:06d}-{self._rng.getrandbits(64):016x}"
            body = act | more | {"who": self.name, "key": key, "clicks": serial}
            self._record.sent.add(key)
            answer = self._ask(kind, "POST", f"/api/images/{image_id}/{path}", json=body)
            act["version"] = answer["annotation"]["version"]
            if "error" not in answer:
                self._record.acknowledged.add((image_id, key))
                return

    def _ask(self, kind: str, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The answer. A desk that is away is asked again; what it refuses is counted by the code of the refusal."""
        gone: float | None = None
        while True:
            start = time.perf_counter()
            try:
                answer = self._http.request(method, path, **options)
                break
            except httpx.TransportError:
                gone = gone or start
                if start - gone > AWAY_S:
                    raise
                time.sleep(SHORT_BREAK_S)
        if gone is None:
            self._record.times[kind].append((time.perf_counter() - start) * 1e3)
        else:
            self._record.away_s.append(time.perf_counter() - gone)
        content = answer.json() if answer.headers["content-type"] == "application/json" else {}
        if answer.status_code >= 400:
            self._record.refused[content.get("error", str(answer.status_code))] += 1
            if content.get("error") != "conflict":
                answer.raise_for_status()
        return content

    def _pause(self, between: tuple[float, float]) -> None:
        if self._paced:
            time.sleep(self._rng.uniform(*between))


@dataclass
class Phase:
    """Twenty cataloguers for so many seconds: with pauses, or each asking as soon as the last answer is there."""

    name: str
    seconds: float
    paced: bool
    record: Record = field(default_factory=Record)
    end: float = 0.0

    def over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self.end

    @contextmanager
    def at(self, address: str, images: list[str]) -> Iterator[None]:
        """They work from now on, and have finished when the block ends."""
        self.end = time.monotonic() + self.seconds
        people = [Cataloguer(number, address, self) for number in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            running = [pool.submit(person.work, own) for person, own in zip(people, shares(images), strict=True)]
            yield
            for each in running:
                each.result()


def shares(images: list[str]) -> list[list[str]]:
    """The images of each cataloguer; one of ten is also given to the next one, who may change it at the same time."""
    own = [images[number::CLIENTS] for number in range(CLIENTS)]
    return [[*own[number - 1][: len(mine) // 10], *mine] for number, mine in enumerate(own)]


def kept(database: Path, phases: list[Phase]) -> dict[str, int]:
    """What the log says afterwards: acknowledged acts that it lacks, acts that it has twice, steps that nobody sent.

    `clicks` is the serial number of a person's act, so that an act which counted twice shows, whatever its keys are.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as log:
        steps = log.execute("SELECT image_id, key, who, clicks FROM steps").fetchall()
        counted = "(SELECT count(*) FROM steps WHERE steps.image_id = images.image_id)"
        (uneven,) = log.execute(f"SELECT count(*) FROM images WHERE version <> {counted}").fetchone()
    acknowledged = {each for phase in phases for each in phase.record.acknowledged}
    logged, acts = {(image_id, key) for image_id, key, _, _ in steps}, [(who, clicks) for _, _, who, clicks in steps]
    sent = {key for phase in phases for key in phase.record.sent}
    return {
        "acknowledged": len(acknowledged),
        "lost": len(acknowledged - logged),
        "double": len(acts) - len(set(acts)),
        "never_sent": len({key for _, key in logged} - sent),
        "images_with_another_version": uneven,
    }


def add_images(address: str, pictures: list[bytes]) -> list[str]:
    """Upload pictures, and let the model load. Returns the ids."""
    with httpx.Client(base_url=address, headers={"x-assistant": "1"}, timeout=120) as http:
        sent = [http.post("/api/images?who=benchmark", content=each).raise_for_status() for each in pictures]
        http.post("/api/suggest", content=pictures[0]).raise_for_status()
    return [each.json()["image"]["image_id"] for each in sent]


def twenty(serving: Callable[..., Any], storage: Path, pictures: list[bytes], seconds: float) -> dict[str, Any]:
    """With pauses; without any; and without any while the server is killed and started again in the middle."""
    phases = [Phase("paced", seconds, True), Phase("saturating", seconds, False), Phase("killed", seconds, False)]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as second:
        folder = Path(temporary)
        with serving(storage, folder=folder) as desk:
            images = add_images(desk.address, pictures)
            for phase in phases[:2]:
                server, clients, machine = desk.cpu_s(), time.process_time(), busy_s()
                with phase.at(desk.address, images):
                    pass
                cpu = {"server_cpu_s": desk.cpu_s() - server, "clients_cpu_s": time.process_time() - clients}
                cpu["others_cpu_s"] = busy_s() - machine - sum(cpu.values())
                found[phase.name] = phase.record.by_kind() | {name: round(value, 1) for name, value in cpu.items()}
            with phases[2].at(desk.address, images):
                time.sleep(seconds / 2)
                os.kill(desk.pid, signal.SIGKILL)
                port = int(desk.address.rpartition(":")[2])
                second.enter_context(serving(storage, folder=folder, port=port))
        found["killed"] = {"away_s": round(max(phases[2].record.away_s), 1), "waited": len(phases[2].record.away_s)}
        found["log"] = kept(folder / "assistant.sqlite", phases)
    found["refused"] = dict(sum((phase.record.refused for phase in phases), Counter()))
    return found


def busy_s() -> float:
    """CPU seconds of all processes of this machine since it started; see proc(5)."""
    user, nice, system, _, _, irq, softirq, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) / os.sysconf("SC_CLK_TCK")
