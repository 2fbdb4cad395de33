"""One run: baseline, search, sealed test, version. Deterministic given its task, so a resumed run is the same run."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from strop.errors import (
    BadInput,
    BudgetExceeded,
    ConstraintsUnmet,
    Fenced,
    LeaseHeld,
    RunFailed,
    RunStopped,
    StropError,
)
from strop.events import Bus
from strop.gateway import Account, Gateway, Spending, pico
from strop.registry import Registry, Version
from strop.runs.attempt import Attempt
from strop.runs.journal import Journal, RunRecord
from strop.runs.outcome import Status, outcome
from strop.runs.plan import Plan, importing_from
from strop.runs.proof import deploy, prove
from strop.runs.search import choose_winner, measure_baseline, search
from strop.runs.selection import choose
from strop.runs.watch import Watch
from strop.stats import load_ahead
from strop.store import Lease, Store

if TYPE_CHECKING:
    import dspy

LEASE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run found out. `data` is the JSON that `strop optimize --json` prints; the rest are its known parts."""

    run_id: str
    status: Status
    verdict: str | None
    data: Mapping[str, Any]
    program: dspy.Module | None = None
    version: Version | None = None
    error: StropError | None = None


class Runner:
    """Carries runs out. One at a time per instance; any number of instances and processes share a store."""

    def __init__(
        self, *, store: Store, gateway: Gateway, registry: Registry, bus: Bus, lease_s: float = LEASE_S
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._registry = registry
        self._bus = bus
        self._lease_s = lease_s
        self.journal = Journal(store)
        self._current: Attempt | None = None

    def create(self, plan: Plan) -> RunRecord:
        """Register a run of `plan`.

        Raises:
            BadInput: the data must not be used as they are.
        """
        if plan.refused:
            told = "; ".join(f"{finding.message} ({finding.remedy})" for finding in plan.refused)
            raise BadInput(f"the data cannot be used: {told}")
        return self.journal.create(
            task=plan.task.task,
            algorithm=plan.optimizer.name,
            spec=plan.task.model_dump(mode="json", exclude_unset=True),
            directory=str(plan.directory),
            data_fingerprint=plan.split.fingerprint,
        )

    def cancel(self, detail: str = "cancelled") -> None:
        """Stop the run that this instance is carrying out; it ends with what it has."""
        if self._current is not None:
            self._current.watch.cancel(detail)

    def spending(self) -> Spending | None:
        """Live figures of the attempt that is under way; None between attempts."""
        attempt = self._current
        return None if attempt is None else attempt.account.counters.read()

    def run(self, plan: Plan, run_id: str) -> RunResult:
        """Carry out the run, or carry it on after an interruption: what was recorded is not paid again.

        Raises:
            LeaseHeld: another process is at it.
            BadInput: the data are not those that the run began with.
        """
        record = self.journal.get(run_id)
        if record.data_fingerprint != plan.split.fingerprint:
            raise BadInput(
                f"the data have changed since run {run_id} began, so it cannot go on with them",
                hint="start a new run; answers already recorded are used again where the requests are the same",
            )
        owner = f"{socket.gethostname()} process {os.getpid()}"
        try:
            lease = Lease.acquire(self._store, f"run:{run_id}", owner, self._lease_s)
        except LeaseHeld as error:
            raise LeaseHeld(f"run {run_id} is being worked on: {error.message}", hint=error.hint) from None
        with lease.keep_alive(), importing_from(plan.directory):
            try:
                return self._owned(plan, record, lease)
            finally:
                lease.release()

    def _owned(self, plan: Plan, record: RunRecord, lease: Lease) -> RunResult:
        attempt = self._begin(plan, record, lease)
        self._current = attempt
        load_ahead()
        status: Status = "failed"
        error: StropError | None = None
        try:
            with attempt.watch.watching():
                status = _stages(attempt)
        except RunStopped as stop:
            status, error = _stopped(attempt, stop)
        except BudgetExceeded as problem:
            status, error = "budget_exceeded", problem
        except ConstraintsUnmet as problem:
            status, error = "infeasible", problem
        except StropError as problem:
            status, error = "failed", problem
        except KeyboardInterrupt:
            attempt.watch.cancel("interrupted from the keyboard")
            status, error = "cancelled", None
        finally:
            self._current = None
        return _ended(attempt, status, error)

    def _begin(self, plan: Plan, record: RunRecord, lease: Lease) -> Attempt:
        """Take stock of earlier attempts, then start another."""
        scope = f"run:{record.id}"
        watch = Watch(self.journal, record.id, lease, timeout_s=plan.task.timeout_s)
        limit = None if plan.task.budget_usd is None else pico(plan.task.budget_usd)
        self._gateway.budgets.open(scope, limit_pico=limit, lease=lease)
        ledger = self._gateway.ledger
        lost = ledger.settle_lost(scope, lease)
        if record.status in {"failed", "timeout"}:
            ledger.forget_failures(scope, lease)
            self.journal.forget_candidates(record.id, lease)
        attempt = Attempt(
            store=self._store,
            gateway=self._gateway,
            registry=self._registry,
            bus=self._bus,
            journal=self.journal,
            record=record,
            plan=plan,
            lease=lease,
            watch=watch,
            account=Account(scope=scope, budget=scope, lease=lease, switch=watch.whole),
            bought_before=sum(line.bought for line in ledger.lines(scope)),
            lost=lost,
        )
        self.journal.begin(record.id, lease)
        attempt.tell(
            "run.started",
            task=plan.task.task,
            algorithm=plan.optimizer.name,
            why=plan.why,
            resumed=record.attempts > 0,
            lost=lost,
            budget_usd=plan.task.budget_usd,
            estimate=asdict(plan.estimate),
            train=len(plan.split.train),
            dev=len(plan.split.dev),
            test=len(plan.split.test),
        )
        return attempt


def _stages(attempt: Attempt) -> Status:
    measure_baseline(attempt)
    search(attempt)
    choose_winner(attempt)
    prove(attempt)
    deploy(attempt)
    return "completed"


def _stopped(attempt: Attempt, stop: RunStopped) -> tuple[Status, StropError | None]:
    """What a tripped switch means for the run."""
    cause = attempt.watch.whole.cause or attempt.watch.search.cause
    error = cause if isinstance(cause, StropError) else None
    if stop.cause == "budget_exceeded":
        return "budget_exceeded", error or BudgetExceeded(stop.detail)
    if stop.cause in {"timeout", "cancelled"}:
        return ("timeout" if stop.cause == "timeout" else "cancelled"), None
    if stop.cause == "fenced":
        return "failed", error or Fenced(stop.detail)
    return "failed", error or RunFailed(stop.detail)


def _ended(attempt: Attempt, status: Status, error: StropError | None) -> RunResult:
    """Tell and store how it ended. A process that lost its run writes nothing."""
    if attempt.winner is None and status in {"budget_exceeded", "timeout", "cancelled"} and attempt.measured:
        attempt.winner, attempt.excluded = choose(attempt.measured, attempt.plan.task.constraints)
    data: dict[str, Any] = {}
    if not isinstance(error, Fenced):
        try:
            attempt.gateway.ledger.writer.flush(attempt.lease)
            data = outcome(attempt, status, error)
            attempt.journal.end(
                attempt.record.id,
                attempt.lease,
                status=status,
                seconds=attempt.watch.elapsed_s,
                result=data,
                error=None if error is None else error.message,
            )
        except StropError as problem:
            # What could not be stored is not a result, and of two owners only one may report.
            data, status = {}, "failed"
            error = problem if isinstance(problem, Fenced) else error or problem
    attempt.tell("run.finished", status=status, verdict=data.get("verdict"))
    return RunResult(
        run_id=attempt.record.id,
        status=status,
        verdict=data.get("verdict"),
        data=data,
        program=attempt.winner.program if attempt.winner is not None and error is None else None,
        version=attempt.version,
        error=error,
    )
