"""Opening: new databases, old ones, and those of newer programs."""

import importlib.util
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from strop.errors import StoreTooNew
from strop.store import Store, metadata
from strop.store.schema import MIGRATIONS, migrate, revisions
from tests.store.children import child

_SCRIPT = Path(__file__).parents[2] / "scripts" / "make_migration.py"


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_migration", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sqlite_schema(connection: Connection) -> dict[str, list[str]]:
    """Every table's and index's own words, in an order that adding a column later does not change."""
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    return {
        name: sorted(line.strip(" ,\t") for line in sql.replace('"', "").splitlines())
        for name, sql in rows
        if name != "strop_version"
    }


_POSTGRES_SCHEMA = """
    SELECT 'column ' || table_name || '.' || column_name, concat_ws(' ', data_type, character_maximum_length,
           is_nullable, column_default, identity_generation)
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'constraint ' || conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index ' || tablename || '.' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
"""


def _postgres_schema(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text(_POSTGRES_SCHEMA))
    return {name: told for name, told in rows if "strop_version" not in name}


def test_the_migrations_make_what_the_rooms_tables_say_on_sqlite() -> None:
    """When this fails: python scripts/make_migration.py "what changes"."""
    _script().import_tables()
    found: list[dict[str, list[str]]] = []
    for make in (migrate, metadata.create_all):
        with create_engine("sqlite://", poolclass=NullPool).connect() as connection:
            make(connection)
            found.append(_sqlite_schema(connection))
    assert found[0] == found[1]
    assert "leases" in found[0]


def test_the_migrations_make_what_the_rooms_tables_say_on_postgresql(postgres_server: str) -> None:
    from tests.support import postgres

    _script().import_tables()
    found: list[dict[str, str]] = []
    for make in (migrate, metadata.create_all):
        with postgres.fresh_database(postgres_server) as url:
            engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
            with engine.begin() as connection:
                make(connection)
                found.append(_postgres_schema(connection))
            engine.dispose()
    assert found[0] == found[1]
    assert any(name.startswith("column leases.") for name in found[0])


def test_the_revisions_are_one_line_named_after_their_files() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(MIGRATIONS))
    assert [script.revision for script in scripts.walk_revisions()][::-1] == revisions()
    assert scripts.get_heads() == [revisions()[-1]]
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+", name) and len(name) <= 32 for name in revisions())


def test_a_current_database_opens_without_alembic(tmp_path: Path) -> None:
    file = tmp_path / "strop.db"
    Store.open(file).close()
    with child("open", str(file)) as other:
        assert other.told() == "False"


def test_a_newer_database_is_refused_and_left_alone(shared_url: str) -> None:
    with Store.open(shared_url) as store, store.write() as connection:
        connection.execute(text("UPDATE strop_version SET version_num = '9999_from_the_future'"))
        connection.execute(text("DROP TABLE leases"))
    file = Path(shared_url)
    before = file.read_bytes() if file.exists() else b""
    with pytest.raises(StoreTooNew, match="9999_from_the_future") as caught:
        Store.open(shared_url)
    assert revisions()[-1] in caught.value.message
    assert "upgrade" in (caught.value.hint or "")
    assert (file.read_bytes() if file.exists() else b"") == before
    engine = create_engine(shared_url.replace("postgresql:", "postgresql+psycopg:")) if not before else None
    if engine is not None:
        assert "leases" not in inspect(engine).get_table_names()
        engine.dispose()


def test_an_upgrade_that_breaks_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    """A table that is in the way stops the migration midway."""
    file = tmp_path / "strop.db"
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("CREATE TABLE strop_version (version_num VARCHAR(32) NOT NULL)")
        other.execute("CREATE TABLE leases (id INTEGER)")
    with pytest.raises(Exception, match="leases"):
        Store.open(file)
    with closing(sqlite3.connect(file)) as other:
        tables = {name for (name,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"strop_version", "leases"}
