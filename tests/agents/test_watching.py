"""Watching: sessions are imported as they come to rest, and the client never notices."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from strop.agents.installing import installed, uninstall
from strop.agents.places import place_of
from strop.agents.watching import Arrived, WatchPlan, install_plugin, plugin_text, stamp, watch
from strop.errors import BadInput, StoreError
from strop.events import Event


class Imports:
    """An import function with prepared answers; stops the watch with the last."""

    def __init__(self, *answers: Arrived | Exception, on_call: object = None) -> None:
        self._answers = iter(answers)
        self._left = len(answers)
        self.stop = threading.Event()
        self.calls = 0

    def __call__(self) -> Arrived:
        self.calls += 1
        self._left -= 1
        if not self._left:
            self.stop.set()
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def came(sessions: int, examples: int, since: int) -> Arrived:
    return Arrived(sessions=sessions, examples=examples, since_training=since)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A client's store to which somebody writes again and again, with a rest between."""
    path = tmp_path / "opencode.db"
    path.write_bytes(b"")
    done = threading.Event()

    def write() -> None:
        while not done.wait(0.05):
            with path.open("ab") as file:
                file.write(b"x")

    writer = threading.Thread(target=write)
    writer.start()
    yield path
    done.set()
    writer.join()


def test_once_imports_once_and_says_whether_it_is_enough() -> None:
    told: list[Event] = []
    imports = Imports(came(3, 7, 20))
    found = watch(WatchPlan(stores=(), once=True), imports, told.append)

    assert (found.imports, found.sessions, found.examples, found.ready) == (1, 3, 7, True)
    assert [(event.name, dict(event.data)) for event in told] == [
        ("sessions.imported", {"sessions": 3, "examples": 7, "since_training": 20}),
        ("examples.enough", {"since_training": 20, "enough": 20}),
    ]


def test_nothing_new_is_nothing_told() -> None:
    told: list[Event] = []
    found = watch(WatchPlan(stores=(), once=True), Imports(came(0, 0, 3)), told.append)
    assert not found.ready
    assert told == []


def test_new_sessions_are_imported_when_the_store_is_at_rest(store: Path) -> None:
    told: list[Event] = []
    imports = Imports(came(1, 1, 1), came(1, 2, 3), came(0, 0, 3), came(1, 1, 1), came(2, 3, 4))
    plan = WatchPlan(stores=(store,), enough=3, every_s=0.01)
    found = watch(plan, imports, told.append, stop=imports.stop)

    assert (found.imports, found.sessions, found.examples, found.since_training) == (5, 5, 7, 4)
    # Enough is told when it is reached, not again while it stays so, and again after a training in between.
    assert [event.name for event in told] == [
        "sessions.imported", "sessions.imported", "examples.enough", "sessions.imported", "sessions.imported",
        "examples.enough",
    ]  # fmt: skip


def test_a_store_that_does_not_change_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.jsonl").write_text("x")
    imports = Imports(came(1, 1, 1), came(1, 1, 1))
    timer = threading.Timer(0.3, imports.stop.set)
    timer.start()
    watch(WatchPlan(stores=(tmp_path / "a",), every_s=0.01), imports, lambda event: None, stop=imports.stop)
    timer.join()
    assert imports.calls == 1


def test_a_store_in_use_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    path.write_bytes(b"x")
    first = stamp((path,))
    Path(f"{path}-wal").write_bytes(b"y")
    assert stamp((path,)) != first
    assert stamp((tmp_path / "missing",)) == ()


