"""Divides prepared examples into train, dev and a sealed test set: by session and time, no task in two of them.

Examples of one session (and of the sub-agents that it started) stay together, and so do examples whose tasks are the
same or nearly so. These units are put in order of time: the oldest are train, the newest the sealed test, because that
is how the result will be used: learnt from the past, applied to what comes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from strop.agents.example import AgentExample
from strop.datasets import Example
from strop.datasets.duplicates import Partition, similar
from strop.errors import DataError

SetName = Literal["train", "dev", "test"]
ROWS_FOR_A_TEST = 6
"""Below this there is no test set: two rows a set are the least that is of any use."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Ids of the examples of each set, oldest first. `notes` say what the user should know."""

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def sets(self) -> Mapping[SetName, tuple[str, ...]]:
        return {"train": self.train, "dev": self.dev, "test": self.test}


def divide(examples: Sequence[AgentExample], shares: tuple[float, float, float], seed: int) -> Parts:
    """Cut by the shares of train, dev and test. The seed orders only units of equal time.

    Raises:
        DataError: there are not two units to put into train and dev.
    """
    units = _units(examples, seed)
    if len(units) < 2:
        raise DataError(
            "Failed to create train/validation split: all examples belong to one session or ask the same task",
            hint="import sessions with other tasks: the same task never stands in two of the sets",
        )
    sizes = [len(unit) for unit in units]
    with_test = shares[2] > 0 and len(units) > 2 and len(examples) >= ROWS_FOR_A_TEST
    notes = () if with_test or shares[2] == 0 else (_NO_TEST.format(examples=len(examples), units=len(units)),)
    first, second = _cuts(sizes, shares, with_test=with_test)
    parts = [[example.id for unit in some for example in unit] for some in
             (units[:first], units[first:second], units[second:])]  # fmt: skip
    return Parts(train=tuple(parts[0]), dev=tuple(parts[1]), test=tuple(parts[2]), notes=notes)


_NO_TEST = (
    "there is no sealed test set ({examples} examples in {units} groups that stay together): no gain can be claimed"
)


def _units(examples: Sequence[AgentExample], seed: int) -> list[list[AgentExample]]:
    partition = _together(examples)
    units = [[examples[index] for index in members] for members in partition.clusters()]
    for unit in units:
        unit.sort(key=_when)
    return sorted(units, key=lambda unit: (_when(unit[-1])[0], _rank(seed, unit)))


def _together(examples: Sequence[AgentExample]) -> Partition:
    rows = [Example(id=example.id, inputs={"task": example.task}, labels={}) for example in examples]
    partition = similar(rows)
    first: dict[str, int] = {}
    for index, example in enumerate(examples):
        partition.join(first.setdefault(example.family, index), index)
    return partition


def _cuts(sizes: Sequence[int], shares: tuple[float, float, float], *, with_test: bool) -> tuple[int, int]:
    """How many units are train, and how many are train or dev: nearest to the shares, no wanted set empty."""
    total = sum(sizes)
    train, dev = shares[0], shares[1]
    if not with_test:
        train, dev = train / (train + dev), dev / (train + dev)
    reached = [0]
    for size in sizes:
        reached.append(reached[-1] + size)
    count = len(sizes)
    last = count - 1 if with_test else count
    first = min(range(1, last), key=lambda cut: (abs(reached[cut] - train * total), cut))
    if not with_test:
        return first, count
    second = min(range(first + 1, count), key=lambda cut: (abs(reached[cut] - (train + dev) * total), cut))
    return first, second


def _when(example: AgentExample) -> tuple[float, str, int, str]:
    moment = example.started.timestamp() if example.started is not None else 0.0
    return moment, example.session, example.number, example.id


def _rank(seed: int, unit: Sequence[AgentExample]) -> str:
    return hashlib.sha256(f"{seed}\n{min(example.id for example in unit)}".encode()).hexdigest()
