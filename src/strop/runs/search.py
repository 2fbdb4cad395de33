"""The stages that look for a better program: baseline, search, choice. None of them sees a test example."""

from __future__ import annotations

from collections.abc import Mapping

from strop.errors import ConstraintsUnmet, RunStopped, SearchFailed, StropError
from strop.gateway import Account
from strop.optimizers import Brief, Candidate, Models, Note
from strop.programs import build, dump, fingerprint
from strop.runs.attempt import Attempt
from strop.runs.selection import Measured, choose

FINALISTS = 5
VERDICT_MARGIN = 4.0


def measure_baseline(attempt: Attempt) -> None:
    """Measure the program as the task file says it, on the dev examples."""
    plan = attempt.plan
    attempt.tell("stage.started", stage="baseline", n=len(plan.split.dev))
    program = build(plan.program)
    dev = attempt.measure(program, "dev", "baseline")
    attempt.baseline = Measured(
        number=0, origin="baseline", fingerprint=fingerprint(program, plan.program), program=program, dev=dev
    )
    attempt.measured.append(attempt.baseline)
    attempt.note("baseline", {"score": dev.mean, "n": len(dev.rows), "errors": len(dev.errors)})
    attempt.tell("stage.finished", stage="baseline", score=dev.mean, n=len(dev.rows))


def search(attempt: Attempt) -> None:
    """Let the algorithm look, keep what it finds, and measure its best on all dev examples."""
    plan, watch = attempt.plan, attempt.watch
    assert attempt.baseline is not None
    share = len(plan.split.test) * 2 / max(1, len(plan.split.dev))
    watch.leave_time(1.0 + VERDICT_MARGIN * share * watch.elapsed_s)
    account = _account(attempt)
    attempt.tell("stage.started", stage="search", algorithm=plan.optimizer.name)
    models = Models(
        task=attempt.gateway.lm(plan.models["task"], account, phase="search", role="task"),
        prompt=attempt.gateway.lm(plan.models["prompt"], account, phase="search", role="prompt"),
        teacher=attempt.gateway.lm(plan.models["teacher"], account, phase="search", role="teacher"),
    )
    # Which bets are made ahead depends on time: where every needed call is recorded they would only cost.
    recorded = attempt.gateway.replaying or attempt.journal.done_before(attempt.record)
    brief = Brief(
        spec=plan.program, program=build(plan.program), train=plan.split.train, dev=plan.split.dev,
        metric=plan.metric, models=models, settings=plan.settings, seed=plan.task.seed,
        concurrency=plan.task.concurrency, switch=watch.search,
        warm_ahead=plan.task.warm_ahead and not recorded,
        report=lambda note: _heard(attempt, note),
    )  # fmt: skip
    found: dict[str, tuple[Candidate, int]] = {}
    try:
        for candidate in plan.optimizer.search(brief):
            _keep(attempt, candidate, found)
    except RunStopped as stop:
        if stop.cause not in {"budget_exceeded", "timeout", "converged"} or watch.whole.stopped is not None:
            raise
        attempt.search_ended = f"{stop.cause}: {stop.detail}"
    except StropError:
        raise
    except Exception as error:
        raise SearchFailed(f"the algorithm {plan.optimizer.name} broke: {type(error).__name__}: {error}") from error
    attempt.refuse_outage()
    _measure_finalists(attempt, found)
    attempt.note("search", {"candidates": len(found), "ended": attempt.search_ended})
    attempt.tell("stage.finished", stage="search", candidates=len(found), ended=attempt.search_ended)


def choose_winner(attempt: Attempt) -> None:
    """Pick the best that satisfies the constraints.

    Raises:
        ConstraintsUnmet: nothing does; says what was measured.
    """
    assert attempt.baseline is not None
    attempt.winner, attempt.excluded = choose(attempt.measured, attempt.plan.task.constraints)
    if attempt.winner is None:
        told = "; ".join(
            f"{one.origin}: {', '.join(attempt.excluded[one.fingerprint])}" for one in attempt.measured[:6]
        )
        raise ConstraintsUnmet(
            f"none of {len(attempt.measured)} programs satisfies the constraints: {told}",
            hint="relax `constraints`, or choose another model",
        )
    dev = {
        "baseline": attempt.baseline.dev.mean,
        "optimized": attempt.winner.dev.mean,
        "n": len(attempt.winner.dev.rows),
    }
    attempt.note("choice", {"number": attempt.winner.number, "origin": attempt.winner.origin, **dev})
    attempt.tell("candidate.chosen", number=attempt.winner.number, origin=attempt.winner.origin, **dev)


def _account(attempt: Attempt) -> Account:
    """An account whose budget leaves enough for the sealed test."""
    scope, watch = attempt.account.scope, attempt.watch
    node = attempt.gateway.budgets.read(scope)
    limit: int | None = None
    if node is not None and node.limit is not None and attempt.baseline is not None:
        test = len(attempt.plan.split.test)
        reserve = int(2 * test * attempt.baseline.dev.cost_per_request_pico * VERDICT_MARGIN / 2)
        limit = max(0, node.limit - node.spent - reserve)
    search = f"{scope}/search"
    known = attempt.gateway.budgets.read(search)
    if known is not None and limit is not None:
        limit += known.spent
    attempt.gateway.budgets.open(search, limit_pico=limit, parent=scope, lease=attempt.lease)
    return Account(
        scope=scope, budget=search, lease=attempt.lease, switch=watch.search, counters=attempt.account.counters
    )


def _keep(attempt: Attempt, candidate: Candidate, found: dict[str, tuple[Candidate, int]]) -> None:
    mark = fingerprint(candidate.program, attempt.plan.program)
    number = found[mark][1] if mark in found else len(found) + 1
    found[mark] = (candidate, number)
    row = {
        "fingerprint": mark, "number": number, "origin": candidate.origin, "score": candidate.score,
        "n": candidate.n, "state": dump(candidate.program),
    }  # fmt: skip
    attempt.journal.keep_candidate(attempt.record.id, attempt.lease, row)
    attempt.tell("candidate.found", number=number, score=candidate.score, n=candidate.n, origin=candidate.origin)


def _measure_finalists(attempt: Attempt, found: Mapping[str, tuple[Candidate, int]]) -> None:
    """Measure the most promising candidates, and the algorithm's own choice, on all dev examples."""
    assert attempt.baseline is not None
    ranked = sorted(found.items(), key=lambda item: (item[1][0].score or 0.0, item[1][1]), reverse=True)
    chosen = dict(ranked[:FINALISTS])
    if found:
        last = list(found)[-1]
        chosen[last] = found[last]
    for mark, (candidate, number) in sorted(chosen.items(), key=lambda item: item[1][1]):
        if mark == attempt.baseline.fingerprint:
            continue
        try:
            dev = attempt.measure(candidate.program, "dev", "selection", quiet=True)
        except RunStopped as stop:
            if stop.cause != "budget_exceeded":
                raise
            attempt.search_ended = attempt.search_ended or f"{stop.cause}: {stop.detail}"
            return
        attempt.measured.append(
            Measured(number=number, origin=candidate.origin, fingerprint=mark, program=candidate.program, dev=dev)
        )


def _heard(attempt: Attempt, note: Note) -> None:
    if note.kind == "warmed":
        attempt.warmed = {**attempt.warmed, **note.data}
    attempt.tell("search.note", kind=note.kind, **note.data)
