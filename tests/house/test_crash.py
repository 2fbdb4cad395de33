"""kill -9, a second owner, a frozen owner: nothing paid is lost or paid twice, and the run stays the same run."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from strop.app import House
from strop.errors import LeaseHeld
from strop.registry import Registry
from strop.store import Store
from tests.support.campaign import outcome, rows, run, task_directory
from tests.support.campaign_ledger import bought, budget, calls, count_calls, everything, integrity, money
from tests.support.campaign_process import Child, strop

LATENCY_MS = 40
CONCURRENCY = 16
MODELS = {
    "task": {"model": "embedded/small", "latency_ms": LATENCY_MS},
    "prompt": {"model": "embedded/large", "latency_ms": LATENCY_MS},
}
SIZES = {"short": 90, "soak": 200}


class WatchedRegistry(Registry):
    """A registry that tells before each write."""

    def __init__(self, store: Store, before: Callable[[str], None]) -> None:
        super().__init__(store)
        self._before = before
        self._writes = 0

    def _tell(self) -> None:
        self._writes += 1
        self._before(f"version write {self._writes}")

    def register(self, *arguments: Any, **keys: Any) -> Any:
        self._tell()
        return super().register(*arguments, **keys)

    def activate(self, *arguments: Any, **keys: Any) -> Any:
        self._tell()
        return super().activate(*arguments, **keys)


def carry_out(directory: Path, run_id: str | None, lease_s: float | None, at: tuple[str, int] | None) -> None:
    """A process that works on a run; `at` is a moment, and the signal that it then deals itself, once."""
    struck = False

    def reached(moment: str) -> None:
        nonlocal struck
        if at is not None and moment == at[0] and not struck:
            struck = True
            os.kill(os.getpid(), at[1])

    def watch(house: House) -> None:
        house.registry = WatchedRegistry(house.store, reached)

    result = run(
        directory,
        run_id,
        lease_s=lease_s,
        prepare=watch,
        listen=lambda event: reached(f"{event.name} {event.data.get('stage', '')}".strip()),
    )
    print(f"ended {result.status} {type(result.error).__name__}")
    os._exit(0 if result.error is None else result.error.exit_code)


def run_id_of(directory: Path) -> str:
    with closing(sqlite3.connect(directory / ".strop" / "strop.db")) as connection:
        return str(connection.execute("SELECT id FROM runs").fetchone()[0])


def directory_for(path: Path, algorithm: str, size: str, **keys: Any) -> Path:
    return task_directory(
        path, rows(SIZES[size]), algorithm=algorithm, models=MODELS, concurrency=CONCURRENCY, seed=3, **keys
    )  # fmt: skip


def kill_at(directory: Path, moments: Sequence[int | str], log: Path) -> tuple[int, int]:
    """Start the run and kill it, resume and kill again...; returns how often it was hit, and the calls in flight then.

    A moment is a number of ledger rows (and a random delay after it), or what the process itself has come to.
    """
    run_id: str | None = None
    hits = lost = 0
    chance = random.Random(repr(moments))
    for moment in moments:
        at = (moment, signal.SIGKILL) if isinstance(moment, str) else None
        with Child(carry_out, directory, run_id, None, at, output=log) as child:
            if isinstance(moment, str):
                if child.wait() == 0:
                    break
            elif child.wait_until(lambda wanted=moment: count_calls(directory) >= wanted):
                time.sleep(chance.uniform(0, LATENCY_MS / 2000))
                child.kill()
            if "ended" in child.text:
                break
        hits += 1
        if count_calls(directory) or run_id:
            run_id = run_id_of(directory)
            lost += check_the_dead(directory, run_id)
    return hits, lost


def check_the_dead(directory: Path, run_id: str) -> int:
    """What a killed process leaves behind: calls in flight are open, priced, and held in the budget."""
    scope = f"run:{run_id}"
    assert integrity(directory) == "ok"
    open_ = [row for row in calls(directory) if row["status"] == "open"]
    # A quarter more than are in flight may be declared and wait for a lane; nobody can tell afterwards, so they count.
    assert len(open_) <= CONCURRENCY + CONCURRENCY // 4
    assert all(row["worst_pico"] > 0 and row["cost_pico"] is None for row in open_)
    node = budget(directory, scope)
    settled, uncertain = money(directory, scope)
    assert node["held_pico"] == sum(row["worst_pico"] for row in open_)
    assert node["spent_pico"] + node["held_pico"] == settled + uncertain <= node["limit_pico"]
    return len(open_)


def check_chain(directory: Path, whole: Path, lean: Path, *, hits: int, in_flight: int) -> None:
    """The killed run's ledger beside those of an uninterrupted run, with and without asking ahead."""
    run_id = run_id_of(directory)
    scope = f"run:{run_id}"
    paid, reference, needed = bought(directory), bought(whole), bought(lean)
    assert max(paid.values()) == 1, "a recorded call was paid twice"
    assert max(reference.values()) == 1
    # Exact: every call that the run needs, none twice. Beyond it are only bets of asking ahead, bounded each time.
    assert needed.keys() <= paid.keys()
    assert needed.keys() <= reference.keys()
    assert len(reference) - len(needed) <= CONCURRENCY
    assert len(paid) - len(needed) <= CONCURRENCY * (hits + 1)
    rows_ = calls(directory)
    lost = [row for row in rows_ if row["status"] == "lost"]
    assert len(lost) == in_flight
    assert not [row for row in rows_ if row["status"] in {"open", "failed"}]
    origins = {row["id"] for row in rows_ if row["status"] == "ok" and row["source"] == "embedded"}
    assert {row["origin"] for row in rows_ if row["source"] in {"replayed", "shared"}} <= origins
    settled, uncertain = money(directory, scope)
    assert uncertain == sum(row["worst_pico"] for row in lost)
    node = budget(directory, scope)
    assert (node["spent_pico"], node["held_pico"]) == (settled + uncertain, 0)


