"""One run: baseline, search, sealed test, version. Deterministic given its task, so a resumed run is the same run."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from strop.errors import (
    BadInput, BudgetExceeded, ConstraintsUnmet, Fenced, LeaseHeld, ProviderDown, RunFailed, RunStopped, SearchFailed,
    StropError,
)  # fmt: skip
from strop.evaluation import Evaluation, evaluate
from strop.events import Bus, Event
from strop.gateway import Account, Gateway, Spending, pico, show
from strop.metrics import fingerprint as metric_fingerprint
from strop.optimizers import Brief, Candidate, Models, Note
from strop.programs import build, dump, fingerprint, prompt_text
from strop.registry import Registry, Version
from strop.runs.journal import Journal, RunRecord
from strop.runs.outcome import Status, changes, cost_block, ledger_rows, per_request, test_block
from strop.runs.plan import Plan, importing_from
from strop.runs.selection import Measured, choose
from strop.runs.watch import Watch
from strop.stats import PairedVerdict, judge_paired
from strop.store import Lease, Store

if TYPE_CHECKING:
    import dspy

LEASE_S = 60.0
FINALISTS = 5
OUTAGE_SHARE, OUTAGE_LEAST = 0.05, 3
VERDICT_MARGIN = 4.0


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run found out. `data` is the JSON that `strop optimize --json` prints; the rest are its best-known parts."""

    run_id: str
    status: Status
    verdict: str | None
    data: Mapping[str, Any]
    program: dspy.Module | None = None
    version: Version | None = None
    error: StropError | None = None


