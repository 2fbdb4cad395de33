"""Private copies of DSPy's functions and classes that see other globals, so that nothing of DSPy is patched for others.

A search needs its own evaluator inside DSPy's algorithms. Replacing a global of DSPy's modules would change it for
every thread of the process; a copy with rebound globals changes it for one search.
"""

from __future__ import annotations

import builtins
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any


def rebound(function: Callable[..., Any], names: Mapping[str, Any], imports: Mapping[str, Any] | None = None) -> Any:
    """`function` with some of its globals replaced.

    `imports` maps module names to objects which `from module import name` inside the function's body gets instead.
    """
    plain = inspect.unwrap(function)
    assert isinstance(plain, types.FunctionType)
    scope: dict[str, Any] = {**plain.__globals__, **names}
    if imports:
        scope["__builtins__"] = {**vars(builtins), "__import__": _importer(imports)}
    copy = types.FunctionType(plain.__code__, scope, plain.__name__, plain.__defaults__, plain.__closure__)
    copy.__kwdefaults__ = plain.__kwdefaults__
    copy.__doc__ = plain.__doc__
    copy.__qualname__ = plain.__qualname__
    return copy


def derived(cls: type[Any], names: Mapping[str, Any], imports: Mapping[str, Any] | None = None) -> type[Any]:
    """A subclass of `cls` whose own methods are rebound; `super()` in them still means the base of `cls`."""
    methods = {
        name: rebound(member, names, imports) for name, member in vars(cls).items() if inspect.isfunction(member)
    }
    return type(cls.__name__, (cls,), {"__module__": __name__, **methods})


class Overlay:
    """A module or object with some attributes replaced."""

    def __init__(self, under: Any, **attributes: Any) -> None:
        self.__dict__.update(attributes)
        self._under = under

    def __getattr__(self, name: str) -> Any:
        return getattr(self._under, name)


def _importer(imports: Mapping[str, Any]) -> Callable[..., Any]:
    def load(name: str, *args: Any, **kwargs: Any) -> Any:
        return imports[name] if name in imports else builtins.__import__(name, *args, **kwargs)

    return load
