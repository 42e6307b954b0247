"""The service behind page and API: vocabulary, search, models, store, pictures, images added from elsewhere."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from ml.assistant.confirmed import ConfirmedPictures
from ml.assistant.dataset_images import DatasetImages, DescribedRecord, described_in, image_url_of
from ml.assistant.evidence import TaggedPictures
from ml.assistant.groups import Groups
from ml.assistant.likeness import Likeness, Reader, Vector
from ml.assistant.limits import AssistantLimits
from ml.assistant.models import Models
from ml.assistant.nearest_tagged import Nearest, nearest_by_model, nearest_stored
from ml.assistant.opinions import compare
from ml.assistant.people import People
from ml.assistant.pictures import Pictures, for_model, image_id_of
from ml.assistant.ranking import Ranking
from ml.assistant.refusals import Busy, Refusals
from ml.assistant.remote_images import OTHER_SIZE, NotFetched, RemoteImage, RemoteImages
from ml.assistant.search import SearchIndex
from ml.assistant.store import NewImage, Store
from ml.assistant.stored_features import NotDescribed, StoredFeatures
from ml.assistant.suggest import FacetSuggestions, ModelInfo, Suggester
from ml.assistant.vocabulary import Vocabulary
from ml.assistant.zoom import Zoom
from pipeline.images.decoders import Content, Decoders
from pipeline.images.verify import Picture, Rejected

Result = TypeVar("Result")
STORED = "stored features"  # in the place of a model's key: pictures described as those of the `features` table
READING_OTHERS = "Other pictures are being read. Try again in a moment."


@dataclass(frozen=True)
class Shown:
    """A model's suggestions for an image of the queue, and the id of the row that logs them."""

    model: ModelInfo
    showing_id: str | None
    facets: dict[str, FacetSuggestions]