def kill_and_compare(tmp_path: Path, algorithm: str, size: str, chains: Sequence[Sequence[int | str]]) -> None:
    whole = directory_for(tmp_path / "whole", algorithm, size)
    expected = run(whole)
    assert expected.status == "completed"
    lean = directory_for(tmp_path / "lean", algorithm, size, warm_ahead=False)
    assert outcome(run(lean)) == outcome(expected)
    total_hits = total_lost = 0
    for number, moments in enumerate(chains):
        killed = directory_for(tmp_path / f"killed{number}", algorithm, size)
        hits, in_flight = kill_at(killed, moments, tmp_path / f"log{number}")
        result = run(killed, run_id_of(killed))
        assert outcome(result) == outcome(expected)
        check_chain(killed, whole, lean, hits=hits, in_flight=in_flight)
        cost = result.data["cost"]
        assert cost["paid_calls"] - cost["lost_calls"] == sum(bought(killed).values())
        assert cost["lost_calls"] == in_flight
        total_hits, total_lost = total_hits + hits, total_lost + in_flight
    assert total_hits >= sum(len(one) for one in chains) * 0.8, "the kills came too late to mean anything"
    assert total_lost > 0, "no kill hit a call in flight"


@pytest.mark.parametrize("algorithm", ["miprov2", "gepa"])
def test_a_few_kills_and_a_resume_make_the_same_run(tmp_path: Path, algorithm: str) -> None:
    chance = random.Random(f"short {algorithm}")
    kill_and_compare(tmp_path, algorithm, "short", [[*sorted(chance.sample(range(20, 150), 3)), "version write 3"]])


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("algorithm", ["miprov2", "gepa"])
def test_twenty_kills_and_a_resume_each_make_the_same_run(tmp_path: Path, algorithm: str) -> None:
    """Twenty moments, each of a run of its own; and ten more one after another on one run, ends of stages included."""
    chance = random.Random(f"soak {algorithm}")
    single: list[list[int | str]] = [[chance.randrange(1, 330)] for _ in range(20)]
    stages: list[int | str] = [
        "run.started", "stage.finished baseline", "candidate.found", "stage.finished search", "candidate.chosen",
        "stage.finished test", "version write 1", "version write 2", "version write 3", "run.finished",
    ]  # fmt: skip
    kill_and_compare(tmp_path, algorithm, "soak", [*single, [30, 90, 160, *stages]])