def test_a_failing_import_is_told_and_tried_again(store: Path) -> None:
    told: list[Event] = []
    locked = StoreError("database is locked")
    imports = Imports(locked, came(1, 1, 1))
    watch(WatchPlan(stores=(store,), every_s=0.01), imports, told.append, stop=imports.stop)
    assert [event.name for event in told] == ["sessions.unread", "sessions.imported"]
    assert told[0].data["error"] == "database is locked"
    with pytest.raises(StoreError, match="locked"):
        watch(WatchPlan(stores=(store,), every_s=0.01), Imports(*[locked] * 6), told.append)
    with pytest.raises(StoreError):
        watch(WatchPlan(stores=(), once=True), Imports(locked), told.append)


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    script = (
        "import signal, sys, os, threading\n"
        "from strop.agents.watching import Arrived, WatchPlan, watch\n"
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "came = Arrived(sessions=2, examples=2, since_training=2)\n"
        "done = watch(WatchPlan(stores=(), every_s=60), lambda: came, print)\n"
        "print('imports', done.imports)\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("imports 1\n")
    assert time.monotonic() - started < 30


def test_numbers_that_cannot_be_are_refused() -> None:
    for plan in (WatchPlan(stores=(), enough=0), WatchPlan(stores=(), every_s=0)):
        with pytest.raises(BadInput):
            watch(plan, Imports(came(0, 0, 0)), print)


def test_the_plugin_comes_and_goes(tmp_path: Path) -> None:
    place = place_of("opencode", environment={}, home=tmp_path)
    done = install_plugin(place, tmp_path / "project's")

    assert [change.path for change in done.changes] == [place.root / "plugin" / "strop-watch.js"]
    assert json.dumps(str(tmp_path / "project's")) in done.changes[0].path.read_text()
    assert list(installed(place)) == ["strop-watch"]
    uninstall(place, "strop-watch")
    assert not place.root.exists()
    with pytest.raises(BadInput, match="no plugins"):
        install_plugin(place_of("codex", environment={}, home=tmp_path), tmp_path)


NODE = shutil.which("node")
DRIVER = """
const module_ = await import(process.argv[2])
const exported = Object.values(module_)
if (exported.length !== 1) throw new Error("OpenCode calls every export of a plugin")
const hooks = await exported[0]({ directory: "/x" })
const say = (event) => hooks.event({ event })
await hooks.event(undefined)
await say({ type: "message.updated" })
for (let i = 0; i < 5; i++) await say({ type: "session.idle", properties: { sessionID: "s" } })
await new Promise((done) => setTimeout(done, Number(process.argv[3])))
"""


def run_plugin(tmp_path: Path, command: list[str], *, pause_s: float, stay_ms: int) -> float:
    """Seconds that a client with the plugin lived which had five sessions come to rest."""
    assert NODE is not None
    plugin, driver = tmp_path / "strop-watch.mjs", tmp_path / "driver.mjs"
    plugin.write_text(plugin_text(tmp_path, command=command, pause_s=pause_s))
    driver.write_text(DRIVER)
    started = time.monotonic()
    done = subprocess.run(
        [NODE, str(driver), str(plugin), str(stay_ms)], capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return time.monotonic() - started


def recorder(tmp_path: Path, seconds: float = 0) -> tuple[list[str], Path]:
    """A command that notes its arguments and its directory."""
    script, notes = tmp_path / "recorder.py", tmp_path / "notes"
    script.write_text(
        f"import os, sys, time\ntime.sleep({seconds})\n"
        f"open({str(notes)!r}, 'a').write(' '.join(sys.argv[1:]) + ' in ' + os.getcwd() + '\\n')\n"
    )
    return [sys.executable, str(script)], notes


def lines(notes: Path, wanted: int) -> list[str]:
    patience = time.monotonic() + 20
    while time.monotonic() < patience:
        found = notes.read_text().splitlines() if notes.exists() else []
        if len(found) >= wanted:
            return found
        time.sleep(0.05)
    return notes.read_text().splitlines() if notes.exists() else []


@pytest.mark.skipif(NODE is None, reason="node is not on PATH; CI installs it")
def test_the_plugin_imports_at_once_and_once_more_after_its_pause(tmp_path: Path) -> None:
    command, notes = recorder(tmp_path)
    run_plugin(tmp_path, command, pause_s=0.6, stay_ms=1500)
    expected = f"agents import --client opencode in {tmp_path}"
    assert lines(notes, 2) == [expected, expected]


@pytest.mark.skipif(NODE is None, reason="node is not on PATH; CI installs it")
def test_the_plugin_outlives_its_client_and_does_not_hold_it(tmp_path: Path) -> None:
    command, notes = recorder(tmp_path, seconds=2)
    assert run_plugin(tmp_path, command, pause_s=60, stay_ms=0) < 2
    assert len(lines(notes, 1)) == 1


@pytest.mark.skipif(NODE is None, reason="node is not on PATH; CI installs it")
def test_a_missing_command_does_not_reach_the_client(tmp_path: Path) -> None:
    run_plugin(tmp_path, [str(tmp_path / "no-such-command")], pause_s=0.05, stay_ms=300)
