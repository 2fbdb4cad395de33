"""YAML 1.2 as plain JSON values with the line of each key: no tags that build objects, no aliases that explode."""

from __future__ import annotations

from typing import cast

from pydantic import JsonValue
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from strop.errors import TaskFileError

MAX_NODES = 50_000
"""Values in the file once its aliases are written out; bounds what a few lines of nested aliases can become."""
MAX_DEPTH = 32

Place = tuple[str | int, ...]
"""The way to a value: keys and list positions from the top of the file."""


class YamlTree:
    """One YAML document as plain JSON values, and the line of each key. Tags can only name JSON's own types."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Place, int] = {}
        self._nodes = 0

    def read(self, text: str) -> JsonValue:
        """The document's content; None for an empty one. Raises TaskFileError."""
        try:
            root = cast("Node | None", YAML(typ="safe", pure=True).compose(text))
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else None
            raise TaskFileError(f"is not YAML: {error.problem or error.context}", file=self.file, line=line) from None
        except YAMLError as error:
            raise TaskFileError(f"is not YAML: {str(error).splitlines()[0]}", file=self.file) from None
        except RecursionError:
            raise TaskFileError("is nested too deeply", file=self.file) from None
        return None if root is None else self._value(root, ())

    def _value(self, node: Node, place: Place) -> JsonValue:
        self._nodes += 1
        if self._nodes > MAX_NODES or len(place) > MAX_DEPTH:
            raise self._problem(node, "becomes too large or too deep once its aliases are written out")
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        kind = str(node.tag).rsplit(":", 1)[-1]
        if isinstance(node, SequenceNode) and kind == "seq":
            return [self._member(item, item, (*place, at)) for at, item in enumerate(node.value)]
        if isinstance(node, MappingNode) and kind == "map":
            return self._mapping(node, place)
        raise self._problem(node, f"the tag {str(node.tag)!r} is not allowed here")

    def _mapping(self, node: MappingNode, place: Place) -> JsonValue:
        result: dict[str, JsonValue] = {}
        for key_node, value_node in cast("list[tuple[Node, Node]]", node.value):
            if isinstance(key_node, ScalarNode) and str(key_node.tag) == "tag:yaml.org,2002:merge":
                raise self._problem(key_node, "merge keys (`<<`) are not part of YAML 1.2")
            key = self._scalar(key_node) if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str):
                raise self._problem(key_node, "a key must be text; quote it if it is a number or a date")
            if key in result:
                first = self.lines[(*place, key)]
                raise self._problem(key_node, f"key {key!r} appears twice, first on line {first}")
            result[key] = self._member(key_node, value_node, (*place, key))
        return result

    def _member(self, told_by: Node, node: Node, place: Place) -> JsonValue:
        self.lines[place] = told_by.start_mark.line + 1
        return self._value(node, place)

    def _scalar(self, node: ScalarNode) -> JsonValue:
        text = str(node.value)
        match str(node.tag).removeprefix("tag:yaml.org,2002:"):
            case "str" | "timestamp":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" | "float" as kind:
                return self._number(node, text.replace("_", "").lower(), kind)
            case _:
                raise self._problem(node, f"the tag {str(node.tag)!r} is not allowed here")

    def _number(self, node: Node, text: str, kind: str) -> JsonValue:
        try:
            if kind == "float":
                return float(text.replace(".inf", "inf").replace(".nan", "nan"))
            return int(text, 0) if text.lstrip("+-").startswith(("0x", "0o", "0b")) else int(text)
        except ValueError:
            raise self._problem(node, f"{text[:40]!r} is not a number that can be used") from None

    def _problem(self, node: Node, message: str) -> TaskFileError:
        return TaskFileError(message, file=self.file, line=node.start_mark.line + 1)
