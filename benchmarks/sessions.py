"""Whole sessions: how near to ideal one runs, and what it needs beside today's way.

    python benchmarks/sessions.py [wall] [today] [--in-flight 32] [--latency-ms 300] [--threads 8] [--quick]

`wall`: six embedded models, two of each size. No schedule is shorter than either of two figures, both from the ledger's
own times: the critical path of the slowest model (of all chains of its calls in which each began after the one before
had ended, the one with the largest sum of latencies), and all latencies divided by the calls allowed in flight. Ideal
is the larger one. Whatever else a session does (writing prompts, committing, scoring, one model waiting for others,
threads waiting for a processor) is in its wall time and in neither of the two.

`today`: the same six models and the same data once in a session, and once as it is done today: a run of DSPy's MIPROv2
as it comes (auto="light", with DSPy's cache) a model, one after another, each followed by an evaluation of the first
and the best program on the sealed examples, all with a plain `dspy.LM` on `--threads` threads (DSPy's default is 8).
Both sides answer "which model, with which prompt"; the table names what each decided and its sealed score.

Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import io
import json
import logging
import random
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dspy
from dspy import lm15
from side_by_side import Stopwatch, shown, told

import strop.gateway.lm
import strop.optimizers  # noqa: F401 - both are loaded before anything is timed
from strop import embedded
from strop.datasets import Split, load
from strop.gateway import FunctionProvider, Gateway, PriceTable
from strop.programs import build
from strop.runs import TaskSpec
from strop.sessions import SessionResult, TrainingConfig, TrainingSession, from_task
from strop.store import Store

SECTIONS = Path(__file__).parents[1] / "src/strop/examples/package-sections/sections.jsonl"
WALL_TARGET, CALLS_TARGET, TIME_TARGET = 1.15, 1 / 3, 1 / 10
SIX = {f"{size}-{heat}": (f"embedded/{size}", heat) for size in ("small", "medium", "large") for heat in (0.0, 0.7)}
"""Name -> embedded model and temperature."""


def chain_s(calls: Sequence[tuple[int, int]]) -> float:
    """Seconds of the chain of calls, given as (start, end) in microseconds, that is longest by its latencies."""
    ordered = sorted(calls, key=lambda call: call[1])
    ends, best = [0], [0]
    for begin, end in ordered:
        before = best[bisect.bisect_right(ends, begin) - 1]
        ends.append(end)
        best.append(max(best[-1], before + end - begin))
    return best[-1] / 1e6


def busiest(calls: Sequence[tuple[int, int]]) -> int:
    """Most calls in flight at once."""
    moments = sorted([(begin, 1) for begin, _ in calls] + [(end, -1) for _, end in calls])
    most = now = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


def section_rows() -> list[dict[str, str]]:
    rows = [json.loads(line) for line in SECTIONS.read_text("utf-8").splitlines()]
    once = list({row["description"]: row for row in rows}.values())
    random.Random(0).shuffle(once)
    return once


def section_data(size: int) -> Split:
    """`size` examples for each of train, dev and test."""
    rows = section_rows()
    train, dev, test = (
        load(rows[k * size : (k + 1) * size], inputs=["description"], labels=["section"], id_field="id")
        for k in range(3)
    )
    return Split(train=train, dev=dev, test=test)


def section_task() -> TaskSpec:
    labels = ", ".join(repr(one) for one in sorted({row["section"] for row in section_rows()}))
    task = {
        "task": "sections",
        "signature": f"description -> section: Literal[{labels}]",
        "instructions": "Choose the archive section of a program from its description.",
        "data": "memory",
        "metric": "accuracy",
        "models": "embedded/small",
    }
    return TaskSpec.model_validate(task, strict=False)


def calls_of(gateway: Gateway, result: SessionResult, index: int) -> list[tuple[int, int]]:
    """Start and end of the calls that were really made for one model."""
    rows = gateway.ledger.every_row(f"session:{result.session_id}:{index}")
    made = [row for row in rows if row["source"] in {"paid", "embedded"} and row["started_us"] is not None]
    return [(row["started_us"], row["finished_us"]) for row in made]


def wall(in_flight: int, latency_ms: float, size: int) -> dict[str, float]:
    """One session of six embedded models, and the figures that no schedule can beat."""
    models = [
        {"model": model, "name": name, "temperature": heat, "latency_ms": latency_ms}
        for name, (model, heat) in SIX.items()
    ]
    config = TrainingConfig(
        models=models, task=section_task(), max_concurrency=in_flight, benchmark_samples=size, optimization_rounds=3
    )
    with Store.open(":memory:") as store:
        gateway = Gateway(store, prices=PriceTable())
        session = TrainingSession(config, store=store, gateway=gateway, data=section_data(size))
        with Stopwatch() as watch:
            result = session.run()
        calls = [calls_of(gateway, result, n) for n in range(len(models))]
        gateway.close()
    every = [call for mine in calls for call in mine]
    path = max(chain_s(mine) for mine in calls)
    even = sum(end - begin for begin, end in every) / 1e6 / in_flight
    return {
        "wall": watch.wall, "cpu": watch.cpu, "path": path, "even": even, "ratio": watch.wall / max(path, even),
        "peak": busiest(every), "calls": len(every),
    }  # fmt: skip


class Sleeper:
    """An embedded model that answers after a while, and counts what it was asked and what that costs."""

    def __init__(self, model: str, latency_s: float) -> None:
        self.model = model
        self.latency_s = latency_s
        self.calls = 0
        self.usd = 0.0
        self.price = embedded.MODELS[model]
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: Any) -> Sleeper:
        return self

    def complete(self, request: lm15.Request) -> lm15.Response:
        return self(request, None, 0)

    def __call__(self, request: lm15.Request, rollout: int | None, index: int) -> lm15.Response:
        time.sleep(self.latency_s)
        answer = embedded.answer(self.model, request, rollout=rollout, index=index)
        usage = answer.usage
        tokens_in, tokens_out = usage.input_tokens or 0, usage.output_tokens or 0
        paid = tokens_in * self.price.input_usd_per_million + tokens_out * self.price.output_usd_per_million
        with self._lock:
            self.calls += 1
            self.usd += paid / 1e6
        return answer


def in_session(sleepers: Mapping[str, Sleeper], in_flight: int, size: int) -> dict[str, Any]:
    """All models in one session."""
    prices = {
        f"sim/{name}": {"input": one.price.input_usd_per_million, "output": one.price.output_usd_per_million}
        for name, one in sleepers.items()
    }
    config = TrainingConfig(
        models=[{"model": f"sim/{name}", "name": name, "temperature": SIX[name][1]} for name in sleepers],
        task=section_task(), max_concurrency=in_flight, benchmark_samples=size,
    )  # fmt: skip
    with Store.open(":memory:") as store:
        gateway = Gateway(store, prices=PriceTable(prices))
        for name, one in sleepers.items():
            gateway.offer(f"sim/{name}", FunctionProvider(one, endpoint=name))
        session = TrainingSession(config, store=store, gateway=gateway, data=section_data(size))
        with Stopwatch() as watch:
            result = session.run()
        rows = [row for n in range(len(sleepers)) for row in gateway.ledger.every_row(f"session:{session.id}:{n}")]
        gateway.close()
    sealed = sum(row["source"] == "paid" and row["phase"] == "benchmark" for row in rows)
    scores = {one.name: one.best_test.mean for one in result.models if one.best_test}
    return {"wall": watch.wall, "cpu": watch.cpu, "scores": scores, "sealed": sealed}


def one_by_one(sleepers: Mapping[str, Sleeper], threads: int, size: int) -> dict[str, Any]:
    """DSPy's MIPROv2 for one model after another, the first and the best program on the sealed examples."""
    data = section_data(size)
    train, dev, test = ([dspy.Example(**row.inputs, **row.labels).with_inputs("description") for row in part]
                        for part in (data.train, data.dev, data.test))  # fmt: skip
    spec = from_task(section_task(), data=data).program

    def right(example: Any, found: Any, _trace: Any = None) -> float:
        return float(found.section == example.section)

    scores: dict[str, float] = {}
    sealed = 0
    with tempfile.TemporaryDirectory() as cache, Stopwatch() as watch:
        dspy.configure_cache(disk_cache_dir=cache)
        for name, one in sleepers.items():
            lm = dspy.LM(f"sim/{name}", engine=one, cache=True, num_retries=0, temperature=SIX[name][1])
            judge = dspy.Evaluate(devset=test, metric=right, num_threads=threads, display_progress=False)
            with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
                first = build(spec)
                search = dspy.MIPROv2(metric=right, prompt_model=lm, task_model=lm, num_threads=threads)
                best = search.compile(first.deepcopy(), trainset=train, valset=dev)
                searched = one.calls
                judge(first)
                scores[name] = judge(best).score / 100
                sealed += one.calls - searched
    return {"wall": watch.wall, "cpu": watch.cpu, "scores": scores, "sealed": sealed}


