"""A small world for searches: a made-up model that reads its prompt, a task, a metric, and a gateway around them."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy
from dspy import lm15

from strop.datasets import Dataset, Example
from strop.gateway import Account, FunctionProvider, Gateway, PriceTable
from strop.metrics import Judged, Score, Usage
from strop.optimizers import Brief, Candidate, Models, Note, find, settings_of
from strop.programs import ProgramSpec, build
from strop.store import Store, metadata

MODEL = "sim/x"
LABELS = ("red", "green", "blue")


def chance(*parts: object) -> float:
    """A number in 0..1 that depends on nothing but `parts`."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def text_of(request: lm15.Request) -> str:
    parts = [part.text for message in request.messages for part in message.parts if hasattr(part, "text")]
    return f"{request.system or ''}\n" + "\n".join(parts)


def reply(text: str) -> lm15.Response:
    return lm15.Response(
        id=None,
        model=MODEL,
        message=lm15.Message.assistant([lm15.TextPart(text)]),
        finish_reason="stop",
        usage=lm15.Usage(input_tokens=100, output_tokens=10, total_tokens=110),
    )


@dataclass
class Oracle:
    """Answers the colour of a text when it is lucky: everything is a hash of the request. Below 0 it is never right."""

    skill: float = 0.45
    sleep_s: float = 0.0
    before: Callable[[int], None] | None = None
    calls: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    seen: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: lm15.Request, rollout: int | None, index: int) -> lm15.Response:
        with self._lock:
            self.calls += 1
            number = self.calls
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.before is not None:
                self.before(number)
            if self.sleep_s:
                time.sleep(self.sleep_s)
            return reply(self._answer(request, rollout, index))
        finally:
            with self._lock:
                self.in_flight -= 1

    def _answer(self, request: lm15.Request, rollout: int | None, index: int) -> str:
        text = text_of(request)
        with self._lock:
            self.seen.append(text)
        last = text.rsplit("Respond with", 1)[-1]
        names = re.findall(r"`(?:\[\[ ## )?(\w+)(?: ## \]\])?`", last)
        names = [name for name in names if name != "completed"]
        values = {name: self._value(name, text, rollout, index) for name in names}
        if "JSON" in last:
            return json.dumps(values)
        shown = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in values.items()}
        return (
            "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in shown.items()) + "\n\n[[ ## completed ## ]]"
        )

    def _value(self, name: str, text: str, rollout: int | None, index: int) -> Any:
        luck = chance(name, text, rollout, index)
        if name == "colour":
            asked = re.findall(r"\[\[ ## text ## \]\]\n(.*?)\n", text)[-1]
            right = colour_of(asked)
            if self.skill < 0:
                return "none"
            if luck < self.skill:
                return right
            return LABELS[int(luck * 1000) % 3]
        if name == "module_advice":
            modules = re.findall(r'"(\w+)"', text.rsplit("[[ ## module_names ## ]]", 1)[-1]) or ["self"]
            return {module: f"Mind the colour, rule {int(luck * 1e6)}." for module in modules}
        return f"{name} {int(luck * 1e6)}: read the text and name its colour"


def colour_of(text: str) -> str:
    return LABELS[int(chance("truth", text) * 3)]


class ColourMetric:
    """1 for the right colour."""

    name = "colour"
    binary = True

    def score(
        self, *, inputs: Mapping[str, Any], expected: Mapping[str, Any], answer: Mapping[str, Any], usage: Usage | None
    ) -> Score:
        right = answer.get("colour") == expected["colour"]
        return Score(value=float(right), reason="right" if right else "wrong colour.")

    def summary(self, rows: Sequence[Judged]) -> float:
        return sum(row.score.value for row in rows) / len(rows)


def dataset(name: str, n: int) -> Dataset:
    texts = [f"{name} text number {i}" for i in range(n)]
    return Dataset(
        examples=tuple(
            Example(id=f"id-canary-{name}-{i}", inputs={"text": text}, labels={"colour": colour_of(text)})
            for i, text in enumerate(texts)
        ),
        name=name,
    )


SPEC = ProgramSpec(signature="text -> colour", instructions="Name the colour of the text.")


class TwoSteps(dspy.Module):
    """First a hint, then the colour."""

    def __init__(self) -> None:
        super().__init__()
        self.think = dspy.Predict(dspy.Signature("text -> hint", "Say something about the text."))
        self.name_it = dspy.Predict(dspy.Signature("text, hint -> colour", "Name the colour of the text."))

    def forward(self, text: str) -> dspy.Prediction:
        return self.name_it(text=text, hint=self.think(text=text).hint)


TWO_STEPS = ProgramSpec(factory="tests.optimizers.search_world:TwoSteps")


@dataclass
class World:
    """One gateway with one model, and everything that a search needs."""

    oracle: Oracle = field(default_factory=Oracle)
    train: int = 14
    dev: int = 10
    spec: ProgramSpec = SPEC
    metric: Any = field(default_factory=ColourMetric)
    concurrency: int = 8
    seed: int = 3

    def __post_init__(self) -> None:
        self.store = Store.open(":memory:")
        import strop.gateway.tables  # noqa: F401

        with self.store.write() as connection:
            metadata.create_all(connection)
        self.gateway = Gateway(self.store, prices=PriceTable({MODEL: {"input": 1, "output": 2}}))
        self.gateway.offer(MODEL, FunctionProvider(self.oracle))
        self.account = Account(scope="run:t")
        self.notes: list[Note] = []

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.gateway.close()
        self.store.close()

    def lm(self) -> dspy.LM:
        return self.gateway.lm({"model": MODEL, "retries": 0}, self.account, phase="search")

    def brief(self, algorithm: str, settings: Mapping[str, Any], *, warm: bool = True) -> Brief:
        lm = self.lm()
        return Brief(
            spec=self.spec,
            program=build(self.spec),
            train=dataset("train", self.train),
            dev=dataset("dev", self.dev),
            metric=self.metric,
            models=Models(task=lm, prompt=self.lm(), teacher=self.lm()),
            settings=settings_of(algorithm, settings),
            seed=self.seed,
            concurrency=self.concurrency,
            warm_ahead=warm,
            switch=self.account.switch,
            report=self.notes.append,
        )

    def search(self, algorithm: str, settings: Mapping[str, Any], *, warm: bool = True) -> list[Candidate]:
        brief = self.brief(algorithm, settings, warm=warm)
        return list(find(algorithm).search(brief))

    def noted(self, kind: str) -> list[Mapping[str, Any]]:
        return [note.data for note in self.notes if note.kind == kind]
