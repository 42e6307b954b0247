"""What queues are made of: collections, stated tags, and a model's ranking of the images."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, indexes and the table of rankings."""
    op.add_column("images", sa.Column("collection", sa.Text))
    op.add_column("images", sa.Column("stated", sa.Text))
    for column in ("collection", "batch", "attribution"):
        op.create_index(f"ix_images_{column}", "images", [column])
    op.create_table(
        "rankings",
        sa.Column("image_id", sa.String(64), sa.ForeignKey("images.image_id"), primary_key=True),
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("margin", sa.Float),
        sa.Column("disagreement", sa.Float),
        sa.Column("new_tags", sa.Integer),
    )


def downgrade() -> None:
    """Drop them again."""
    op.drop_table("rankings")
    for column in ("collection", "batch", "attribution"):
        op.drop_index(f"ix_images_{column}", "images")
    op.drop_column("images", "stated")
    op.drop_column("images", "collection")
