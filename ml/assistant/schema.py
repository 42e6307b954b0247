"""The tables of the store; `migrations/` creates them."""

from datetime import UTC, datetime

import sqlalchemy as sa


class Utc(sa.TypeDecorator):
    """A time in UTC. It is stored without its zone, which SQLite cannot store."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """The time in UTC, without its zone."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """The stored time with its zone."""
        return None if value is None else value.replace(tzinfo=UTC)


TAG = sa.String(1_100)  # an AAT id, or the facet and path of a published tag
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

images = sa.Table(
    "images",
    metadata,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),  # in the queue
    sa.Column("image_id", sa.String(64), unique=True, nullable=False),  # sha256 of the source bytes
    sa.Column("record_id", sa.Text),  # Europeana's id, null for an upload
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("source", sa.String(16), nullable=False),  # upload, dataset, iiif or europeana
    sa.Column("source_url", sa.Text),
    sa.Column("attribution", sa.Text),
    sa.Column("batch", sa.String(64)),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("added_by", sa.Text, nullable=False),
    sa.Column("added_at", Utc, nullable=False),
    sa.Column("blind", sa.Boolean, nullable=False),  # decided without suggestions
    sa.Column("state", sa.String(16), nullable=False, index=True),  # open, done or skipped
    sa.Column("version", sa.Integer, nullable=False),  # number of steps; the optimistic lock
    sa.Column("collection", sa.Text, index=True),
    sa.Column("stated", sa.Text),  # JSON: the tags that its record states; null if that is not known
    sa.Column("manifest", sa.Text, index=True),  # IIIF: the manifest, its canvas with the picture, the canvas's size
    sa.Column("canvas", sa.Text),
    sa.Column("canvas_width", sa.Integer),
    sa.Column("canvas_height", sa.Integer),
    # The image that this is a second opinion on, which has its own log; then `added_by` is who gives it. The picture is
    # the one of that image, and `image_id` the sha256 of its id and the name.
    sa.Column("second_of", sa.String(64)),
    sa.Index("ix_images_second_of", "second_of"),
    sa.Index("ix_images_batch", "batch"),
    sa.Index("ix_images_attribution", "attribution"),
)

rankings = sa.Table(
    "rankings",
    metadata,
    sa.Column("image_id", sa.String(64), sa.ForeignKey("images.image_id"), primary_key=True),
    sa.Column("model", sa.String(200), primary_key=True),  # key@version
    sa.Column("margin", sa.Float),  # 0 where the model could toss a coin, 1 where it is certain
    sa.Column("disagreement", sa.Float),  # 0 to 1; null without stated tags
    sa.Column("new_tags", sa.Integer),  # suggestions that it is sure of and the record does not state
)

showings = sa.Table(
    "showings",
    metadata,
    sa.Column("showing_id", sa.String(64), primary_key=True),  # sha256 of image, model and order
    sa.Column("image_id", sa.String(64), sa.ForeignKey("images.image_id"), nullable=False, index=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("shown", sa.Text, nullable=False),  # JSON: facet -> [[tag, score], …] in the order shown
    sa.Column("shown_at", Utc, nullable=False),
)

steps = sa.Table(
    "steps",
    metadata,
    sa.Column("image_id", sa.String(64), sa.ForeignKey("images.image_id"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),  # decide, undo, done, skip or reopen
    sa.Column("undoes", sa.Integer),  # version of the undone step
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.Column("opened_at", Utc),  # when the page showed the image
    sa.Column("clicks", sa.Integer, nullable=False),  # clicks and keys since the previous step
    sa.Column("showing_id", sa.String(64), sa.ForeignKey("showings.showing_id")),
    sa.Column("key", sa.String(64), unique=True, nullable=False),  # a repeated request is one step
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("decision_id", sa.String(48), primary_key=True),
    sa.Column("image_id", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),  # 0 is the decision, the others are its consequences
    sa.Column("tag_id", TAG, nullable=False, index=True),
    sa.Column("facet", sa.String(32)),
    sa.Column("action", sa.String(16), nullable=False),  # accept, add, reject or withdraw
    sa.Column("because", TAG),  # the decided tag that this is a consequence of
    sa.Column("model", sa.Text),  # null in blind mode
    sa.Column("score", sa.Float),
    sa.Column("rank", sa.Integer),  # 1 is the best; null if not suggested
    sa.ForeignKeyConstraint(["image_id", "version"], ["steps.image_id", "steps.version"]),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("token_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(100), nullable=False, index=True),
    sa.Column("role", sa.String(16), nullable=False),  # cataloguer, reviewer or admin
    sa.Column("token_hash", sa.String(64), unique=True, nullable=False),  # sha256; the token itself is not kept
    sa.Column("made_at", Utc, nullable=False),
    sa.Column("expires_at", Utc, nullable=False),
    sa.Column("revoked_at", Utc),
)

comparisons = sa.Table(  # of two finished opinions on an image: the first, and another one
    "comparisons",
    metadata,
    sa.Column("second_id", sa.String(64), sa.ForeignKey("images.image_id"), primary_key=True),
    sa.Column("image_id", sa.String(64), sa.ForeignKey("images.image_id"), nullable=False, index=True),
    sa.Column("first_version", sa.Integer, nullable=False),  # the versions of the two logs that were compared
    sa.Column("second_version", sa.Integer, nullable=False),
)

ratings = sa.Table(  # every tag that either of them was shown or decided on
    "ratings",
    metadata,
    sa.Column("second_id", sa.String(64), sa.ForeignKey("comparisons.second_id"), primary_key=True),
    sa.Column("tag_id", TAG, primary_key=True),
    sa.Column("facet", sa.String(32), nullable=False),
    sa.Column("first", sa.Boolean, nullable=False),  # whether the tag applies, by the first opinion
    sa.Column("second", sa.Boolean, nullable=False),
)

settlements = sa.Table(
    "settlements",
    metadata,
    sa.Column("image_id", sa.String(64), sa.ForeignKey("images.image_id"), primary_key=True),
    sa.Column("tag_id", TAG, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),  # 1 for the first settlement of the tag; the last one counts
    sa.Column("accepted", sa.Boolean, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.Column("key", sa.String(64), unique=True, nullable=False),  # a repeated request is one settlement
)
