"""Images, showings, steps and decisions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "images",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("image_id", sa.String(64), nullable=False),
        sa.Column("record_id", sa.Text),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("source_url", sa.Text),
        sa.Column("attribution", sa.Text),
        sa.Column("batch", sa.String(64)),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.Column("added_at", sa.DateTime, nullable=False),
        sa.Column("blind", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("image_id", name="uq_images_image_id"),
    )
    op.create_index("ix_images_state", "images", ["state"])
    op.create_table(
        "showings",
        sa.Column("showing_id", sa.String(64), primary_key=True),
        sa.Column("image_id", sa.String(64), sa.ForeignKey("images.image_id"), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("shown", sa.Text, nullable=False),
        sa.Column("shown_at", sa.DateTime, nullable=False),
    )
    op.create_index("ix_showings_image_id", "showings", ["image_id"])
    op.create_table(
        "steps",
        sa.Column("image_id", sa.String(64), sa.ForeignKey("images.image_id"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("undoes", sa.Integer),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("opened_at", sa.DateTime),
        sa.Column("clicks", sa.Integer, nullable=False),
        sa.Column("showing_id", sa.String(64), sa.ForeignKey("showings.showing_id")),
        sa.Column("key", sa.String(64), nullable=False),
        sa.UniqueConstraint("key", name="uq_steps_key"),
    )
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.String(48), primary_key=True),
        sa.Column("image_id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("tag_id", sa.String(16), nullable=False),
        sa.Column("facet", sa.String(32)),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("because", sa.String(16)),
        sa.Column("model", sa.Text),
        sa.Column("score", sa.Float),
        sa.Column("rank", sa.Integer),
        sa.ForeignKeyConstraint(["image_id", "version"], ["steps.image_id", "steps.version"]),
    )
    op.create_index("ix_decisions_tag_id", "decisions", ["tag_id"])


def downgrade() -> None:
    """Drop them again."""
    for table in ("decisions", "steps", "showings", "images"):
        op.drop_table(table)
