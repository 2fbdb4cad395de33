"""Runs the command of a hook: an argv list, never a shell's line; it ends within its time, whatever it does."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from strop.gateway import Redactor
from strop.sessions.events import SessionEvent

TIMEOUT_S = 10.0
KEPT_BYTES = 2_000_000
"""So much of each stream is looked at."""
SAID = 300


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a hook ended. `hung` says that it used up its time: it is not asked again."""

    ok: bool
    detail: str
    hung: bool = False


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a command ended. `code` is None when it was not there or had to be killed."""

    code: int | None
    out: str = ""
    err: str = ""
    hung: bool = False

    @property
    def said(self) -> str:
        """The last line of what it said, errors before output, for a message."""
        lines = [line.strip() for text in (self.out, self.err) for line in text.splitlines() if line.strip()]
        return Redactor()(lines[-1][:SAID]) if lines else ""


@dataclass(frozen=True, kw_only=True)
class CommandHook:
    """Any command as a hook.

    `argv` may hold `{session_id}`, `{event}`, `{model}`, `{phase}`, `{key}` and `{value}`, replaced within a word and
    never read by a shell; the whole event comes as one JSON object on standard input. A value from outside that must
    not be taken for an option belongs behind one: `--message={value}`.
    """

    argv: tuple[str, ...]
    events: frozenset[str] = frozenset({"hooks_integration"})
    timeout_s: float = TIMEOUT_S
    directory: Path | None = None
    environment: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The command's own name."""
        return Path(self.argv[0]).name

    def run(self, event: SessionEvent) -> Outcome:
        """Run it once; anything but exit code 0 within its time is a failure."""
        text = json.dumps(event_data(event), ensure_ascii=False)
        argv = [filled(word, event) for word in self.argv]
        ran = run_command(
            argv, stdin=text, timeout_s=self.timeout_s, directory=self.directory, environment=self.environment
        )
        return outcome_of(ran, self.timeout_s)

    def close(self) -> Outcome | None:
        """Nothing is left to do."""


def outcome_of(ran: Ran, timeout_s: float) -> Outcome:
    """The end of a command in words."""
    if ran.hung:
        return Outcome(ok=False, detail=f"did not end within {timeout_s:g} s and was killed", hung=True)
    if ran.code is None:
        return Outcome(ok=False, detail=ran.err)
    if ran.code:
        said = f": {ran.said}" if ran.said else ""
        return Outcome(ok=False, detail=f"exit code {ran.code}{said}")
    return Outcome(ok=True, detail="exit code 0")


def event_data(event: SessionEvent) -> dict[str, Any]:
    """An event as plain JSON values, its name as `event`; without secrets."""
    from pydantic_core import to_jsonable_python

    data = json.dumps({"event": event.name, **to_jsonable_python(event, fallback=str)}, ensure_ascii=False)
    return json.loads(Redactor()(data))


def filled(word: str, event: SessionEvent) -> str:
    """A word of an argv list with the event's values in place of the placeholders."""
    phase = getattr(event, "phase", None) or getattr(getattr(event, "result", None), "phase", None)
    values = {
        "session_id": event.session_id, "event": event.name, "model": event.model or "", "phase": str(phase or ""),
        "key": str(getattr(event, "key", "")), "value": str(getattr(event, "value", "")),
    }  # fmt: skip
    # One pass: what a value brings along is not looked at again. No argument can hold NUL.
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), word).replace("\0", "")


def run_command(
    argv: Sequence[str],
    *,
    stdin: str = "",
    timeout_s: float = TIMEOUT_S,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ran:
    """Run a command in a process group of its own, which is killed when the time is over. Never raises for it.

    The streams are files, because a grandchild that stays behind would hold a pipe open.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode("utf-8", "replace"))
        given.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - the user named the command; no shell reads it
                list(argv), stdin=given if stdin else subprocess.DEVNULL, stdout=out, stderr=err, cwd=directory,
                env=dict(os.environ if environment is None else environment), start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            return Ran(code=None, err=f"cannot be started: {getattr(error, 'strerror', None) or error}")
        code: int | None = None
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(timeout_s)
        finally:
            _end_group(process)
        return Ran(code=code, out=_text(out), err=_text(err), hung=code is None)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the group, and collect the process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read(KEPT_BYTES).decode("utf-8", "replace")
