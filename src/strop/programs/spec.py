"""What a program is made of, in plain data: enough to build it again in another process without unpickling anything."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from strop.errors import ProgramError

if TYPE_CHECKING:
    import dspy

Strategy = Literal["predict", "cot", "react"]
STRATEGIES: tuple[Strategy, ...] = ("predict", "cot", "react")


@dataclass(frozen=True, kw_only=True)
class ProgramSpec:
    """A signature and the way to answer it.

    `signature` is DSPy text (`question -> answer: int`) or `module:Class`; `factory`, when set, is the
    `module:callable` of the user's own DSPy module and replaces signature and strategy.
    """

    signature: str = ""
    instructions: str | None = None
    strategy: Strategy = "predict"
    tools: Sequence[str] = ()
    factory: str | None = None


def resolve(reference: str, *, what: str) -> Any:
    """The object named `module:name`.

    Raises:
        ProgramError: no such module, or no such name in it.
    """
    module_name, _, name = reference.partition(":")
    try:
        target: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise ProgramError(
            f"{what} {reference!r}: module {module_name!r} cannot be imported ({error})",
            hint="run the command in the directory of the module, or install it",
        ) from error
    for part in name.split("."):
        if not hasattr(target, part):
            raise ProgramError(f"{what} {reference!r}: module {module_name!r} has no {name!r}")
        target = getattr(target, part)
    return target


def signature_of(spec: ProgramSpec) -> type[dspy.Signature]:
    """A fresh signature class: some optimizers change the class that they are given.

    Raises:
        ProgramError: it cannot be parsed or found.
    """
    import dspy

    if _is_reference(spec.signature):
        found = resolve(spec.signature, what="signature")
        if not (isinstance(found, type) and issubclass(found, dspy.Signature)):
            raise ProgramError(f"signature {spec.signature!r} is not a dspy.Signature class")
        fresh = found.with_instructions(spec.instructions or found.instructions)
    else:
        try:
            fresh = _parse(spec.signature, spec.instructions)
        except Exception as error:
            raise ProgramError(
                f"signature {spec.signature!r} cannot be read: {str(error).splitlines()[0]}",
                hint="write it like \"text -> label: Literal['a', 'b']\", inputs left, outputs right",
            ) from error
    inputs, outputs = _fields(fresh)
    if not inputs or not outputs:
        raise ProgramError(f"signature {spec.signature!r} needs at least one input and one output")
    return fresh


# CPython 3.11 (gh-106905): parsers in two threads may fail each other.
_PARSING = threading.Lock()


def _parse(text: str, instructions: str | None) -> type[dspy.Signature]:
    from dspy.signatures.signature import make_signature

    with _PARSING:
        return make_signature(text, instructions)


def _fields(signature: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Both come from DSPy's metaclass, which type checkers do not see through."""
    return tuple(signature.input_fields), tuple(signature.output_fields)


def _is_reference(signature: str) -> bool:
    return "->" not in signature and ":" in signature


def build(spec: ProgramSpec) -> dspy.Module:
    """A new program, sharing nothing with any other.

    Raises:
        ProgramError: the spec cannot be built.
    """
    import dspy

    if spec.factory is not None:
        made = resolve(spec.factory, what="program")()
        if not isinstance(made, dspy.Module):
            raise ProgramError(f"program {spec.factory!r} did not make a dspy.Module but {type(made).__name__}")
        return made
    signature = signature_of(spec)
    if spec.strategy == "react":
        tools: list[Callable[..., Any]] = [resolve(name, what="tool") for name in spec.tools]
        return dspy.ReAct(signature, tools=tools)
    return dspy.ChainOfThought(signature) if spec.strategy == "cot" else dspy.Predict(signature)


def fields(spec: ProgramSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the input fields and of the output fields (without those that a strategy adds)."""
    return _fields(signature_of(spec))
