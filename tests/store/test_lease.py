"""Who owns a run, and what happens to an owner that was away."""

import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import insert, select, update

from strop.errors import Fenced, LeaseHeld
from strop.store import Lease, Store
from strop.store.tables import leases
from tests.store.children import child
from tests.store.notes import make_tables, notes, texts


class Clock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shared(shared_url: str) -> Iterator[Store]:
    with Store.open(shared_url) as opened:
        make_tables(opened)
        yield opened


def _guarded(store: Store, lease: Lease) -> None:
    with store.write() as connection:
        lease.check(connection)


def test_a_second_owner_is_told_who_holds_it_and_for_how_long(store: Store, clock: Clock) -> None:
    lease = Lease.acquire(store, "run:1", "strop optimize", 60, clock)
    clock.now += 48
    with pytest.raises(LeaseHeld) as caught:
        Lease.acquire(store, "run:1", "strop resume", 60, clock)
    for part in ("run:1", "strop optimize", str(os.getpid()), socket.gethostname(), "12 s"):
        assert part in caught.value.message
    assert str(os.getpid()) in (caught.value.hint or "")
    assert lease.epoch == 1
    Lease.acquire(store, "run:2", "another run", 60, clock)


def test_one_can_ask_whether_somebody_holds_it(store: Store, clock: Clock) -> None:
    assert not Lease.is_held(store, "run:1", clock)
    lease = Lease.acquire(store, "run:1", "strop optimize", 60, clock)
    assert Lease.is_held(store, "run:1", clock)
    clock.now += 61
    assert not Lease.is_held(store, "run:1", clock)
    lease.renew()
    assert Lease.is_held(store, "run:1", clock)
    lease.release()
    assert not Lease.is_held(store, "run:1", clock)


def test_an_expired_lease_is_taken_over_and_its_owner_fenced(store: Store, clock: Clock) -> None:
    old = Lease.acquire(store, "run:1", "old", 60, clock)
    clock.now += 59.999
    with pytest.raises(LeaseHeld):
        Lease.acquire(store, "run:1", "new", 60, clock)
    clock.now += 0.001
    new = Lease.acquire(store, "run:1", "new", 60, clock)
    assert new.epoch == old.epoch + 1
    with pytest.raises(Fenced, match="old"):
        _guarded(store, old)
    with pytest.raises(Fenced):
        old.renew()
    old.release()
    assert old.lost.is_set()
    _guarded(store, new)
    with pytest.raises(LeaseHeld):
        Lease.acquire(store, "run:1", "third", 60, clock)


def test_renewing_postpones_the_expiry_even_after_it(store: Store, clock: Clock) -> None:
    lease = Lease.acquire(store, "run:1", "owner", 60, clock)
    clock.now += 500
    lease.renew()
    _guarded(store, lease)
    clock.now += 59
    with pytest.raises(LeaseHeld, match=" 1 s"):
        Lease.acquire(store, "run:1", "new", 60, clock)


def test_a_released_lease_is_free_at_once_and_its_epoch_goes_on(store: Store, clock: Clock) -> None:
    first = Lease.acquire(store, "run:1", "first", 60, clock)
    first.release()
    with pytest.raises(Fenced):
        _guarded(store, first)
    second = Lease.acquire(store, "run:1", "second", 60, clock)
    assert second.epoch == 2
    first.release()
    _guarded(store, second)


def test_a_fenced_write_leaves_nothing(store: Store, clock: Clock) -> None:
    make_tables(store)
    old = Lease.acquire(store, "run:1", "old", 60, clock)
    clock.now += 61
    Lease.acquire(store, "run:1", "new", 60, clock)

    def write_late() -> None:
        with store.write() as connection:
            connection.execute(insert(notes), {"text": "ghost"})
            old.check(connection)

    with pytest.raises(Fenced):
        write_late()
    assert texts(store) == []


def test_keep_alive_renews_and_notices_the_loss(store: Store) -> None:
    lease = Lease.acquire(store, "run:1", "owner", 0.6)
    with lease.keep_alive() as lost:
        time.sleep(1.0)
        with pytest.raises(LeaseHeld):
            Lease.acquire(store, "run:1", "new", 60)
        with store.write() as connection:
            connection.execute(update(leases).values(epoch=leases.c.epoch + 1))
        assert lost.wait(5)
    with pytest.raises(Fenced):
        _guarded(store, lease)


def test_the_lease_of_a_killed_process_is_free_at_once(shared: Store, shared_url: str) -> None:
    with child("own", shared_url, 600) as owner:
        assert owner.told() == "1"
        with pytest.raises(LeaseHeld, match="the child"):
            Lease.acquire(shared, "run:1", "me", 60)
        owner.process.kill()
        # Not waited for: it is a zombie now, which has a pid and does nothing any more.
        deadline = time.monotonic() + 10
        while True:
            try:
                assert Lease.acquire(shared, "run:1", "me", 60).epoch == 2
                break
            except LeaseHeld:
                assert time.monotonic() < deadline
                time.sleep(0.01)


def test_a_frozen_owner_is_fenced_at_its_first_write_after_the_thaw(shared: Store, shared_url: str) -> None:
    with child("own", shared_url, 1) as owner:
        assert owner.told() == "1"
        assert owner.ask() == "written"
        owner.process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 20
        while True:
            try:
                mine = Lease.acquire(shared, "run:1", "me", 60)
                break
            except LeaseHeld:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        owner.process.send_signal(signal.SIGCONT)
        assert owner.ask() == "fenced"
        assert owner.ask() == "fenced"
    assert mine.epoch == 2
    assert texts(shared) == ["epoch 1"]
    _guarded(shared, mine)


@pytest.mark.parametrize(
    ("column", "value", "free"),
    [
        ("pid_birth", "an earlier process with this pid", True),
        ("pid_birth", "", False),
        ("machine", "another machine", False),
    ],
)
def test_only_a_process_that_is_surely_gone_loses_its_lease_early(
    store: Store, column: str, value: str, free: bool
) -> None:
    Lease.acquire(store, "run:1", "other", 60)
    with store.write() as connection:
        connection.execute(update(leases).values({column: value}))
    if free:
        assert Lease.acquire(store, "run:1", "me", 60).epoch == 2
    else:
        with pytest.raises(LeaseHeld):
            Lease.acquire(store, "run:1", "me", 60)


def test_a_take_over_waits_for_a_guarded_write_that_has_begun(postgres_url: str, clock: Clock) -> None:
    """PostgreSQL lets writers run side by side; between check and commit nobody may take over."""
    with Store.open(postgres_url) as store, Store.open(postgres_url, wait_s=0.3) as other:
        lease = Lease.acquire(store, "run:1", "old", 60, clock)
        clock.now += 61
        with store.write(exclusive=False) as connection:
            lease.check(connection)
            with pytest.raises(Exception, match=r"over 0\.3 s"):
                Lease.acquire(other, "run:1", "new", 60, clock)
        assert Lease.acquire(other, "run:1", "new", 60, clock).epoch == 2


def test_the_row_says_what_it_should(store: Store) -> None:
    Lease.acquire(store, "run:1", "words for people", 60)
    with store.read() as connection:
        row = connection.execute(select(leases)).one()
    assert (row.owner, row.pid, row.host) == ("words for people", os.getpid(), socket.gethostname())
    assert 55 < row.expires_at.timestamp() - time.time() <= 60
