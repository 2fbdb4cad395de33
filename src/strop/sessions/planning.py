"""What a session would do and cost, before any call: how many rounds each model's share of the budget buys.

Tokens are counted at four characters each, prices are those of the ledger, and every figure is an expectation: the
hard limit is the budget itself. An iteration is counted as the guide does: one generation, that is one model call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strop.gateway import Price, PriceTable, TokenUse, pico, usd
from strop.optimizers import max_calls_estimate, settings_of
from strop.sessions.config import TrainingConfig
from strop.sessions.problem import Problem
from strop.sessions.proposing import BEST_OF_EACH, WORDS_DEV, steps_for
from strop.sessions.racing import screen_size
from strop.sessions.sizes import (
    BENCHMARK_SHARE,
    CROSS_SHARE,
    GROWTH,
    LARGEST_SHARE,
    MARGIN,
    dev_size,
    typical_use,
)

AHEAD_SHARE = 0.7
"""Share of the rounds in which some candidate is expected to be ahead after the first screen."""
CROSSED_SHARE = 0.1
UNMEASURED = ("labeledfewshot", "bootstrapfewshot")
WRITTEN_TOKENS = 250


@dataclass(frozen=True, kw_only=True)
class ModelForecast:
    """What one model is expected to do. `iterations` are its calls; `budget_iterations` how many plain calls an equal
    share of the whole budget would buy (None without a budget); costs are USD."""

    name: str
    model: str
    usd_per_call: float
    baseline_calls: int
    rounds: int
    calls_per_round: int
    transfers: int
    benchmark_calls: int
    iterations: int
    cost_usd: float
    budget_iterations: int | None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A whole session. `enough` says that the budget is expected to pay for everything that was asked for."""

    models: tuple[ModelForecast, ...]
    dev: int
    benchmark_samples: int
    cost_usd: float
    budget_usd: float | None
    enough: bool


def forecast(config: TrainingConfig, problem: Problem, prices: PriceTable) -> Forecast:
    """The expected course of a session of `config` on `problem`.

    Raises:
        PriceUnknown: nobody said what a model costs.
    """
    use = typical_use(problem)
    found = [prices.price(one.full_name) for one in config.models]
    plain = [price.cost(use) for price in found]
    limit = None if config.cost_budget is None else pico(config.cost_budget)
    dev = dev_size(min(config.dev_samples, len(problem.split.dev)), limit, sum(plain))
    wanted = min(config.benchmark_samples, len(problem.split.test))
    pair = sum(plain) * (1 + GROWTH)
    samples, search = wanted, None
    if limit is not None:
        left = max(0.0, limit - dev * sum(plain))
        search = left - min(left * BENCHMARK_SHARE, MARGIN * wanted * pair)
        samples = min(wanted, int((left - search) / pair)) if pair else wanted
    crosses = config.enable_cross_learning and len(found) > 1
    each_round = [_round(config, problem, price, dev) for price in found]
    pot = None if search is None else search * (1 - CROSS_SHARE if crosses else 1)
    rounds = _rounds([cost for _, cost in each_round], pot, config.optimization_rounds)
    models: list[ModelForecast] = []
    for n, (name, price) in enumerate(zip(config.names, found, strict=True)):
        grown = price.cost(TokenUse(input=int(use.input * GROWTH), output=use.output))
        transfers = 2 * (len(found) - 1) if crosses and any(rounds) else 0
        crossed = transfers * int(screen_size(dev) + CROSSED_SHARE * (dev - screen_size(dev)))
        if search is not None and grown:
            crossed = min(crossed, int(search * CROSS_SHARE / len(found) / grown))
        calls, cost = each_round[n]
        total = dev * plain[n] + rounds[n] * cost + crossed * grown + samples * (plain[n] + grown)
        models.append(
            ModelForecast(
                name=name,
                model=price.model,
                usd_per_call=usd(plain[n]),
                baseline_calls=dev,
                rounds=rounds[n],
                calls_per_round=calls,
                transfers=transfers,
                benchmark_calls=2 * samples,
                iterations=dev + rounds[n] * calls + crossed + 2 * samples,
                cost_usd=usd(int(total)),
                budget_iterations=None if limit is None or not plain[n] else int(limit / len(found) / plain[n]),
            )
        )
    whole = (
        samples == wanted
        and dev == min(config.dev_samples, len(problem.split.dev))
        and min(rounds) == config.optimization_rounds
    )
    return Forecast(
        models=tuple(models), dev=dev, benchmark_samples=samples, cost_usd=sum(one.cost_usd for one in models),
        budget_usd=config.cost_budget, enough=whole,
    )  # fmt: skip


def _rounds(costs: Sequence[int], pot: float | None, most: int) -> list[int]:
    """Rounds of each model: all draw on one pot, a round after the other, none more than its largest share."""
    if pot is None:
        return [most] * len(costs)
    rounds, spent, share = [0] * len(costs), 0.0, LARGEST_SHARE * pot / len(costs)
    for _ in range(most):
        for n, cost in enumerate(costs):
            if spent + cost <= pot and (rounds[n] + 1) * cost <= share:
                rounds[n] += 1
                spent += cost
    return rounds


def _round(config: TrainingConfig, problem: Problem, price: Price, dev: int) -> tuple[int, int]:
    """Calls and picodollars of one round, the mean over the kinds of rounds."""
    use, screen, train = typical_use(problem), screen_size(dev), len(problem.split.train)
    calls, kinds = 0, range(1, 1 + max(1, min(4, config.optimization_rounds)))
    for round in kinds:
        rivals = 0
        for name, given in steps_for(config.algorithm, round, train=train):
            small = config.algorithm == "auto" and name == "copro"
            seen = min(screen, WORDS_DEV) if small else screen
            calls += max_calls_estimate(settings_of(name, given), n_train=train, n_dev=seen)[0]
            # What an algorithm measured itself is recorded and free in the race.
            first, sent = (screen, 1) if name in UNMEASURED else (screen - seen, BEST_OF_EACH)
            calls, rivals = calls + sent * first, rivals + sent
        calls += int(AHEAD_SHARE * (rivals / 2 * screen + max(0, dev - 2 * screen)))
    grown = price.cost(TokenUse(input=int(use.input * (1 + GROWTH) / 2), output=use.output))
    written = price.cost(TokenUse(input=2 * use.input, output=WRITTEN_TOKENS))
    return calls // len(kinds), calls // len(kinds) * grown + 3 * written // 2
