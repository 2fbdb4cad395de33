"""Drives the real `claude-flow` command. Its exit codes do not tell what happened, so what it stored is read back.

The two majors speak differently; the table of commands is here. It is never installed, starts no daemon, and works in
a directory of its own, because it leaves files wherever it runs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from strop.sessions.events import HooksIntegration, SessionEvent, Start
from strop.sessions.hooks_command import TIMEOUT_S, Outcome, Ran, outcome_of, run_command
from strop.sessions.result import now

COMMAND = "claude-flow"
NAMESPACE = "swarm"
MOST_COMMANDS = 8
_PASSED_ON = re.compile(r"PATH|HOME|USER|LOGNAME|LANG|LC_.*|TMPDIR|TERM|NODE_.*|CLAUDE_FLOW_.*|RUFLO_.*|.*_PROXY", re.I)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS", re.I)
Argv = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words of one major: how its steps are said, and how it is asked what it has stored."""

    before: Callable[[str, str], tuple[Argv, ...]]
    store: Callable[[str, str], Argv]
    read: Callable[[str], Argv] | None
    notify: Callable[[str], Argv]
    after: Callable[[str, bool], Argv]
    end: Argv


MAJORS = {
    2: Words(
        before=lambda task, said: (
            ("hooks", "pre-task", "--description", said, "--task-id", task, "--auto-spawn-agents", "false"),
        ),
        store=lambda key, value: ("memory", "store", key, value, "--namespace", NAMESPACE, "--basic"),
        read=None,
        notify=lambda said: ("hooks", "notify", "--message", said),
        after=lambda task, _ok: ("hooks", "post-task", "--task-id", task, "--analyze-performance", "true"),
        end=("hooks", "session-end", "--export-metrics", "true", "--generate-summary", "true"),
    ),
    3: Words(
        before=lambda task, said: (
            ("memory", "init"),
            ("hooks", "pre-task", "--task-id", task, f"--description={said}", "--format", "json"),
        ),
        store=lambda key, value: (
            "memory", "store", "--key", key, f"--value={value}", "--namespace", NAMESPACE, "--provenance",
            "agent_output",
        ),
        read=lambda key: ("memory", "retrieve", "--key", key, "--namespace", NAMESPACE, "--value-only"),
        notify=lambda said: ("hooks", "notify", f"--message={said}", "--level", "info"),
        after=lambda task, ok: ("hooks", "post-task", "--task-id", task, "--success", "true" if ok else "false"),
        end=("hooks", "session-end"),
    ),
}  # fmt: skip


