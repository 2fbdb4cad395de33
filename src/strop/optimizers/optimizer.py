"""What an optimizer is: from a brief to candidates, best last. It never sees the test examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from strop.datasets import Dataset
from strop.metrics import Metric
from strop.programs import ProgramSpec

if TYPE_CHECKING:
    import dspy

    from strop.gateway import Switch


@dataclass(frozen=True, kw_only=True)
class Models:
    """The language models of a search, each already bound to the gateway, the budget and its role."""

    task: dspy.LM
    prompt: dspy.LM
    teacher: dspy.LM


@dataclass(frozen=True, kw_only=True)
class Brief:
    """All that an algorithm gets. `settings` are the algorithm's own, already validated by its settings class."""

    spec: ProgramSpec
    program: dspy.Module
    train: Dataset
    dev: Dataset
    metric: Metric
    models: Models
    settings: Any
    seed: int = 0
    concurrency: int = 16
    warm_ahead: bool = True
    switch: Switch
    report: Callable[[Note], None] = field(default=lambda _note: None)


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that an observer may want to see while the search goes on: a phase that began, a score on the way."""

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A program worth looking at, with the dev score that the algorithm itself saw (0..1), where it saw one.

    `n` is the number of dev examples behind the score, `origin` says in words where it came from.
    """

    program: dspy.Module
    score: float | None
    n: int
    origin: str
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Optimizer(Protocol):
    """One algorithm. Stateless: a new search gets new DSPy objects."""

    name: str
    title: str
    settings: type[Any]

    def search(self, brief: Brief) -> Iterator[Candidate]:
        """Yield candidates as they are found, best last.

        Raises:
            RunStopped: the gateway stopped the run; what was yielded before stays valid.
            SearchFailed: the algorithm broke.
        """
        ...

    def calls(self, settings: Any, n_train: int, n_dev: int, predictors: int = 1) -> tuple[int, int]:
        """Model calls of a search with these settings on so many examples: expected, and at most."""
        ...

    def written(self, settings: Any, n_train: int, n_dev: int, predictors: int = 1) -> int:
        """How many of the expected calls go to the model that writes instructions."""
        ...
