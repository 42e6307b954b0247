"""What people have confirmed, in the memory of a model that has one: at once, without training.

The memory is a function of the stored decisions: those that count in training and exports, also of images that are not
done yet. It is brought up to date before every answer, so that undone decisions are gone, and those of another process
on the same database are there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa

from ml.assistant.annotation import implied
from ml.assistant.groups import Groups
from ml.assistant.likeness import Reader, Vector
from ml.assistant.pictures import Pictures
from ml.assistant.schema import comparisons, images, settlements, steps
from ml.assistant.settled import counted_decisions
from ml.assistant.store import Store
from ml.assistant.suggest import Suggester
from ml.assistant.vocabulary import Vocabulary
from ml.dataset.confirmed import Confirmed

log = logging.getLogger(__name__)
IDLE_S = 0.05  # between two looks whether the model is idle
FEW = 500  # changed images that are read one query for all; with more, all images are read


@dataclass(frozen=True)
class Holds:
    """What holds of an image by its decisions: its number at the desk, and the tags with those above them."""

    key: int
    tag_ids: tuple[str, ...]


@dataclass
class Known:
    """How far a model's memory has followed the store."""

    state: tuple[Any, ...] = ()
    stamps: dict[str, tuple[int, ...]] = field(default_factory=dict)  # by image, as they were when it was read
    wanted: dict[str, Holds] = field(default_factory=dict)
    kept: dict[str, Holds] = field(default_factory=dict)


class ConfirmedPictures:
    """Keeps the memories of models in step with the store.

    `features_of` gives the features of pictures by a model, of as many as take no longer than `budget_s`; `at_model`
    runs a function in the model's thread.
    """

    def __init__(
        self,
        store: Store,
        vocabulary: Vocabulary,
        pictures: Pictures,
        groups: Groups,
        *,
        features_of: Callable[..., Awaitable[dict[str, Vector]]],
        at_model: Callable[..., Awaitable[Any]],
        is_idle: Callable[[], bool],
    ):
        self._store, self._vocabulary, self._pictures, self._groups = store, vocabulary, pictures, groups
        self._features_of, self._at_model, self._is_idle = features_of, at_model, is_idle
        self._known: dict[str, Known] = {}
        self._turn = asyncio.Lock()
        self._rest: asyncio.Task[None] | None = None

    async def bring_up_to_date(self, suggester: Suggester, *, budget_s: float) -> None:
        """Let the model's memory hold what the store says now, as far as describing pictures takes no longer.

        What is left is described while no one waits for the model. Raises Busy.
        """
        if await self._follow(suggester, budget_s) and (self._rest is None or self._rest.done()):
            self._rest = asyncio.create_task(self._follow_to_the_end(suggester, budget_s))
            self._rest.add_done_callback(_log_failure)

    async def stop(self) -> None:
        """End the work in the background."""
        if self._rest is not None:
            self._rest.cancel()
            await asyncio.gather(self._rest, return_exceptions=True)

    async def _follow_to_the_end(self, suggester: Suggester, budget_s: float) -> None:
        left, before = await self._follow(suggester, budget_s), None
        while left and left != before:  # a picture that cannot be read stays left
            while not self._is_idle():
                await asyncio.sleep(IDLE_S)
            left, before = await self._follow(suggester, budget_s), left

    async def _follow(self, suggester: Suggester, budget_s: float) -> int:
        """Bring the memory nearer to the store; how many images it still lacks."""
        async with self._turn:
            known = self._known.setdefault(suggester.info.name, Known())
            await asyncio.to_thread(self._read, known)
            changed = {image_id: each for image_id, each in known.wanted.items() if known.kept.get(image_id) != each}
            gone = [each.key for image_id, each in known.kept.items() if image_id not in known.wanted]
            if not changed and not gone:
                return 0
            features = await self._features_of(self._readers(changed), suggester.info, budget_s)
            confirmed = await asyncio.to_thread(self._confirmed, changed, features)
            await self._at_model(suggester.keep, confirmed, gone)
            known.kept = {image_id: each for image_id, each in known.kept.items() if image_id in known.wanted}
            known.kept |= {image_id: changed[image_id] for image_id in features}
            return len(changed) - len(features)

    def _readers(self, image_ids: Collection[str]) -> dict[str, Reader]:
        return {image_id: partial(self._pictures.read, image_id) for image_id in image_ids}

    def _confirmed(self, changed: Mapping[str, Holds], features: Mapping[str, Vector]) -> list[Confirmed]:
        return [
            Confirmed(image_id, changed[image_id].key, vector, changed[image_id].tag_ids, self._groups.of(image_id))
            for image_id, vector in features.items()
        ]

    def _read(self, known: Known) -> None:
        """What holds of each image now; only images that have changed are read again."""
        state = self._state()
        if state == known.state:
            return
        keys, stamps = self._stamps()
        changed = [image_id for image_id, stamp in stamps.items() if known.stamps.get(image_id) != stamp]
        decided = counted_decisions(self._store, changed if len(changed) <= FEW else None)
        for image_id in changed:
            tags = self._tags([each.tag_id for each in decided.get(image_id, ()) if each.accepted])
            known.wanted.pop(image_id, None)
            if tags and self._pictures.file(image_id).exists():
                known.wanted[image_id] = Holds(keys[image_id], tags)
        known.state, known.stamps = state, stamps

    def _tags(self, accepted: Collection[str]) -> tuple[str, ...]:
        return tuple(sorted({*accepted, *implied(dict.fromkeys(accepted, "accepted"), self._vocabulary)}))

    def _state(self) -> tuple[Any, ...]:
        """Changes with every step, every settlement, and every comparison of two opinions."""
        compared = sa.func.sum(comparisons.c.first_version + comparisons.c.second_version)
        counts = [sa.select(sa.func.count()).select_from(table) for table in (steps, settlements)]
        with self._store.engine.connect() as connection:
            return tuple(connection.execute(query).scalar() for query in (*counts, sa.select(compared)))

    def _stamps(self) -> tuple[Mapping[str, int], dict[str, tuple[int, ...]]]:
        """The number of each decided image, and what changes whenever what holds of it may have changed."""
        of_image = sa.func.coalesce(images.c.second_of, images.c.image_id)
        versions = sa.select(of_image, sa.func.sum(images.c.version)).where(images.c.version > 0).group_by(of_image)
        settled = sa.select(settlements.c.image_id, sa.func.count()).group_by(settlements.c.image_id)
        compared = sa.func.sum(comparisons.c.first_version + comparisons.c.second_version)
        pairs = sa.select(comparisons.c.image_id, compared).group_by(comparisons.c.image_id)
        numbers = sa.select(images.c.image_id, images.c.position).where(images.c.second_of.is_(None))
        with self._store.engine.connect() as connection:
            by_image = [dict(_pairs(connection, query)) for query in (versions, settled, pairs)]
            keys = dict(_pairs(connection, numbers))
        return keys, {image_id: tuple(part.get(image_id, 0) for part in by_image) for image_id in by_image[0]}


def _pairs(connection: sa.Connection, query: sa.Select) -> Iterator[tuple[str, int]]:
    return ((row[0], row[1]) for row in connection.execute(query))


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        again = "the next suggestion tries again"
        log.error("What people confirmed could not be remembered; %s.", again, exc_info=error)
