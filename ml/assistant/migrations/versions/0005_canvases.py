"""IIIF manifests and canvases of images."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for column in ("manifest", "canvas"):
        op.add_column("images", sa.Column(column, sa.Text))
    for column in ("canvas_width", "canvas_height"):
        op.add_column("images", sa.Column(column, sa.Integer))
    op.create_index("ix_images_manifest", "images", ["manifest"])


def downgrade() -> None:
    """Drop them again."""
    op.drop_index("ix_images_manifest", "images")
    for column in ("canvas_height", "canvas_width", "canvas", "manifest"):
        op.drop_column("images", column)
