"""Sessions of made-up models on a real gateway, ledger and budget: what a model does is a few words of its traits."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dspy import lm15

from strop.datasets import Split, load
from strop.errors import CallFailed
from strop.gateway import FunctionProvider, Gateway, PriceTable
from strop.runs import TaskSpec
from strop.sessions import SessionEvent, SessionResult, TrainingConfig, TrainingSession
from strop.store import Store
from tests.support.simulated import respond

TASK = {
    "task": "parity",
    "signature": "number -> kind: Literal['even', 'odd']",
    "data": "memory",
    "metric": "accuracy",
    "models": "embedded/small",
}
WRITES = (
    "[[ ## proposed_instruction ## ]]\n{}\n\n"
    "[[ ## proposed_prefix_for_output_field ## ]]\nkind:\n\n[[ ## completed ## ]]"
)


def chance(*parts: object) -> float:
    """A number in 0..1 that depends on nothing but `parts`."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class Gauge:
    """How many calls are in flight over all models, and how many were at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.peak = 0

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.peak = max(self.peak, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


@dataclass
class Sim:
    """One made-up model. `skill` is its chance to be right on an example; `loves`, `hates` and `learns` change it:
    words of the instructions that make it always right or always wrong, and whether examples make it always right.
    `writes` is the instruction that it proposes. Errors are failures of calls by chance; `hangs` never answers."""

    name: str
    skill: float = 0.5
    loves: str = ""
    hates: str = ""
    learns: bool = False
    writes: str = "Say something"
    error_rate: float = 0.0
    down: bool = False
    hangs: threading.Event | None = None
    latency_s: float = 0.0
    input_usd: float = 1.0
    before: Callable[[], None] | None = None
    gauge: Gauge = field(default_factory=Gauge)
    calls: int = 0
    paid: dict[str, int] = field(default_factory=dict)
    tokens_out: int = 10
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: lm15.Request, rollout: int | None, index: int) -> lm15.Response:
        text = _text(request)
        with self._lock:
            self.calls += 1
            key = f"{text}|{rollout}|{index}"
            self.paid[key] = self.paid.get(key, 0) + 1
        if self.before is not None:
            self.before()
        with self.gauge:
            if self.hangs is not None:
                self.hangs.wait()
            if self.latency_s:
                time.sleep(self.latency_s)
        if self.down or chance("fails", self.name, text, rollout, index) < self.error_rate:
            raise CallFailed(self.name, "server", "it is broken")
        return respond(self._answer(text, request, rollout, index), tokens_out=self.tokens_out)

    def _answer(self, text: str, request: lm15.Request, rollout: int | None, index: int) -> str:
        if "proposed_instruction" in text:
            return WRITES.format(f"{self.writes} {int(1e6 * chance(text, rollout, index))}")
        if "new_instruction" in text:
            words = f"{self.writes} {int(1e6 * chance(text, rollout, index))}"
            return f"[[ ## new_instruction ## ]]\n{words}\n\n[[ ## completed ## ]]"
        number = int(text.rsplit("[[ ## number ## ]]", maxsplit=1)[-1].split(maxsplit=1)[0])
        right = chance("right", self.name, number) < self.skill
        if self.learns and len(request.messages) > 1:
            right = True
        if self.loves and self.loves in text:
            right = True
        if self.hates and self.hates in text:
            right = False
        kind = ("even", "odd")[number % 2 if right else 1 - number % 2]
        return f"[[ ## kind ## ]]\n{kind}\n\n[[ ## completed ## ]]"


def _text(request: lm15.Request) -> str:
    parts = [part.text for message in request.messages for part in message.parts if hasattr(part, "text")]
    return f"{request.system or ''}\n" + "\n".join(parts)


def data(n: int) -> Split:
    """`n` numbers for each of train, dev and test."""
    rows = [{"number": str(i), "kind": ("even", "odd")[i % 2], "id": f"n{i}"} for i in range(3 * n)]

    def part(k: int):
        return load(rows[k * n : (k + 1) * n], inputs=["number"], labels=["kind"], id_field="id")

    return Split(train=part(0), dev=part(1), test=part(2))


class Works:
    """A store, a gateway with the models, and sessions on them."""

    def __init__(self, store: Store, sims: tuple[Sim, ...]) -> None:
        self.store = store
        self.sims = sims
        prices = {f"sim/{one.name}": {"input": one.input_usd, "output": 2} for one in sims}
        self.gateway = Gateway(store, prices=PriceTable(prices))
        for one in sims:
            self.gateway.offer(f"sim/{one.name}", FunctionProvider(one, endpoint=one.name))
        self.events: list[SessionEvent] = []

    def config(self, **changes: Any) -> TrainingConfig:
        """A small session of all the models."""
        models = [{"model": f"sim/{one.name}", "name": one.name, "max_tokens": 40, "retries": 0} for one in self.sims]
        given = {
            "models": models, "task": TaskSpec.model_validate(TASK, strict=False), "optimization_rounds": 2,
            "algorithm": "labeledfewshot", "max_concurrency": 8, "baseline_iterations": 2, "benchmark_samples": 20,
        }  # fmt: skip
        return TrainingConfig(**{**given, **changes})

    def session(self, n: int = 24, **changes: Any) -> TrainingSession:
        """A session, not yet run, whose events are collected."""
        made = TrainingSession(self.config(**changes), store=self.store, gateway=self.gateway, data=data(n))
        made.listen(self.events.append)
        return made

    def run(self, n: int = 24, **changes: Any) -> SessionResult:
        """A session from start to end."""
        return self.session(n, **changes).run()

    def told(self, name: str) -> list[SessionEvent]:
        """The events of one name."""
        return [event for event in self.events if event.name == name]

    @property
    def calls(self) -> int:
        """Calls that reached any model."""
        return sum(one.calls for one in self.sims)


@contextmanager
def works(*sims: Sim, path: Path | str = ":memory:") -> Iterator[Works]:
    """Open a world of models and close it again."""
    with Store.open(path) as store:
        made = Works(store, sims)
        try:
            yield made
        finally:
            made.gateway.close()


def decision(result: SessionResult) -> Mapping[str, Any]:
    """What must be the same after an interruption."""
    return {
        "best": result.best_model,
        "status": result.status,
        "models": [
            (one.name, one.status, one.rounds, one.dev_curve, one.best_prompt, one.origin,
             one.best_test and one.best_test.scores, one.baseline_test and one.baseline_test.scores)
            for one in result.models
        ],
        "transfers": [
            (each.donor, each.receiver, each.carried, each.before, each.after, each.n, each.kept)
            for each in result.transfers
        ],
    }  # fmt: skip
