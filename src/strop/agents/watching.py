"""Imports sessions as they end, and says when enough has come for a new run: by a poll, or by a plugin of OpenCode."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from strop.agents.installing import Change, Installation
from strop.agents.journal import opened
from strop.agents.parts import Part
from strop.agents.places import Place
from strop.agents.plans import plan_install
from strop.errors import BadInput, StropError
from strop.events import Event, Listener

PLUGIN = "strop-watch"
FAILURES_AT_MOST = 5
"""Imports in a row that may fail (a client's database is locked for a while, say) before watching ends."""

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What one import brought, and how many examples have come since the last training."""

    sessions: int
    examples: int
    since_training: int


@dataclass(frozen=True, kw_only=True)
class WatchPlan:
    """What is watched.

    `stores` are the clients' files and directories, or finds them (a client may keep its first session while it is
    watched): nothing is imported while they are still being written to, nor when nothing has changed. `enough` is the
    number of new examples from which a new run is worth its money.
    """

    stores: Sequence[Path] | Callable[[], Sequence[Path]]
    enough: int = 20
    every_s: float = 10.0
    once: bool = False


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What came while watching. `ready` says that enough has come for a new run."""

    imports: int
    sessions: int
    examples: int
    since_training: int
    ready: bool


def watch(
    plan: WatchPlan,
    import_new: Callable[[], Arrived],
    tell: Listener,
    *,
    stop: threading.Event | None = None,
) -> Watched:
    """Import at once, then whenever a session has come to rest, until Ctrl-C, `stop`, or after the first with `once`.

    Tells `sessions.imported` {sessions, examples, since_training}, `examples.enough` {since_training, enough} each
    time that the threshold is crossed, and `sessions.unread` {error} when an import fails.

    Raises:
        BadInput: a number of the plan cannot be used.
        StropError: the import failed, five times in a row (with `once` the first time).
    """
    if plan.enough < 1 or not plan.every_s > 0:
        raise BadInput("watching needs at least 1 example as enough, and a time above 0 between two looks")
    pause = stop or threading.Event()
    round_ = _Rounds(plan=plan, import_new=import_new, tell=tell)
    try:
        seen = imported = stamp(_stores(plan))
        round_.run()
        while not plan.once and not pause.wait(plan.every_s):
            now = stamp(_stores(plan))
            if now == seen and now != imported and round_.run():
                imported = now
            seen = now
    except KeyboardInterrupt:
        pass
    return round_.summary()


def _stores(plan: WatchPlan) -> Sequence[Path]:
    return plan.stores() if callable(plan.stores) else plan.stores


def stamp(stores: Iterable[Path]) -> Stamp:
    """Names, sizes and times of all files of the stores: equal as long as nobody writes."""
    found: list[tuple[str, int, int]] = []
    for store in stores:
        # SQLite writes to the -wal file first.
        paths = [store, store.with_name(f"{store.name}-wal")] if not store.is_dir() else _files(store)
        for path in paths:
            try:
                about = path.stat()
            except OSError:
                continue
            found.append((str(path), about.st_size, about.st_mtime_ns))
    return tuple(sorted(found))


def plugin_text(directory: Path, *, command: Sequence[str] = ("strop",), pause_s: float = 20.0) -> str:
    """The plugin for OpenCode; it imports into the Strop project of `directory`."""
    settings = {
        "command": [*command, "agents", "import", "--client", "opencode"],
        "directory": str(directory.resolve()),
        "pauseMs": round(pause_s * 1000),
    }
    source = files("strop.agents").joinpath("plugin").joinpath(f"{PLUGIN}.js").read_text(encoding="utf-8")
    before, mark, rest = source.partition("const SETTINGS = ")
    assert mark
    return before + mark + json.dumps(settings) + "\n" + rest.partition("\n")[2]


def install_plugin(
    place: Place, directory: Path, *, command: Sequence[str] = ("strop",), dry_run: bool = False
) -> Installation:
    """Put the plugin beside OpenCode's settings; `uninstall(place, "strop-watch")` takes it away again.

    Raises:
        BadInput: the client has no plugins, or a file of that name is there already.
        StoreUnwritable: it cannot be written; nothing was changed.
    """
    if place.client != "opencode" or place.agents is None:
        raise BadInput(f"{place.client} has no plugins that could be used", hint="watch it without --plugin")
    path = place.agents.with_name("plugin") / f"{PLUGIN}.js"
    part = Part(client=place.client, agent=PLUGIN, kind="file", text=plugin_text(directory, command=command))
    with opened(place, change=not dry_run) as keeper:
        notices = () if dry_run else keeper.recover()
        plan = plan_install(keeper, [(path, part)], backup=False)
        agents = {**plan.journal.agents, f"{place.client}/{PLUGIN}": {"format": "plugin"}}
        changes = tuple(
            Change(path=place.root / name, before=keeper.read(name), after=content)
            for name, content in plan.contents.items()
        )
        if not dry_run:
            keeper.commit(plan.contents, plan.journal.model_copy(update={"agents": agents}), plan.keep)
    return Installation(client=place.client, agents=(PLUGIN,), changes=changes, notices=tuple(notices), dry_run=dry_run)


class _Rounds:
    """Counts what the imports brought."""

    def __init__(self, *, plan: WatchPlan, import_new: Callable[[], Arrived], tell: Listener) -> None:
        self._plan, self._import, self._tell = plan, import_new, tell
        self._imports = self._sessions = self._examples = self._since = self._failures = 0
        self._told = False

    def run(self) -> bool:
        """One import; False when it failed."""
        try:
            came = self._import()
        except StropError as error:
            self._failures += 1
            if self._plan.once or self._failures >= FAILURES_AT_MOST:
                raise
            self._tell(Event(name="sessions.unread", data={"error": error.message}))
            return False
        self._failures = 0
        self._imports += 1
        self._sessions += came.sessions
        self._examples += came.examples
        self._since = came.since_training
        if came.sessions or came.examples:
            data = {"sessions": came.sessions, "examples": came.examples, "since_training": came.since_training}
            self._tell(Event(name="sessions.imported", data=data))
        ready = self._since >= self._plan.enough
        if ready and not self._told:
            self._tell(Event(name="examples.enough", data={"since_training": self._since, "enough": self._plan.enough}))
        self._told = ready
        return True

    def summary(self) -> Watched:
        return Watched(
            imports=self._imports,
            sessions=self._sessions,
            examples=self._examples,
            since_training=self._since,
            ready=self._since >= self._plan.enough,
        )


def _files(directory: Path) -> Iterable[Path]:
    for parent, _, names in os.walk(directory):
        for name in names:
            yield Path(parent) / name