class AssistantService:
    """What one process serves. As an async context manager it runs the decoder processes and the model's thread."""

    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        models: Models,
        store: Store,
        folder: Path,
        dataset: Path | None = None,
        records: Path | None = None,
        stored: Callable[[], StoredFeatures | None] = lambda: None,
        limits: AssistantLimits | None = None,
        remote_images: RemoteImages | None = None,
        blind_share: float = 0.0,
        blind_seed: int = 340,
    ):
        self.limits = limits or AssistantLimits()
        self.vocabulary, self.models, self.store = vocabulary, models, store
        self.people = People(store)
        self.index = SearchIndex(vocabulary)
        self.pictures = Pictures(folder / "pictures", self.limits)
        self.dataset, self.records = dataset, records
        self.examples = DatasetImages(dataset) if dataset else None
        self.blind_share, self.blind_seed = blind_share, blind_seed
        self.remote_images = remote_images  # None: no other server is ever asked
        self.tagged = TaggedPictures(store, self.pictures, self.examples, records)
        self._open_stored = stored  # may take seconds, so in a thread
        self.likeness = Likeness(folder / "features.sqlite", self._features)
        self.zoom = Zoom(self.pictures, self._a_decoder, self.limits)
        self.refusals = Refusals()
        self.ranking = Ranking(
            store, models, vocabulary, self.pictures, suggest=self.suggest, is_idle=lambda: self._waiting == 0
        )
        groups = Groups(store, dataset)
        models.group_of = groups.of
        self.confirmed = ConfirmedPictures(
            store,
            vocabulary,
            self.pictures,
            groups,
            features_of=self._features_within,
            at_model=self._at_model,
            is_idle=lambda: self._waiting == 0,
        )
        self._waiting = self._decoding = self._addresses = 0

    async def __aenter__(self) -> "AssistantService":
        self._stack = AsyncExitStack()
        # One thread: torch uses all cores for one picture, so two pictures at once only slow each other down.
        self._model_thread = self._stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="model"))
        if self.remote_images is not None:
            await self._stack.enter_async_context(self.remote_images)
        self._places = asyncio.Semaphore(self.limits.decoders)
        self._decoders = await self._stack.enter_async_context(self.limits.new_decoders())
        self._stored = asyncio.create_task(asyncio.to_thread(self._open_stored))
        await asyncio.to_thread(compare, self.store, self.vocabulary)  # opinions finished just before a crash
        if self.models.default is not None:
            self._model_thread.submit(self.models.get, None)  # loads the default model early
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ranking.stop()
        await self.confirmed.stop()
        await asyncio.wait({self._stored})
        await self._stack.aclose()

    def in_work(self) -> dict[str, int]:
        """Pictures that are decoded or wait for it, pictures at the model or waiting for it, addresses being read."""
        return {"decoders": self._decoding, "model": self._waiting, "addresses": self._addresses}

    async def decode(self, data: bytes) -> Picture:
        """The picture in these bytes, re-encoded in a separate process. Raises Rejected, Busy."""
        async with self._a_decoder() as decoders:
            return await decoders.verify(Content(data, None))

    @asynccontextmanager
    async def _a_decoder(self) -> AsyncIterator[Decoders]:
        """A place at the decoders, for one picture. Raises Busy."""
        if self._decoding >= self.limits.waiting_for_decoder:
            raise Busy(READING_OTHERS)
        self._decoding += 1
        try:
            await self._place_at_a_decoder()
            try:
                yield self._decoders
            finally:
                self._places.release()
        finally:
            self._decoding -= 1

    async def _place_at_a_decoder(self) -> None:
        try:
            async with asyncio.timeout(self.limits.decoder_patience_s):
                await self._places.acquire()
        except TimeoutError as error:
            raise Busy(READING_OTHERS) from error

    async def add(self, data: bytes, **values: Any) -> sa.Row:
        """Add an image to the queue; `values` are further fields of NewImage. Raises Rejected, Busy."""
        image_id = image_id_of(data)
        async with self._a_decoder() as decoders:
            picture = await decoders.verify(Content(data, None))
            pyramid = await self.zoom.cut(decoders, image_id, data, picture)
        if pyramid is not None:
            await asyncio.to_thread(self.pictures.keep_tiles, image_id, pyramid.archive)
        new = NewImage(image_id, picture.width, picture.height, **values)
        return await asyncio.to_thread(self._keep, picture.jpeg, new)

    def _keep(self, jpeg: bytes, new: NewImage) -> sa.Row:
        self.pictures.keep(new.image_id, jpeg)
        return self.store.add_image(new, blind_share=self.blind_share, blind_seed=self.blind_seed)

    def add_from_dataset(self, split: str, count: int, who: str) -> list[sa.Row]:
        """Add the next images of a dataset split to the queue, ordered by the hash of their ids."""
        if self.dataset is None:
            return []
        images = DatasetImages(self.dataset, split)
        new = set(images.locations) - {row.image_id for row in self.store.queue()}
        chosen = sorted(new, key=lambda image_id: hashlib.sha256(image_id.encode()).digest())[:count]
        records = [images.locations[image_id].record_id for image_id in chosen]
        known = described_in(self.records, records) if self.records is not None and self.records.exists() else {}
        return [self._add_dataset_image(images, image_id, known, split, who) for image_id in chosen]

    def _add_dataset_image(
        self, images: DatasetImages, image_id: str, known: Mapping[str, DescribedRecord], split: str, who: str
    ) -> sa.Row:
        location, jpeg = images.locations[image_id], images.jpeg(image_id)
        with for_model(jpeg, self.limits.shown_short_side) as picture:
            width, height = picture.size
        record = known.get(location.record_id, DescribedRecord())
        origin: dict[str, Any] = {
            "source": "dataset",
            "record_id": location.record_id,
            "attribution": location.data_provider,
        }
        title, stated = record.title or location.record_id, json.dumps(location.tags)
        new = NewImage(image_id, width, height, title, **origin, batch=split, added_by=who, stated=stated)
        return self._keep(jpeg, replace(new, collection=record.collection))

    async def add_remote_image(self, remote: RemoteImage, who: str, batch: str | None = None) -> sa.Row:
        """Fetch an image from another server and add it to the queue. Raises NotFetched, Rejected, Busy."""
        if self.remote_images is None:
            raise NotFetched("not_allowed", "This assistant was started with --no-fetch: it asks no other server.")

        urls = (remote.source_url, *remote.others)
        for url in urls:
            try:
                data = await self.remote_images.fetch(url)
                return await self.add(data, added_by=who, batch=batch, **remote.kept(url))
            except (NotFetched, Rejected) as error:
                final = isinstance(error, NotFetched) and error.code not in OTHER_SIZE
                if final or url == urls[-1]:
                    raise
        raise AssertionError("an image has at least one address")

    def original_of(self, row: sa.Row) -> str | None:
        """Where the picture of an image of the queue was published; None if that is not known."""
        if row.source != "dataset" or self.records is None or not self.records.exists():
            return row.source_url
        return image_url_of(self.records, row.record_id)

    @contextmanager
    def reading_an_address(self) -> Iterator[None]:
        """While an address of another server is read. Raises Busy."""
        if self._addresses >= self.limits.addresses_at_once:
            raise Busy("Other addresses are being read. Try again in a moment.")
        self._addresses += 1
        try:
            yield
        finally:
            self._addresses -= 1

    async def suggest(
        self, image_id: str, jpeg: bytes, *, model: str | None = None, limit: int | None = None
    ) -> tuple[ModelInfo, dict[str, FacetSuggestions]]:
        """A model's best tags for a re-encoded picture. Raises Busy, UnknownModel."""
        await self._suggester(model)
        return await self._at_model(self._suggest, image_id, jpeg, model, limit)

    async def features_of(self, pictures: Mapping[str, Reader], model: str | None) -> dict[str, Vector]:
        """What a model makes of pictures, of as many as take no longer than the limit. Raises Busy, UnknownModel."""
        return await self._features_within(pictures, self.models.info(model), self.limits.comparing_s)

    async def _features_within(
        self, pictures: Mapping[str, Reader], info: ModelInfo, budget_s: float
    ) -> dict[str, Vector]:
        return await self.likeness.features(pictures, info.key, info.name, budget_s=budget_s)

    async def _features(self, image_id: str, jpeg: bytes, model: str) -> Vector:
        return await self._at_model(self._features_now, image_id, jpeg, model)

    def _features_now(self, image_id: str, jpeg: bytes, model: str) -> Vector:
        if model == STORED and (stored := self._stored.result()) is not None:
            return stored.described(jpeg)
        with for_model(jpeg, self.limits.model_short_side) as picture:
            return self.models.get(model).features(picture)

    async def _suggester(self, model: str | None) -> Suggester:
        """The model, loaded; its memory, if it has one, holds what people have confirmed. Raises Busy, UnknownModel."""
        suggester = await self._at_model(self.models.get, model)
        if suggester.remembers:
            await self.confirmed.bring_up_to_date(suggester, budget_s=self.limits.remembering_s)
        return suggester

    async def confirmed_for(
        self, image_id: str, tag_id: str, but: Collection[str], model: str | None
    ) -> Nearest | None:
        """The pictures with the tag in the model's memory that are nearest to an image, without those of `but`.

        None where the model has no memory, or the memory does not know the tag. Raises Busy, UnknownModel, NoPicture.
        """
        suggester = await self._suggester(model)
        if not suggester.remembers:
            return None
        features = await self.features_of({image_id: partial(self.pictures.read, image_id)}, suggester.info.key)
        if image_id not in features:
            return None
        found = await self._at_model(suggester.nearest_confirmed, image_id, features[image_id], tag_id)
        if found is None:
            return None
        cosines = {each: cosine for each, cosine in found.items() if each not in but}
        return Nearest(dict(list(cosines.items())[: self.limits.most_confirmed]), len(cosines), len(cosines))

    async def nearest(self, image_id: str, tag_id: str, but: Collection[str], model: str | None) -> Nearest | None:
        """The pictures with the tag that look most like an image, without those of `but`.

        None if the image's own picture is missing. Raises Busy, UnknownModel.
        """
        info, limits = self.models.info(model), self.limits
        own = partial(self.pictures.read, image_id)
        decided = await asyncio.to_thread(self.tagged.decided, tag_id, but, limits.compared_per_tag)
        stored = await asyncio.shield(self._stored)
        training = await asyncio.to_thread(self.tagged.training, tag_id, but) if stored is not None else {}
        if stored is not None and any(each in stored for each in training):
            described = partial(self.likeness.features, model=STORED, name=stored.name, budget_s=limits.comparing_s)
            with suppress(NotDescribed):  # the network is not on this machine, which was logged
                return await nearest_stored(image_id, own, training, decided, stored, described, limits)
        training = await asyncio.to_thread(self.tagged.training, tag_id, but, limits.compared_per_tag)
        features_of = partial(self.features_of, model=info.key)
        return await nearest_by_model(image_id, own, decided | training, features_of, limits)

    async def _at_model(self, run: Callable[..., Result], *arguments: Any) -> Result:
        """Runs a function in the model's thread. Raises Busy."""
        if self._waiting >= self.limits.waiting_for_model:
            raise Busy("The model is busy with other pictures. Try again in a moment.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._model_thread, run, *arguments)
        finally:
            self._waiting -= 1

    def _suggest(
        self, image_id: str, jpeg: bytes, model: str | None, limit: int | None
    ) -> tuple[ModelInfo, dict[str, FacetSuggestions]]:
        suggester = self.models.get(model)
        with for_model(jpeg, self.limits.model_short_side) as picture:
            facets = suggester.suggest(image_id, picture, self.vocabulary, limit or self.limits.suggested_per_facet)
        return suggester.info, facets

    async def suggestions(self, image_id: str, model: str | None = None) -> Shown:
        """The suggestions for an image of the queue; nothing is logged. Raises NoSuchImage, NoPicture, Busy."""
        picture = (await asyncio.to_thread(self.store.pictured, image_id)).image_id
        jpeg = await asyncio.to_thread(self.pictures.read, picture)
        info, facets = await self.suggest(picture, jpeg, model=model)
        return Shown(info, None, facets)

    async def show(self, image_id: str, model: str | None = None) -> Shown:
        """The suggestions for an image of the queue, logged as shown. Raises NoSuchImage, NoPicture, Busy."""
        found = await self.suggestions(image_id, model)
        shown = {facet: suggestions.tags for facet, suggestions in found.facets.items()}
        showing_id = await asyncio.to_thread(self.store.record_showing, image_id, found.model.name, shown)
        return replace(found, showing_id=showing_id)
