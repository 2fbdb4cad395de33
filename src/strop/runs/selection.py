"""Who may win: the best candidate on the dev examples among those that satisfy every constraint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from strop.evaluation import Evaluation
from strop.gateway import show, usd
from strop.runs.task import ConstraintsSpec

if TYPE_CHECKING:
    import dspy


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A program with its own complete measurement on the dev examples."""

    number: int
    origin: str
    fingerprint: str
    program: dspy.Module
    dev: Evaluation


def breaches(dev: Evaluation, constraints: ConstraintsSpec) -> list[str]:
    """Every constraint that a measurement breaks, with what was measured."""
    found: list[str] = []
    tokens, cost, p95 = dev.tokens_per_request, dev.cost_per_request_pico, dev.latency_ms(0.95)
    if constraints.max_tokens is not None and tokens > constraints.max_tokens:
        found.append(f"{tokens:.0f} tokens a request, at most {constraints.max_tokens} allowed")
    limit = constraints.max_cost_usd_per_request
    if limit is not None and usd(int(cost)) > limit:
        found.append(f"{show(int(cost))} a request, at most ${limit:g} allowed")
    if constraints.max_latency_ms is not None and p95 > constraints.max_latency_ms:
        found.append(f"95th percentile of latency {p95:.0f} ms, at most {constraints.max_latency_ms:g} ms allowed")
    if constraints.min_accuracy is not None and dev.mean < constraints.min_accuracy:
        found.append(f"score {dev.mean:.3f}, at least {constraints.min_accuracy:g} asked for")
    return found


def choose(measured: Sequence[Measured], constraints: ConstraintsSpec) -> tuple[Measured | None, dict[str, list[str]]]:
    """The winner, and for every candidate that may not win the constraints that it breaks.

    Highest mean dev score first, then the cheaper request, then the later candidate (algorithms put their best last).
    """
    broken = {one.fingerprint: breaches(one.dev, constraints) for one in measured}
    allowed = [one for one in measured if not broken[one.fingerprint]]
    if not allowed:
        return None, broken
    best = max(allowed, key=lambda one: (round(one.dev.mean, 9), -one.dev.cost_per_request_pico, one.number))
    return best, {fingerprint: why for fingerprint, why in broken.items() if why}
