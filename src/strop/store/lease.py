"""A lease: one owner at a time for a named thing, and a fence against an owner that was away too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Row, bindparam, select, update

from strop.errors import Fenced, LeaseHeld, StoreError
from strop.store.prepared import Prepared
from strop.store.process import Process
from strop.store.store import Store
from strop.store.tables import leases

Clock = Callable[[], float]
_EPOCH = Prepared(
    select(leases.c.epoch).where(leases.c.name == bindparam("name")).with_for_update(read=True), ("name",)
)


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to work on `name`, until it runs out unless renewed; `epoch` grows by one with every owner.

    An expired lease may be taken over, and then the old owner's `check` raises Fenced: every write of an owner makes
    that check in its own transaction, so nothing of it is written after the take-over.

    Whoever wants the lease judges its expiry by their own clock. Clocks that differ by more than the time left
    make a take-over come early or late; the fence holds all the same.
    """

    store: Store
    name: str
    owner: str
    epoch: int
    ttl_s: float
    clock: Clock = time.time
    lost: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def acquire(cls, store: Store, name: str, owner: str, ttl_s: float, clock: Clock = time.time) -> Lease:
        """Become the owner of `name`, or raise LeaseHeld.

        Free is what was never owned, was released, has expired, or whose owner was a process of this machine that is
        gone (a resume after kill -9 need not wait). `owner` is words for people: what holds it.
        """
        me = Process.this()
        with store.write() as connection:
            now = clock()
            held = connection.execute(select(leases).where(leases.c.name == name).with_for_update()).one_or_none()
            if held is not None and held.expires_at > _moment(now) and not _process(held).is_surely_dead():
                raise _held(held, now)
            epoch = 1 if held is None else held.epoch + 1
            row = {
                "name": name, "epoch": epoch, "expires_at": _moment(now + ttl_s), "owner": owner,
                "host": me.host, "pid": me.pid, "machine": me.machine, "pid_birth": me.birth,
            }  # fmt: skip
            columns = [column for column in row if column != "name"]
            connection.execute(store.upsert(leases, ["name"], columns), row)
        return cls(store=store, name=name, owner=owner, epoch=epoch, ttl_s=ttl_s, clock=clock)

    @staticmethod
    def is_held(store: Store, name: str, clock: Clock = time.time) -> bool:
        """Whether `name` has an owner now who is not surely dead."""
        with store.read() as connection:
            held = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
        return held is not None and held.expires_at > _moment(clock()) and not _process(held).is_surely_dead()

    def renew(self) -> None:
        """Own it for another `ttl_s` from now, also when it has run out and nobody took it. Raises Fenced."""
        self._set_expiry(self.clock() + self.ttl_s)

    def release(self) -> None:
        """Let others have it at once. Nothing happens when it is lost already."""
        if not self.lost.is_set():
            try:
                self._set_expiry(0.0)
            except Fenced:
                return
            self.lost.set()

    def check(self, connection: Connection) -> None:
        """Raise Fenced when somebody else has taken over, or this lease was released.

        Call it inside the `write()` that it protects. On PostgreSQL a take-over waits until that transaction ends.
        """
        row = _EPOCH.first(connection, {"name": self.name})
        if self.lost.is_set() or row is None or row[0] != self.epoch:
            self.lost.set()
            raise self._fenced()

    @contextmanager
    def keep_alive(self) -> Generator[threading.Event]:
        """Renew from a thread every third of the time; the event given (`lost`) is set when somebody else took over.

        A renewal that the database refuses for another reason is tried again at the next turn.
        """
        done = threading.Event()

        def renewing() -> None:
            while not done.wait(self.ttl_s / 3):
                try:
                    self.renew()
                except Fenced:
                    return
                except StoreError:
                    continue

        thread = threading.Thread(target=renewing, name=f"lease {self.name}", daemon=True)
        thread.start()
        try:
            yield self.lost
        finally:
            done.set()
            thread.join()

    def _set_expiry(self, expires: float) -> None:
        mine = (leases.c.name == self.name) & (leases.c.epoch == self.epoch)
        with self.store.write() as connection:
            changed = connection.execute(update(leases).where(mine).values(expires_at=_moment(expires))).rowcount
        if changed != 1:
            self.lost.set()
            raise self._fenced()

    def _fenced(self) -> Fenced:
        return Fenced(
            f"{self.name!r} is no longer owned by {self.owner!r} (epoch {self.epoch}): nothing more is written",
            hint="another process took over after a pause of this one; its work goes on there",
        )


def _moment(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _process(held: Row[tuple[object, ...]]) -> Process:
    return Process(host=held.host, machine=held.machine, pid=held.pid, birth=held.pid_birth)


def _held(held: Row[tuple[object, ...]], now: float) -> LeaseHeld:
    left = (held.expires_at - _moment(now)).total_seconds()
    return LeaseHeld(
        f"{held.name!r} is owned by {held.owner!r} (process {held.pid} on {held.host}), for another {left:.0f} s "
        f"unless renewed",
        hint=f"wait for it to end, or end process {held.pid} on {held.host}",
    )
