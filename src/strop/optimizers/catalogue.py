"""Every algorithm by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from strop.errors import SettingsError
from strop.optimizers.bootstrap_fewshot import BootstrapFewShot
from strop.optimizers.copro import COPRO
from strop.optimizers.gepa import GEPA
from strop.optimizers.infer_rules import InferRules
from strop.optimizers.labeled_fewshot import LabeledFewShot
from strop.optimizers.mipro import MIPROv2
from strop.optimizers.optimizer import Optimizer
from strop.optimizers.random_search import RandomSearch
from strop.optimizers.simba import SIMBA

ALGORITHMS: tuple[Optimizer, ...] = (
    LabeledFewShot(), BootstrapFewShot(), RandomSearch(), COPRO(), MIPROv2(), GEPA(), SIMBA(), InferRules(),
)  # fmt: skip
_ALIASES = {
    "mipro": "miprov2",
    "bootstrap": "bootstrapfewshot",
    "fewshot": "bootstrapfewshot",
    "labeled": "labeledfewshot",
    "randomsearch": "bootstrap_random_search",
    "bootstraprandomsearch": "bootstrap_random_search",
    "bootstrapfewshotwithrandomsearch": "bootstrap_random_search",
}


def names() -> tuple[str, ...]:
    """The name of every algorithm, simplest first."""
    return tuple(one.name for one in ALGORITHMS)


def find(name: str) -> Optimizer:
    """The algorithm of that name, whatever its case, dashes and underscores.

    Raises:
        SettingsError: there is none.
    """
    plain = _plain(name)
    wanted = _ALIASES.get(plain, plain)
    for one in ALGORITHMS:
        if _plain(one.name) == _plain(wanted):
            return one
    known = {_plain(one.name): one.name for one in ALGORITHMS} | _ALIASES
    near = difflib.get_close_matches(plain, known, n=1, cutoff=0.4)
    meant = f"did you mean {known[near[0]]!r}? " if near else ""
    raise SettingsError(f"there is no algorithm {name!r}", hint=f"{meant}known: {', '.join(names())}")


def settings_of(name: str, given: Mapping[str, Any] | None = None) -> Any:
    """The algorithm's settings from plain values; keys that other documents use are understood.

    Raises:
        SettingsError: an unknown key, or a value that cannot be used.
    """
    one = find(name)
    try:
        return one.settings.model_validate(dict(given or {}))
    except ValidationError as error:
        first = error.errors()[0]
        raise _explained(one, str(first["loc"][0]) if first["loc"] else "", first) from None


def max_calls_estimate(settings: Any, n_train: int, n_dev: int, predictors: int = 1) -> tuple[int, int]:
    """Model calls of a search with these settings: expected, and at most.

    The expected figure assumes that two of three teacher answers are good and that a program makes one call a
    predictor. Nothing is assumed to be recorded already. The worst case holds for programs without loops.
    """
    for one in ALGORITHMS:
        if isinstance(settings, one.settings):
            return one.calls(settings, n_train, n_dev, predictors)
    raise SettingsError(f"{type(settings).__name__} are no settings of an optimizer")


def written_calls_estimate(settings: Any, n_train: int, n_dev: int, predictors: int = 1) -> int:
    """How many of the expected calls of `max_calls_estimate` go to the model that writes instructions."""
    for one in ALGORITHMS:
        if isinstance(settings, one.settings):
            return one.written(settings, n_train, n_dev, predictors)
    raise SettingsError(f"{type(settings).__name__} are no settings of an optimizer")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _explained(one: Optimizer, key: str, first: Any) -> SettingsError:
    if first["type"] == "extra_forbidden":
        keys = [*one.settings.model_fields, *one.settings.other_names]
        near = difflib.get_close_matches(key, keys, n=1, cutoff=0.4)
        meant = f"did you mean {near[0]!r}? " if near else ""
        return SettingsError(f"{one.name} has no setting {key!r}", hint=f"{meant}known: {', '.join(keys)}")
    what = f"{one.name}: {key} = {first.get('input')!r}" if key else one.name
    return SettingsError(f"{what}: {first['msg'].removeprefix('Value error, ')}")
