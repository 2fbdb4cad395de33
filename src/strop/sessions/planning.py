"""What a session would do and cost, before any call: how many rounds each model's share of the budget buys.

Tokens are counted in the prompts themselves, with examples where a round would put them there; prices are those of the
ledger. Baseline and benchmark are foretold closely, what rounds find is not: every figure is an expectation, the hard
limit is the budget itself. An iteration is counted as the guide does: one generation, that is one model call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strop.gateway import Price, PriceTable, TokenUse, pico, usd
from strop.optimizers import max_calls_estimate, settings_of, written_calls_estimate
from strop.sessions.config import TrainingConfig
from strop.sessions.judging import typical_use
from strop.sessions.problem import Problem
from strop.sessions.proposing import BEST_OF_EACH, WORDS_DEV, steps_for
from strop.sessions.racing import screen_size
from strop.sessions.sizes import BENCHMARK_SHARE, CROSS_SHARE, LARGEST_SHARE, MARGIN, dev_size

AHEAD_EARLY, AHEAD_LATE, EARLY = 0.7, 0.3, 3
"""Share of the rounds in which some candidate is ahead after the first screen, up to round `EARLY` and later; measured
with embedded models."""
SETTLED = 4
"""From this round on the rounds repeat themselves, odd and even ones."""
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
    found = [prices.price(one.full_name) for one in config.models]
    judging = [_judging(config, problem, prices, price.model) for price in found]
    uses = [[problem.typical.use(price.model, shown=each) for price in found] for each in (False, True)]
    plain, shown = ([p.cost(use) + j for p, use, j in zip(found, mine, judging, strict=True)] for mine in uses)
    limit = None if config.cost_budget is None else pico(config.cost_budget)
    dev = dev_size(min(config.dev_samples, len(problem.split.dev)), limit, sum(plain))
    first = dev if limit is None or not sum(plain) else min(dev, int(limit / sum(plain)))
    wanted = min(config.benchmark_samples, len(problem.split.test))
    pair = sum(plain) + sum(shown)
    samples, search = wanted, None
    if limit is not None:
        left = max(0.0, limit - dev * sum(plain))
        search = left - min(left * BENCHMARK_SHARE, MARGIN * wanted * pair)
        samples = min(wanted, int((left - search) / pair)) if pair else wanted
    crosses = config.enable_cross_learning and len(found) > 1
    each_round = [_each_round(config, problem, prices, price, dev) for price in found]
    pot = None if search is None else search * (1 - CROSS_SHARE if crosses else 1)
    rounds = _rounds([[cost for _, cost in mine] for mine in each_round], pot, config.optimization_rounds)
    models: list[ModelForecast] = []
    for n, (name, price) in enumerate(zip(config.names, found, strict=True)):
        transfers = 2 * (len(found) - 1) if crosses and any(rounds) else 0
        crossed = transfers * int(screen_size(dev) + CROSSED_SHARE * (dev - screen_size(dev)))
        if search is not None and shown[n]:
            crossed = min(crossed, int(search * CROSS_SHARE / len(found) / shown[n]))
        calls = sum(calls for calls, _ in each_round[n][: rounds[n]])
        cost = sum(cost for _, cost in each_round[n][: rounds[n]])
        sealed = samples * (2 if rounds[n] or crossed else 1)
        total = first * plain[n] + cost + crossed * shown[n] + samples * plain[n] + (sealed - samples) * shown[n]
        models.append(
            ModelForecast(
                name=name,
                model=price.model,
                usd_per_call=usd(plain[n]),
                baseline_calls=first,
                rounds=rounds[n],
                calls_per_round=calls // max(1, rounds[n]),
                transfers=transfers,
                benchmark_calls=sealed,
                iterations=first + calls + crossed + sealed,
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


def _rounds(costs: Sequence[Sequence[int]], pot: float | None, most: int) -> list[int]:
    """Rounds of each model: all draw on one pot, a round after the other, none more than its largest share."""
    if pot is None:
        return [most] * len(costs)
    rounds, spent, share = [0] * len(costs), [0] * len(costs), LARGEST_SHARE * pot / len(costs)
    for number in range(most):
        for n, mine in enumerate(costs):
            if rounds[n] == number and sum(spent) + mine[number] <= pot and spent[n] + mine[number] <= share:
                rounds[n] += 1
                spent[n] += mine[number]
    return rounds


def _each_round(
    config: TrainingConfig, problem: Problem, prices: PriceTable, price: Price, dev: int
) -> list[tuple[int, int]]:
    """Calls and picodollars of every round that a model may take."""
    judging = _judging(config, problem, prices, price.model)
    plain, shown = (price.cost(problem.typical.use(price.model, shown=each)) + judging for each in (False, True))
    writer = price if config.prompt_model is None else prices.price(config.prompt_model.full_name)
    asked = problem.typical.use(writer.model, shown=True)
    each_written = writer.cost(TokenUse(input=2 * asked.input, output=WRITTEN_TOKENS))
    found: list[tuple[int, int, int]] = []
    for round in range(1, config.optimization_rounds + 1):
        calls, written = found[-2][:2] if round > SETTLED + 2 else _calls(config, problem, dev, round)
        each = (plain + shown) // 2 if round == 1 else shown
        found.append((calls, written, (calls - written) * each + written * each_written))
    return [(calls, cost) for calls, _, cost in found]


def _calls(config: TrainingConfig, problem: Problem, dev: int, round: int) -> tuple[int, int]:
    """Calls of one round, and how many of them write instructions: those of its algorithms, and those of the race
    between what they found."""
    screen, train = screen_size(dev), len(problem.split.train)
    ahead = AHEAD_EARLY if round <= EARLY else AHEAD_LATE
    calls = written = rivals = 0
    for name, given in steps_for(config.algorithm, round, train=train):
        small = config.algorithm == "auto" and name == "copro"
        settings, seen = settings_of(name, given), min(screen, WORDS_DEV) if small else screen
        calls += max_calls_estimate(settings, n_train=train, n_dev=seen)[0]
        written += written_calls_estimate(settings, n_train=train, n_dev=seen)
        # What an algorithm measured itself is recorded and free in the race.
        first, sent = (screen, 1) if name in UNMEASURED else (screen - seen, BEST_OF_EACH)
        calls, rivals = calls + sent * first, rivals + sent
    return calls + int(ahead * (rivals / 2 * screen + max(0, dev - 2 * screen))), written


def _judging(config: TrainingConfig, problem: Problem, prices: PriceTable, model: str) -> int:
    """Picodollars of judging one output, where a constraint is a judge's question."""
    if config.judge_model is None or not problem.judged:
        return 0
    use = typical_use(problem.judged, problem.typical.use(model).output)
    return prices.price(config.judge_model.full_name).cost(use)
