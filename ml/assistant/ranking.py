"""How a model ranks the images of the queue: where it is uncertain, disagrees with the record, or finds new tags."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from ml.assistant.calibration import Calibration, calibrated
from ml.assistant.models import Models
from ml.assistant.pictures import Pictures, for_model
from ml.assistant.schema import images, rankings
from ml.assistant.store import Store
from ml.assistant.suggest import FacetSuggestions, ModelInfo, Suggester
from ml.assistant.vocabulary import Vocabulary

log = logging.getLogger(__name__)
AT_ONCE = 32  # images read from the store together
PATIENCE_S = 0.05  # between two looks whether the model is idle


class Ranking:
    """Ranks the open images one after the other, while no cataloguer waits for the model.

    It starts when a queue in such an order is first asked for. Images decided without suggestions are not ranked: the
    order would tell something about them.
    """

    def __init__(
        self,
        store: Store,
        models: Models,
        vocabulary: Vocabulary,
        pictures: Pictures,
        *,
        suggest: Callable[..., Awaitable[tuple[ModelInfo, dict[str, FacetSuggestions]]]],
        is_idle: Callable[[], bool],
    ):
        self._store, self._models, self._vocabulary, self._pictures = store, models, vocabulary, pictures
        self._suggest, self._is_idle = suggest, is_idle
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Rank what is not ranked yet, in the background."""
        if self._models.default is not None and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._rank_all())
            self._task.add_done_callback(_log_failure)

    async def stop(self) -> None:
        """End the work in the background."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _rank_all(self) -> None:
        model = self._models.default
        assert model is not None
        while waiting := await asyncio.to_thread(self._unranked, self._models.infos[model].name):
            for row in waiting:
                while not self._is_idle():
                    await asyncio.sleep(PATIENCE_S)
                await self._rank(row, model)

    def _unranked(self, name: str) -> list[sa.Row]:
        known = (rankings.c.image_id == images.c.image_id) & (rankings.c.model == name)
        wanted = (images.c.state == "open") & images.c.blind.is_(False) & ~sa.exists().where(known)
        columns = (images.c.image_id, images.c.second_of, images.c.stated)
        query = sa.select(*columns).where(wanted).order_by(images.c.position).limit(AT_ONCE)
        with self._store.engine.connect() as connection:
            return list(connection.execute(query))

    async def _rank(self, row: sa.Row, model: str) -> None:
        picture = row.second_of or row.image_id
        file = self._pictures.file(picture)
        values: dict[str, Any] = {"margin": None, "disagreement": None, "new_tags": None}  # of a picture that is gone
        if file.exists():
            jpeg = await asyncio.to_thread(file.read_bytes)
            _, facets = await self._suggest(picture, jpeg, model=model)
            stated = json.loads(row.stated) if row.stated else None
            values = await asyncio.to_thread(self._values, picture, jpeg, model, facets, stated)
        await asyncio.to_thread(
            self._keep, {"image_id": row.image_id, "model": self._models.infos[model].name} | values
        )

    def _values(
        self, image_id: str, jpeg: bytes, model: str, facets: Mapping[str, FacetSuggestions], stated: list[str] | None
    ) -> dict[str, Any]:
        suggester, worth = self._models.get(model), self._models.calibrations.get(model)
        new_tags = len({tag for best in facets.values() for tag in sure_of(best)} - set(stated or ()))
        wrong = None
        if stated:
            with for_model(jpeg, self._pictures.limits.model_short_side) as picture:
                wrong = disagreement(suggester, image_id, picture, stated, worth, self._vocabulary.terms)
        return {"margin": margin(facets, worth), "disagreement": wrong, "new_tags": new_tags}

    def _keep(self, values: dict[str, Any]) -> None:
        try:
            with self._store.writing() as connection:
                connection.execute(sa.insert(rankings).values(values))
        except IntegrityError:
            log.debug("Another process has ranked %s.", values["image_id"])


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        again = "asking for the order again tries again"
        log.error("The images of the queue could not be ranked; %s.", again, exc_info=error)


def margin(facets: Mapping[str, FacetSuggestions], worth: dict[str, Calibration] | None) -> float | None:
    """How far the best tag of a facet is from a coin toss, as the mean over the facets: 0 uncertain, 1 certain.

    The score is calibrated: the share of right tags that such suggestions had on the validation images.
    """
    shares = [calibrated(worth, facet, best.tags[0][1]) for facet, best in facets.items() if best.tags]
    return sum(abs(2 * share - 1) for share in shares) / len(shares) if shares else None


def disagreement(
    suggester: Suggester,
    image_id: str,
    picture: Any,
    stated: list[str],
    worth: dict[str, Calibration] | None,
    terms: Mapping[str, Any],
) -> float | None:
    """How little the model believes the tags of the record: the mean of what their calibrated scores lack to 1.

    None if it knows none of them.
    """
    lacking = []
    for tag in stated:
        if tag in terms and (found := suggester.score_and_rank(image_id, picture, tag)):
            lacking.append(1 - calibrated(worth, terms[tag].facet, found[0]))
    return sum(lacking) / len(lacking) if lacking else None


def sure_of(best: FacetSuggestions) -> list[str]:
    """The suggested tags that the model is sure of."""
    return [tag for tag, score in best.tags if best.threshold is not None and score >= best.threshold]
