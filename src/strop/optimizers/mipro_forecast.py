"""What MIPROv2's random generators will draw, read from copies of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

STARTUP_TRIALS = 10
"""Optuna's TPE draws uniformly until it has seen so many finished trials (its default, which DSPy keeps)."""


@dataclass(kw_only=True)
class Trial:
    """One trial to come: a choice for each predictor, and which dev examples (None: all)."""

    instructions: tuple[int, ...]
    demos: tuple[int, ...]
    batch: tuple[int, ...] | None
    begun: bool = False


class Draws:
    """A copy of a generator at this moment: what it draws is drawn again by the algorithm later."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = random.Random()
        self._rng.setstate(rng.getstate())

    def demo_sets(
        self, trainset: Sequence[Any], candidates: int, most: int, *, labelled: bool
    ) -> list[tuple[Literal["none", "labelled", "bootstrapped"], list[Any], int]]:
        """Kind, training examples in their order, and number of demos of each set."""
        sets: list[tuple[Literal["none", "labelled", "bootstrapped"], list[Any], int]] = []
        for number in range(candidates):
            copy = list(trainset)
            if number == 0:
                sets.append(("none", copy, 0))
            elif number == 1 and labelled:
                sets.append(("labelled", copy, 0))
            elif number == 2:
                sets.append(("bootstrapped", copy, most))
            else:
                self._rng.shuffle(copy)
                sets.append(("bootstrapped", copy, self._rng.randint(1, most)))
        return sets

    def proposals(self, predictors: int, number: int) -> list[tuple[str, int]]:
        """Tip and sample of each instruction, predictor by predictor."""
        from dspy.propose.grounded_proposer import TIPS

        keys = list(TIPS.keys())
        return [(TIPS[self._rng.choice(keys)], self._rng.randint(0, 10**9)) for _ in range(predictors * number)]

    def minibatch(self, dev: int, batch: int) -> tuple[int, ...]:
        """Indexes of the dev examples of one trial."""
        return tuple(self._rng.sample(range(dev), batch))

    @staticmethod
    def of_one(value: int) -> Any:
        """A generator that draws `value`."""
        return _One(value)


class _One:
    def __init__(self, value: int) -> None:
        self._value = value

    def randint(self, _low: int, _high: int) -> int:
        return self._value


def forecast_trials(
    draws: Draws,
    instructions: Sequence[int],
    demos: Sequence[int] | None,
    *,
    seed: int,
    trials: int,
    full_steps: int | None,
    dev: int,
    batch: int | None,
) -> list[Trial]:
    """The trials that do not depend on scores, drawn by a sampler like the algorithm's own from a study with no scores.

    `full_steps` is the number of trials between full evaluations, each of which counts as a finished trial, or None.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True))
    names: dict[str, Any] = {f"{i}_predictor_instruction": n for i, n in enumerate(instructions)}
    names |= {f"{i}_predictor_demos": n for i, n in enumerate(demos or ())}
    spaces = {name: optuna.distributions.CategoricalDistribution(range(n)) for name, n in names.items()}
    blank: dict[str, Any] = {
        "params": dict.fromkeys(names, 0),
        "distributions": spaces,
        "value": 0.0,
    }
    study.add_trial(optuna.trial.create_trial(**blank))
    found: list[Trial] = []
    finished = 1
    while len(found) < trials and finished < STARTUP_TRIALS:
        trial = study.ask()
        chosen = {"instruction": [0] * len(instructions), "demos": [0] * len(instructions)}
        for i, number in enumerate(instructions):
            chosen["instruction"][i] = int(trial.suggest_categorical(f"{i}_predictor_instruction", range(number)))
            if demos is not None:
                chosen["demos"][i] = int(trial.suggest_categorical(f"{i}_predictor_demos", range(demos[i])))
        found.append(
            Trial(
                instructions=tuple(chosen["instruction"]),
                demos=tuple(chosen["demos"]),
                batch=None if batch is None or batch >= dev else draws.minibatch(dev, batch),
            )
        )
        study.tell(trial, 0.0)
        finished += 1
        # DSPy numbers trials with the default program first, and adds a full evaluation as a trial of its own.
        if full_steps is not None and (trial.number + 1) % (full_steps + 1) == 0:
            study.add_trial(optuna.trial.create_trial(**blank))
            finished += 1
    return found
