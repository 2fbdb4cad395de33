"""Which algorithm suits the data and the budget, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from strop.datasets.labels import LabelsKind
from strop.errors import DataError

Algorithm = Literal["labeledfewshot", "bootstrapfewshot", "bootstrap_random_search", "miprov2", "gepa"]

FEW = 10
MANY = 50
CALLS_FOR_MIPROV2 = 600
CALLS_FOR_MEDIUM = 3000
CALLS_FOR_GEPA = 300

SEARCH_SHARE = 0.8
"""Of the affordable calls; the rest pays for measuring the baseline and the winner."""

FIXED_CANDIDATES = 3
"""Programs that random search scores besides its random ones: no demos, labelled demos, one unshuffled bootstrap."""

MAX_CANDIDATES = 16
MIN_CANDIDATES = 3


@dataclass(frozen=True, kw_only=True)
class Advice:
    """`why` is one plain sentence with the numbers; `settings` are the algorithm's own."""

    algorithm: Algorithm
    why: str
    settings: Mapping[str, int | str] = field(default_factory=dict[str, int | str])


def advise(
    n_train: int,
    n_dev: int,
    *,
    labels_kind: LabelsKind,
    budget_usd: float | None,
    cost_per_call_usd: float | None,
    prompt_model: bool,
) -> Advice:
    """Choose by rows (train and dev) and by the calls the budget buys; None or a cost of 0 is no limit.

    `prompt_model` says that a model is there that can write instructions from feedback, which GEPA needs.
    """
    if n_train < 1:
        raise DataError("there are no train examples to choose an algorithm for", hint="add rows")
    rows = n_train + n_dev
    calls = _affordable(budget_usd, cost_per_call_usd)
    bought = "no limit on calls" if calls is None else f"a budget for about {calls:,} calls"
    have = f"{rows} examples and {bought}"
    if rows < FEW:
        return _for_few(n_train, calls, have)
    if labels_kind == "text" and prompt_model and _enough(calls, CALLS_FOR_GEPA):
        return Advice(
            algorithm="gepa",
            why=f"With {have}, free-form answers gain most from GEPA, which learns from what went wrong.",
            settings={"max_metric_calls": _search_calls(calls, most=40 * rows)},
        )
    if rows >= MANY and _enough(calls, CALLS_FOR_MIPROV2):
        effort = "medium" if calls is not None and calls >= CALLS_FOR_MEDIUM else "light"
        return Advice(
            algorithm="miprov2",
            why=f"With {have}, MIPROv2 can search instructions and demos together; it wants {MANY} examples and "
            f"{CALLS_FOR_MIPROV2} calls or more.",
            settings={"auto": effort},
        )
    return _demos_only(n_train, n_dev, calls, have)


def _for_few(n_train: int, calls: int | None, have: str) -> Advice:
    if n_train >= MIN_CANDIDATES and _enough(calls, 4 * n_train):
        return Advice(
            algorithm="bootstrapfewshot",
            why=f"With {have} there is too little to rank candidates on (that takes {FEW} examples), so demos are made "
            "from the answers that were right.",
            settings={"max_bootstrapped_demos": min(4, n_train), "max_labeled_demos": n_train},
        )
    return _labelled(n_train, f"With {have}, showing the examples as demos is all that can be done.")


def _demos_only(n_train: int, n_dev: int, calls: int | None, have: str) -> Advice:
    # Each candidate is scored on the whole dev set and has its own demos bootstrapped, from a few train rows.
    per_candidate = max(n_dev, 1) + min(n_train, 8)
    fit = MAX_CANDIDATES if calls is None else int(SEARCH_SHARE * calls) // per_candidate - FIXED_CANDIDATES
    candidates = min(MAX_CANDIDATES, fit)
    if candidates >= MIN_CANDIDATES and n_dev > 0:
        return Advice(
            algorithm="bootstrap_random_search",
            why=f"With {have}, {candidates} random sets of demos can be tried on the {n_dev} dev examples; rewriting "
            "the instructions as well takes more.",
            settings={"num_candidate_programs": candidates},
        )
    if _enough(calls, 2 * min(n_train, 16)):
        return Advice(
            algorithm="bootstrapfewshot",
            why=f"With {have}, ranking several candidates on {n_dev} dev examples does not fit, so one set of "
            "demos is made from the answers that were right.",
            settings={"max_bootstrapped_demos": min(4, n_train), "max_labeled_demos": min(16, n_train)},
        )
    return _labelled(
        n_train, f"With {have}, no search fits, so train examples are shown as demos, which takes no call."
    )


def _labelled(n_train: int, why: str) -> Advice:
    return Advice(algorithm="labeledfewshot", why=why, settings={"k": min(16, n_train)})


def _affordable(budget_usd: float | None, cost_per_call_usd: float | None) -> int | None:
    if budget_usd is None or not cost_per_call_usd:
        return None
    return int(budget_usd / cost_per_call_usd + 1e-9)


def _enough(calls: int | None, needed: int) -> bool:
    return calls is None or calls >= needed


def _search_calls(calls: int | None, *, most: int) -> int:
    return most if calls is None else min(most, int(SEARCH_SHARE * calls))
