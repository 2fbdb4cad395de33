"""One attempt at a session: what all phases share, and the few things that each of them does."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from strop.datasets import Example
from strop.errors import RunFailed, RunStopped, StropError
from strop.evaluation import Evaluation, Progress, evaluate
from strop.gateway import Gateway, Role, lanes, usd
from strop.programs import fingerprint
from strop.sessions.config import TrainingConfig, TrainingPhase
from strop.sessions.contestant import Contestant, Tried
from strop.sessions.events import BudgetExceeded, Error, Iteration, Metrics, Phase, SessionEvent
from strop.sessions.journal import SessionJournal, SessionRecord
from strop.sessions.judge_calls import SessionJudge
from strop.sessions.models import lanes_of, language_model
from strop.sessions.problem import Problem
from strop.sessions.result import IterationResult, Transfer, now
from strop.sessions.slots import Traffic
from strop.sessions.telling import Teller
from strop.store import Lease

if TYPE_CHECKING:
    from datetime import datetime

    import dspy

JOIN_S = 0.2
FATAL = {"fenced", "store_failed", "replay_miss"}


@dataclass(frozen=True, kw_only=True)
class Entered:
    """When a phase was entered, by both clocks."""

    phase: TrainingPhase
    at: datetime
    clock: float


@dataclass(kw_only=True)
class SessionAttempt:
    """The phases fill it in; it is reported whatever ends the attempt."""

    gateway: Gateway
    journal: SessionJournal
    record: SessionRecord
    config: TrainingConfig
    problem: Problem
    lease: Lease
    traffic: Traffic
    teller: Teller
    contestants: list[Contestant]
    dev: tuple[Example, ...]
    spent_before: int
    started: float = field(default_factory=time.monotonic)
    entered: list[Entered] = field(default_factory=list[Entered])
    transfers: list[Transfer] = field(default_factory=list[Transfer])
    judge: SessionJudge | None = None
    judge_down: str = ""
    fatal: StropError | RunStopped | None = None
    looks: int = 1
    budget_told: bool = False
    moved: threading.Condition = field(default_factory=threading.Condition)
    marks: WeakKeyDictionary[Any, str] = field(default_factory=WeakKeyDictionary[Any, str])

    @property
    def root(self) -> str:
        """Scope and budget of the whole session."""
        return f"session:{self.record.id}"

    @property
    def alive(self) -> list[Contestant]:
        """The models that still take part."""
        return [one for one in self.contestants if one.alive]

    @property
    def phase(self) -> TrainingPhase:
        """Where the session is."""
        return self.entered[-1].phase if self.entered else TrainingPhase.BASELINE

    def spent_pico(self) -> int:
        """What the session has cost so far, earlier attempts included."""
        now_spent = sum(one.accounts[0].counters.read().cost_pico for one in self.contestants if one.accounts)
        return self.spent_before + now_spent + (self.judge.spent_pico() if self.judge else 0)

    def enter(self, phase: TrainingPhase) -> None:
        """Everybody has left the phase before."""
        self.entered.append(Entered(phase=phase, at=now(), clock=time.monotonic()))
        if self.judge is not None:
            self.judge.enter(phase)
        self.tell(Phase(phase=phase))

    def tell(self, event: SessionEvent) -> None:
        """Tell whoever listens, in the name of this session."""
        self.teller.tell(replace(event, session_id=self.record.id))

    def done(self, one: Contestant, result: IterationResult) -> None:
        """An iteration is over."""
        one.iterations.append(result)
        self.tell(Iteration(model=one.name, result=result))
        self.tell(
            Metrics(
                model=one.name, provider=one.config.provider, quality=result.quality, performance=result.performance,
                total_cost=usd(self.spent_pico()),
            )
        )  # fmt: skip

    def lm(self, one: Contestant, phase: TrainingPhase, role: Role = "task") -> dspy.LM:
        """The model of a contestant, or the one that writes its instructions."""
        writes = role == "prompt"
        return language_model(
            self.gateway, one.account, one.prompt_config if writes else one.config,
            one.prompt_settings if writes else one.settings, who=one.name, traffic=self.traffic, phase=phase, role=role,
        )  # fmt: skip

    def measure(
        self,
        one: Contestant,
        program: dspy.Module,
        examples: Sequence[Example],
        phase: TrainingPhase,
        *,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Run a program on examples, at the expense of the model's account. Raises RunStopped."""
        lm = self.lm(one, phase)
        asked = sampled(examples) if self.problem.sampled else examples
        width = min(self.config.max_concurrency, max(1, len(asked)))
        found = evaluate(
            program, asked, self.problem.metric, lm, concurrency=width, progress=progress, switch=one.account.switch
        )
        mark = self.mark(program)
        for row in found.rows:
            if row.tokens_out and f"{mark}:{row.example_id}" not in one.seen:
                one.seen.add(f"{mark}:{row.example_id}")
                one.latencies_ms.append(row.latency_us / 1000)
        return found

    def tried(self, program: dspy.Module, dev: Evaluation, origin: str) -> Tried:
        """A program with its measurement."""
        return Tried(program=program, fingerprint=self.mark(program), dev=dev, origin=origin)

    def mark(self, program: dspy.Module) -> str:
        """The fingerprint of a program that nobody changes any more."""
        known = self.marks.get(program)
        if known is None:
            known = self.marks[program] = fingerprint(program, self.problem.program)
        return known

    def each(self, contestants: Iterable[Contestant], job: Callable[[Contestant], None]) -> None:
        """Do a job for every model at once; a model that fails ends alone.

        Raises:
            StropError, RunStopped: the whole session cannot go on.
        """

        def guarded(one: Contestant) -> None:
            try:
                with lanes(lanes_of(self.traffic, one.name, one.settings)):
                    job(one)
            except RunStopped as stop:
                self.ended(one, stop)
            except StropError as error:
                self.fail(one, error)
            except Exception as error:  # noqa: BLE001 - whatever breaks, breaks this model alone
                self.fail(one, RunFailed(f"{type(error).__name__}: {error}"))
            finally:
                with self.moved:
                    self.moved.notify_all()

        at_once([partial(guarded, one) for one in contestants])
        if self.fatal is not None:
            raise self.fatal

    def ended(self, one: Contestant, stop: RunStopped) -> None:
        """A switch was tripped: what that means for the model and for the session."""
        cause, detail = stop.cause, stop.detail
        if cause == "provider_down":
            causes = [each.switch.cause for each in reversed(one.accounts)]
            self.fail(one, next((error for error in causes if isinstance(error, StropError)), RunFailed(detail)))
        elif cause == "budget_exceeded":
            one.status, one.why = "budget_exceeded", detail
            self.over_budget(detail)
        elif cause in {"cancelled", "timeout"}:
            one.status, one.why = ("timeout" if cause == "timeout" else "stopped"), detail
        elif cause in FATAL:
            one.status, one.why = "failed", detail
            self.fatal = self.fatal or stop
            for other in self.contestants:
                other.stop(cause, detail)
        else:
            self.fail(one, RunFailed(detail))

    def fail(self, one: Contestant, error: StropError) -> None:
        """A model ends alone; the rest go on."""
        one.status, one.why = "failed", error.message
        self.tell(Error(model=one.name, error=error))

    def over_budget(self, why: str) -> None:
        """Say it once."""
        with self.moved:
            first, self.budget_told = not self.budget_told, True
        if first:
            spent = usd(self.spent_pico())
            self.tell(BudgetExceeded(total_cost=spent, budget_usd=self.config.cost_budget, why=why))

    def judge_dry(self, why: str) -> None:
        """Nothing more can be judged with the money of this phase: it ends for every model at once."""
        for one in self.contestants:
            one.account.switch.trip("budget_exceeded", why)

    def judge_failed(self, why: str) -> None:
        """The judge cannot be used: the session ends with what it has. Say it once."""
        with self.moved:
            first, self.judge_down = not self.judge_down, self.judge_down or why
        if first:
            self.stop("cancelled", why)
            self.tell(Error(error=RunFailed(why)))

    def stop(self, cause: Any, detail: str) -> None:
        """Stop every model."""
        if self.judge is not None:
            self.judge.stop(cause, detail)
        for one in self.contestants:
            one.stop(cause, detail)
        with self.moved:
            self.moved.notify_all()


def at_once(jobs: Sequence[Callable[[], None]]) -> None:
    """Do all jobs in threads of their own and wait for them. A KeyboardInterrupt leaves at once."""
    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=(job,), daemon=True, name=f"strop-session-{n}")
        for n, job in enumerate(jobs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(JOIN_S)


def sampled(examples: Sequence[Example]) -> list[Example]:
    """The same input asked again: every example is a sample of its own, in the gateway's sense of a rollout."""
    return [
        Example(
            id=each.id, inputs={**each.inputs, "config": {"rollout_id": rollout(each.id)}}, labels=each.labels,
            group=each.group, origin=each.origin,
        )
        for each in examples
    ]  # fmt: skip


def rollout(id: str) -> int:
    """A number for each sample, the same in every process; the test samples' differ from the dev samples'."""
    part, _, number = id.rpartition("-")
    return int(number) + (1_000_000 if part.startswith("test") else 0)
