"""In which order training examples are tried: the first good ones become the demos."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from strop.optimizers.measuring import StageEvaluate
from strop.optimizers.stage import Stage

if TYPE_CHECKING:
    import dspy

LOOKED_AT = 10


def words(text: str) -> frozenset[str]:
    """The set of words by which texts are compared."""
    return frozenset(re.findall(r"\w+", text.lower()))


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard index of two sets of words: 0 nothing in common, 1 the same."""
    return len(one & other) / len(one | other) if one or other else 1.0


def spread_order(texts: Sequence[str], wanted: int) -> list[int]:
    """Indexes so that each of the first `wanted` is as unlike the ones before it as can be; the rest as they came."""
    sets = [words(text) for text in texts]
    nearest = [0.0] * len(sets)
    left = list(range(len(sets)))
    order: list[int] = []
    while left and len(order) < wanted:
        chosen = min(left, key=lambda index: (nearest[index], index))
        left.remove(chosen)
        order.append(chosen)
        for index in left:
            nearest[index] = max(nearest[index], likeness(sets[index], sets[chosen]))
    return [*order, *left]


def arranged(stage: Stage, strategy: Literal["diverse", "hard", "random"] | None, *, wanted: int) -> list[dspy.Example]:
    """The training examples in the order in which they are to be tried; None is the order of the file."""
    train: list[Any] = list(stage.train)
    if strategy == "random":
        random.Random(stage.brief.seed).shuffle(train)
    elif strategy == "diverse":
        texts = [" ".join(str(value) for value in example.inputs().values()) for example in train]
        train = [train[index] for index in spread_order(texts, LOOKED_AT * max(1, wanted))]
    elif strategy == "hard":
        stage.note("phase", name="find hard examples", examples=len(train))
        result = StageEvaluate(stage, devset=train, metric=stage.metric)(stage.program)
        scores = [float(score) for *_, score in result.results]
        train = [train[index] for index in sorted(range(len(train)), key=lambda index: (scores[index], index))]
    return train
