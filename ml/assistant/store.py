"""The store: the queue of images, and an append-only log of every decision."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import IntegrityError

from ml.assistant.annotation import Action, Step, Verdict, current_steps, decide, fold, last_to_undo, steps_of
from ml.assistant.schema import decisions, images, showings, steps
from ml.assistant.vocabulary import Vocabulary

REASONS: dict[type[Exception], str] = {  # the first kind that fits
    sa.exc.NoSuchModuleError: "SQLAlchemy does not know this kind of database",
    sa.exc.ArgumentError: "its address cannot be read",
    sa.exc.OperationalError: "it does not answer, is locked, or refuses the name or the password",
    sa.exc.DatabaseError: "it is damaged, is no database of the assistant, or does not let this user make tables",
    ValueError: "its address cannot be read",
    ImportError: "the driver for this kind of database is not installed",
    OSError: "its file or folder cannot be written",
    CommandError: "it was made by another version of the assistant",
}
STATES = {"done": "done", "skip": "skipped", "reopen": "open"}


class StoreError(Exception):
    """The store cannot do something; the message says why."""


class DatabaseError(StoreError):
    """The database cannot be opened; the message does not show its address, which may hold a password."""


class NoSuchImage(StoreError):
    """The store has no image with this id."""


class NothingToUndo(StoreError):
    """The image has no step that could be undone."""


class Conflict(StoreError):
    """The image has changed since the version that the client saw; `since` holds the steps in between."""

    def __init__(self, current: "Annotation", since: "list[LoggedStep]"):
        super().__init__(f"The image is at version {current.version} now.")
        self.current, self.since = current, since


@dataclass(frozen=True)
class NewImage:
    """An image to put into the queue; `image_id` is the sha256 of its source bytes."""

    image_id: str
    width: int
    height: int
    title: str = ""
    source: str = "upload"  # upload, dataset, iiif or europeana
    source_url: str | None = None
    record_id: str | None = None
    attribution: str | None = None
    batch: str | None = None
    added_by: str = ""
    collection: str | None = None
    stated: str | None = None  # JSON: the tags that its record states; None if that is not known
    manifest: str | None = None  # of IIIF, as is the canvas that the picture stands on
    canvas: str | None = None
    canvas_width: int | None = None
    canvas_height: int | None = None


@dataclass(frozen=True)
class Act:
    """Who changes an image, from which version of it; a request repeated with the same `key` counts once."""

    who: str
    version: int
    key: str
    opened_at: datetime | None = None
    clicks: int = 0
    showing_id: str | None = None


@dataclass(frozen=True)
class LoggedStep:
    """A step of the log, with who made it and when."""

    step: Step
    who: str
    at: datetime


@dataclass(frozen=True)
class Annotation:
    """The current decisions on an image."""

    image_id: str
    version: int
    state: str
    verdicts: dict[str, Verdict]
    can_undo: bool


class Store:
    """Images and decisions in SQLite or PostgreSQL. Methods return after the commit."""

    def __init__(self, url: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)):
        """Open the database and run its migrations. Raises DatabaseError."""
        self.clock = clock
        with _without_the_address():
            self.engine = _engine(url)
            migrate(self.engine)
        # SQLite's writers poll for the lock, and one may starve: the writers of this process take turns instead.
        self._turn: AbstractContextManager[object] = (
            threading.Lock() if self.engine.dialect.name == "sqlite" else nullcontext()
        )

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes, committed at its end."""
        with self._turn, _writing(self.engine).begin() as connection:
            yield connection

    # --- images

    def add_image(self, new: NewImage, *, blind_share: float = 0.0, blind_seed: int = 0) -> sa.Row:
        """Add an image to the queue; an image that is in it already stays as it is."""
        blind = is_blind(new.image_id, blind_share, blind_seed)
        values = asdict(new) | {"added_at": self.clock(), "blind": blind, "state": "open", "version": 0}
        with suppress(IntegrityError), self.writing() as connection:  # the same bytes may have been added before
            connection.execute(sa.insert(images).values(values))
        return self.image(new.image_id)

    def image(self, image_id: str) -> sa.Row:
        """The image's row. Raises NoSuchImage."""
        with self.engine.connect() as connection:
            return _image(connection, image_id)

    def pictured(self, image_id: str) -> sa.Row:
        """The row of the image whose picture is shown: for a second opinion that of the first. Raises NoSuchImage."""
        with self.engine.connect() as connection:
            row = _image(connection, image_id)
            return _image(connection, row.second_of) if row.second_of else row

    def queue(self, *, state: str | None = None, offset: int = 0, limit: int | None = None) -> Sequence[sa.Row]:
        """Images in the order they were added, without second opinions."""
        query = sa.select(images).where(images.c.second_of.is_(None)).order_by(images.c.position)
        query = query.offset(offset).limit(limit)
        with self.engine.connect() as connection:
            return connection.execute(query if state is None else query.where(images.c.state == state)).all()

    def progress(self) -> dict[str, int]:
        """The number of images that are open, done and skipped, and of all."""
        counted = sa.select(images.c.state, sa.func.count()).where(images.c.second_of.is_(None))
        query = counted.group_by(images.c.state)
        with self.engine.connect() as connection:
            counts = {row[0]: row[1] for row in connection.execute(query)}
        return {state: counts.get(state, 0) for state in ("open", "done", "skipped")} | {"all": sum(counts.values())}

    # --- what was shown

    def record_showing(self, image_id: str, model: str, shown: dict[str, list[tuple[str, float]]]) -> str:
        """Log what a model suggested for an image, in the order shown; equal showings are one row. Returns its id."""
        text = json.dumps({"image": image_id, "model": model, "facets": shown}, sort_keys=True)
        showing_id = hashlib.sha256(text.encode()).hexdigest()
        shown_text, now = json.dumps(shown, sort_keys=True), self.clock()
        with self.engine.connect() as connection:
            if connection.execute(sa.select(showings).where(showings.c.showing_id == showing_id)).first():
                return showing_id
        try:
            with self.writing() as connection:
                connection.execute(sa.insert(showings).values((showing_id, image_id, model, shown_text, now)))
        except IntegrityError:  # another request wrote the same showing, or the image is unknown
            self.image(image_id)
        return showing_id

    # --- decisions

    def annotation(self, image_id: str) -> Annotation:
        """The current decisions on the image. Raises NoSuchImage."""
        with self.engine.connect() as connection:
            return _annotation(connection, image_id)

    def log(self, image_id: str, *, after: int = 0) -> list[LoggedStep]:
        """The steps of the image after a version, oldest first."""
        with self.engine.connect() as connection:
            return _log(connection, image_id, after)

    def decide(self, image_id: str, tag_id: str, action: Action, act: Act, vocabulary: Vocabulary) -> Annotation:
        """Log a decision on a tag with its consequences. Raises Conflict, NoSuchImage."""
        tag = vocabulary.terms[tag_id]

        def step(connection: sa.Connection, current: Annotation) -> Step:
            shown, _ = _shown(connection, act.showing_id, image_id)
            added = action == "accept" and tag_id not in dict(shown.get(tag.facet, ()))
            changes = decide(current.verdicts, tag_id, "add" if added else action, vocabulary)
            return Step(act.version + 1, "decide", changes)

        return self._act(image_id, act, step, vocabulary)

    def undo(self, image_id: str, act: Act) -> Annotation:
        """Take back the latest step in effect by logging another one. Raises Conflict, NothingToUndo."""

        def step(connection: sa.Connection, current: Annotation) -> Step:
            last = last_to_undo(logged.step for logged in _log(connection, image_id, 0))
            if last is None:
                raise NothingToUndo("There is nothing to undo on this image.")
            return Step(act.version + 1, "undo", undoes=last.version)

        return self._act(image_id, act, step)

    def move(self, image_id: str, kind: str, act: Act) -> Annotation:
        """Mark the image `done`, `skip` it, or `reopen` it. Raises Conflict."""
        return self._act(image_id, act, lambda connection, current: Step(act.version + 1, kind))

    def _act(
        self,
        image_id: str,
        act: Act,
        make_step: Callable[[sa.Connection, Annotation], Step],
        vocabulary: Vocabulary | None = None,
    ) -> Annotation:
        """Log one step in one transaction, and raise the image's version by one. Raises Conflict if it moved before."""
        with self.writing() as connection:
            repeated = connection.execute(sa.select(steps.c.image_id).where(steps.c.key == act.key)).first()
            if repeated is not None and repeated.image_id == image_id:
                return _annotation(connection, image_id)
            this_image = sa.update(images).where(images.c.image_id == image_id)
            raised = this_image.where(images.c.version == act.version).values(version=act.version + 1)
            moved = connection.execute(raised)
            current = _annotation(connection, image_id)
            if moved.rowcount != 1 or repeated is not None:
                raise Conflict(current, _log(connection, image_id, act.version))
            self._log_step(connection, image_id, act, make_step(connection, current), vocabulary)
            state = _state(_log(connection, image_id, 0))
            connection.execute(this_image.values(state=state))
            return _annotation(connection, image_id)  # returned after the commit

    def _log_step(
        self, connection: sa.Connection, image_id: str, act: Act, step: Step, vocabulary: Vocabulary | None
    ) -> None:
        shown, model = _shown(connection, act.showing_id, image_id)
        of_step = {"image_id": image_id, "version": step.version}
        of_act = asdict(act) | {"at": self.clock(), "showing_id": act.showing_id if model else None}
        connection.execute(sa.insert(steps).values(of_act | of_step | {"kind": step.kind, "undoes": step.undoes}))
        for position, change in enumerate(step.changes):
            facet = vocabulary.terms[change.tag_id].facet if vocabulary and change.tag_id in vocabulary else None
            rank, score = _rank(shown, facet, change.tag_id)
            values = of_step | asdict(change) | {"facet": facet, "model": model, "score": score, "rank": rank}
            values |= {"decision_id": f"{image_id[:24]}-{step.version:06d}-{position:02d}", "position": position}
            connection.execute(sa.insert(decisions).values(values))


