"""A user's own function: found by `module:function`, called in the shape it was written in, known by its source."""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import inspect
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from strop.errors import MetricError

_EXAMPLE = frozenset({"example", "ex", "eg", "sample", "row"})
_PREDICTION = frozenset({"prediction", "pred", "predicted", "output", "answer", "response", "actual", "candidate"})
_TRUTH = frozenset({"ground_truth", "truth", "expected", "label", "target", "reference", "gold", "y_true"})
_UNUSED = frozenset({"trace", "pred_name", "pred_trace"})  # DSPy passes them while it bootstraps or reflects

_SHAPES = "fn(prediction, ground_truth), fn(example, prediction) or fn(example, prediction, trace=None)"

Role = Literal["example", "prediction", "truth", "none"]


@dataclass(frozen=True, kw_only=True)
class CallShape:
    """What a function wants, by position."""

    roles: tuple[Role, ...]

    @property
    def wants_example(self) -> bool:
        """True for DSPy's way (whole example, whole prediction); False for bare values."""
        return "example" in self.roles


def call_shape(function: Callable[..., Any], *, name: str, guess: bool = False) -> CallShape:
    """Read the shape off the parameter names; `guess` takes any two unnamed ones as (prediction, ground_truth)."""
    if inspect.iscoroutinefunction(function):
        raise MetricError(f"metric {name!r}: an async function cannot be a metric", hint="make it a plain function")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have no signature
        parameters = []
    wanted = [p for p in parameters if p.default is p.empty or p.name in _UNUSED]
    names = [p.name for p in wanted if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    if len(names) == len(wanted) and (roles := _roles(names)):
        return CallShape(roles=roles)
    # a function may give everything but its two values a default, and a CustomMetric promises the order
    if guess and (not parameters or _takes_two(function)):
        return CallShape(roles=("prediction", "truth"))
    raise MetricError(
        f"metric {name!r}: cannot tell what its parameters ({', '.join(p.name for p in parameters)}) mean",
        hint=f"name them as in {_SHAPES}",
    )


def _roles(names: list[str]) -> tuple[Role, ...] | None:
    spelled = [name.lower() for name in names]
    dspy = bool(spelled) and (spelled[0] in _EXAMPLE or spelled[0] == "gold")
    roles: list[Role] = []
    for position, name in enumerate(spelled):
        if dspy and position == 0:
            roles.append("example")
        elif name in _UNUSED:
            roles.append("none")
        elif name in _PREDICTION:
            roles.append("prediction")
        elif name in _TRUTH and not dspy:
            roles.append("truth")
        else:
            return None
    complete = sorted(role for role in roles if role != "none")
    return tuple(roles) if complete in (["example", "prediction"], ["prediction", "truth"]) else None


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    return True


def load_object(spec: str, *, root: Path | None = None) -> Any:
    """What `module:name` means; modules are looked for in `root` first.

    MetricError when the module is missing or breaks on import, when it has no such name, and when a module of the
    same name from elsewhere was already imported and would silently be taken for the one in `root`.
    """
    module_name, _, path = spec.partition(":")
    module_name, path = module_name.strip(), path.strip()
    if not module_name or not path:
        raise MetricError(f"metric {spec!r}: write it as module:function")
    found: Any = _module(spec, module_name, root)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = difflib.get_close_matches(part, [name for name in dir(found) if not name.startswith("__")], n=1)
            raise MetricError(
                f"metric {spec!r}: {module_name!r} has no {part!r}", hint=f"did you mean {near[0]!r}?" if near else None
            ) from None
    return found


def _module(spec: str, name: str, root: Path | None) -> types.ModuleType:
    if root is not None and str(root.resolve()) not in sys.path:
        sys.path.insert(0, str(root.resolve()))
        importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise MetricError(
                f"metric {spec!r}: there is no module {error.name!r}",
                hint=f"put {error.name.replace('.', '/')}.py beside strop.yaml, or install it",
            ) from error
        raise MetricError(
            f"metric {spec!r}: importing {name!r} failed: {error}",
            hint=f"install the package that brings {error.name!r} with the Python that runs strop: {sys.executable}",
        ) from error
    except Exception as error:
        raise MetricError(f"metric {spec!r}: importing {name!r} failed: {type(error).__name__}: {error}") from error
    if root is not None:
        local = (root / (name.replace(".", "/") + ".py")).resolve()
        if local.is_file() and module.__file__ is not None and Path(module.__file__).resolve() != local:
            raise MetricError(
                f"metric {spec!r}: another module called {name!r} is loaded already, from {module.__file__}",
                hint=f"give {local.name} a name of its own",
            )
    return module


def source_of(function: Callable[..., Any]) -> str:
    """Text that changes when the function's meaning does: its source and all it uses from its own module.

    Comments and layout do not count. Functions and classes of the same module are followed; plain constants and
    default values count by value, and values that a closure holds as well. Other modules are not followed.
    """
    return "\n".join(_sources(function, set()))


def _sources(thing: Any, seen: set[int]) -> Iterator[str]:
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, functools.partial):
        yield repr([_constant(a) for a in thing.args])  # pyright: ignore[reportUnknownVariableType] - any arguments
        yield repr({k: _constant(v) for k, v in sorted(thing.keywords.items())})
        yield from _sources(thing.func, seen)
        return
    if not isinstance(thing, types.FunctionType | types.MethodType | type):
        yield from _sources(type(thing), seen)  # an object with __call__
        yield repr({k: _constant(v) for k, v in sorted(vars(thing).items())} if hasattr(thing, "__dict__") else {})
        return
    yield _text(thing)
    functions = [f for f in vars(thing).values() if inspect.isfunction(f)] if isinstance(thing, type) else [thing]
    for one in functions:
        yield from _used_by(inspect.unwrap(one), seen)


