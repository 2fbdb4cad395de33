"""How the session's one budget is divided: the search gets what the final benchmark does not need.

The tree: the session > the search > each model's search, and the session > each model. Every level holds for every
call. What was decided once is kept, so that a resumed session divides as before.
"""

from __future__ import annotations

from strop.gateway import pico, usd
from strop.sessions.attempt import SessionAttempt
from strop.sessions.contestant import Contestant
from strop.sessions.sizes import BENCHMARK_SHARE, CROSS_SHARE, LARGEST_SHARE, MARGIN, dev_size


def node(attempt: SessionAttempt, one: Contestant | None = None, *, search: bool = False) -> str:
    """Name of a budget: of the session, its search, a model, or a model's search."""
    name = attempt.root + ("/search" if search else "")
    return name if one is None else f"{name}/{one.index}"


def open_all(attempt: SessionAttempt) -> None:
    """Open the tree; nothing but the session's own limit is known yet."""
    limit = None if attempt.config.cost_budget is None else pico(attempt.config.cost_budget)
    budgets, lease = attempt.gateway.budgets, attempt.lease
    budgets.open(node(attempt), limit_pico=limit, lease=lease)
    budgets.open(node(attempt, search=True), limit_pico=limit, parent=node(attempt), lease=lease)
    for one in attempt.contestants:
        budgets.open(node(attempt, one), limit_pico=None, parent=node(attempt), lease=lease)
        parent = node(attempt, search=True)
        budgets.open(node(attempt, one, search=True), limit_pico=None, parent=parent, lease=lease)
    if attempt.judge is not None:
        for search in (False, True):
            parent = node(attempt, search=search)
            budgets.open(attempt.judge.budget(search=search), limit_pico=None, parent=parent, lease=lease)


def divide(attempt: SessionAttempt) -> None:
    """After the baseline: set aside what the benchmark needs, the rest is for the search."""
    limit = attempt.config.cost_budget
    if limit is None:
        return
    shares = attempt.journal.noted(attempt.record.id, _topic(attempt, "money"))
    if shares is None:
        left = max(0, pico(limit) - attempt.spent_pico())
        keep = min(int(left * BENCHMARK_SHARE), _benchmark_need(attempt))
        search = left - keep
        rounds = int(search * (1 - CROSS_SHARE)) if _crosses(attempt) else search
        shares = attempt.journal.note(
            attempt.record.id, attempt.lease, _topic(attempt, "money"), {"search": search, "rounds": rounds}
        )
    _limit_search(attempt, int(shares["rounds"]))


def open_cross(attempt: SessionAttempt) -> None:
    """After the rounds: what they left, and what was kept for carrying across."""
    shares = attempt.journal.noted(attempt.record.id, _topic(attempt, "money"))
    if shares is not None:
        _limit_search(attempt, int(shares["search"]))


def affordable(attempt: SessionAttempt, wanted: int) -> int:
    """How many sealed examples every model can be measured on with what is left, before and after."""
    limit = attempt.config.cost_budget
    if limit is None:
        return wanted
    noted = attempt.journal.noted(attempt.record.id, _topic(attempt, "benchmark"))
    if noted is None:
        left = pico(limit) - attempt.spent_pico() - _largest_call(attempt)
        each = MARGIN * sum(_pair_cost(attempt, one) for one in attempt.alive)
        n = wanted if each <= 0 else max(0, min(wanted, int(left / each)))
        noted = attempt.journal.note(attempt.record.id, attempt.lease, _topic(attempt, "benchmark"), {"n": n})
    return int(noted["n"])


def measured_dev(attempt: SessionAttempt) -> int:
    """How many dev examples this session measures its models on."""
    limit = None if attempt.config.cost_budget is None else pico(attempt.config.cost_budget)
    per_example = sum(_foreseen(attempt, one) + _judging(attempt) for one in attempt.contestants)
    return dev_size(min(attempt.config.dev_samples, len(attempt.problem.split.dev)), limit, per_example)


def _topic(attempt: SessionAttempt, what: str) -> str:
    """Under which name a decision is kept: another budget is divided anew."""
    return f"{what} of {attempt.config.cost_budget}"


def _limit_search(attempt: SessionAttempt, limit: int) -> None:
    budgets, lease = attempt.gateway.budgets, attempt.lease
    budgets.open(node(attempt, search=True), limit_pico=limit, parent=node(attempt), lease=lease)
    share = int(LARGEST_SHARE * limit / max(1, len(attempt.contestants)))
    for one in attempt.contestants:
        parent = node(attempt, search=True)
        budgets.open(node(attempt, one, search=True), limit_pico=min(limit, share), parent=parent, lease=lease)


def _benchmark_need(attempt: SessionAttempt) -> int:
    wanted = min(attempt.config.benchmark_samples, len(attempt.problem.split.test))
    pairs = 0.0
    for one in attempt.alive:
        if one.baseline is not None:
            growth = _foreseen(attempt, one, shown=True) / max(1, _foreseen(attempt, one))
            pairs += one.baseline.dev.cost_per_request_pico * (1 + growth) + 2 * _judging(attempt)
    return int(MARGIN * wanted * pairs) + _largest_call(attempt)


def _pair_cost(attempt: SessionAttempt, one: Contestant) -> float:
    if one.baseline is None or one.best is None:
        return 0.0
    before = one.baseline.dev.cost_per_request_pico + _judging(attempt)
    return before if one.best is one.baseline else before + one.best.dev.cost_per_request_pico + _judging(attempt)


def _foreseen(attempt: SessionAttempt, one: Contestant, *, shown: bool = False) -> int:
    """What one run of the program costs, plain or with examples in its prompt, before any was measured."""
    model = one.settings.model
    return attempt.gateway.prices.price(model).cost(attempt.problem.typical.use(model, shown=shown))


def _judging(attempt: SessionAttempt) -> float:
    """What judging one output costs, beside the output itself."""
    if attempt.judge is None:
        return 0.0
    use = attempt.problem.typical.use(attempt.contestants[0].settings.model)
    return attempt.judge.output_pico(use.output)


def _largest_call(attempt: SessionAttempt) -> int:
    """The worst case of one call of any model: the gateway asks for so much to be free."""
    frame = 2 * attempt.problem.typical.largest_bytes
    task = max(
        attempt.gateway.prices.price(one.settings.model).worst_case(
            text_bytes=frame, messages=20, output_limit=one.settings.output_limit
        )
        for one in attempt.contestants
    )
    if attempt.judge is None:
        return task
    return max(task, attempt.judge.largest_call(max(one.settings.output_limit for one in attempt.contestants)))


def _crosses(attempt: SessionAttempt) -> bool:
    return attempt.config.enable_cross_learning and len(attempt.alive) > 1


def spent_usd(attempt: SessionAttempt) -> float:
    """What the session has cost, from its budget: the ledger's sum with what is uncertain held as spent."""
    attempt.gateway.ledger.writer.flush()
    found = attempt.gateway.budgets.read(node(attempt))
    return usd(found.spent) if found else 0.0