def is_blind(image_id: str, share: float, seed: int) -> bool:
    """Whether the image belongs to the share decided without suggestions: a function of its id and the seed."""
    draw = int.from_bytes(hashlib.sha256(f"{seed}:{image_id}".encode()).digest()[:8], "big")
    return draw < share * 2**64


def migrate(engine: sa.Engine) -> None:
    """Run the migrations that the database lacks."""
    with _writing(engine).begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "ml.assistant:migrations")
        config.set_main_option("path_separator", "os")
        command.upgrade(config, "head")


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database, None for any other database. Raises DatabaseError."""
    with _without_the_address():
        made = sa.make_url(url)
    return Path(made.database or "") if made.get_backend_name() == "sqlite" else None


@contextmanager
def _without_the_address() -> Iterator[None]:
    """Turns what goes wrong with a database into one sentence; drivers quote the address, or parts of the password."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, CommandError, ImportError, ValueError, OSError) as error:
        reason = next((said for kind, said in REASONS.items() if isinstance(error, kind)), type(error).__name__)
        missing = f" ({error.name})" if isinstance(error, ModuleNotFoundError) else ""
        message = f"The assistant's database cannot be opened: {reason}{missing}. Look at ASSISTANT_DATABASE or"
        raise DatabaseError(f"{message} --database; the address is not shown, as it may hold a password.") from None