@dataclass(kw_only=True)
class _State:
    """What one attempt knows so far; it is reported whatever ends the attempt."""

    record: RunRecord
    plan: Plan
    lease: Lease
    watch: Watch
    account: Account
    bought_before: int
    lost: int
    baseline: Measured | None = None
    measured: list[Measured] = field(default_factory=list[Measured])
    excluded: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    winner: Measured | None = None
    test_before: Evaluation | None = None
    test_after: Evaluation | None = None
    verdict: PairedVerdict | None = None
    version: Version | None = None
    active: Version | None = None
    search_ended: str | None = None
    warmed: Mapping[str, Any] = field(default_factory=dict[str, Any])


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
        self._current: _State | None = None

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
        state = self._current
        return None if state is None else state.account.counters.read()

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
        run_id, scope = record.id, f"run:{record.id}"
        watch = Watch(self.journal, run_id, lease, timeout_s=plan.task.timeout_s)
        limit = None if plan.task.budget_usd is None else pico(plan.task.budget_usd)
        self._gateway.budgets.open(scope, limit_pico=limit)
        account = Account(scope=scope, budget=scope, lease=lease, switch=watch.whole)
        lost = self._gateway.ledger.settle_lost(scope, lease)
        if record.status in {"failed", "timeout"}:
            self._gateway.ledger.forget_failures(scope)
        bought = sum(line.bought for line in self._gateway.ledger.lines(scope))
        self.journal.begin(run_id, lease)
        state = _State(
            record=record, plan=plan, lease=lease, watch=watch, account=account, bought_before=bought, lost=lost
        )
        self._current = state
        self._tell(state, "run.started", task=plan.task.task, algorithm=plan.optimizer.name, why=plan.why,
                   resumed=record.attempts > 0, lost=lost, budget_usd=plan.task.budget_usd, estimate=asdict(plan.estimate),
                   train=len(plan.split.train), dev=len(plan.split.dev), test=len(plan.split.test))  # fmt: skip
        status: Status = "failed"
        error: StropError | None = None
        try:
            with watch.watching():
                status = self._stages(state)
        except RunStopped as stop:
            status, error = self._stopped(state, stop)
        except BudgetExceeded as problem:
            status, error = "budget_exceeded", problem
        except ConstraintsUnmet as problem:
            status, error = "infeasible", problem
        except StropError as problem:
            status, error = "failed", problem
        except KeyboardInterrupt:
            watch.cancel("interrupted from the keyboard")
            status, error = "cancelled", None
        finally:
            self._current = None
        return self._ended(state, status, error)

    def _stages(self, state: _State) -> Status:
        self._baseline(state)
        self._search(state)
        self._choose(state)
        self._validate(state)
        self._deploy(state)
        return "completed"

    def _baseline(self, state: _State) -> None:
        plan = state.plan
        self._tell(state, "stage.started", stage="baseline", n=len(plan.split.dev))
        program = build(plan.program)
        dev = self._measure(state, program, "dev", "baseline")
        state.baseline = Measured(
            number=0, origin="baseline", fingerprint=fingerprint(program, plan.program), program=program, dev=dev
        )
        state.measured.append(state.baseline)
        self._note(state, "baseline", {"score": dev.mean, "n": len(dev.rows), "errors": len(dev.errors)})
        self._tell(state, "stage.finished", stage="baseline", score=dev.mean, n=len(dev.rows))

    def _search(self, state: _State) -> None:
        plan, watch = state.plan, state.watch
        assert state.baseline is not None
        share = len(plan.split.test) * 2 / max(1, len(plan.split.dev))
        watch.leave_time(1.0 + VERDICT_MARGIN * share * watch.elapsed_s)
        account = self._search_account(state)
        self._tell(state, "stage.started", stage="search", algorithm=plan.optimizer.name)
        models = Models(
            task=self._gateway.lm(plan.models["task"], account, phase="search", role="task"),
            prompt=self._gateway.lm(plan.models["prompt"], account, phase="search", role="prompt"),
            teacher=self._gateway.lm(plan.models["teacher"], account, phase="search", role="teacher"),
        )
        brief = Brief(
            spec=plan.program, program=build(plan.program), train=plan.split.train, dev=plan.split.dev,
            metric=plan.metric, models=models, settings=plan.settings, seed=plan.task.seed,
            concurrency=plan.task.concurrency, warm_ahead=plan.task.warm_ahead, switch=watch.search,
            report=lambda note: self._heard(state, note),
        )  # fmt: skip
        found: dict[str, tuple[Candidate, int]] = {}
        try:
            for candidate in plan.optimizer.search(brief):
                self._found(state, candidate, found)
        except RunStopped as stop:
            if stop.cause not in {"budget_exceeded", "timeout", "converged"} or watch.whole.stopped is not None:
                raise
            state.search_ended = f"{stop.cause}: {stop.detail}"
        except StropError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an algorithm trips over ends the run with its name
            raise SearchFailed(f"the algorithm {plan.optimizer.name} broke: {type(error).__name__}: {error}") from error
        self._refuse_outage(state)
        self._measure_finalists(state, found)
        self._note(state, "search", {"candidates": len(found), "ended": state.search_ended})
        self._tell(state, "stage.finished", stage="search", candidates=len(found), ended=state.search_ended)

    def _search_account(self, state: _State) -> Account:
        """An account whose budget leaves enough for the sealed test."""
        scope, watch = state.account.scope, state.watch
        node = self._gateway.budgets.read(scope)
        limit: int | None = None
        if node is not None and node.limit is not None and state.baseline is not None:
            test = len(state.plan.split.test)
            reserve = int(2 * test * state.baseline.dev.cost_per_request_pico * VERDICT_MARGIN / 2)
            limit = max(0, node.limit - node.spent - reserve)
        search = f"{scope}/search"
        known = self._gateway.budgets.read(search)
        if known is None or limit is None:
            self._gateway.budgets.open(search, limit_pico=limit, parent=scope)
        else:
            self._gateway.budgets.open(search, limit_pico=known.spent + limit, parent=scope)
        return Account(
            scope=scope, budget=search, lease=state.lease, switch=watch.search, counters=state.account.counters
        )

    def _found(self, state: _State, candidate: Candidate, found: dict[str, tuple[Candidate, int]]) -> None:
        print_ = fingerprint(candidate.program, state.plan.program)
        number = found[print_][1] if print_ in found else len(found) + 1
        found[print_] = (candidate, number)
        row = {
            "fingerprint": print_, "number": number, "origin": candidate.origin, "score": candidate.score,
            "n": candidate.n, "state": dump(candidate.program),
        }  # fmt: skip
        self.journal.keep_candidate(state.record.id, state.lease, row)
        self._tell(
            state, "candidate.found", number=number, score=candidate.score, n=candidate.n, origin=candidate.origin
        )

    def _measure_finalists(self, state: _State, found: Mapping[str, tuple[Candidate, int]]) -> None:
        """Measure the most promising candidates, and the algorithm's own choice, on all dev examples."""
        assert state.baseline is not None
        ranked = sorted(found.items(), key=lambda item: (item[1][0].score or 0.0, item[1][1]), reverse=True)
        chosen = dict(ranked[:FINALISTS])
        if found:
            last = list(found)[-1]
            chosen[last] = found[last]
        for print_, (candidate, number) in sorted(chosen.items(), key=lambda item: item[1][1]):
            if print_ == state.baseline.fingerprint:
                continue
            try:
                dev = self._measure(state, candidate.program, "dev", "selection", quiet=True)
            except RunStopped as stop:
                if stop.cause != "budget_exceeded":
                    raise
                state.search_ended = state.search_ended or f"{stop.cause}: {stop.detail}"
                return
            state.measured.append(
                Measured(number=number, origin=candidate.origin, fingerprint=print_, program=candidate.program, dev=dev)
            )

    def _choose(self, state: _State) -> None:
        assert state.baseline is not None
        state.winner, state.excluded = choose(state.measured, state.plan.task.constraints)
        if state.winner is None:
            told = "; ".join(
                f"{one.origin}: {', '.join(state.excluded[one.fingerprint])}" for one in state.measured[:6]
            )
            raise ConstraintsUnmet(
                f"none of {len(state.measured)} programs satisfies the constraints: {told}",
                hint="relax `constraints`, or choose another model",
            )
        dev = {"baseline": state.baseline.dev.mean, "optimized": state.winner.dev.mean, "n": len(state.winner.dev.rows)}
        self._note(state, "choice", {"number": state.winner.number, "origin": state.winner.origin, **dev})
        self._tell(state, "candidate.chosen", number=state.winner.number, origin=state.winner.origin, **dev)

    def _validate(self, state: _State) -> None:
        plan = state.plan
        assert state.baseline is not None
        assert state.winner is not None
        if not len(plan.split.test):
            return
        self._tell(state, "stage.started", stage="test", n=len(plan.split.test))
        state.test_before = self._measure(state, state.baseline.program, "test", "test")
        state.test_after = self._measure(state, state.winner.program, "test", "test")
        self._refuse_outage(state)
        state.verdict = self._judge(
            state, state.baseline.fingerprint, state.winner.fingerprint, state.test_before, state.test_after
        )
        self._note(state, "test", test_block(state.verdict) or {})
        self._tell(state, "stage.finished", stage="test", verdict=state.verdict.verdict)

    def _judge(self, state: _State, old: str, new: str, before: Evaluation, after: Evaluation) -> PairedVerdict:
        plan = state.plan
        look = 1
        if old != new:
            look = self.journal.look(state.record.id, state.lease, plan.split.test.fingerprint, f"{old}:{new}")
        groups = [example.group or example.id for example in plan.split.test]
        grouped = any(example.group for example in plan.split.test)
        return judge_paired(
            before.scores, after.scores, look=look, clusters=groups if grouped else None,
            min_gain=plan.task.gate.min_gain, seed=plan.task.seed,
        )  # fmt: skip

    def _deploy(self, state: _State) -> None:
        """Keep baseline and winner as versions; activate the winner when the gate says so."""
        plan, verdict = state.plan, state.verdict
        if verdict is None or state.winner is None or state.baseline is None:
            return
        incumbent = next(iter(self._registry.versions(plan.task.task, active_only=True)), None)
        first = self._register(state, state.baseline, state.test_before, None)
        if incumbent is None:
            incumbent = self._registry.activate(
                plan.task.task, first.number, reason="the program as the task file says it"
            )
        state.version = first
        if state.winner.fingerprint != state.baseline.fingerprint:
            state.version = self._register(state, state.winner, state.test_after, first.number)
        state.active = incumbent
        gain = verdict.change >= plan.task.gate.min_gain
        if verdict.verdict != "IMPROVED" or not gain or plan.task.gate.policy != "auto":
            return
        if incumbent.fingerprint in {state.baseline.fingerprint, state.version.fingerprint} or self._beats(
            state, incumbent
        ):
            state.active = self._registry.activate(
                plan.task.task, state.version.number, reason=f"run {state.record.id}: {verdict.verdict}"
            )

    def _beats(self, state: _State, incumbent: Version) -> bool:
        """Whether the winner is proven better than the active version too, on the same test."""
        assert state.winner is not None
        assert state.test_after is not None
        before = self._measure(state, self._registry.program(incumbent), "test", "test")
        verdict = self._judge(state, incumbent.fingerprint, state.winner.fingerprint, before, state.test_after)
        self._note(state, "incumbent", {"version": incumbent.number, **(test_block(verdict) or {})})
        return verdict.verdict == "IMPROVED"

    def _register(self, state: _State, one: Measured, test: Evaluation | None, parent: int | None) -> Version:
        plan = state.plan
        with self._store.write() as connection:
            state.lease.check(connection)
            return self._registry.register(
            plan.task.task,
            connection=connection,
            spec=plan.program,
            program=one.program,
            metrics={
                "metric": plan.metric.name, "dev": one.dev.mean, "dev_n": len(one.dev.rows),
                "test": None if test is None else test.mean, "test_n": 0 if test is None else len(test.rows),
                "usd_per_request": one.dev.cost_per_request_pico / 1e12, "latency_ms_p95": one.dev.latency_ms(0.95),
            },
            lineage={
                "parent": parent, "run": state.record.id, "data": plan.split.fingerprint, "metric": metric_fingerprint(plan.metric),
                "models": {role: model.model for role, model in plan.models.items()}, "prices": self._gateway.prices.dated,
                "algorithm": plan.optimizer.name, "seed": plan.task.seed, "origin": one.origin,
            },
        )  # fmt: skip

    def _measure(
        self, state: _State, program: dspy.Module, part: str, phase: str, *, quiet: bool = False
    ) -> Evaluation:
        plan = state.plan
        examples = plan.split.dev if part == "dev" else plan.split.test
        lm = self._gateway.lm(plan.models["task"], state.account, phase=phase, role="task")

        def progress(done: int, wanted: int, mean: float) -> None:
            if not quiet:
                self._tell(state, "evaluation.progress", phase=phase, done=done, wanted=wanted, mean=mean)

        return evaluate(
            program, examples.examples, plan.metric, lm, concurrency=plan.task.concurrency, progress=progress,
            switch=state.watch.whole,
        )  # fmt: skip

    def _refuse_outage(self, state: _State) -> None:
        """A search on a half-dead provider measured the outage, not the programs."""
        lines = self._gateway.ledger.outages(state.account.scope)
        for model, failed, asked, last in lines:
            if failed >= OUTAGE_LEAST and failed > OUTAGE_SHARE * asked:
                raise ProviderDown(model, f"{failed} of {asked} calls got no answer, the last: {last}")

    def _heard(self, state: _State, note: Note) -> None:
        if note.kind == "warmed":
            state.warmed = {**state.warmed, **note.data}
        self._tell(state, "search.note", kind=note.kind, **note.data)

    def _note(self, state: _State, stage: str, data: Mapping[str, Any]) -> None:
        self._gateway.ledger.writer.flush(state.lease)
        self.journal.note(state.record.id, state.lease, stage, data)

    def _tell(self, state: _State, name: str, /, **data: Any) -> None:
        self._bus.tell(Event(name=name, scope=state.account.scope, data=data))

    def _stopped(self, state: _State, stop: RunStopped) -> tuple[Status, StropError | None]:
        cause = state.watch.whole.cause or state.watch.search.cause
        if stop.cause == "budget_exceeded":
            return "budget_exceeded", cause if isinstance(cause, StropError) else BudgetExceeded(stop.detail)
        if stop.cause == "timeout":
            return "timeout", None
        if stop.cause == "cancelled":
            return "cancelled", None
        if stop.cause == "fenced":
            return "failed", cause if isinstance(cause, StropError) else Fenced(stop.detail)
        return "failed", cause if isinstance(cause, StropError) else RunFailed(stop.detail)

    def _ended(self, state: _State, status: Status, error: StropError | None) -> RunResult:
        """Tell and store how it ended. A process that lost its run writes nothing."""
        if state.winner is None and status in {"budget_exceeded", "timeout", "cancelled"} and state.measured:
            state.winner, state.excluded = choose(state.measured, state.plan.task.constraints)
        data = self._data(state, status, error) if not isinstance(error, Fenced) else {}
        if not isinstance(error, Fenced):
            message = None if error is None else error.message
            try:
                self._gateway.ledger.writer.flush(state.lease)
                self.journal.end(
                    state.record.id,
                    state.lease,
                    status=status,
                    seconds=state.watch.elapsed_s,
                    result=data,
                    error=message,
                )
            except StropError as problem:
                error = error or problem
        self._tell(state, "run.finished", status=status, verdict=data.get("verdict"))
        return RunResult(
            run_id=state.record.id,
            status=status,
            verdict=data.get("verdict"),
            data=data,
            program=state.winner.program if state.winner is not None and error is None else None,
            version=state.version,
            error=error,
        )

    def _data(self, state: _State, status: Status, error: StropError | None) -> dict[str, Any]:
        plan, verdict, winner, baseline = state.plan, state.verdict, state.winner, state.baseline
        unproven = status in {"completed", "budget_exceeded", "timeout", "cancelled"} and baseline is not None
        return {
            "run_id": state.record.id,
            "task": plan.task.task,
            "algorithm": plan.optimizer.name,
            "why": plan.why,
            "status": status,
            "verdict": verdict.verdict if verdict else "INSUFFICIENT DATA" if unproven else None,
            "seed": plan.task.seed,
            "metric": plan.metric.name,
            "models": {role: model.model for role, model in plan.models.items()},
            "train": {"n": len(plan.split.train)},
            "test": test_block(verdict),
            "dev": None if baseline is None else {
                "n": len(baseline.dev.rows),
                "baseline": baseline.dev.mean,
                "optimized": (winner or baseline).dev.mean,
            },
            "cost": cost_block(self._gateway.ledger, state.account, plan.task.budget_usd, state.bought_before),
            "per_request": per_request(
                state.test_before or (baseline.dev if baseline else None),
                state.test_after or (winner.dev if winner else None),
            ),
            "summary": None if state.test_before is None or state.test_after is None else {
                "baseline": state.test_before.summary, "optimized": state.test_after.summary,
            },
            "version": None if state.version is None else state.version.number,
            "active_version": None if state.active is None else state.active.number,
            "report": None,
            "seconds": round(state.watch.elapsed_s, 3),
            "error": None if error is None else error.message,
            "search_ended": state.search_ended,
            "warmed": dict(state.warmed),
            "lost_calls_settled": state.lost,
            "prompt": {
                "before": prompt_text(baseline.program) if baseline else None,
                "after": prompt_text(winner.program) if winner else None,
            },
            "program": None if winner is None else {"fingerprint": winner.fingerprint, "state": dump(winner.program)},
            "candidates": self._candidates(state),
            "changes": changes(state.test_before, state.test_after) if state.test_before and state.test_after else [],
            "ledger": ledger_rows(self._gateway.ledger.lines(state.account.scope)),
            "findings": [asdict(finding) for finding in plan.findings],
            "prices_dated": self._gateway.prices.dated,
        }  # fmt: skip

    def _candidates(self, state: _State) -> Sequence[dict[str, Any]]:
        dev = {one.fingerprint: one.dev.mean for one in state.measured}
        return [
            {
                "number": row["number"], "origin": row["origin"], "score": row["score"], "n": row["n"],
                "dev": dev.get(row["fingerprint"]), "excluded": state.excluded.get(row["fingerprint"], []),
                "chosen": state.winner is not None and state.winner.fingerprint == row["fingerprint"],
            }
            for row in self.journal.candidates(state.record.id)
        ]  # fmt: skip


__all__ = ["RunResult", "Runner", "show"]