def _used_by(function: Any, seen: set[int]) -> Iterator[str]:
    code = function.__code__
    yield repr([_constant(value) for value in function.__defaults__ or ()])
    for cell in function.__closure__ or ():
        try:
            yield from _value(cell.cell_contents, function.__module__, seen)
        except ValueError:  # the cell is empty until the name that it holds is assigned
            continue
    for name in sorted(_names(code)):
        if name in function.__globals__:
            yield name
            yield from _value(function.__globals__[name], function.__module__, seen)


def _value(value: Any, module: str, seen: set[int]) -> Iterator[str]:
    if isinstance(value, types.FunctionType | type):
        if value.__module__ == module:
            yield from _sources(value, seen)
    else:
        yield repr(_constant(value))


def _constant(value: Any) -> Any:
    """`value` if its repr is the same in every process, else its type's name."""
    if value is None or isinstance(value, str | bytes | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_constant(item) for item in value]  # pyright: ignore[reportUnknownVariableType] - any items
    if isinstance(value, set | frozenset):
        return sorted(repr(_constant(item)) for item in value)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {repr(_constant(k)): _constant(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return type(value).__qualname__


def _names(code: types.CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*(_names(one) for one in inner))


def _text(thing: Any) -> str:
    try:
        source = textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError):  # typed into a prompt or made by exec: no source file
        return _compiled(thing)
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:  # a lambda in the middle of an expression is not a statement of its own
        return source.strip()


def _compiled(thing: Any) -> str:
    code = getattr(thing, "__code__", None)
    if not isinstance(code, types.CodeType):
        return f"{thing.__module__}.{thing.__qualname__}"
    consts = [_compiled_code(c) if isinstance(c, types.CodeType) else repr(_constant(c)) for c in code.co_consts]
    return f"{code.co_code.hex()} {consts} {code.co_names}"


def _compiled_code(code: types.CodeType) -> str:
    return f"{code.co_code.hex()} {code.co_names}"
