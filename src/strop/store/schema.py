"""The one metadata of the house, and how a database gets from its revision to this program's."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Connection, MetaData, inspect

from strop.errors import StoreTooNew
from strop.store.backend import Backend

VERSION_TABLE = "strop_version"
MIGRATIONS = Path(__file__).parent / "migrations"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Alembic's `op` and `context` are global to the process.
_one_at_a_time = threading.Lock()


def revisions() -> list[str]:
    """Every revision this program knows, oldest first: the names of the migration files."""
    return sorted(path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def bring_up_to_date(backend: Backend) -> None:
    """Migrate `backend` to this program's newest revision.

    Alembic is imported only when there is something to do. Raises StoreTooNew for a revision of a newer program.
    """
    known = revisions()
    with backend.read() as connection:
        found = _revision(connection, backend, known)
    if found != known[-1]:
        with _one_at_a_time, backend.upgrading() as connection:
            if _revision(connection, backend, known) != known[-1]:
                migrate(connection)
    backend.settle()


def migrate(connection: Connection, revision: str = "head") -> None:
    """Run the migrations up to `revision` inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, revision)


def _revision(connection: Connection, backend: Backend, known: list[str]) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        backend.refuse_foreign(connection)
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar_one_or_none()  # noqa: S608 - a constant
    if found is not None and found not in known:
        raise StoreTooNew(
            f"the database {backend.url} has schema {found!r}, and this program knows none after {known[-1]!r}; "
            f"it was left as it is",
            hint="a newer Strop wrote it: upgrade this one (pip install --upgrade strop), or use another database",
        )
    return found
