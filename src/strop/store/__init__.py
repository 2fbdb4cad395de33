"""The database: SQLite at hand, PostgreSQL at scale; transactions, migrations and leases."""

from strop.store.columns import JsonText, UtcDateTime
from strop.store.lease import Lease
from strop.store.prepared import Prepared, Upsert, state_of
from strop.store.schema import metadata
from strop.store.store import Store

__all__ = ["JsonText", "Lease", "Prepared", "Store", "Upsert", "UtcDateTime", "metadata", "state_of"]