def _writing(engine: sa.Engine) -> sa.Engine:
    """The engine for transactions that write; it shares the connections."""
    return engine.execution_options(assistant_writes=True)


def _engine(url: str) -> sa.Engine:
    made = sa.make_url(url)
    if made.get_backend_name() != "sqlite":
        return sa.create_engine(made, pool_pre_ping=True)
    if made.database:
        Path(made.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(made, connect_args={"check_same_thread": False}, pool_size=20, max_overflow=40)

    @sa.event.listens_for(engine, "connect")
    def durable(connection, _record):  # type: ignore[no-untyped-def]
        connection.isolation_level = None  # transactions are begun below, not by the driver
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=20000"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A writer takes the lock at once: two that read first and write later would deadlock.
        writes = connection.get_execution_options().get("assistant_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _image(connection: sa.Connection, image_id: str) -> sa.Row:
    row = connection.execute(sa.select(images).where(images.c.image_id == image_id)).first()
    if row is None:
        raise NoSuchImage("There is no such image in the queue.")
    return row


def _log(connection: sa.Connection, image_id: str, after: int) -> list[LoggedStep]:
    def of_image(table: sa.Table, *order: str) -> Sequence[sa.Row]:
        query = sa.select(table).where(table.c.image_id == image_id, table.c.version > after)
        return connection.execute(query.order_by(*(table.c[name] for name in order))).all()

    rows, lines = of_image(steps, "version"), of_image(decisions, "version", "position")
    return [LoggedStep(step, row.who, row.at) for step, row in zip(steps_of(rows, lines), rows, strict=True)]


def _annotation(connection: sa.Connection, image_id: str) -> Annotation:
    row = _image(connection, image_id)
    logged = [line.step for line in _log(connection, image_id, 0)]
    return Annotation(image_id, row.version, row.state, fold(logged), last_to_undo(logged) is not None)


def _state(logged: list[LoggedStep]) -> str:
    """Open, done or skipped: by the last such step in effect."""
    moves = [step.kind for step in current_steps(line.step for line in logged) if step.kind in STATES]
    return STATES[moves[-1]] if moves else "open"


def _shown(connection: sa.Connection, showing_id: str | None, image_id: str) -> tuple[dict, str | None]:
    """The suggestions shown and their model; empty if the showing is unknown or of another image."""
    this_one = (showings.c.showing_id == showing_id) & (showings.c.image_id == image_id)
    row = connection.execute(sa.select(showings).where(this_one)).first()
    return (json.loads(row.shown), row.model) if row else ({}, None)


def _rank(shown: dict, facet: str | None, tag_id: str) -> tuple[int | None, float | None]:
    ranks = ((rank, score) for rank, (tag, score) in enumerate(shown.get(facet, ()), start=1) if tag == tag_id)
    return next(ranks, (None, None))
