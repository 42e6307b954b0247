"""Second opinions: an image decided once more by another person, blind, in a log of its own; and what differs."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from ml.assistant.annotation import fold, implied
from ml.assistant.schema import comparisons, images, ratings, settlements, showings, steps
from ml.assistant.store import Store, StoreError
from ml.assistant.vocabulary import Vocabulary

FIRST, SECOND = images.alias("first"), images.alias("second")
NEW = {"state": "open", "version": 0}
MOST = 3  # ours: opinions on an image beside the first; with two of them a majority shows


class NothingToSecond(StoreError):
    """No finished image of another person waits for a second opinion."""


class Settled(StoreError):
    """Someone else has settled the tag meanwhile."""


@dataclass(frozen=True)
class Settlement:
    """What a reviewer settled on a tag."""

    number: int
    accepted: bool
    who: str
    at: datetime


@dataclass(frozen=True)
class Rating:
    """A tag that two people saw on an image: whether it applies, by each of them. `second_id`: the second opinion."""

    image_id: str
    second_id: str
    tag_id: str
    facet: str
    first: bool
    second: bool

    @property
    def differs(self) -> bool:
        """Whether the two disagree."""
        return self.first != self.second


@dataclass(frozen=True)
class Conflict:
    """A tag on which two people differ, and what a reviewer settled, if anyone did."""

    rating: Rating
    settled: Settlement | None


def opinion_id(image_id: str, who: str) -> str:
    """The id of a person's second opinion on an image."""
    return hashlib.sha256(f"second opinion on {image_id} by {who}".encode()).hexdigest()


def begin_opinions(store: Store, who: str, count: int) -> list[str]:
    """Put up to `count` finished images of other people into a person's queue of second opinions. Returns their ids.

    Images with the fewest opinions come first, otherwise they are drawn by the hash of their ids. Nobody gets an image
    that they have decided on, or have a second opinion on, and none gets more than `MOST`. Raises NothingToSecond.
    """
    begun: list[str] = []
    for row in _waiting(store, who):
        if len(begun) == count:
            break
        of_opinion = {"image_id": opinion_id(row.image_id, who), "second_of": row.image_id, "added_by": who}
        values = (
            {name: value for name, value in row._mapping.items() if name not in ("position", "opinions")}
            | NEW
            | of_opinion
        )
        with suppress(IntegrityError), store.writing() as connection:  # the same request may have come twice
            _lock(connection, row.image_id)
            given = sa.select(sa.func.count()).where(images.c.second_of == row.image_id)
            if connection.execute(given).scalar_one() < MOST:  # others may have begun just now
                connection.execute(sa.insert(images).values(values | {"added_at": store.clock()}))
                begun.append(of_opinion["image_id"])
    if not begun:
        raise NothingToSecond("No image that another person has finished waits for a second opinion.")
    return begun


def _waiting(store: Store, who: str) -> list[sa.Row]:
    of_who = sa.exists().where((steps.c.image_id == images.c.image_id) & (steps.c.who == who))
    of_image = SECOND.c.second_of == images.c.image_id
    given = sa.exists().where(of_image & (SECOND.c.added_by == who))
    opinions = sa.select(sa.func.count()).where(of_image).correlate(images).scalar_subquery()
    wanted = (images.c.state == "done") & images.c.second_of.is_(None) & ~of_who & ~given & (opinions < MOST)
    with store.engine.connect() as connection:
        rows = connection.execute(sa.select(images, opinions.label("opinions")).where(wanted)).all()
    return sorted(rows, key=lambda row: (row.opinions, hashlib.sha256(row.image_id.encode()).digest()))


def open_opinion(store: Store, image_id: str, who: str) -> bool:
    """Whether the person still has to finish a second opinion on the image, and must not see the first."""
    wanted = (images.c.second_of == image_id) & (images.c.added_by == who) & (images.c.state != "done")
    with store.engine.connect() as connection:
        return connection.execute(sa.select(images.c.image_id).where(wanted)).first() is not None


def kept_apart(store: Store, who: str) -> set[str]:
    """The images that a person may not look at: those they have to second, and the second opinions of others."""
    own_open = (images.c.added_by == who) & (images.c.state != "done")
    query = sa.select(images.c.image_id, images.c.second_of, own_open.label("own_open"), images.c.added_by)
    with store.engine.connect() as connection:
        rows = connection.execute(query.where(images.c.second_of.is_not(None))).all()
    return {row.second_of for row in rows if row.own_open} | {row.image_id for row in rows if row.added_by != who}


def compare(store: Store, vocabulary: Vocabulary) -> int:
    """Compare the finished pairs of opinions that are new or have changed. Returns how many there were."""
    with store.engine.connect() as connection:
        pairs = connection.execute(_finished_pairs(is_new=True)).all()
    for pair in pairs:
        found = list(_compared(store, pair, vocabulary))
        with store.writing() as connection:
            _lock(connection, pair.image_id)
            for table in (ratings, comparisons):
                connection.execute(sa.delete(table).where(table.c.second_id == pair.second_id))
            connection.execute(sa.insert(comparisons).values(pair._mapping))
            if found:
                rows = [{name: value for name, value in vars(each).items() if name != "image_id"} for each in found]
                connection.execute(sa.insert(ratings), rows)
    return len(pairs)


