"""Looking ahead: what it may waste, and that it starts what is needed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from strop.optimizers.ahead import Allowance, Look, LookAhead
from strop.optimizers.crew import Task
from tests.optimizers.search_world import Oracle, World


class Line:
    """A crew whose tasks are finished in any order, when it is told to."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.waiting: list[Task] = []

    def submit(self, job: Callable[[], Any], then: Callable[[Task], None]) -> Task:
        task = Task(job, then)
        self.waiting.append(task)
        return task

    def step(self) -> None:
        if self.waiting:
            task = self.waiting.pop(self.rng.randrange(len(self.waiting)))
            if task.state == "waiting":
                task.state = "running"
                task.perform()


@settings(max_examples=100, deadline=None)
@given(
    outcomes=st.lists(st.booleans(), min_size=1, max_size=40),
    enough=st.integers(1, 6),
    allowed=st.integers(0, 12),
    seed=st.integers(0, 10**6),
)
def test_a_loop_wastes_no_more_than_it_is_allowed(outcomes: list[bool], enough: int, allowed: int, seed: int) -> None:
    made: list[int] = []
    line, allowance = Line(seed), Allowance(allowed)

    def attempt(position: int, look: Look) -> tuple[bool, ...]:
        made.append(position)
        look.calls = [object()]
        return (outcomes[position],)

    ahead = LookAhead(
        size=len(outcomes), enough=enough, cost=1, attempt=attempt, submit=line.submit, allowance=allowance
    )
    visited: list[int] = []
    successes = 0
    for position in range(len(outcomes)):
        if successes >= enough:
            break
        ahead.visit(position)
        visited.append(position)
        task = ahead.task(position)
        assert task is not None, "what is visited is certain, and what is certain is started"
        while not task.finished:
            line.step()
        successes += outcomes[position]
    ahead.finish()
    while line.waiting:
        line.step()
    assert set(visited) <= set(made)
    assert len(made) == len(set(made))
    assert allowance.unused == len(set(made) - set(visited)) <= allowed
    assert allowance.calls == len(made)


def test_nothing_is_looked_at_ahead_when_that_is_switched_off() -> None:
    with World(oracle=Oracle(skill=-1)) as world:
        world.search("bootstrapfewshot", {"max_labeled_demos": 2}, warm=False)
        assert world.oracle.most_in_flight == 1
        assert world.noted("warmed") == []


def test_a_loop_in_which_everything_fails_is_made_in_parallel() -> None:
    with World(oracle=Oracle(skill=-1, sleep_s=0.01), train=40) as world:
        world.search("bootstrapfewshot", {"metric_threshold": 1.0, "max_labeled_demos": 2})
        assert world.oracle.most_in_flight >= world.concurrency - 2
        (note,) = world.noted("warmed")
        assert note["unused"] <= world.concurrency
