"""An image may have several second opinions: each is compared with the first by itself."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
COMPARED = ("first_version", "second_version")
RATED = ("tag_id", "facet", "first", "second")


def upgrade() -> None:
    """Key the comparisons by the second opinion, and let an image have several."""
    compared, rated = _all("comparisons", COMPARED), _all("ratings", RATED)
    _drop(unique=False)
    _create("second_id", sa.Column("image_id", sa.String(64), sa.ForeignKey("images.image_id"), nullable=False))
    op.create_index("ix_comparisons_image_id", "comparisons", ["image_id"])
    _fill("comparisons", ("second_id", "image_id", *COMPARED), compared)
    _fill("ratings", ("second_id", *RATED), rated)


def downgrade() -> None:
    """Key them by the image again; fails while an image has several second opinions."""
    compared, rated = _all("comparisons", COMPARED, "second_id"), _all("ratings", RATED, "second_id")
    _drop(unique=True)
    _create("image_id")
    _fill("comparisons", ("image_id", *COMPARED), compared)
    _fill("ratings", ("image_id", *RATED), rated)


def _all(name: str, columns: tuple[str, ...], key: str = "image_id") -> list[dict[str, object]]:
    """The rows of a table with the ids of both opinions."""
    images = sa.table("images", sa.column("image_id"), sa.column("second_of"))
    table = sa.table(name, sa.column(key), *map(sa.column, columns))
    same = images.c.image_id == table.c[key] if key == "second_id" else images.c.second_of == table.c[key]
    named = (images.c.image_id.label("second_id"), images.c.second_of.label("image_id"))
    query = sa.select(*named, *(table.c[column] for column in columns)).join_from(table, images, same)
    return [dict(row._mapping) for row in op.get_bind().execute(query)]


def _drop(*, unique: bool) -> None:
    op.drop_table("ratings")
    op.drop_table("comparisons")
    op.drop_index("ix_images_second_of", "images")
    op.create_index("ix_images_second_of", "images", ["second_of"], unique=unique)


def _create(key: str, *more: sa.Column) -> None:
    op.create_table(
        "comparisons",
        sa.Column(key, sa.String(64), sa.ForeignKey("images.image_id"), primary_key=True),
        *more,
        *(sa.Column(name, sa.Integer, nullable=False) for name in COMPARED),
    )
    op.create_table(
        "ratings",
        sa.Column(key, sa.String(64), sa.ForeignKey(f"comparisons.{key}"), primary_key=True),
        sa.Column("tag_id", sa.String(1_100), primary_key=True),
        sa.Column("facet", sa.String(32), nullable=False),
        *(sa.Column(name, sa.Boolean, nullable=False) for name in ("first", "second")),
    )


def _fill(name: str, columns: tuple[str, ...], rows: list[dict[str, object]]) -> None:
    if rows:
        kept = [{column: row[column] for column in columns} for row in rows]
        op.get_bind().execute(sa.insert(sa.table(name, *map(sa.column, columns))), kept)