def _finished_pairs(*, is_new: bool) -> sa.Select:
    """Ids and versions of the first opinion and another, where both people are done: compared already or new."""
    same = (
        (comparisons.c.second_id == SECOND.c.image_id)
        & (comparisons.c.first_version == FIRST.c.version)
        & (comparisons.c.second_version == SECOND.c.version)
    )
    known = sa.exists().where(same)
    pairs = sa.select(
        SECOND.c.image_id.label("second_id"),
        FIRST.c.image_id,
        FIRST.c.version.label("first_version"),
        SECOND.c.version.label("second_version"),
    ).join_from(FIRST, SECOND, SECOND.c.second_of == FIRST.c.image_id)
    both_done = (FIRST.c.state == "done") & (SECOND.c.state == "done")
    ordered = pairs.where(both_done, ~known if is_new else known)
    return ordered.order_by(FIRST.c.image_id, SECOND.c.position)


def finished_pairs(store: Store) -> Sequence[sa.Row]:
    """The pairs of opinions that are finished and compared: `image_id`, and `second_id`, by image and age."""
    with store.engine.connect() as connection:
        return connection.execute(_finished_pairs(is_new=False)).all()


def _compared(store: Store, pair: sa.Row, vocabulary: Vocabulary) -> Iterable[Rating]:
    """A rating of every tag that either person was shown or decided on.

    A tag applies if it was accepted, or one below it. What a person was shown and left alone does not apply: they
    marked the image as done.
    """
    seen: set[str] = set()
    applies: list[set[str]] = []
    for image_id in (pair.image_id, pair.second_id):
        verdicts = fold(line.step for line in store.log(image_id))
        accepted = {tag for tag, verdict in verdicts.items() if verdict == "accepted"}
        applies.append(accepted | set(implied(verdicts, vocabulary)))
        seen |= set(verdicts) | _shown(store, image_id)
    for tag in sorted(seen):
        if tag in vocabulary:
            facet, first, second = vocabulary.terms[tag].facet, tag in applies[0], tag in applies[1]
            yield Rating(pair.image_id, pair.second_id, tag, facet, first, second)


def _shown(store: Store, image_id: str) -> set[str]:
    with store.engine.connect() as connection:
        rows = connection.execute(sa.select(showings.c.shown).where(showings.c.image_id == image_id))
        return {tag for row in rows for tags in json.loads(row.shown).values() for tag, _ in tags}


def read_ratings(store: Store) -> list[Rating]:
    """The ratings of all pairs of opinions that are finished and compared, by image, age of the second, and tag."""
    pairs = _finished_pairs(is_new=False)
    of_pair = sa.select(ratings).order_by(ratings.c.tag_id)
    found: defaultdict[str, list[sa.Row]] = defaultdict(list)
    with store.engine.connect() as connection:
        finished = connection.execute(pairs).all()
        for row in connection.execute(of_pair):
            found[row.second_id].append(row)
    return [Rating(image_id=pair.image_id, **row._mapping) for pair in finished for row in found[pair.second_id]]


def read_settlements(store: Store) -> dict[tuple[str, str], Settlement]:
    """The last settlement of every tag, by image and tag."""
    names = ("number", "accepted", "who", "at")
    with store.engine.connect() as connection:
        rows = connection.execute(sa.select(settlements).order_by(settlements.c.number)).all()
    return {(row.image_id, row.tag_id): Settlement(*(row._mapping[name] for name in names)) for row in rows}


def read_conflicts(store: Store) -> list[Conflict]:
    """The tags on which the first opinion and another differ, by image, other opinion and tag."""
    settled = read_settlements(store)
    return [Conflict(each, settled.get((each.image_id, each.tag_id))) for each in read_ratings(store) if each.differs]


def settle(store: Store, image_id: str, tag_id: str, accepted: bool, who: str, number: int, key: str) -> None:
    """Settle a tag. `number`: that of the settlement which the reviewer saw, 0 for none. Raises Settled."""
    row = {"image_id": image_id, "tag_id": tag_id, "number": number + 1, "accepted": accepted, "who": who, "key": key}
    with store.writing() as connection:
        _lock(connection, image_id)
        if connection.execute(sa.select(settlements).where(settlements.c.key == key)).first():
            return
        of_tag = (settlements.c.image_id == image_id) & (settlements.c.tag_id == tag_id)
        last = connection.execute(sa.select(sa.func.max(settlements.c.number)).where(of_tag)).scalar() or 0
        if last != number:
            raise Settled("Someone else has settled this tag meanwhile.")
        connection.execute(sa.insert(settlements).values(row | {"at": store.clock()}))


def _lock(connection: sa.Connection, image_id: str) -> None:
    """Let the transactions on the opinions on an image take turns; in SQLite all that write do."""
    this_image = sa.select(images.c.image_id).where(images.c.image_id == image_id)
    connection.execute(this_image.with_for_update(key_share=True))


def people_of(store: Store, second_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Who gave the first opinion and the second, by the id of the second: those who decided, joined by commas."""
    of_first: defaultdict[str, dict[str, None]] = defaultdict(dict)
    with store.engine.connect() as connection:
        wanted = SECOND.c.image_id.in_(second_ids)
        seconds = connection.execute(sa.select(SECOND.c.image_id, SECOND.c.second_of, SECOND.c.added_by).where(wanted))
        found = seconds.all()
        decided = steps.c.image_id.in_({row.second_of for row in found})
        for row in connection.execute(
            sa.select(steps.c.image_id, steps.c.who).where(decided).order_by(steps.c.version)
        ):
            of_first[row.image_id][row.who] = None
    return {row.image_id: (", ".join(of_first[row.second_of]), row.added_by) for row in found}
