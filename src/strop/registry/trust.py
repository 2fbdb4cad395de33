"""What a file from elsewhere may say: text and numbers, never anything that would run code when a program is built.

Not only `module:name` references do. DSPy imports every module named in a text signature, and the quoted types in
one are evaluated as Python: `x -> y: Optional['...']` runs what is between the quotes.
"""

from __future__ import annotations

import ast
import builtins
import typing
from collections.abc import Mapping
from typing import Any, cast

from strop.errors import ArtifactRefused
from strop.programs import ProgramSpec

_TYPES = {"int", "str", "float", "bool", "list", "tuple", "dict", "set", "frozenset", "complex", "bytes", "bytearray"}
_NAMES = {*_TYPES, "NoneType", *typing.__all__} - set(dir(builtins)) | _TYPES
_MODULES = {"typing", "dspy"}
_PREDICTOR = {"demos", "signature", "lm", "traces", "train"}


def refuse_code(spec: ProgramSpec, *, where: str) -> None:
    """
    Raises:
        ArtifactRefused: building the spec would import a module or evaluate an expression.
    """
    references = [*([spec.factory] if spec.factory is not None else []), *spec.tools]
    if "->" not in spec.signature and spec.factory is None:
        references.append(spec.signature)
    if references:
        raise _runs_code(where, f"imports {', '.join(map(repr, references))}")
    if spec.factory is None and not _is_inert(spec.signature):
        raise _runs_code(where, f"has the signature {spec.signature!r}, whose types are not plain ones")


def refuse_odd_state(state: object, *, where: str) -> None:
    """Hold a state to what `programs.dump` writes: JSON objects with instructions and demos, and no model.

    Raises:
        ArtifactRefused: it has anything else.
    """
    parts = cast(dict[str, Any], state) if isinstance(state, dict) else {"": None}
    # The state of a program that is one predictor is that predictor's own.
    parts = {"self": parts} if isinstance(parts.get("demos"), list) else parts
    for name, part in parts.items():
        if not isinstance(part, dict) or not _is_ours(cast(dict[str, Any], part)):
            raise ArtifactRefused(f"{where} has a state that Strop does not write (predictor {name!r})")


def _is_ours(part: Mapping[str, Any]) -> bool:
    demos = part.get("demos")
    demos_are_objects = isinstance(demos, list) and all(isinstance(demo, dict) for demo in cast(list[Any], demos))
    return set(part) <= _PREDICTOR and part.get("lm") is None and demos_are_objects


def _runs_code(where: str, what: str) -> ArtifactRefused:
    return ArtifactRefused(
        f"{where} {what}: loading it would run code",
        hint="read that code, then load with trust_code=True if you trust it",
    )


def _is_inert(signature: str) -> bool:
    for side in signature.split("->"):
        try:
            tree = ast.parse(f"def f({side}): pass")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        function = tree.body[0]
        if len(tree.body) != 1 or not isinstance(function, ast.FunctionDef) or len(function.body) != 1:
            return False
        given = function.args
        if given.defaults or given.kw_defaults or given.vararg or given.kwarg or given.posonlyargs:
            return False
        if not all(argument.annotation is None or _is_plain_type(argument.annotation) for argument in given.args):
            return False
    return True


def _is_plain_type(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name):
            plain = name in _NAMES
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            plain = module in _MODULES and not name.startswith("_")
        case ast.Subscript(value=ast.Name(id="Literal") | ast.Attribute(value=ast.Name(id="typing"), attr="Literal")):
            values = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            plain = all(isinstance(value, ast.Constant) for value in values)
        case ast.Subscript(value=base, slice=inner):
            plain = _is_plain_type(base) and _is_plain_type(inner)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            plain = all(map(_is_plain_type, elements))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            plain = _is_plain_type(left) and _is_plain_type(right)
        case ast.Constant(value=value):
            plain = value is None or value is ...
        case _:
            plain = False
    return plain
