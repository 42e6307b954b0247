"""Tags of the published files have their facet and path as id, which is longer than an AAT id."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = (("decisions", "tag_id", False), ("decisions", "because", True), ("ratings", "tag_id", False),
           ("settlements", "tag_id", False))  # fmt: skip


def upgrade() -> None:
    """Widen the columns; SQLite takes any length as it is."""
    _resize(1_100)


def downgrade() -> None:
    """Make them narrow again."""
    _resize(16)


def _resize(length: int) -> None:
    if op.get_bind().dialect.name != "sqlite":
        for table, column, nullable in COLUMNS:
            op.alter_column(table, column, type_=sa.String(length), existing_nullable=nullable)
