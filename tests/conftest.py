"""Databases for every room's tests."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from strop.store import Store
from tests.support import postgres

# A shell that starts the tests in the background has Ctrl-C ignored, and every process that they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A running PostgreSQL server; started when the first test asks for it."""
    with postgres.server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty PostgreSQL database of this test's own."""
    with postgres.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of database in turn, empty, of this test's own."""
    kinds = {"memory": lambda: ":memory:", "sqlite": lambda: str(tmp_path / "strop.db")}
    return kinds[request.param]() if request.param in kinds else request.getfixturevalue("postgres_url")


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of database that processes can share."""
    return str(tmp_path / "strop.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A Store on each kind of database in turn."""
    with Store.open(store_url) as opened:
        yield opened
