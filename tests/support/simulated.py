"""A simulated model on a real gateway and a real ledger: what most tests above the gateway need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dspy import lm15

from strop.gateway import Account, FunctionProvider, Gateway, PriceTable, pico
from strop.store import Lease, Store

MODEL = "sim/x"
PRICES = {MODEL: {"input": 1, "output": 2}}

Answerer = Callable[[str], str]


def respond(text: str, *, tokens_in: int = 100, tokens_out: int = 10) -> lm15.Response:
    """A response with its usage."""
    return lm15.Response(
        id=None,
        model=MODEL,
        message=lm15.Message.assistant([lm15.TextPart(text)]),
        finish_reason="stop",
        usage=lm15.Usage(input_tokens=tokens_in, output_tokens=tokens_out, total_tokens=tokens_in + tokens_out),
    )


def ask(text: str, *, max_tokens: int | None = None, temperature: float | None = None) -> lm15.Request:
    """A request of one user message."""
    config = lm15.Config(max_tokens=max_tokens, temperature=temperature)
    return lm15.Request(model=MODEL, messages=(lm15.Message.user(text),), config=config)


def last_text(request: lm15.Request) -> str:
    """The text of the last message."""
    return request.messages[-1].text or ""


class Simulation:
    """Counts what reaches the model. `answer` may sleep, raise CallFailed, or look at the prompt."""

    def __init__(self, answer: Callable[[lm15.Request, int | None, int], lm15.Response] | None = None) -> None:
        self._answer = answer or (lambda request, rollout, index: respond(f"to {last_text(request)}"))
        self._lock = threading.Lock()
        self.asked: list[lm15.Request] = []
        self.in_flight = 0
        self.peak = 0

    def __call__(self, request: lm15.Request, rollout: int | None, index: int) -> lm15.Response:
        with self._lock:
            self.asked.append(request)
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
        try:
            return self._answer(request, rollout, index)
        finally:
            with self._lock:
                self.in_flight -= 1


class World:
    """A store, a gateway, one simulated model."""

    def __init__(self, store: Store, simulation: Simulation, *, replay: bool = False) -> None:
        self.store = store
        self.simulation = simulation
        self.gateway = Gateway(store, prices=PriceTable(PRICES), replay=replay)
        self.gateway.offer(MODEL, FunctionProvider(simulation))

    def account(
        self, scope: str = "run:t", *, budget_usd: float | str | None = None, lease: Lease | None = None
    ) -> Account:
        """An account with a budget of its own."""
        limit = None if budget_usd is None else pico(budget_usd)
        self.gateway.budgets.open(scope, limit_pico=limit)
        return Account(scope=scope, budget=scope, lease=lease)


@contextmanager
def world(
    answer: Callable[[lm15.Request, int | None, int], lm15.Response] | None = None,
    *,
    path: Path | str = ":memory:",
    replay: bool = False,
) -> Iterator[World]:
    """Open a world and close it again."""
    with Store.open(path) as store:
        made = World(store, Simulation(answer), replay=replay)
        try:
            yield made
        finally:
            made.gateway.close()


def slowly(seconds: float) -> Callable[[lm15.Request, int | None, int], lm15.Response]:
    """An answerer with a latency."""

    def answer(request: lm15.Request, rollout: int | None, index: int) -> lm15.Response:
        time.sleep(seconds)
        return respond(f"to {last_text(request)}")

    return answer
