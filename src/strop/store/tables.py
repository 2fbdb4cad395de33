"""The store's own table."""

from sqlalchemy import BigInteger, Column, Integer, String, Table

from strop.store.columns import UtcDateTime
from strop.store.schema import metadata

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("owner", String, nullable=False),
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("machine", String, nullable=False),
    Column("pid_birth", String, nullable=False),
)
