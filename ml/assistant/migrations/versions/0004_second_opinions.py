"""Second opinions, how they compare with the first, and what a reviewer settled."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the tables."""
    op.add_column("images", sa.Column("second_of", sa.String(64)))
    op.create_index("ix_images_second_of", "images", ["second_of"], unique=True)
    op.create_table(
        "comparisons",
        sa.Column("image_id", sa.String(64), sa.ForeignKey("images.image_id"), primary_key=True),
        sa.Column("first_version", sa.Integer, nullable=False),
        sa.Column("second_version", sa.Integer, nullable=False),
    )
    op.create_table(
        "ratings",
        sa.Column("image_id", sa.String(64), sa.ForeignKey("comparisons.image_id"), primary_key=True),
        sa.Column("tag_id", sa.String(16), primary_key=True),
        sa.Column("facet", sa.String(32), nullable=False),
        sa.Column("first", sa.Boolean, nullable=False),
        sa.Column("second", sa.Boolean, nullable=False),
    )
    op.create_table(
        "settlements",
        sa.Column("image_id", sa.String(64), sa.ForeignKey("images.image_id"), primary_key=True),
        sa.Column("tag_id", sa.String(16), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.UniqueConstraint("key", name="uq_settlements_key"),
    )


def downgrade() -> None:
    """Drop them again."""
    for table in ("settlements", "ratings", "comparisons"):
        op.drop_table(table)
    op.drop_index("ix_images_second_of", "images")
    op.drop_column("images", "second_of")
