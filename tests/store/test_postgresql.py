"""PostgreSQL's own matters."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import insert, text

from strop.errors import StoreError, StoreUnwritable
from strop.store import Store
from tests.store.notes import make_tables, notes, texts


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        Store.open("postgresql://me:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_a_database_that_is_not_there_is_said(postgres_url: str) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        Store.open(postgres_url.replace("strop_test", "no_such"))


def test_the_missing_driver_is_answered_with_the_install_line() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from strop.store import Store\nfrom strop.errors import MissingExtra\n"
        "try: Store.open('postgresql://localhost/x')\nexcept MissingExtra as error: print(error.hint)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "pip install 'strop[postgres]'"


def test_writers_that_need_not_be_alone_run_side_by_side(postgres_url: str) -> None:
    both = threading.Barrier(2, timeout=20)

    def write(word: str) -> None:
        with store.write(exclusive=False) as connection:
            connection.execute(insert(notes), {"text": word})
            both.wait()

    with Store.open(postgres_url) as store, ThreadPoolExecutor(2) as pool:
        make_tables(store)
        list(pool.map(write, ["a", "b"]))
        assert sorted(str(word) for word in texts(store)) == ["a", "b"]


def test_a_server_that_dropped_its_connections_is_reconnected(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        make_tables(store)

        def write_and_die() -> None:
            with store.write() as connection:
                connection.execute(insert(notes), {"text": "lost"})
                connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

        with pytest.raises(StoreError, match="cannot be reached"):
            write_and_die()
        with store.write() as connection:
            connection.execute(insert(notes), {"text": "kept"})
        assert texts(store) == ["kept"]


def test_a_standby_is_a_clear_error(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        make_tables(store)
        with store.write() as connection:
            name = connection.execute(text("SELECT current_database()")).scalar_one()
            connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    with Store.open(postgres_url) as store:
        with pytest.raises(StoreUnwritable, match="read-only"), store.write() as connection:
            connection.execute(insert(notes), {"text": "lost"})
        assert texts(store) == []


def test_a_foreign_session_time_zone_changes_nothing(postgres_url: str) -> None:
    with Store.open(postgres_url) as store, store.write() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET timezone = 'Asia/Kathmandu'"))
    with Store.open(postgres_url) as store, store.read() as connection:
        assert connection.execute(text("SHOW timezone")).scalar_one() == "UTC"
