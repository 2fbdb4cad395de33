"""SQLite's own troubles: full disks, closed directories, broken and foreign files."""

import json
import os
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import OperationalError

from strop.errors import SettingsError, StoreError, StoreUnwritable
from strop.store import Store
from tests.store.children import child
from tests.store.notes import make_tables, notes, number_of_notes, texts


def _mount(*arguments: str) -> bool:
    """True when this user may mount, as root outside of most containers."""
    return os.geteuid() == 0 and not subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode


@contextmanager
def _small_disk(folder: Path) -> Iterator[int]:
    """A disk of 2 MB at `folder`; the number given limits the size of a file instead where mounting is forbidden."""
    folder.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)):
        yield 1_000_000
        return
    try:
        yield 0
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def _closed(folder: Path) -> Iterator[None]:
    """Nothing below `folder` can be written, by root neither."""
    target = str(folder)
    if _mount("--bind", target, target):
        try:
            assert _mount("-o", "remount,bind,ro", target)
            yield
        finally:
            subprocess.run(["umount", "-l", target], check=True)
        return
    assert os.geteuid(), "root without the right to mount cannot make a directory read-only"
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)


def _integrity(store: Store) -> str:
    with store.read() as connection:
        return connection.execute(text("PRAGMA integrity_check")).scalar_one()


def test_a_full_disk_is_a_clear_error_and_what_was_written_stays(tmp_path: Path) -> None:
    file = tmp_path / "disk" / "strop.db"
    with _small_disk(file.parent) as limit:
        with child("fill", str(file), limit) as filler:
            told = json.loads(filler.told())
            filler.wait()
        assert told["kind"] == "StoreUnwritable"
        assert str(file) in told["message"]
        assert "space" in told["hint"]
        assert told["written"] > 10
        with Store.open(file) as store:
            assert number_of_notes(store) == told["written"]
            assert _integrity(store) == "ok"


@pytest.mark.parametrize("place", [lambda path: path / "strop.db", lambda _: ":memory:"])
def test_a_full_database_is_a_clear_error_and_goes_on_when_there_is_room(
    tmp_path: Path, place: Callable[[Path], Path | str]
) -> None:
    with Store.open(place(tmp_path)) as store:
        make_tables(store)
        with store.write() as connection:
            connection.execute(insert(notes), {"text": "before"})
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            connection.execute(text(f"PRAGMA max_page_count = {pages + 5}"))
        with pytest.raises(StoreUnwritable, match="full"), store.write() as connection:
            connection.execute(insert(notes), [{"text": "x" * 1000} for _ in range(100)])
        assert texts(store) == ["before"]
        with store.write() as connection:
            connection.execute(text("PRAGMA max_page_count = 100000"))
            connection.execute(insert(notes), {"text": "after"})
        assert texts(store) == ["before", "after"]


def test_a_read_only_directory_is_a_clear_error_and_earlier_state_is_intact(tmp_path: Path) -> None:
    file = tmp_path / "closed" / "strop.db"
    with Store.open(file) as store:
        make_tables(store)
        with store.write() as connection:
            connection.execute(insert(notes), {"text": "before"})
    before = file.read_bytes()
    with _closed(file.parent):
        with pytest.raises(StoreUnwritable, match=r"strop\.db") as caught:
            Store.open(file)
        assert str(file.parent) in (caught.value.hint or "")
        with pytest.raises(StoreUnwritable):
            Store.open(file.with_name("new.db"))
        with pytest.raises(StoreUnwritable):
            Store.open(file.parent / "below" / "new.db")
    assert file.read_bytes() == before
    with Store.open(file) as store:
        assert texts(store) == ["before"]


def test_a_database_that_became_read_only_is_a_clear_error(tmp_path: Path) -> None:
    with Store.open(tmp_path / "strop.db") as store:
        make_tables(store)
        with store.write() as connection:
            connection.execute(text("PRAGMA query_only = 1"))
        with pytest.raises(StoreUnwritable, match="readonly"), store.write() as connection:
            connection.execute(insert(notes), {"text": "lost"})
        assert texts(store) == []


def test_a_path_below_a_file_and_a_directory_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "strop.db", tmp_path):
        with pytest.raises(StoreUnwritable):
            Store.open(path)


def test_a_broken_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "strop.db"
    file.write_bytes(b"these are my holiday notes" * 500)
    with pytest.raises(StoreError, match="cannot be used as a database"):
        Store.open(file)
    assert file.read_bytes() == b"these are my holiday notes" * 500


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("CREATE TABLE theirs (id INTEGER)")
    before = file.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        Store.open(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize("url", ["{0}/a/b c/s%20.db", "sqlite:///{0}/a/strop.db"])
def test_a_path_and_its_url_open_a_file_and_make_its_directories(tmp_path: Path, url: str) -> None:
    with Store.open(url.format(tmp_path)) as store:
        assert store.dialect == "sqlite"
    assert len(list((tmp_path / "a").rglob("*.db"))) == 1


@pytest.mark.parametrize("url", ["mysql://user:hunter2@host/db", "://", "postgresql://user:hunter2@host:port/db"])
def test_an_url_that_cannot_be_used_is_the_users_to_mend_and_never_shows_its_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Store.open(url)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_a_file_is_in_wal_mode_with_the_promised_settings(tmp_path: Path) -> None:
    with Store.open(tmp_path / "strop.db") as store:
        for opened in (store.read, store.write):
            with opened() as connection:
                connection.execute(text("SELECT count(*) FROM leases"))  # The mode is known after the first look only.
                names = ("journal_mode", "synchronous", "foreign_keys")
                assert [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in names] == ["wal", 1, 1]


def test_values_are_not_shown_in_errors(tmp_path: Path) -> None:
    with (
        Store.open(tmp_path / "strop.db") as store,
        pytest.raises(OperationalError, match="no such table") as caught,
        store.write() as connection,
    ):
        connection.execute(insert(notes), {"text": "sk-canary"})
    assert "sk-canary" not in str(caught.value)


def test_ctrl_c_while_another_process_writes_leaves_the_database_usable(tmp_path: Path):
    path = tmp_path / "a.db"
    with (
        Store.open(path) as store,
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        threading.Timer(0.5, other.rollback).start()
        with pytest.raises(KeyboardInterrupt), store.write():
            pytest.fail("it was interrupted before")
        with store.write() as connection:
            assert connection.execute(text("select 1")).scalar() == 1
