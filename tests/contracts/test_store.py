"""What every database promises, on SQLite in memory, on a SQLite file and on PostgreSQL."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Text, cast, delete, insert, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from strop.errors import StoreError, StropError
from strop.store import Store
from tests.store.children import child
from tests.store.notes import count, make_tables, notes, number_of_notes, tallied, tally, texts

_one_database = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store.open(store_url) as opened:
        make_tables(opened)
        yield opened


def _add(store: Store, *rows: dict[str, Any]) -> None:
    with store.write() as connection:
        connection.execute(insert(notes), list(rows))


def test_a_committed_write_is_read_back(store: Store) -> None:
    _add(store, {"text": "one"})
    assert texts(store) == ["one"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_write_that_raises_leaves_nothing(store: Store, error: type[BaseException]) -> None:
    def write_half() -> None:
        with store.write() as connection:
            connection.execute(insert(notes), {"text": "half"})
            raise error

    with pytest.raises(error):
        write_half()
    assert texts(store) == []
    _add(store, {"text": "whole"})
    assert texts(store) == ["whole"]


def test_a_violated_constraint_is_an_integrity_error_and_undoes_the_whole_write(store: Store) -> None:
    def write_twice() -> None:
        with store.write() as connection:
            connection.execute(insert(tally), {"name": "a", "value": 1})
            connection.execute(insert(tally), {"name": "a", "value": 2})

    with pytest.raises(IntegrityError):
        write_twice()
    with store.read() as connection:
        assert connection.execute(select(tally)).all() == []


def test_read_cannot_write_and_says_so_as_a_fault_of_the_program(store: Store) -> None:
    _add(store, {"text": "kept"})
    with pytest.raises(DBAPIError) as caught, store.read() as connection:
        connection.execute(delete(notes))
    assert not isinstance(caught.value, StropError)
    assert texts(store) == ["kept"]
    _add(store, {"text": "still writable"})


def test_write_inside_write_is_refused_at_once(store: Store) -> None:
    with pytest.raises(RuntimeError, match="inside a write"), store.write(), store.write():
        pass
    with store.write():
        pass


def test_read_inside_write_and_write_inside_read(store: Store) -> None:
    with store.write() as outer:
        outer.execute(insert(notes), {"text": "a"})
        with store.read() as inner:
            inner.execute(select(notes)).all()
        outer.execute(insert(notes), {"text": "b"})
    with store.read() as outer:
        assert len(outer.execute(select(notes)).all()) == 2
        _add(store, {"text": "c"})
        with pytest.raises(DBAPIError):
            outer.execute(insert(notes), {"text": "d"})
    assert texts(store) == ["a", "b", "c"]


def test_insert_ignore_keeps_the_old_row_and_upsert_takes_the_new_values(store: Store) -> None:
    with store.write() as connection:
        assert connection.execute(store.insert_ignore(tally), {"name": "a", "value": 1}).rowcount == 1
        assert connection.execute(store.insert_ignore(tally), {"name": "a", "value": 2}).rowcount == 0
    assert tallied(store, "a") == 1
    with store.write() as connection:
        rows = [{"name": "a", "value": 3}, {"name": "b", "value": 4}]
        connection.execute(store.upsert(tally, ["name"], ["value"]), rows)
    assert (tallied(store, "a"), tallied(store, "b")) == (3, 4)


def test_eight_threads_lose_nothing(store: Store) -> None:
    def work(thread: int) -> None:
        for i in range(500):
            _add(store, {"text": f"{thread} {i}"})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert sorted(map(str, texts(store))) == sorted(f"{thread} {i}" for thread in range(8) for i in range(500))


def test_what_a_writer_reads_stays_true_until_its_commit(store: Store) -> None:
    def work(_: int) -> None:
        for _ in range(40):
            count(store, "threads")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert tallied(store, "threads") == 320


def test_readers_beside_a_writer_see_only_whole_transactions(store: Store) -> None:
    done = threading.Event()

    def write() -> None:
        for _ in range(100):
            _add(store, {"text": "pair"}, {"text": "pair"})
        done.set()

    def read() -> int:
        odd = 0
        while not done.is_set():
            odd += number_of_notes(store) % 2
        return odd

    with ThreadPoolExecutor(3) as pool:
        reading = [pool.submit(read) for _ in range(2)]
        pool.submit(write).result()
        assert sum(future.result() for future in reading) == 0
    assert number_of_notes(store) == 200


def test_three_processes_open_a_new_database_at_once_and_lose_nothing(shared_url: str) -> None:
    with ExitStack() as stack:
        children = [stack.enter_context(child("count", shared_url, 100)) for _ in range(3)]
        assert [each.told() for each in children] == ["ready"] * 3
        for each in children:
            each.tell()
        assert [each.wait() for each in children] == [0, 0, 0]
    with Store.open(shared_url) as store:
        assert tallied(store, "shared") == 300
        assert sorted(map(str, texts(store))) == sorted(f"shared {i}" for i in range(300))


def test_what_was_committed_survives_a_killed_process(shared_url: str) -> None:
    with Store.open(shared_url) as store:
        make_tables(store)
    with child("write", shared_url, 100_000) as writer:
        acknowledged = [writer.told() for _ in range(50)]
        writer.process.kill()
        acknowledged += writer.rest()
    with Store.open(shared_url) as store:
        assert texts(store)[: len(acknowledged)] == acknowledged
        assert number_of_notes(store) <= len(acknowledged) + 1


def test_a_snapshot_does_not_move(shared_url: str) -> None:
    with Store.open(shared_url) as store, Store.open(shared_url) as other:
        make_tables(store)
        with store.read() as connection:
            assert connection.execute(select(notes)).all() == []
            _add(other, {"text": "later"})
            assert connection.execute(select(notes)).all() == []
        assert texts(store) == ["later"]


def test_a_database_held_by_another_is_named_after_the_wait(shared_url: str) -> None:
    with Store.open(shared_url) as holder, Store.open(shared_url, wait_s=0.2) as store, holder.write():
        held = r"another process has held the database .* over 0\.2 s"
        with pytest.raises(StoreError, match=held), store.write():
            pass


def test_threads_waiting_for_a_stuck_writer_are_told(store_url: str) -> None:
    with Store.open(store_url, wait_s=0.2) as store, ThreadPoolExecutor(1) as pool:
        if store.url == "sqlite://":
            return  # In memory there is nothing but taking turns.

        def write() -> None:
            with store.write():
                pass

        with store.write(), pytest.raises(StoreError, match=r"over 0\.2 s"):
            pool.submit(write).result()
        pool.submit(write).result()


HOSTILE = [
    "'; DROP TABLE notes; --",
    '"; DELETE FROM notes; --',
    "%s %(text)s :text ? $1 {0} \\",
    "Robert'); DROP TABLE leases;--",
    "ünï 😀 \u202e\u0301 \x01\x1b[31m\r\n\t",
    "",
]


def test_injection_text_is_inert(store: Store) -> None:
    _add(store, *({"text": text, "data": {text: [text]}} for text in HOSTILE))
    with store.read() as connection:
        for text in HOSTILE:
            found = connection.execute(select(notes.c.text, notes.c.data).where(notes.c.text == text)).one()
            assert found == (text, {text: [text]})
        tables = set(inspect(connection).get_table_names())
    assert tables >= {"notes", "tally", "leases"}


@_one_database
@given(
    st.lists(
        st.datetimes(
            datetime(1900, 1, 1),
            datetime(2200, 1, 1),
            timezones=st.timezones() | st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_moments_come_back_in_utc_and_sort_by_time(store: Store, moments: list[datetime]) -> None:
    expected = [moment.astimezone(UTC) for moment in moments]
    with store.write() as connection:
        connection.execute(delete(notes))
        connection.execute(insert(notes), [{"at": moment} for moment in moments])
    with store.read() as connection:
        stored = list(connection.execute(select(notes.c.at).order_by(notes.c.id)).scalars())
        ordered = list(connection.execute(select(notes.c.at).order_by(notes.c.at)).scalars())
        later = list(connection.execute(select(notes.c.at).where(notes.c.at > moments[0])).scalars())
    assert stored == expected
    assert all(moment.tzinfo is UTC for moment in stored)
    assert ordered == sorted(expected)
    assert sorted(later) == sorted(moment for moment in expected if moment > expected[0])


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(StatementError, match="without a zone"):
        _add(store, {"at": datetime(2026, 1, 1)})
    assert texts(store) == []


_words = st.text(st.characters(exclude_categories=["Cs"]))
_numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | _numbers | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3),
    max_leaves=8,
)


@_one_database
@given(_json)
def test_json_comes_back_as_it_went_in_and_equal_values_are_equal_text(store: Store, value: Any) -> None:
    def turned(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: turned(part[key]) for key in reversed(part)}
        return [turned(item) for item in part] if isinstance(part, list) else part

    with store.write() as connection:
        connection.execute(delete(notes))
        connection.execute(insert(notes), [{"data": value}, {"data": turned(value)}])
    with store.read() as connection:
        first, second = connection.execute(select(notes.c.data)).scalars()
        raw = list(connection.execute(select(cast(notes.c.data, Text))).scalars())
    assert first == second == value
    assert raw[0] == raw[1]
    assert value is None or json.loads(raw[0]) == value


def test_what_is_not_json_is_refused(store: Store) -> None:
    for bad in ({1: "a"}, {"a": object()}, 2**70, "\ud800"):
        with pytest.raises((StatementError, TypeError)):
            _add(store, {"data": bad})


def test_two_stores_in_memory_share_nothing() -> None:
    with Store.open(":memory:") as one, Store.open(None) as two:
        make_tables(one)
        make_tables(two)
        _add(one, {"text": "mine"})
        assert texts(two) == []


def test_big_batches_go_in_whole(store: Store) -> None:
    rows = [{"text": str(i), "at": datetime.now(UTC), "data": {"i": i}} for i in range(2000)]
    with store.write(exclusive=False) as connection:
        connection.execute(store.insert_ignore(notes), rows)
    assert texts(store) == [str(i) for i in range(2000)]
