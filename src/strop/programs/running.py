"""The one place where DSPy's settings are entered: which model answers, and nothing else that a run could leak."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dspy

_tuned = False


@contextmanager
def running_on(lm: dspy.LM, *, adapter: Any = None) -> Generator[None]:
    """Run DSPy code on `lm` inside the block, in this context only.

    DSPy's history is off (the ledger has every call, and a copied program would copy the history too) and so are
    callbacks and usage tracking, which cost more than the gateway itself. Threads inherit the block only when they are
    started under `contextvars.copy_context()`.
    """
    import dspy

    from strop.programs.chat import ChatAdapter

    _tune()
    chosen = adapter or ChatAdapter()
    with dspy.context(lm=lm, adapter=chosen, disable_history=True, track_usage=False, callbacks=[], trace=None):
        yield


def _tune() -> None:
    """Build each pydantic TypeAdapter once instead of once a field and call: a quarter of DSPy's time, same results."""
    global _tuned  # noqa: PLW0603 - once a process
    if _tuned:
        return
    _tuned = True
    from dspy.adapters import utils

    original = utils.TypeAdapter
    cached = lru_cache(maxsize=1024)(original)

    def type_adapter(kind: Any) -> Any:
        try:
            return cached(kind)
        except TypeError:
            return original(kind)

    _cache_fields()
    setattr(utils, "TypeAdapter", type_adapter)  # noqa: B010 - a plain assignment would be a type error for a class


def _cache_fields() -> None:
    """Sort a signature's fields once: DSPy does it two dozen times a call. A signature's fields never change."""
    from dspy.signatures.signature import SignatureMeta

    sort: Any = getattr(SignatureMeta, "_get_fields_with_type")  # noqa: B009 - there is no public place between

    def fields_of_type(signature: Any, kind: str) -> dict[str, Any]:
        place = _PLACES[kind]
        known = signature.__dict__.get(place)
        if known is None:
            known = sort(signature, kind)
            type.__setattr__(signature, place, known)
        return known.copy()

    setattr(SignatureMeta, "_get_fields_with_type", fields_of_type)  # noqa: B010


_PLACES = {"input": "_strop_inputs", "output": "_strop_outputs"}
