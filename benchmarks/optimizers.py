"""How near to ideal a search runs: DSPy's own class and ours side by side, on a model that sleeps.

    python benchmarks/optimizers.py [--threads 32] [--latency-ms 50] [--repeat 1]

Ideal is the latency of all calls that the search needs, divided by the calls allowed in flight. DSPy's class runs with
a plain `dspy.LM` whose engine sleeps; ours runs through the gateway, with every call priced, budgeted and recorded.
Equal calls are one call in the ledger, so that ours may need fewer.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy
from dspy import lm15

import strop.gateway.tables  # noqa: F401 - the tables that the store is made of
from strop.datasets import Dataset, Example
from strop.gateway import Account, FunctionProvider, Gateway, PriceTable
from strop.metrics import Judged, Score
from strop.optimizers import Brief, Models, Note, find, settings_of
from strop.programs import ProgramSpec, build
from strop.store import Store, metadata

MODEL = "sim/sleeper"
SPEC = ProgramSpec(signature="text -> colour", instructions="Name the colour of the text.")


class Sleeper:
    """Answers after a while: the colour is right with the given chance, all by a hash of the request."""

    def __init__(self, latency_s: float, skill: float) -> None:
        self.latency_s = latency_s
        self.skill = skill
        self.calls = 0
        self.slept = 0.0
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: Any) -> Sleeper:
        return self

    def complete(self, request: lm15.Request) -> lm15.Response:
        return self(request, None, 0)

    def __call__(self, request: lm15.Request, _rollout: int | None, _index: int) -> lm15.Response:
        text = str(request.system) + "\n".join(p.text for m in request.messages for p in m.parts if hasattr(p, "text"))
        luck = random.Random(hashlib.sha256(text.encode()).digest())
        took = self.latency_s * luck.uniform(0.8, 1.2)
        with self._lock:
            self.calls += 1
            self.slept += took
        time.sleep(took)
        names = re.findall(r"`\[\[ ## (\w+) ## \]\]`", text.rpartition("Respond with")[2])
        parts: list[str] = []
        for name in names:
            value = f"{name} {random.random():.6f}: name the colour"
            if name == "colour":
                asked = re.findall(r"\[\[ ## text ## \]\]\n(.*?)\n", text)[-1]
                value = colour(asked) if luck.random() < self.skill else "none"
            parts.append(f"[[ ## {name} ## ]]\n{value}" if name != "completed" else "[[ ## completed ## ]]")
        return lm15.Response(
            id=None,
            model=MODEL,
            message=lm15.Message.assistant([lm15.TextPart("\n\n".join(parts))]),
            finish_reason="stop",
            usage=lm15.Usage(input_tokens=100, output_tokens=20, total_tokens=120),
        )


def colour(text: str) -> str:
    return ("red", "green", "blue")[int(text.rsplit(maxsplit=1)[-1]) % 3]


class Right:
    """1 for the right colour."""

    name = "right"
    binary = True

    def score(self, *, expected: Mapping[str, Any], answer: Mapping[str, Any], **_: Any) -> Score:
        return Score(value=float(answer.get("colour") == expected["colour"]), reason="")

    def summary(self, rows: Sequence[Judged]) -> float:
        return sum(row.score.value for row in rows) / len(rows)


def rows(n: int, start: int = 0) -> Dataset:
    texts = [f"text number {i}" for i in range(start, start + n)]
    return Dataset(examples=tuple(Example(id=t, inputs={"text": t}, labels={"colour": colour(t)}) for t in texts))


def plain(sleeper: Sleeper, compile: Callable[[Any, list[Any], list[Any]], Any], train: Dataset, dev: Dataset) -> float:
    lm = dspy.LM(MODEL, engine=sleeper, cache=False, num_retries=0)

    def examples(data: Dataset) -> list[Any]:
        return [dspy.Example(**row.inputs, **row.labels).with_inputs(*row.inputs) for row in data]

    begin = time.perf_counter()
    with (
        dspy.context(lm=lm, adapter=dspy.ChatAdapter(), disable_history=True),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        compile(lm, examples(train), examples(dev))
    return time.perf_counter() - begin


def ours(
    sleeper: Sleeper, name: str, settings: Mapping[str, Any], train: Dataset, dev: Dataset, *, threads: int, warm: bool
) -> tuple[float, Mapping[str, Any]]:
    store = Store.open(":memory:")
    with store.write() as connection:
        metadata.create_all(connection)
    gateway = Gateway(store, prices=PriceTable({MODEL: {"input": 1, "output": 2}}))
    gateway.offer(MODEL, FunctionProvider(sleeper))
    gateway.budgets.open("run:b", limit_pico=10**14)
    account = Account(scope="run:b", budget="run:b")
    lm = gateway.lm(MODEL, account, phase="search")
    notes: list[Note] = []
    brief = Brief(
        spec=SPEC,
        program=build(SPEC),
        train=train,
        dev=dev,
        metric=Right(),
        models=Models(task=lm, prompt=lm, teacher=lm),
        settings=settings_of(name, settings),
        seed=9,
        concurrency=threads,
        warm_ahead=warm,
        switch=account.switch,
        report=notes.append,
    )
    begin = time.perf_counter()
    list(find(name).search(brief))
    took = time.perf_counter() - begin
    gateway.close()
    store.close()
    warmed = [note.data for note in notes if note.kind == "warmed"]
    return took, warmed[-1] if warmed else {"calls": 0, "unused": 0}


def metric(example: Any, pred: Any, _trace: Any = None) -> float:
    return float(pred.colour == example.colour)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--repeat", type=int, default=1)
    args = parser.parse_args()
    logging.getLogger("dspy").setLevel(logging.CRITICAL)
    threads, latency = args.threads, args.latency_ms / 1000

    def bootstrap(_lm: Any, train: list[Any], _dev: list[Any]) -> Any:
        return dspy.BootstrapFewShot(metric=metric, max_errors=10**6).compile(build(SPEC), trainset=train)

    def mipro(lm: Any, train: list[Any], dev: list[Any]) -> Any:
        algorithm = dspy.MIPROv2(metric=metric, prompt_model=lm, task_model=lm, auto="light", num_threads=threads)
        return algorithm.compile(build(SPEC), trainset=train, valset=dev)

    def search(_lm: Any, train: list[Any], dev: list[Any]) -> Any:
        algorithm = dspy.BootstrapFewShotWithRandomSearch(
            metric=metric, num_candidate_programs=6, num_threads=threads, max_errors=10**6
        )
        return algorithm.compile(build(SPEC), trainset=train, valset=dev)

    def copro(lm: Any, _train: list[Any], dev: list[Any]) -> Any:
        algorithm = dspy.COPRO(prompt_model=lm, metric=metric, breadth=6, depth=2)
        return algorithm.compile(build(SPEC), trainset=dev, eval_kwargs={"num_threads": threads})

    cases: list[tuple[str, str, Mapping[str, Any], Any, float, Dataset, Dataset]] = [
        ("BootstrapFewShot, 200 failing", "bootstrap", {}, bootstrap, 0.0, rows(200), rows(1, 900)),
        ("MIPROv2 light, 40 + 160", "miprov2", {}, mipro, 0.6, rows(40), rows(160, 500)),
        (
            "RandomSearch 6, 40 + 100",
            "randomsearch",
            {"num_candidate_programs": 6},
            search,
            0.6,
            rows(40),
            rows(100, 500),
        ),
        ("COPRO 6x2, 100", "copro", {"breadth": 6, "depth": 2}, copro, 0.6, rows(2), rows(100, 500)),
    ]
    head = f"{'search':32} {'who':14} {'calls':>6} {'seconds':>8} {'ideal':>6} {'wall/ideal':>10} {'unused':>7}"
    print(head)
    print("-" * len(head))
    for title, name, settings, compile, skill, train, dev in cases:
        best: dict[str, tuple[float, Sleeper, int]] = {}
        for _ in range(args.repeat):
            sleeper = Sleeper(latency, skill)
            runs: list[tuple[str, float, Sleeper, int]] = [("DSPy", plain(sleeper, compile, train, dev), sleeper, 0)]
            for who, warm in (("ours, no warm", False), ("ours", True)):
                sleeper = Sleeper(latency, skill)
                took, warmed = ours(sleeper, name, settings, train, dev, threads=threads, warm=warm)
                runs.append((who, took, sleeper, int(warmed["unused"])))
            for who, took, sleeper, unused in runs:
                if who not in best or took < best[who][0]:
                    best[who] = (took, sleeper, unused)
        for who, (took, sleeper, unused) in best.items():
            needed = sleeper.slept * (1 - unused / max(1, sleeper.calls))
            ideal = needed / threads
            shown = f"{sleeper.calls:6} {took:8.2f} {ideal:6.2f} {took / ideal:10.2f} {unused:7}"
            print(f"{title:32} {who:14} {shown}", flush=True)
            title = ""  # noqa: PLW2901 - the title stands on the first line only


if __name__ == "__main__":
    main()
