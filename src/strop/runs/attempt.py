"""One attempt at a run: what it was given, what it knows so far, and the few things that every stage does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from strop.errors import ProviderDown
from strop.evaluation import Evaluation, evaluate
from strop.events import Bus, Event
from strop.gateway import Account, Gateway
from strop.registry import Registry, Version
from strop.runs.journal import Journal, RunRecord
from strop.runs.plan import Plan
from strop.runs.selection import Measured
from strop.runs.watch import Watch
from strop.stats import PairedVerdict
from strop.store import Lease, Store

if TYPE_CHECKING:
    import dspy

OUTAGE_SHARE, OUTAGE_LEAST = 0.05, 3


@dataclass(kw_only=True)
class Attempt:
    """The stages fill it in; it is reported whatever ends the attempt."""

    store: Store
    gateway: Gateway
    registry: Registry
    bus: Bus
    journal: Journal
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
    incumbent: Mapping[str, Any] | None = None
    """How the winner compares with the version that was active, where that was measured."""
    search_ended: str | None = None
    warmed: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def measure(
        self, program: dspy.Module, part: Literal["dev", "test"], phase: str, *, quiet: bool = False
    ) -> Evaluation:
        """Run a program on all dev or test examples, with this run's account."""
        plan = self.plan
        examples = plan.split.dev if part == "dev" else plan.split.test
        lm = self.gateway.lm(plan.models["task"], self.account, phase=phase, role="task")

        def progress(done: int, wanted: int, mean: float) -> None:
            if not quiet:
                self.tell("evaluation.progress", phase=phase, done=done, wanted=wanted, mean=mean)

        return evaluate(
            program, examples.examples, plan.metric, lm, concurrency=plan.task.concurrency, progress=progress,
            switch=self.watch.whole,
        )  # fmt: skip

    def refuse_outage(self) -> None:
        """A search on a half-dead provider measured the outage, not the programs."""
        lines = self.gateway.ledger.outages(self.account.scope)
        for model, failed, asked, last in lines:
            if failed >= OUTAGE_LEAST and failed > OUTAGE_SHARE * asked:
                raise ProviderDown(model, f"{failed} of {asked} calls got no answer, the last: {last}")

    def note(self, stage: str, data: Mapping[str, Any]) -> None:
        """Journal what a stage found out, after every call that it stands on."""
        self.gateway.ledger.writer.flush(self.lease)
        self.journal.note(self.record.id, self.lease, stage, data)

    def tell(self, name: str, /, **data: Any) -> None:
        """Tell whoever listens."""
        self.bus.tell(Event(name=name, scope=self.account.scope, data=data))
