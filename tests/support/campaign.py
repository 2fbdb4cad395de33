"""Small real tasks for fault campaigns: a task's directory, quick settings of every algorithm, a run of it."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dspy import lm15

from strop import embedded
from strop.app import House
from strop.events import Event
from strop.examples import __file__ as examples_door
from strop.gateway import FunctionProvider
from strop.runs import Runner, RunResult, load_task

SECTIONS = Path(examples_door).parent / "package-sections" / "sections.jsonl"
LABELS = ("database", "games", "graphics", "mail", "net", "science", "sound", "text")
SIMULATED = "sim/x"

QUICK: Mapping[str, Mapping[str, Any]] = {
    "labeledfewshot": {},
    "bootstrapfewshot": {},
    "bootstrap_random_search": {"num_candidate_programs": 2},
    "copro": {"breadth": 3, "depth": 2},
    "miprov2": {"num_candidates": 3, "num_trials": 3, "max_bootstrapped_demos": 2, "max_labeled_demos": 2},
    "gepa": {"max_metric_calls": 120},
    "simba": {"bsize": 8, "max_steps": 2, "num_candidates": 3},
    "inferrules": {"num_candidates": 2},
}
"""Every algorithm with settings that make a search of one or two hundred calls."""


def rows(n: int, *, seed: int = 0) -> list[dict[str, str]]:
    """Real descriptions with their sections, `n` of them."""
    known = [json.loads(line) for line in SECTIONS.read_text("utf-8").splitlines()]
    return random.Random(seed).sample(known, n)


def random_labels(
    n: int, *, seed: int, labels: Sequence[str] = ("amber", "blue", "coral", "dun")
) -> list[dict[str, str]]:
    """Real descriptions whose labels have nothing to do with them."""
    chance = random.Random(f"labels {seed}")
    return [{**row, "section": chance.choice(labels)} for row in rows(n, seed=seed)]


def task_directory(
    path: Path,
    data: Sequence[Mapping[str, str]] | Mapping[str, Sequence[Mapping[str, str]]],
    *,
    algorithm: str = "bootstrap_random_search",
    settings: Mapping[str, Any] | None = None,
    models: Any = "embedded/small",
    **keys: Any,
) -> Path:
    """Make `path` a task's directory. `data` is one list to split, or lists for train, dev and test."""
    path.mkdir(parents=True, exist_ok=True)
    parts = data if isinstance(data, Mapping) else {"file": data}
    for name, part in parts.items():
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), "utf-8")
    labels = sorted({row["section"] for part in parts.values() for row in part})
    task = {
        "task": "campaign",
        "signature": f"description -> section: Literal[{', '.join(map(repr, labels))}]",
        "instructions": "Choose the archive section of a program from its description.",
        "data": {"id": "id", **{name: f"{name}.jsonl" for name in parts}},
        "metric": "accuracy",
        "models": models,
        "algorithm": {"name": algorithm, **(QUICK[algorithm] if settings is None else settings)},
        "timeout_s": None,
        **keys,
    }
    (path / "strop.yaml").write_text(json.dumps(task), "utf-8")  # JSON is YAML
    (path / "prices.yaml").write_text(
        json.dumps({SIMULATED: {"input": 1, "output": 2}, "openai/*": {"input": 1, "output": 2}}), "utf-8"
    )
    return path


class Provider:
    """An embedded model that obeys: it can be dead, hang, or fail some of its calls; it counts what reaches it."""

    def __init__(self, fate: Callable[[int, threading.Event], None] = lambda number, over: None) -> None:
        """`fate(number, over)` meets every call, numbered from 1: it may raise CallFailed, or wait for `over`."""
        self.fate = fate
        self.over = threading.Event()
        self.calls = 0
        self._lock = threading.Lock()

    def __call__(self, request: lm15.Request, rollout: int | None, index: int) -> lm15.Response:
        with self._lock:
            self.calls += 1
            number = self.calls
        self.fate(number, self.over)
        return embedded.answer("embedded/small", request, rollout=rollout, index=index)


def run(
    directory: Path,
    run_id: str | None = None,
    *,
    provider: Provider | None = None,
    database: str | None = None,
    listen: Callable[[Event], None] | None = None,
    lease_s: float | None = None,
    created: Callable[[str], None] | None = None,
    prepare: Callable[[House], None] | None = None,
    look: Callable[[House], None] | None = None,
    **changes: Any,
) -> RunResult:
    """Carry out the task of `directory`, or go on with one of its runs. `prepare` sees the house
    before the run, `look` after it."""
    file = load_task(directory)
    with House.at(directory, file.spec, database=database) as house:
        if provider is not None:
            house.gateway.offer(SIMULATED, FunctionProvider(provider))
        if prepare is not None:
            prepare(house)
        if listen is not None:
            house.bus.listen(listen)
        if run_id is None:
            plan = house.plan(file.spec.changed(**changes) if changes else file.spec, directory)
            run_id = house.runner().create(plan).id
        else:
            plan = house.plan_again(house.journal.get(run_id), **changes)
        if created is not None:
            created(run_id)
        runner = house.runner()
        if lease_s is not None:
            runner = Runner(
                store=house.store, gateway=house.gateway, registry=house.registry, bus=house.bus, lease_s=lease_s
            )
        try:
            return house.carry_out(plan, run_id, runner=runner)
        finally:
            if provider is not None:
                provider.over.set()
            if look is not None:
                look(house)


def outcome(result: RunResult) -> dict[str, Any]:
    """What must be equal between two runs of the same task: the program and everything that was claimed about it."""
    data = result.data
    return {
        "status": data["status"],
        "verdict": data["verdict"],
        "test": data["test"],
        "dev": data["dev"],
        "program": data["program"],
        "candidates": data["candidates"],
        "changes": data["changes"],
        "version": data["version"],
        "active_version": data["active_version"],
    }