@dataclass(kw_only=True)
class ClaudeFlowHook:
    """Pre-task when the session starts; notify, store with reading back, post-task and session-end at its end.

    A command that hangs is killed after `step_timeout_s` and ends the hook: the rest is not tried. Set
    CLAUDE_FLOW_DB_PATH to have the value in a memory of your own instead of the one in `directory`.
    """

    directory: Path
    command: str = COMMAND
    step_timeout_s: float = TIMEOUT_S
    name: str = COMMAND
    events: frozenset[str] = frozenset({"start", "hooks_integration"})
    _words: Words | None = None
    _task: str = ""

    @property
    def timeout_s(self) -> float:
        """The longest that one event may take, when every single command takes its time but none hangs."""
        return MOST_COMMANDS * self.step_timeout_s

    def run(self, event: SessionEvent) -> Outcome:
        """The steps that belong to the event."""
        if isinstance(event, Start):
            return self._begin(event)
        if isinstance(event, HooksIntegration):
            return self._finish(event)
        return Outcome(ok=True, detail="")

    def close(self) -> Outcome | None:
        """A session that failed as a whole told no results: its task is ended all the same."""
        if self._words is None or not self._task:
            return None
        return self._steps([self._words.after(self._task, False), self._words.end])

    def _begin(self, event: Start) -> Outcome:
        known = self._known(event.session_id)
        if isinstance(known, Outcome):
            return known
        self._words, self._task = known, f"strop-{event.session_id}"
        said = f"Strop trains {', '.join(event.models)} on one task"
        return self._steps(known.before(self._task, said))

    def _finish(self, event: HooksIntegration) -> Outcome:
        words, task, key, value = self._words, self._task, event.key, event.value
        if words is None:
            return Outcome(ok=False, detail="nothing was stored: the command could not be used at the start")
        self._task = ""
        said = f"Strop session {event.session_id} has ended; its results are in memory under {key}"
        steps = self._steps([words.notify(said)])
        if steps.hung:
            return steps
        stored = self._store(words, key, value)
        if stored.hung:
            return stored
        rest = self._steps([words.after(task, True), words.end])
        failed = [each.detail for each in (steps, rest) if not each.ok]
        detail = "; ".join([stored.detail, *failed])
        return Outcome(ok=stored.ok and not failed, detail=detail, hung=rest.hung)

    def _store(self, words: Words, key: str, value: str) -> Outcome:
        """Store, then believe nothing but what is read back."""
        value = value.replace("\0", "")
        ran = self._call(words.store(key, value))
        if ran.hung:
            return outcome_of(ran, self.step_timeout_s)
        if words.read is None:
            same = any(each == value for each in _values(self.directory / "memory" / "memory-store.json", key))
        else:
            read = self._call(words.read(key))
            if read.hung:
                return outcome_of(read, self.step_timeout_s)
            text = read.out.removesuffix("\n")
            before = text.removesuffix(value)
            same = read.code == 0 and text.endswith(value) and (not before or before.endswith("\n"))
        if same:
            return Outcome(ok=True, detail=f"stored {key} and read it back, {len(value.encode())} bytes alike")
        said = f"; it said: {ran.said}" if ran.said else ""
        return Outcome(ok=False, detail=f"{key} was not stored: what is read back is not what was given{said}")

    def _steps(self, steps: Sequence[Argv]) -> Outcome:
        failed: list[str] = []
        for words in steps:
            ended = outcome_of(self._call(words), self.step_timeout_s)
            if not ended.ok:
                failed.append(f"`{COMMAND} {' '.join(words[:2])}` {ended.detail}")
            if ended.hung:
                return Outcome(ok=False, detail="; ".join(failed), hung=True)
        return Outcome(ok=not failed, detail="; ".join(failed) or f"{len(steps)} commands ended well")

    def _known(self, session_id: str) -> Words | Outcome:
        """Which major answers; without one that is known nothing is called."""
        if shutil.which(self.command) is None:
            return Outcome(ok=False, detail=f"there is no command {self.command!r} on the path; install it with npm")
        try:
            self._make_room(session_id)
        except OSError as error:
            return Outcome(ok=False, detail=f"{self.directory} cannot be written: {error.strerror}")
        ran = self._call(("--version",))
        found = re.search(r"\bv?(\d+)\.\d+\.\d+", ran.out)
        if ran.hung or ran.code != 0 or found is None:
            told = outcome_of(ran, self.step_timeout_s)
            return Outcome(ok=False, detail=f"its version is not known: {ran.said or told.detail}", hung=ran.hung)
        words = MAJORS.get(int(found[1]))
        if words is None:
            known = " and ".join(str(each) for each in MAJORS)
            return Outcome(ok=False, detail=f"version {found[0]} is not known; majors {known} are")
        return words

    def _make_room(self, session_id: str) -> None:
        """A directory with what session-end of major 3 wants to find: the session that it ends."""
        current = self.directory / ".claude-flow" / "sessions" / "current.json"
        current.parent.mkdir(parents=True, exist_ok=True)
        current.write_text(json.dumps({"id": session_id, "startedAt": now().isoformat()}), "utf-8")

    def _call(self, words: Argv) -> Ran:
        return run_command(
            [self.command, *(word.replace("\0", "") for word in words)],
            timeout_s=self.step_timeout_s, directory=self.directory, environment=_environment(),
        )  # fmt: skip


def _environment() -> dict[str, str]:
    """Without the keys of the models, and without the daemon and the advertisements that it starts by itself."""
    kept = {
        name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name) and not _SECRET.search(name)
    }
    return {**kept, "RUFLO_DAEMON_AUTOSTART": "0", "RUFLO_FUNNEL": "0"}


def _values(path: Path, key: str) -> list[str]:
    """Values under a key in the JSON file of major 2, which has no command to read one; newest last."""
    try:
        data: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    entries = cast("dict[str, Any]", data).get(NAMESPACE) if isinstance(data, dict) else None
    if not isinstance(entries, list):
        return []
    rows = [cast("dict[str, Any]", row) for row in cast("list[object]", entries) if isinstance(row, dict)]
    return [str(row.get("value")) for row in rows if row.get("key") == key]
