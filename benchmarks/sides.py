"""The two sides of a measurement: DSPy alone, and DSPy behind our gateway, on a model that answers after a while."""

from __future__ import annotations

import contextvars
import itertools
import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
from dspy import lm15

from strop.gateway import Account, FunctionProvider, Gateway, PriceTable, pico
from strop.store import Store

MODEL = "sim/sleeper"
SIGNATURE = "question -> answer"
ANSWER = "[[ ## answer ## ]]\nhello\n\n[[ ## completed ## ]]"

logging.getLogger("dspy").setLevel(logging.CRITICAL)


def respond() -> lm15.Response:
    return lm15.Response(
        id=None,
        model=MODEL,
        message=lm15.Message.assistant([lm15.TextPart(ANSWER)]),
        finish_reason="stop",
        usage=lm15.Usage(input_tokens=100, output_tokens=10, total_tokens=110),
    )


class Engine:
    """DSPy's door to a model: sleeps, then answers."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self._latency_s = latency_s

    def __deepcopy__(self, memo: Any) -> Engine:
        return self

    def complete(self, request: lm15.Request) -> lm15.Response:  # noqa: ARG002 - DSPy's protocol
        if self._latency_s:
            time.sleep(self._latency_s)
        return respond()


def dspy_lm(*, cache_directory: Path | None = None, memory: bool = True, latency_s: float = 0.0) -> dspy.LM:
    """A plain DSPy model: without any cache, or with DSPy's own on disk (and in memory, as it comes)."""
    if cache_directory is not None:
        dspy.configure_cache(disk_cache_dir=str(cache_directory), enable_memory_cache=memory)
    cached = cache_directory is not None
    return dspy.LM(MODEL, engine=Engine(latency_s), cache=cached, num_retries=0, max_tokens=1000)


@contextmanager
def dspy_side(lm: dspy.LM, *, history: bool = False) -> Generator[None]:
    """DSPy at its leanest: its history, which is not bounded by bytes and not durable, is off unless asked for."""
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(), disable_history=not history):
        yield


@dataclass(frozen=True, kw_only=True)
class Ours:
    """A gateway on a database file with everything on: recorded, priced, budgeted."""

    gateway: Gateway
    lm: dspy.LM


@contextmanager
def our_side(database: Path, *, latency_s: float = 0.0) -> Generator[Ours]:
    def answer(_request: lm15.Request, _rollout: int | None, _index: int) -> lm15.Response:
        if latency_s:
            time.sleep(latency_s)
        return respond()

    with Store.open(database) as store:
        gateway = Gateway(store, prices=PriceTable({MODEL: {"input": 1, "output": 2}}))
        gateway.offer(MODEL, FunctionProvider(answer))
        gateway.budgets.open("session:b", limit_pico=pico(100_000))
        gateway.budgets.open("run:b", limit_pico=pico(100_000), parent="session:b")
        account = Account(scope="run:b", budget="run:b")
        try:
            yield Ours(gateway=gateway, lm=gateway.lm(MODEL, account, phase="benchmark"))
        finally:
            gateway.close()


def ask_all(program: Any, calls: int, threads: int, *, start: int = 0) -> None:
    """Ask `calls` different questions, from this thread or from several under its context."""
    if threads == 1:
        for number in range(start, start + calls):
            program(question=f"question {number}")
        return
    numbers = itertools.count(start)
    problems: list[BaseException] = []

    def worker() -> None:
        try:
            while (number := next(numbers)) < start + calls:
                program(question=f"question {number}")
        except BaseException as problem:
            problems.append(problem)
            raise

    crew = [
        threading.Thread(target=_in_context(worker), name=f"benchmark-{number}", daemon=True)
        for number in range(threads)
    ]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    if problems:
        raise problems[0]


def _in_context(function: Callable[[], None]) -> Callable[[], None]:
    context = contextvars.copy_context()
    return lambda: context.run(function)
