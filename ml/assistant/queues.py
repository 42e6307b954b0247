"""Which images a cataloguer sees, in which order: by batch, provider, collection and state, or by a model's ranking."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import sqlalchemy as sa

from ml.assistant.schema import images, rankings, steps
from ml.assistant.store import Store

Order = Literal["added", "uncertain", "disagreement", "new_tags"]
RANKED: tuple[str, ...] = get_args(Order)[1:]
GROUPS = {"batches": images.c.batch, "providers": images.c.attribution, "collections": images.c.collection}
TOLD = ("collection", "source", "added_by", "added_at")  # of a group: by these a person recognises it
MOST_GROUPS = 200  # of each kind, those with the latest images
LATEST = 50  # finished images that the estimate looks at
FEWEST = 5  # finished images without which there is no estimate
LONGEST_S = 600.0  # what one image counts for at most: people go for lunch


@dataclass(frozen=True)
class Queue:
    """A choice of images and their order.

    `model`: the key@version whose ranking orders them. `second_by`: the second opinions of this person, else none.
    """

    batch: str | None = None
    provider: str | None = None
    collection: str | None = None
    order: Order = "added"
    model: str | None = None
    second_by: str | None = None

    def _chosen(self, query: sa.Select, state: str | None = None) -> sa.Select:
        wanted = {
            images.c.batch: self.batch,
            images.c.attribution: self.provider,
            images.c.collection: self.collection,
            images.c.state: state,
        }
        chosen = query.where(*(column == value for column, value in wanted.items() if value is not None))
        if self.second_by is None:
            return chosen.where(images.c.second_of.is_(None))
        return chosen.where(images.c.second_of.is_not(None), images.c.added_by == self.second_by)

    def _ordered_by(self) -> list[sa.ColumnElement]:
        """What has no ranking comes last."""
        by: dict[str, sa.ColumnElement] = {
            "uncertain": rankings.c.margin,
            "disagreement": -rankings.c.disagreement,
            "new_tags": -rankings.c.new_tags,
        }
        if self.order == "added":
            return [images.c.position]
        return [by[self.order].is_(None), by[self.order], images.c.position]

    def _with_rankings(self) -> sa.FromClause:
        this_one = (rankings.c.image_id == images.c.image_id) & (rankings.c.model == (self.model or ""))
        return images.outerjoin(rankings, this_one)

    def rows(self, store: Store, *, state: str | None, offset: int, limit: int) -> Sequence[sa.Row]:
        """The images of the queue in its order."""
        query = self._chosen(sa.select(images).select_from(self._with_rankings()), state)
        with store.engine.connect() as connection:
            return connection.execute(query.order_by(*self._ordered_by()).offset(offset).limit(limit)).all()

    def place(self, store: Store, image_id: str, *, state: str | None) -> int | None:
        """The place of an image in the queue, from 0; None if it is not in it."""
        number = sa.func.row_number().over(order_by=self._ordered_by()).label("number")
        numbered = sa.select(images.c.image_id, number).select_from(self._with_rankings())
        of_all = self._chosen(numbered, state).subquery()
        with store.engine.connect() as connection:
            found = connection.execute(sa.select(of_all.c.number).where(of_all.c.image_id == image_id)).scalar()
        return None if found is None else found - 1

    def progress(self, store: Store, who: str | None = None) -> dict[str, Any]:
        """How many images are open, done and skipped, and an estimate of the seconds that the open ones take."""
        counted = self._chosen(sa.select(images.c.state, sa.func.count())).group_by(images.c.state)
        with store.engine.connect() as connection:
            counts: dict[str, int] = {row[0]: row[1] for row in connection.execute(counted)}
        each = seconds_each(store, who)
        left = counts.get("open", 0)
        return {state: counts.get(state, 0) for state in ("open", "done", "skipped")} | {
            "all": sum(counts.values()),
            "left_s": None if each is None else round(each * left),
        }

    def ranked(self, store: Store) -> dict[str, int]:
        """How many of the open images the model has ranked, and how many there are to rank."""
        seen = sa.func.count(rankings.c.image_id)
        query = sa.select(seen, sa.func.count()).select_from(self._with_rankings())
        open_ones = self._chosen(query, "open").where(images.c.blind.is_(False))
        with store.engine.connect() as connection:
            ranked, to_rank = connection.execute(open_ones).one()
        return {"ranked": ranked, "all": to_rank}


def groups(store: Store) -> dict[str, list[dict[str, Any]]]:
    """The batches, providers and collections in the queue, the latest first, with the number of their images."""
    found = {}
    with store.engine.connect() as connection:
        for name, column in GROUPS.items():
            n_open = sa.func.sum(sa.case((images.c.state == "open", 1), else_=0)).label("open")
            told = [sa.func.min(images.c[each]).label(each) for each in TOLD]
            query = sa.select(column.label("key"), n_open, sa.func.count().label("all"), *told)
            query = query.where(column != "", images.c.second_of.is_(None))
            latest = query.group_by(column).order_by(sa.func.max(images.c.position).desc()).limit(MOST_GROUPS)
            found[name] = [dict(row._mapping) for row in connection.execute(latest)]
    return found


def seconds_each(store: Store, who: str | None = None) -> float | None:
    """The median time from opening an image to its end, lately and by this person; None while that is unknown."""
    ended = steps.c.kind.in_(("done", "skip")) & steps.c.opened_at.is_not(None)
    query = sa.select(steps.c.opened_at, steps.c.at).where(ended).order_by(steps.c.at.desc()).limit(LATEST)
    with store.engine.connect() as connection:
        own = connection.execute(query.where(steps.c.who == who)).all() if who else []
        latest = own if len(own) >= FEWEST else connection.execute(query).all()
    took = sorted(min(LONGEST_S, (row.at - row.opened_at).total_seconds()) for row in latest if row.at >= row.opened_at)
    return took[len(took) // 2] if len(took) >= FEWEST else None