def test_calls_of_a_life_before_with_the_same_process_id_are_lost_too(tmp_path: Path) -> None:
    """A container that starts again often gives its process the id and the host name of the one that died."""
    directory = directory_for(tmp_path / "task", "labeledfewshot", "short")
    with Child(carry_out, directory, None, None, None, output=tmp_path / "log") as child:
        assert child.wait_until(lambda: count_calls(directory) >= 30)
        child.kill()
    in_flight = check_the_dead(directory, run_id_of(directory))
    with closing(sqlite3.connect(directory / ".strop" / "strop.db")) as connection:
        (owner,) = connection.execute("SELECT max(owner) FROM calls").fetchone()
        assert str(child.pid) in owner.split(":")
        connection.execute("UPDATE calls SET owner = ?", (owner.replace(str(child.pid), str(os.getpid())),))
        connection.commit()
    result = run(directory, run_id_of(directory))
    assert in_flight > 0
    assert result.data["cost"]["lost_calls"] == in_flight


def test_the_second_process_is_told_who_owns_the_run_and_leaves(tmp_path: Path) -> None:
    directory = directory_for(tmp_path / "task", "copro", "short")
    with Child(
        carry_out, directory, None, None, ("stage.finished baseline", signal.SIGSTOP), output=tmp_path / "a"
    ) as a:
        a.wait_frozen()
        run_id = run_id_of(directory)
        before = everything(directory)
        with pytest.raises(LeaseHeld, match=f"run {run_id} .*process {a.pid}"):
            run(directory, run_id)
        code, text = strop("optimize", str(directory), "--resume", run_id, output=tmp_path / "b")
        assert code == 6
        assert f"process {a.pid}" in text
        assert "Traceback" not in text
        assert everything(directory) == before
        a.send(signal.SIGCONT)
        assert a.wait() == 0
    assert "ended completed" in a.text


LEASE_S = 0.8


def wait_until_free(directory: Path, child: Child) -> None:
    """Wait for it to stand still outside a transaction: SQLite's write lock of a frozen process lasts."""
    while True:
        child.wait_frozen()
        with closing(sqlite3.connect(directory / ".strop" / "strop.db", timeout=0.2, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
                return
            except sqlite3.OperationalError:
                child.send(signal.SIGCONT)
                time.sleep(0.01)
                child.send(signal.SIGSTOP)


FROZEN_AT: list[str | int] = [75, "stage.finished baseline", "stage.finished test"]


def freeze_and_take_over(tmp_path: Path, at: str | int, algorithm: str = "bootstrapfewshot") -> None:
    """Freeze an owner, let another process take over and finish, thaw the first: it must change nothing any more."""
    directory = directory_for(tmp_path / "task", algorithm, "short")
    event = (at, signal.SIGSTOP) if isinstance(at, str) else None
    with Child(carry_out, directory, None, LEASE_S, event, output=tmp_path / "a") as frozen:
        if isinstance(at, int):
            assert frozen.wait_until(lambda: count_calls(directory) >= at)
            frozen.send(signal.SIGSTOP)
        wait_until_free(directory, frozen)
        time.sleep(LEASE_S * 1.1)
        result = run(directory, run_id_of(directory))
        assert result.status == "completed"
        before = everything(directory)
        reports = {path: path.read_bytes() for path in (directory / ".strop" / "reports").iterdir()}
        frozen.send(signal.SIGCONT)
        assert frozen.wait(30) == 6
    assert "ended failed Fenced" in frozen.text
    assert everything(directory) == before
    assert {path: path.read_bytes() for path in (directory / ".strop" / "reports").iterdir()} == reports
    assert max(bought(directory).values()) == 1


@pytest.mark.parametrize("at", FROZEN_AT)
def test_an_owner_frozen_past_its_lease_writes_nothing_after_it(tmp_path: Path, at: str | int) -> None:
    freeze_and_take_over(tmp_path, at)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("algorithm", ["miprov2", "gepa"])
@pytest.mark.parametrize(
    "at",
    [5, 40, 110, 160, "run.started", "candidate.found", "stage.finished search", "candidate.chosen", *FROZEN_AT],
)
def test_an_owner_frozen_anywhere_writes_nothing_after_it(tmp_path: Path, at: str | int, algorithm: str) -> None:
    freeze_and_take_over(tmp_path, at, algorithm)
