"""The door to a session: what the guide calls DSPyTrainingSession."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from strop.datasets import Dataset, Split
from strop.errors import BadInput, SettingsError
from strop.gateway import Gateway, PriceTable, Redactor, usd
from strop.metrics import Metric, build
from strop.optimizers import settings_of
from strop.runs import TaskSpec
from strop.sessions.assembling import statistics
from strop.sessions.attempt import SessionAttempt
from strop.sessions.config import Signature, TrainingConfig, TrainingPhase
from strop.sessions.engine import Engine
from strop.sessions.events import EventName, SessionEvent, Start
from strop.sessions.hooks import hook_of, hooking
from strop.sessions.hooks_worker import Hook
from strop.sessions.journal import SessionRecord
from strop.sessions.problem import Problem, from_prompt, from_task
from strop.sessions.proposing import steps_for
from strop.sessions.result import SessionResult, SessionStatistics
from strop.sessions.telling import Teller
from strop.store import Store

HOME = Path(".strop")
LIMITS = {"cost_budget", "timeout_s", "timeout_per_iteration", "max_concurrency", "hooks"}


@dataclass(frozen=True, kw_only=True)
class SpentSoFar:
    """USD of a session that is under way, earlier attempts included: in all, and by model. An answer that may be billed
    counts with its worst case, as in the budget."""

    total_usd: float
    by_model_usd: dict[str, float]


class TrainingSession:
    """Trains the models of a config on one task, once for each `run`.

    Without `store` and `gateway` it opens the database that STROP_DATABASE_URL names, else `.strop/strop.db`, for the
    time of a run. `data` and `metric` replace the task's own, or give a session by prompt a metric. `home` is where
    hooks keep their files; with a `store` and no `home` no hook of the config is run, nor our own: whoever brings the
    store brings the hooks (see `hook`).
    """

    def __init__(
        self,
        config: TrainingConfig,
        *,
        store: Store | None = None,
        gateway: Gateway | None = None,
        data: Split | Dataset | None = None,
        metric: Metric | Callable[..., Any] | str | None = None,
        directory: Path | None = None,
        home: Path | None = None,
    ) -> None:
        self.config = config
        self.id: str | None = None
        self.result: SessionResult | None = None
        self._store = store
        self._gateway = gateway
        self._data = data
        self._metric = metric
        self._directory = directory
        self._home = home if home is not None or store is not None else (directory or Path.cwd()) / HOME
        self._teller = Teller()
        self._engine: Engine | None = None
        self._hooks: list[Hook] = []
        self._attempt: SessionAttempt | None = None
        self._before: dict[str, int] = {}

    def on(self, event: EventName, listener: Callable[[Any], object]) -> Self:
        """Hand the documented payload of an event to a listener, which may be a coroutine function. Returns itself."""
        self._teller.on(event, listener)
        return self

    def listen(self, listener: Callable[[SessionEvent], object]) -> Callable[[], None]:
        """Hand every event, as an object, to a listener; the returned function ends that."""
        return self._teller.listen(listener)

    def hook(self, hook: Callable[[SessionEvent], object] | Hook, *events: EventName) -> Self:
        """Add a hook: a callable, which may be a coroutine function, for `events`, at the end (`hooks_integration`)
        when none is named; or a hook object such as `CommandHook`, which names its events itself. Returns itself.

        Unlike a listener it works in a thread of its own, the session does not wait for it beyond its time (10 s), and
        what became of it is told as a `HookReport`. `enable_hooks_integration=False` turns it off.

        Raises:
            BadInput: there is no such event.
        """
        self._hooks.append(hook_of(hook, events))
        return self

    def run(self, prompt: str | None = None, signature: Signature | Mapping[str, Any] | None = None) -> SessionResult:
        """Train: the prompt of a signature, or the config's own task. Returns when the session has ended.

        Raises:
            BadInput: the task or its data cannot be used.
            SettingsError: there is no such algorithm, or it has no such settings.
            PriceUnknown: nobody said what a model costs.
            StropError: the session as a whole failed; a model that fails ends alone and is part of the result.
        """
        with ExitStack() as stack:
            engine = self._opened(stack)
            problem = self.problem(prompt, signature)
            for name, given in steps_for(self.config.algorithm, 1, train=len(problem.split.train)):
                settings_of(name, given)
            record = engine.create(self.config, problem)
            return self._carried_out(engine, problem, record)

    async def run_async(
        self, prompt: str | None = None, signature: Signature | Mapping[str, Any] | None = None
    ) -> SessionResult:
        """`run`, awaited."""
        return await asyncio.to_thread(self.run, prompt, signature)

    def resume(self, session_id: str) -> SessionResult:
        """Carry on with a session of this config that was interrupted; what was recorded is not paid again.

        Raises:
            NotFound: there is no such session.
            LeaseHeld: another process is at it.
            BadInput: it was given its examples from Python, and they are not given again; or the data have changed.
        """
        with ExitStack() as stack:
            engine = self._opened(stack)
            record = engine.journal.get(session_id)
            return self._carried_out(engine, self._problem_again(record), record)

    @classmethod
    def of(
        cls,
        record: SessionRecord,
        *,
        store: Store | None = None,
        gateway: Gateway | None = None,
        home: Path | None = None,
        **changes: Any,
    ) -> Self:
        """A session to resume, with its config as it was stored; keys come from the environment.

        `changes` are keys of the config that do not change what the session is: cost_budget, timeout_s,
        timeout_per_iteration, max_concurrency, hooks.
        """
        other = sorted(changes.keys() - LIMITS)
        if other:
            raise BadInput(f"{other[0]!r} cannot change in a session that has begun", hint="start a new session")
        directory = None if record.directory is None else Path(record.directory)
        config = TrainingConfig(**{**record.config, **changes})
        return cls(config, store=store, gateway=gateway, directory=directory, home=home)

    def stop(self) -> None:
        """End now: no new call, calls in flight are left, `stopped` is told and the partial result kept."""
        if self._engine is not None:
            self._engine.stop()

    def get_statistics(self) -> SessionStatistics:
        """Where it stands: phase, cost (USD), duration (ms), best model, figures of each model."""
        attempt = self._engine.current if self._engine else None
        if attempt is not None:
            return statistics(attempt)
        return SessionStatistics(
            current_phase=TrainingPhase.BASELINE if self.result is None else TrainingPhase.REPORT,
            total_cost=0.0 if self.result is None else self.result.total_cost_usd,
            duration=0.0 if self.result is None else 1000 * self.result.duration_s,
            best_model=None if self.result is None else self.result.best_model,
            comparison={} if self.result is None else _comparison(self.result),
        )

    def in_flight(self) -> dict[str, int]:
        """Calls under way by model, for a live view."""
        attempt = self._engine.current if self._engine else None
        return (
            {}
            if attempt is None
            else {one.name: attempt.traffic.in_flight.in_flight(one.name) for one in attempt.contestants}
        )

    def spending(self) -> SpentSoFar | None:
        """What the session has cost until now, for a live view: from counters in memory, no database is asked. None
        when no session is under way."""
        attempt = self._engine.current if self._engine else None
        self._attempt = attempt = attempt or self._attempt
        if attempt is None:
            return None
        spent = {
            one.name: self._before.get(one.name, 0) + one.accounts[0].counters.read().cost_pico
            for one in attempt.contestants
            if one.accounts
        }
        return SpentSoFar(
            total_usd=usd(attempt.spent_pico()), by_model_usd={name: usd(pico) for name, pico in spent.items()}
        )

    def problem(self, prompt: str | None = None, signature: Signature | Mapping[str, Any] | None = None) -> Problem:
        """What the models will work on. A signature may be a mapping of its keys, in the guide's spelling or ours.

        Raises:
            BadInput: neither a prompt with its signature nor a task.
        """
        metric = self._metric
        built = metric if metric is None or isinstance(metric, Metric) else build(metric)
        if prompt is not None:
            if signature is None:
                raise BadInput(
                    "a prompt needs a signature", hint="session.run(prompt, Signature(input=..., output=...))"
                )
            words = signature if isinstance(signature, Signature) else Signature(**signature)
            return from_prompt(prompt, words, self.config, metric=built)
        if self.config.task is None:
            raise BadInput("there is nothing to train on", hint="run(prompt, signature), or TrainingConfig(task=...)")
        if self.config.judge_model is not None:
            raise SettingsError(
                "judge_model is for the constraints of a prompt: a task is scored by its metric",
                hint="leave it out, or run(prompt, Signature(..., constraints=('polite in tone',)))",
            )
        return from_task(self.config.task, directory=self._directory, data=self._data, metric=built)

    def _problem_again(self, record: SessionRecord) -> Problem:
        known = record.problem
        if known is None and self._data is None and self._metric is None:
            raise BadInput(f"session {record.id} was given its examples or metric from Python; resume it from there")
        if known is not None and "prompt" in known:
            return from_prompt(known["prompt"], Signature(**known["signature"]), self.config)
        if known is not None:
            task = TaskSpec.model_validate(known["task"], strict=False)
            directory = None if record.directory is None else Path(record.directory)
            return from_task(task, directory=directory)
        return self.problem()

    def _carried_out(self, engine: Engine, problem: Problem, record: SessionRecord) -> SessionResult:
        self.id = record.id
        listen, tell = self._teller.listen, self._teller.tell
        try:
            with ExitStack() as stack:
                stack.callback(listen(self._take_stock))
                if self._home is not None or self._hooks:
                    hooks = hooking(
                        self.config, store=engine.store, directory=self._home, listen=listen, tell=tell,
                        more=self._hooks,
                    )  # fmt: skip
                    stack.enter_context(hooks)
                self.result = engine.run(self.config, problem, record.id)
        finally:
            self._engine = self._attempt = None
            self._teller.drain()
        return self.result

    def _take_stock(self, event: SessionEvent) -> None:
        """Before the first call of an attempt: what earlier ones spent on each model."""
        if not isinstance(event, Start) or self._engine is None:
            return
        self._before = {}
        for index, name in enumerate(self.config.names if event.resumed else ()):
            root = f"session:{event.session_id}"
            nodes = [self._engine.gateway.budgets.read(each) for each in (f"{root}/{index}", f"{root}/search/{index}")]
            self._before[name] = sum(node.spent for node in nodes if node is not None)

    def _opened(self, stack: ExitStack) -> Engine:
        store, gateway = self._store, self._gateway
        if store is None:
            url = os.environ.get("STROP_DATABASE_URL") or str((self._directory or Path.cwd()) / HOME / "strop.db")
            store = stack.enter_context(Store.open(url))
        if gateway is None:
            prices = PriceTable.load((self._directory or Path.cwd()) / "prices.yaml")
            gateway = Gateway(store, prices=prices, redact=Redactor())
            stack.callback(gateway.close)
        self._engine = Engine(store=store, gateway=gateway, teller=self._teller)
        return self._engine


def _comparison(result: SessionResult) -> dict[str, Any]:
    from strop.sessions.collector import statistics_of

    return {one.name: statistics_of(one.name, one.provider, one.iterations) for one in result.models}