def today(in_flight: int, latency_ms: float, threads: int, size: int) -> bool:
    """Print both sides and their ratios; whether the targets are met."""
    logging.getLogger("dspy").setLevel(logging.CRITICAL)
    found: dict[str, tuple[dict[str, Any], int, float]] = {}
    sides = {"session": partial(in_session, in_flight=in_flight), "MIPROv2 x 6": partial(one_by_one, threads=threads)}
    head = f"{'way':14} {'in flight':>9} {'calls':>7} {'sealed':>7} {'USD':>8} {'seconds':>8} {'CPU s':>7}  decision"
    print(head, "-" * len(head), sep="\n")
    for side, run in sides.items():
        told(f"sessions: {side}")
        sleepers = {name: Sleeper(model, latency_ms / 1000) for name, (model, _) in SIX.items()}
        with contextlib.redirect_stdout(io.StringIO()):
            figures = run(sleepers, size=size)
        calls, usd = sum(one.calls for one in sleepers.values()), sum(one.usd for one in sleepers.values())
        found[side] = figures, calls, usd
        best = max(figures["scores"], key=lambda name: figures["scores"][name])
        print(
            f"{side:14} {in_flight if side == 'session' else threads:9} {calls:7} {figures['sealed']:7} {usd:8.4f} "
            f"{figures['wall']:8.1f} {figures['cpu']:7.1f}  {best}, {figures['scores'][best]:.3f}; "
            f"mean of all {sum(figures['scores'].values()) / len(figures['scores']):.3f}",
            flush=True,
        )
        told(f"  { ({name: round(score, 3) for name, score in figures['scores'].items()}) }")
    (ours, our_calls, our_usd), (theirs, their_calls, their_usd) = found.values()
    calls, seconds = our_calls / their_calls, ours["wall"] / theirs["wall"]
    search = (our_calls - ours["sealed"]) / (their_calls - theirs["sealed"])
    print(
        f"ratios: calls {calls:.2f} (target {CALLS_TARGET:.2f}), without the sealed examples {search:.2f}, "
        f"dollars {our_usd / their_usd:.2f}, wall time {seconds:.3f} (target {TIME_TARGET:.2f})"
    )
    return calls <= CALLS_TARGET and seconds <= TIME_TARGET


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="wall, today; both")
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--latency-ms", type=float, default=300)
    parser.add_argument("--threads", type=int, default=8, help="of DSPy's side")
    parser.add_argument("--quick", action="store_true", help="40 examples a part instead of 100")
    args = parser.parse_args()
    unknown = set(args.parts) - {"wall", "today"}
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    size, parts = 40 if args.quick else 100, args.parts or ["wall", "today"]
    wall(args.in_flight, 0, 20)  # whatever is loaded on first use
    met = True
    if "wall" in parts:
        found = wall(args.in_flight, args.latency_ms, size)
        print("six embedded models:", ", ".join(f"{name} {shown(value)}" for name, value in found.items()))
        print(f"wall time / ideal {found['ratio']:.2f} (target {WALL_TARGET}), peak {found['peak']:.0f}")
        met = found["ratio"] <= WALL_TARGET
    if "today" in parts:
        met = today(args.in_flight, args.latency_ms, args.threads, size) and met
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
