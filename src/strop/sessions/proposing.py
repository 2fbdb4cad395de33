"""What a round tries: an algorithm with settings of one round's size, from the model's own best program."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from strop.datasets import Dataset
from strop.errors import RunStopped
from strop.evaluation import Evaluation
from strop.optimizers import Brief, Candidate, Models, find, settings_of
from strop.programs import fingerprint
from strop.sessions.attempt import SessionAttempt, at_once
from strop.sessions.config import TrainingPhase
from strop.sessions.contestant import Contestant
from strop.sessions.racing import screen_size, screened
from strop.sessions.steady import steadily

PHASE = TrainingPhase.OPTIMIZATION
BEST_OF_EACH = 2
"""Most candidates that one algorithm may send into a race."""
ONE_BY_ONE = {"bootstrapfewshot"}
"""Algorithms that ask about one example after another, so that all others would wait for them; they look ahead by
`AHEAD` examples, and no other does: what is asked ahead may be asked in vain."""
AHEAD = 6
WORDS_DEV = 12
"""Dev examples by which an algorithm itself compares the instructions that it writes; the race decides."""

Step = tuple[str, Mapping[str, Any]]
BOOTSTRAP: Step = ("bootstrapfewshot", {"max_bootstrapped_demos": 4, "max_labeled_demos": 16})
MANY: tuple[Step, ...] = (("labeledfewshot", {"k": 16}), ("labeledfewshot", {"k": 32}))
FEW: tuple[Step, ...] = (*MANY, BOOTSTRAP)
WORDS: tuple[Step, ...] = (("copro", {"breadth": 4, "depth": 1}),)
REFLECTION: tuple[Step, ...] = (("gepa", {"max_metric_calls": 48}),)
ROUND_SIZE: Mapping[str, Mapping[str, Any]] = {
    "bootstrap_random_search": {"num_candidate_programs": 2, "max_bootstrapped_demos": 4},
    "copro": WORDS[0][1],
    "miprov2": {"num_trials": 4, "num_candidates": 3},
    "gepa": REFLECTION[0][1],
    "simba": {"max_steps": 1, "num_candidates": 3},
}
"""Settings of an algorithm that was named without any: a session has many rounds, so each is small."""


def steps_for(asked: str | Mapping[str, Any], round: int, *, train: int) -> tuple[Step, ...]:
    """Names and settings of what a round runs. `auto` draws examples in odd rounds; in even ones it writes
    instructions, and from the fourth round on lets a model reflect on its faults.

    Raises:
        SettingsError: there is no such algorithm.
    """
    if asked != "auto":
        given = {"name": asked} if isinstance(asked, str) else dict(asked)
        name = find(str(given.pop("name", ""))).name
        return ((name, given or ROUND_SIZE.get(name, {})),)
    if train and round % 2:
        steps = FEW if round == 1 else MANY
        return tuple(step for step in steps if step is steps[0] or step[1].get("k", 0) // 2 < train)
    return REFLECTION if train and round >= 4 else WORDS


class Proposal(NamedTuple):
    """A new program, the algorithm that found it, and its first measurement; None where the budget did not allow it."""

    name: str
    candidate: Candidate
    begun: Evaluation | None


def propose(attempt: SessionAttempt, one: Contestant, round: int) -> list[Proposal]:
    """New programs of a round. Programs that were tried before are left out.

    Raises:
        RunStopped: stopped by anything but the search's own money; with that gone, what was found so far is returned.
    """
    steps = steps_for(attempt.config.algorithm, round, train=len(attempt.problem.split.train))
    found: list[list[Proposal]] = [[] for _ in steps]
    problems: list[BaseException] = []

    def run(index: int) -> None:
        try:
            proposed = steadily(partial(_candidates, attempt, one, round, index, steps[index]))
            # Whatever an algorithm found is measured while the others still look.
            begun = screened(attempt, one, [each.program for each in proposed], PHASE)
            found[index] = [Proposal(steps[index][0], each, first) for each, first in zip(proposed, begun, strict=True)]
        except BaseException as problem:  # noqa: BLE001 - raised again in the caller's thread
            problems.append(problem)

    at_once([partial(run, index) for index in range(len(steps))])
    for problem in problems:
        raise problem
    tried = {each.fingerprint for each in one.history}
    fresh: list[Proposal] = []
    for each in itertools.chain.from_iterable(found):
        mark = attempt.mark(each.candidate.program)
        if mark not in tried:
            tried.add(mark)
            fresh.append(each)
    return fresh


def _candidates(attempt: SessionAttempt, one: Contestant, round: int, index: int, step: Step) -> list[Candidate]:
    """The best that one algorithm finds, by its own scores, best first."""
    assert one.best is not None
    name, given = step
    optimizer = find(name)
    # Bets on later examples depend on time: a resumed session would pay for others.
    bets = name in ONE_BY_ONE and attempt.record.attempts == 0
    brief = Brief(
        spec=attempt.problem.program,
        program=one.best.program,
        train=_train(attempt, round, index),
        dev=_screen(attempt, name),
        metric=attempt.problem.metric,
        models=Models(
            task=attempt.lm(one, PHASE),
            prompt=attempt.lm(one, PHASE, "prompt"),
            teacher=attempt.lm(one, PHASE, "teacher"),
        ),
        settings=settings_of(name, {**given, **_threshold(attempt, one, optimizer.settings, given)}),
        seed=_seed(attempt, round),
        concurrency=min(AHEAD, attempt.config.max_concurrency) if bets else attempt.config.max_concurrency,
        warm_ahead=bets,
        switch=one.account.switch,
    )
    found: dict[str, Candidate] = {}
    try:
        for candidate in optimizer.search(brief):
            found[fingerprint(candidate.program, attempt.problem.program)] = candidate
    except RunStopped as stop:
        if stop.cause != "budget_exceeded":
            raise
        one.money_ended = stop.detail
    found.pop(one.best.fingerprint, None)
    ranked = sorted(found.values(), key=lambda each: -1.0 if each.score is None else each.score, reverse=True)
    return ranked[:BEST_OF_EACH]


def _train(attempt: SessionAttempt, round: int, index: int) -> Dataset:
    """The train examples in an order of the step's own: algorithms take their first ones."""
    examples = list(attempt.problem.split.train)
    random.Random(f"{_seed(attempt, round)}:{index}").shuffle(examples)
    return Dataset(examples=tuple(examples), name=f"round-{round}")


def _screen(attempt: SessionAttempt, name: str) -> Dataset:
    n = WORDS_DEV if name == "copro" and attempt.config.algorithm == "auto" else screen_size(len(attempt.dev))
    n = 1 if attempt.problem.sampled else n
    return Dataset(examples=attempt.dev[:n], name="dev")


def _seed(attempt: SessionAttempt, round: int) -> int:
    return (attempt.config.seed + 7919 * round) % 2**32


def _threshold(
    attempt: SessionAttempt, one: Contestant, settings: type[Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """From which score an answer is good enough to become an example: better than the program's own mean."""
    if "metric_threshold" not in settings.model_fields or "metric_threshold" in given or attempt.problem.metric.binary:
        return {}
    assert one.best is not None
    return {"metric_threshold": min(1.0, round(one.best.dev.mean + 0.05, 3))}
