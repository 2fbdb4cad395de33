"""Hooks: what else hears of a session. Our own store is always there; a command or a function can be added.

A hook works in a thread of its own, so that the training does not wait for it, and whatever it does ends nothing: one
that fails is reported, one that does not come back within its time is reported and not asked again.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
import shlex
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from strop.errors import BadInput, SettingsError
from strop.gateway import Redactor
from strop.runs import importing_from
from strop.sessions.config import TrainingConfig
from strop.sessions.events import EVENTS, HooksIntegration, SessionEvent
from strop.sessions.hooks_claude_flow import COMMAND, ClaudeFlowHook
from strop.sessions.hooks_command import TIMEOUT_S, CommandHook, Outcome
from strop.sessions.hooks_sink import ResultSink
from strop.sessions.hooks_worker import GRACE_S, Hook, Worker
from strop.store import Store

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
Leave = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class HookReport(HooksIntegration):
    """What became of a hook, told as another `hooks_integration` event. `key` and `value` are those of the session's
    results, as in the event that asked for them to be stored."""

    hook: str
    ok: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class FunctionHook:
    """Any callable that takes an event; a coroutine function is awaited."""

    function: Callable[[Any], object]
    events: frozenset[str] = frozenset({"hooks_integration"})
    timeout_s: float = TIMEOUT_S

    @property
    def name(self) -> str:
        """The function's own name."""
        return getattr(self.function, "__qualname__", None) or type(self.function).__name__

    def run(self, event: SessionEvent) -> Outcome:
        """Call it; the worker minds the time of one that blocks."""
        made = self.function(event)
        if inspect.isawaitable(made):
            try:
                asyncio.run(asyncio.wait_for(_awaited(made), self.timeout_s))
            except TimeoutError:
                return Outcome(ok=False, detail=f"did not end within {self.timeout_s:g} s", hung=True)
        return Outcome(ok=True, detail="returned")

    def close(self) -> Outcome | None:
        """Nothing is left to do."""


def hook_of(hook: Callable[[Any], object] | Hook, events: Iterable[str] = ()) -> Hook:
    """A callable as a hook for `events`, at the end when none is named; an object that is a hook already knows its own.

    Raises:
        BadInput: there is no such event, or the object names its events itself.
    """
    names = frozenset(events)
    unknown = sorted(names - set(EVENTS))
    if unknown:
        raise BadInput(f"there is no event {unknown[0]!r}", hint=f"known: {', '.join(EVENTS)}")
    if isinstance(hook, Hook):
        if names:
            raise BadInput(f"hook {hook.name!r} names its events itself", hint="give `events` to the hook object")
        return hook
    return FunctionHook(function=hook, events=names or frozenset({"hooks_integration"}))


def parse_hook(text: str, directory: Path) -> Hook:
    """A hook from words: `claude-flow`, `module:function`, or a command; `complete,error=` before it names events.

    Raises:
        SettingsError: the words cannot be read, or the function is not there.
    """
    events, words = _events(text)
    if words == COMMAND:
        return ClaudeFlowHook(directory=directory / COMMAND)
    if _FUNCTION.fullmatch(words):
        return FunctionHook(function=_function(words), events=events)
    try:
        argv = tuple(shlex.split(words))
    except ValueError as error:
        raise SettingsError(f"hook {text!r} cannot be read: {error}") from None
    if not argv:
        raise SettingsError(f"hook {text!r} names no command", hint="hooks='claude-flow', or 'complete=say done'")
    return CommandHook(argv=argv, events=events)


class Hooks:
    """The hooks of one session. `hear` gets every event; `close` waits for what they still do, each its time at most.

    A report of each hook goes to `tell` before the session's `complete`, and after it for what ran later.
    """

    def __init__(self, hooks: Iterable[Hook], tell: Callable[[SessionEvent], None]) -> None:
        self._workers = [Worker(hook) for hook in hooks]
        self._tell = tell
        self._asked = HooksIntegration(value="")

    def hear(self, event: SessionEvent) -> None:
        """Hand an event to whoever wants it. The request to store is waited for: the training is over by then."""
        if isinstance(event, HookReport):
            return
        for worker in self._workers:
            worker.give(event)
        if isinstance(event, HooksIntegration):
            self._asked = event
            self._report()

    def close(self) -> None:
        """The session is over: let everybody finish, and say what became of them."""
        for worker in self._workers:
            worker.give(None)
        self._report()

    def _report(self) -> None:
        ends = [time.monotonic() + worker.hook.timeout_s + GRACE_S for worker in self._workers]
        for worker, end in zip(self._workers, ends, strict=True):
            outcome = worker.awaited(end)
            if outcome is not None:
                asked = self._asked
                self._tell(
                    HookReport(
                        session_id=asked.session_id, key=asked.key, value=asked.value, hook=worker.hook.name,
                        ok=outcome.ok, detail=Redactor()(outcome.detail),
                    )
                )  # fmt: skip


@contextmanager
def hooking(
    config: TrainingConfig,
    *,
    store: Store,
    directory: Path | None,
    listen: Callable[[Callable[[SessionEvent], object]], Leave],
    tell: Callable[[SessionEvent], None],
    more: Iterable[Hook] = (),
) -> Generator[None]:
    """Run the hooks of a config while the block carries its session out: our own store, its `hooks`, and `more`.

    `directory` is where files are kept (`.strop`); without one only `more` are run. Nothing runs when the config
    disables the integration.

    Raises:
        SettingsError: a hook of the config cannot be read.
    """
    if not config.enable_hooks_integration:
        yield
        return
    usual: list[Hook] = []
    if directory is not None:
        memory = directory / "hooks"
        usual = [ResultSink(store=store, directory=memory), *(parse_hook(text, memory) for text in config.hooks)]
    hooks = Hooks([*usual, *more], tell)
    leave = listen(hooks.hear)
    interrupted = False
    try:
        yield
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        leave()
        if not interrupted:
            hooks.close()


def _events(text: str) -> tuple[frozenset[str], str]:
    """The names before `=`, and the rest; a text without them is heard at the end."""
    names, equals, words = text.partition("=")
    listed = frozenset(name.strip() for name in names.split(","))
    if equals and listed <= set(EVENTS):
        return listed, words.strip()
    if equals and re.fullmatch(r"[a-z_]+(,[a-z_]+)*", names):
        unknown = ", ".join(sorted(listed - set(EVENTS)))
        raise SettingsError(f"hook {text!r}: there is no event {unknown}", hint=f"known: {', '.join(EVENTS)}")
    return frozenset({"hooks_integration"}), text.strip()


def _function(text: str) -> Callable[[Any], object]:
    module, _, path = text.partition(":")
    try:
        with importing_from(Path.cwd()):
            found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"hook {text!r} cannot be imported: {error}") from None
    if not callable(found):
        raise SettingsError(f"hook {text!r} is no function")
    return cast("Callable[[Any], object]", found)


async def _awaited(made: Any) -> Any:
    return await made
