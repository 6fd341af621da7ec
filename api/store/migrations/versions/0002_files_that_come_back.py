"""The same bytes may come again once a case of them was corrected or withdrawn: settled submissions may be alike.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One submission of the same bytes at most waits to be worked on; which stands is known by their cases."""
    received = sa.text("state = 'received'")
    op.drop_index("uq_submission_counting", table_name="submission")
    op.create_index(
        "uq_submission_received", "submission", ["hospital_id", "month", "kind", "sha256"],
        unique=True, sqlite_where=received, postgresql_where=received,
    )  # fmt: skip
