"""Carries a session out: five phases, one lease, one budget. Deterministic, so a resumed session is the same."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

from strop.errors import BadInput, Fenced, LeaseHeld, RunFailed, RunStopped, SettingsError, StropError
from strop.gateway import Gateway, pico, usd
from strop.runs import Journal, importing_from
from strop.sessions.assembling import assemble, statistics
from strop.sessions.attempt import SessionAttempt
from strop.sessions.baseline import measure_baselines
from strop.sessions.benchmark import benchmark
from strop.sessions.collector import statistics_of
from strop.sessions.config import TrainingConfig, TrainingPhase
from strop.sessions.contestant import Contestant
from strop.sessions.crossing import carry_across
from strop.sessions.events import Complete, Error, HooksIntegration, Report, Start, Stopped
from strop.sessions.journal import SessionJournal, SessionRecord
from strop.sessions.judge_calls import SessionJudge, judge_settings, need_key
from strop.sessions.models import settings_of
from strop.sessions.money import divide, measured_dev, node, open_all
from strop.sessions.problem import Problem
from strop.sessions.report import markdown
from strop.sessions.result import SessionResult, SessionStatus, now
from strop.sessions.rounds import optimise
from strop.sessions.slots import Traffic
from strop.sessions.telling import Teller
from strop.sessions.watch import watching
from strop.sessions.wording import money
from strop.stats import load_ahead
from strop.store import Lease, Store

LEASE_S = 60.0


class Engine:
    """Everything that a session needs beside its config and problem. One at a time per instance."""

    def __init__(self, *, store: Store, gateway: Gateway, teller: Teller, lease_s: float = LEASE_S) -> None:
        self.store = store
        self.gateway = gateway
        self.teller = teller
        self.journal = SessionJournal(store)
        self.current: SessionAttempt | None = None
        self._lease_s = lease_s
        self._stopped = False

    def stop(self) -> None:
        """End the session that is under way, or about to be, with what it has."""
        self._stopped = True
        if self.current is not None:
            self.current.stop("cancelled", "stopped")

    def create(self, config: TrainingConfig, problem: Problem) -> SessionRecord:
        """Register a session. Every model's price is looked up first: an unknown one is an error, never a guess.

        Raises:
            PriceUnknown: nobody said what a model costs.
            SettingsError: the judge's key is missing. (A model without its key ends alone.)
        """
        judge = None if problem.judge is None else problem.judge.config
        for one in (*config.models, config.prompt_model, judge):
            if one is not None:
                self.gateway.prices.price(one.full_name)
        if judge is not None and not self.gateway.replaying:
            need_key(judge)
        return self.journal.create(
            name=problem.name[:120], config=config.stored(), problem=problem.description,
            directory=None if problem.directory is None else str(problem.directory),
            data_fingerprint=problem.split.fingerprint,
        )  # fmt: skip

    def run(self, config: TrainingConfig, problem: Problem, session_id: str) -> SessionResult:
        """Carry out the session, or carry it on after an interruption: what was recorded is not paid again.

        Raises:
            LeaseHeld: another process is at it.
            BadInput: the data are not those that the session began with.
            StropError: the session itself cannot go on (its database, its lease).
        """
        record = self.journal.get(session_id)
        if record.data_fingerprint != problem.split.fingerprint:
            raise BadInput(
                f"the data have changed since session {record.id} began, so it cannot go on with them",
                hint="start a new session; answers already recorded are used again where the requests are the same",
            )
        owner = f"{socket.gethostname()} process {os.getpid()}"
        try:
            lease = Lease.acquire(self.store, f"session:{record.id}", owner, self._lease_s)
        except LeaseHeld as error:
            raise LeaseHeld(f"session {record.id} is being worked on: {error.message}", hint=error.hint) from None
        with lease.keep_alive(), importing_from(problem.directory or Path.cwd()):
            try:
                return self._owned(config, problem, record, lease)
            finally:
                lease.release()

    def _owned(self, config: TrainingConfig, problem: Problem, record: SessionRecord, lease: Lease) -> SessionResult:
        attempt = self._begin(config, problem, record, lease)
        self.current = attempt
        load_ahead()
        if self._stopped:
            attempt.stop("cancelled", "stopped")
        fatal: StropError | None = None
        try:
            with watching(attempt):
                self._phases(attempt)
        except RunStopped as stop:
            fatal = Fenced(stop.detail) if stop.cause == "fenced" else RunFailed(stop.detail)
        except KeyboardInterrupt:
            attempt.stop("cancelled", "interrupted from the keyboard")
            for one in attempt.alive:
                one.status, one.why = "stopped", "interrupted from the keyboard"
        finally:
            self.current = None
        if fatal is not None:
            attempt.tell(Error(error=fatal))
            raise fatal
        return self._finish(attempt)

    def _begin(self, config: TrainingConfig, problem: Problem, record: SessionRecord, lease: Lease) -> SessionAttempt:
        """Take stock of earlier attempts, then start another."""
        contestants = _contestants(config, record.id)
        ledger = self.gateway.ledger
        attempt = SessionAttempt(
            gateway=self.gateway, journal=self.journal, record=record, config=config, problem=problem, lease=lease,
            traffic=Traffic(config.max_concurrency), teller=self.teller, contestants=contestants, dev=(),
            spent_before=0,
        )  # fmt: skip
        attempt.judge = _judge(attempt)
        _affords(attempt)
        open_all(attempt)
        for scope in [one.scope for one in contestants] + ([attempt.judge.scope] if attempt.judge else []):
            ledger.settle_lost(scope, lease)
            if record.status in {"failed", "completed", "timeout"}:
                ledger.forget_failures(scope, lease)
        for one in contestants:
            one.open_account(node(attempt, one), lease)
        ledger.writer.flush(lease)
        spent = self.gateway.budgets.read(node(attempt))
        attempt.spent_before = spent.spent if spent else 0
        examples = problem.split.dev.examples
        attempt.dev = examples[: measured_dev(attempt)]
        self.journal.begin(record.id, lease)
        attempt.tell(
            Start(
                phase=TrainingPhase.BASELINE, models=config.names, resumed=record.attempts > 0,
                budget_usd=config.cost_budget,
            )
        )  # fmt: skip
        return attempt

    def _phases(self, attempt: SessionAttempt) -> None:
        """In order; a phase that has nobody left is not entered."""
        steps: tuple[Callable[[SessionAttempt], None], ...] = (
            measure_baselines, divide, optimise, carry_across, self._look, benchmark,
        )  # fmt: skip
        for step in steps:
            if attempt.alive:
                step(attempt)
        attempt.enter(TrainingPhase.REPORT)

    def _look(self, attempt: SessionAttempt) -> None:
        """Count that the sealed examples are opened, by these programs."""
        if attempt.problem.sampled or not len(attempt.problem.split.test):
            return
        marks = [f"{one.name}:{one.best.fingerprint}" for one in attempt.alive if one.best is not None]
        pair = hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:40]
        test = attempt.problem.split.test.fingerprint
        attempt.looks = Journal(self.store).look(attempt.record.id, attempt.lease, test, f"session:{pair}")

    def _finish(self, attempt: SessionAttempt) -> SessionResult:
        """Store and tell how it ended. A process that lost its session writes nothing."""
        status, why = _status(attempt)
        self.gateway.ledger.writer.flush(attempt.lease)
        result, whole = assemble(attempt, status, why), attempt.record.found
        if status != "completed" and whole is not None and whole.status == "completed":
            # It was complete and was only answered once more: what ended that takes no decision back.
            result, status, why = whole, "completed", whole.why
        self.journal.end(
            attempt.record.id, attempt.lease, status=status, seconds=result.duration_s - attempt.record.seconds,
            result=result, error=None if status == "completed" else why,
        )  # fmt: skip
        text, milliseconds = markdown(result, redact=self.gateway.redact), 1000 * result.duration_s
        comparison = {one.name: statistics_of(one.name, one.provider, one.iterations) for one in result.models}
        attempt.tell(
            Report(
                report=text, comparison=comparison, best_model=result.best_model,
                total_cost=result.total_cost_usd, duration=milliseconds,
            )
        )  # fmt: skip
        if attempt.config.enable_hooks_integration:
            attempt.tell(HooksIntegration(value=stored_value(result, comparison)))
        if status == "stopped":
            attempt.tell(Stopped(statistics=statistics(attempt)))
        else:
            attempt.tell(
                Complete(
                    duration=milliseconds, total_cost=result.total_cost_usd, report=text, best_model=result.best_model
                )
            )
        return result


def stored_value(result: SessionResult, comparison: object) -> str:
    """The JSON text that hooks store: bestModel, comparison, totalCost, timestamp."""
    from pydantic_core import to_jsonable_python

    value = {
        "bestModel": result.best_model,
        "comparison": to_jsonable_python(comparison),
        "totalCost": result.total_cost_usd,
        "timestamp": now().isoformat(),
    }
    return json.dumps(value, ensure_ascii=False)


def _contestants(config: TrainingConfig, id: str) -> list[Contestant]:
    return [
        Contestant(
            index=index,
            name=name,
            config=one,
            settings=settings_of(one, config.timeout_per_iteration),
            scope=f"session:{id}:{index}",
            prompt_config=config.prompt_model or one,
            prompt_settings=settings_of(config.prompt_model or one, config.timeout_per_iteration),
        )
        for index, (name, one) in enumerate(zip(config.names, config.models, strict=True))
    ]


def _affords(attempt: SessionAttempt) -> None:
    """Raises SettingsError when a session that goes on is given less money than it has spent."""
    limit, spent = attempt.config.cost_budget, attempt.gateway.budgets.read(node(attempt))
    if limit is not None and spent is not None and pico(limit) < spent.spent:
        raise SettingsError(
            f"{money(usd(spent.spent))} are spent already, more than a budget of {money(limit)}",
            hint="--budget raises what the whole session may cost",
        )


def _judge(attempt: SessionAttempt) -> SessionJudge | None:
    """The problem's judge with a place in this session, where there is something to be judged."""
    judge, config = attempt.problem.judge, attempt.config
    if judge is None:
        return None
    seat = SessionJudge(
        gateway=attempt.gateway, config=judge.config, rules=attempt.problem.judged, root=attempt.root,
        settings=judge_settings(judge.config, config.timeout_per_iteration), lease=attempt.lease,
        traffic=attempt.traffic, dry=attempt.judge_dry, down=attempt.judge_failed,
    )  # fmt: skip
    judge.bind(seat.ask, fail=seat.failed, check=seat.check)
    return seat


def _status(attempt: SessionAttempt) -> tuple[SessionStatus, str]:
    """How the session ended, by how its models did."""
    if attempt.judge_down:
        return "failed", attempt.judge_down
    ends = {one.status for one in attempt.contestants}
    for status in ("stopped", "timeout"):
        if status in ends:
            return status, next(one.why for one in attempt.contestants if one.status == status)
    if ends == {"failed"}:
        return "failed", "; ".join(f"{one.name}: {one.why}" for one in attempt.contestants)
    cut = [one for one in attempt.contestants if one.status != "failed" and not _benchmarked(attempt, one)]
    if cut and attempt.budget_told:
        return "budget_exceeded", f"the budget did not allow to benchmark {', '.join(one.name for one in cut)} in full"
    return "completed", "the budget ended the search early" if attempt.budget_told else ""


def _benchmarked(attempt: SessionAttempt, one: Contestant) -> bool:
    wanted = min(attempt.config.benchmark_samples, len(attempt.problem.split.test))
    scores = (one.test_before, one.test_after)
    return all(each is not None and len(each.scores) == wanted for each in scores)
