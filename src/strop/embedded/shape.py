"""What an output field may hold, read from the type names, notes and JSON schemas that prompts carry."""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

Kind = Literal["text", "labels", "bool", "int", "float", "list", "map", "object", "tuple", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A type. `labels` for kind labels; `items` for list, map (one) and tuple; `members` for object."""

    kind: Kind
    labels: tuple[str, ...] = ()
    items: tuple["Shape", ...] = ()
    members: tuple[tuple[str, "Shape"], ...] = ()
    optional: bool = False
    low: float | None = None
    high: float | None = None


TEXT = Shape(kind="text")
UNKNOWN = Shape(kind="unknown")
_SIMPLE: Mapping[str, Kind] = {
    "str": "text", "int": "int", "float": "float", "bool": "bool", "string": "text", "integer": "int",
    "number": "float", "boolean": "bool", "Reasoning": "text", "Code": "text",
}  # fmt: skip
_SKELETON_TAG = re.compile(r"<(/?)([\w.-]+)>|\.\.\.")


def from_type_name(text: str) -> Shape:
    """The shape behind a Python type as DSPy prints it, e.g. `Union[list[str], NoneType]`; a class name is unknown."""
    try:
        return _from_node(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError):
        return UNKNOWN


def _from_node(node: ast.expr) -> Shape:  # noqa: PLR0911 - one return a kind
    if isinstance(node, ast.Name):
        if node.id in {"list", "List"}:
            return Shape(kind="list", items=(TEXT,))
        if node.id in {"dict", "Dict"}:
            return Shape(kind="map", items=(TEXT,))
        return Shape(kind=_SIMPLE[node.id]) if node.id in _SIMPLE else UNKNOWN
    if isinstance(node, ast.BinOp):
        return _first_of([_from_node(node.left), _from_node(node.right)], _is_none(node.left) or _is_none(node.right))
    if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name):
        return UNKNOWN
    inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    match node.value.id.lower():
        case "literal":
            return Shape(kind="labels", labels=tuple(str(ast.literal_eval(one)) for one in inner))
        case "union" | "optional":
            optional = node.value.id == "Optional" or any(_is_none(one) for one in inner)
            return _first_of([_from_node(one) for one in inner if not _is_none(one)], optional)
        case "list" | "sequence" | "set" | "frozenset":
            return Shape(kind="list", items=(_from_node(inner[0]),))
        case "dict" | "mapping":
            return Shape(kind="map", items=(_from_node(inner[-1]),))
        case "tuple":
            return Shape(kind="tuple", items=tuple(_from_node(one) for one in inner))
        case _:
            return UNKNOWN


def _is_none(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "NoneType") or (
        isinstance(node, ast.Constant) and node.value is None
    )


def _first_of(shapes: list[Shape], optional: bool) -> Shape:
    known = [shape for shape in shapes if shape.kind != "unknown"] or shapes or [UNKNOWN]
    first = known[0]
    return _with_optional(first) if optional else first


def _with_optional(shape: Shape) -> Shape:
    return Shape(
        kind=shape.kind, labels=shape.labels, items=shape.items, members=shape.members, optional=True,
        low=shape.low, high=shape.high,
    )  # fmt: skip


def from_json_schema(  # noqa: PLR0911 - one return a kind
    schema: Mapping[str, Any], definitions: Mapping[str, Any] | None = None, depth: int = 0
) -> Shape:
    """The shape behind a JSON schema; references that go in circles end in plain text after six levels."""
    known = cast("Mapping[str, Any]", schema.get("$defs") or definitions or {})
    if depth > 6:
        return TEXT
    if "$ref" in schema:
        return from_json_schema(known.get(str(schema["$ref"]).rsplit("/", 1)[-1], {}), known, depth + 1)
    if "enum" in schema or "const" in schema:
        values = cast("list[Any]", schema.get("enum") or [schema["const"]])
        return Shape(kind="labels", labels=tuple(str(value) for value in values))
    if "anyOf" in schema:
        choices = cast("list[dict[str, Any]]", schema["anyOf"])
        parts = [from_json_schema(one, known, depth + 1) for one in choices if one.get("type") != "null"]
        return _first_of(parts, len(parts) < len(choices))
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            parts = cast("list[dict[str, Any]]", schema["prefixItems"])
            return Shape(kind="tuple", items=tuple(from_json_schema(one, known, depth + 1) for one in parts))
        case "array":
            return Shape(kind="list", items=(from_json_schema(schema.get("items") or {}, known, depth + 1),))
        case "object" if schema.get("properties"):
            members = cast("dict[str, dict[str, Any]]", schema["properties"])
            return Shape(
                kind="object",
                members=tuple((name, from_json_schema(one, known, depth + 1)) for name, one in members.items()),
            )
        case "object":
            inner = schema.get("additionalProperties")
            item = (
                from_json_schema(cast("dict[str, Any]", inner), known, depth + 1) if isinstance(inner, dict) else TEXT
            )
            return Shape(kind="map", items=(item,))
        case str(name) if name in _SIMPLE:
            low, high = schema.get("minimum"), schema.get("maximum")
            return Shape(kind=_SIMPLE[name], low=low, high=high)
        case _:
            return TEXT


def from_note(note: str) -> Shape | None:
    """The shape told by DSPy's `# note: the value you produce ...`, or None when it tells nothing."""
    if found := re.search(r"one of: (.*)", note, re.DOTALL):
        return Shape(kind="labels", labels=tuple(part.strip() for part in found[1].strip().split("; ")))
    if found := re.search(r"JSON schema: (\{.*)", note, re.DOTALL):
        try:
            schema, _ = json.JSONDecoder().raw_decode(found[1])
        except ValueError:
            return None
        return from_json_schema(schema)
    if "must be True or False" in note:
        return Shape(kind="bool")
    if found := re.search(r"single (int|float) value", note):
        return Shape(kind=_SIMPLE[found[1]])
    return None


def from_skeleton(skeleton: str) -> Shape:
    """The shape of XML like `<p><name>...</name><tags><item>...</item></tags></p>`; what a leaf holds is unknown."""
    stack: list[tuple[str, list[tuple[str, Shape]]]] = [("", [])]
    for tag in _SKELETON_TAG.finditer(skeleton):
        if not tag[2]:
            continue
        if not tag[1]:
            stack.append((tag[2], []))
        elif len(stack) > 1:
            name, members = stack.pop()
            stack[-1][1].append((name, _skeleton_shape(members)))
    members = stack[0][1]
    return members[0][1] if members else UNKNOWN


def _skeleton_shape(members: list[tuple[str, Shape]]) -> Shape:
    if not members:
        return UNKNOWN
    if len(members) == 1 and members[0][0] == "item":
        return Shape(kind="list", items=(members[0][1],))
    return Shape(kind="object", members=tuple(members))


def merge(typed: Shape, told: Shape | None) -> Shape:
    """The better informed of what the type name says and what a note or skeleton says."""
    if told is None:
        return typed
    if typed.kind == "unknown":
        return told
    if typed.kind in {"list", "map"} and told.kind == typed.kind:
        items = (merge(typed.items[0], told.items[0]),)
        return Shape(kind=typed.kind, items=items, optional=typed.optional or told.optional)
    return typed
