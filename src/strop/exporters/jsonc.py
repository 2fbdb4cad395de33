"""JSON with comments: read with the place of every value, and changed without touching a byte of anything else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strop.errors import BadInput

DEEPEST = 100
_SPACE = re.compile(r"[\s\ufeff]+")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_WORD = re.compile(r"-?\d[\d.eE+-]*|true|false|null")


@dataclass(frozen=True, kw_only=True)
class Member:
    """A key with its value, or an item of a list (`key` is then None). `comma` is the place of the comma behind it."""

    key: str | None
    start: int
    value: Node
    comma: int | None

    @property
    def end(self) -> int:
        return self.value.end


@dataclass(frozen=True, kw_only=True)
class Node:
    """One value: its place in the text, itself as plain JSON, and its members when it is an object or a list."""

    start: int
    end: int
    data: Any
    members: tuple[Member, ...] = ()


def load(text: str, *, file: str = "") -> Any:
    """The plain JSON value of the text; of a key given twice the last counts.

    Raises:
        BadInput: it cannot be read; the message has file and line.
    """
    return _Reader(text, file).document().data


def edit(text: str, path: Sequence[str], value: Any, *, file: str = "") -> str:
    """`text` with `value` at `path`: replaced where it is, else put at the end of its object, which is made if needed.

    Comments, order, trailing commas, indentation, line endings and a byte order mark stay. An empty text becomes a new
    file.

    Raises:
        BadInput: the text cannot be read, or something on the way is no object.
    """
    if not text.strip("\ufeff \t\r\n"):
        return dumped(_nested(path, value), indent="  ") + "\n"
    node = _Reader(text, file).document()
    style = _Style.of(text, node)
    for depth, key in enumerate(path):
        if not isinstance(node.data, dict):
            where = ".".join(path[:depth]) or "the whole"
            raise BadInput(f"{where} must be an object in braces", file=file, line=_line(text, node.start))
        member = _last(node, key)
        if member is None:
            made = _nested(path[depth + 1 :], value)
            told = f"{dumped(key)}: {style.written(made, depth + 1)}"
            return _inserted(text, node, told, style, depth)
        node = member.value
    if node.data == value and type(node.data) is type(value):
        return text
    return text[: node.start] + style.written(value, len(path)) + text[node.end :]


def add_item(text: str, path: Sequence[str], item: Any, *, file: str = "") -> str:
    """`text` with `item` at the end of the list at `path`, unless the list has it; the list is made if needed.

    Raises:
        BadInput: the text cannot be read, or there is something else than a list.
    """
    node = _at(text, path, file)
    if node is None:
        return edit(text, path, [item], file=file)
    if not isinstance(node.data, list):
        raise BadInput(f"{'.'.join(path)} must be a list", file=file, line=_line(text, node.start))
    if item in node.data:
        return text
    style = _Style.of(text, _Reader(text, file).document())
    return _inserted(text, node, style.written(item, len(path) + 1), style, len(path))


def remove(text: str, path: Sequence[str], *, item: Any = None, file: str = "") -> str:
    """`text` without the key at `path`, or, with `item`, without that item of the list there; else unchanged.

    Objects and lists stay when they become empty. Undoes `edit` of a new key and `add_item` byte for byte where the
    object had members before.
    """
    parent = _at(text, path if item is not None else path[:-1], file)
    if parent is None:
        return text
    for index in reversed(range(len(parent.members))):
        member = parent.members[index]
        hit = member.value.data == item if item is not None else member.key == path[-1]
        if hit:
            return remove(_cut(text, parent, index), path, item=item, file=file)
    return text


def get(text: str, path: Sequence[str], *, file: str = "") -> Any:
    """The value at `path`, or None."""
    node = _at(text, path, file)
    return None if node is None else node.data


def dumped(value: Any, *, indent: str | None = None) -> str:
    """`value` as JSON that OpenCode reads as it is: before parsing, it would put the user's environment and files in
    the place of `{env:NAME}` and `{file:PATH}`, also in the middle of a prompt."""
    return re.sub(r"\{(?=env:|file:)", r"\\u007b", json.dumps(value, ensure_ascii=False, indent=indent))


def _at(text: str, path: Sequence[str], file: str) -> Node | None:
    if not text.strip("\ufeff \t\r\n"):
        return None
    node: Node | None = _Reader(text, file).document()
    for key in path:
        member = None if node is None else _last(node, key)
        node = None if member is None else member.value
    return node


def _last(node: Node, key: str) -> Member | None:
    return next((member for member in reversed(node.members) if member.key == key), None)


def _nested(path: Sequence[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _inserted(text: str, parent: Node, told: str, style: _Style, depth: int) -> str:
    """`told` as the last member of `parent`, whose closing bracket keeps its place."""
    close = parent.end - 1
    if not parent.members:
        anchor = _last_solid(text, parent.start + 1, close)
        lead = style.line(depth + 1)
        tail = "" if "\n" in text[anchor:close] else style.line(depth)
        return text[:anchor] + lead + told + tail + text[anchor:]
    last = parent.members[-1]
    behind = last.end if last.comma is None else last.comma + 1
    anchor = max(behind, _last_solid(text, behind, close))
    wide = "\n" in text[parent.start : close]
    lead = style.like(text, last) if wide else " "
    comma_before, comma_after = ("", ",") if last.comma is not None else (",", "")
    kept = text[: last.end] + comma_before + text[last.end : anchor]
    if not wide and text[anchor - 1] in "\r\n":
        lead = ""
    return kept + lead + told + comma_after + text[anchor:]


def _cut(text: str, parent: Node, index: int) -> str:
    """Without one member, its comma, and the white space and line that were its own."""
    member = parent.members[index]
    before = parent.members[index - 1] if index else None
    floor = parent.start + 1 if before is None else (before.end if before.comma is None else before.comma + 1)
    start = _last_solid(text, floor, member.start)
    end = member.end if member.comma is None else member.comma + 1
    if member.comma is None and before is not None and before.comma is not None:
        return text[: before.comma] + text[before.comma + 1 : start] + text[end:]
    return text[:start] + text[end:]


def _last_solid(text: str, start: int, end: int) -> int:
    """The end of the last comment between two places, or `start` without one."""
    place, solid = start, start
    while place < end:
        comment = _COMMENT.match(text, place, end)
        if comment:
            place = solid = comment.end()
        else:
            place += 1
    return solid


@dataclass(frozen=True, kw_only=True)
class _Style:
    """How the file is written."""

    ending: str
    indent: str

    @classmethod
    def of(cls, text: str, root: Node) -> _Style:
        indent = "  "
        if root.members:
            start = root.members[0].start
            lead = text[text.rfind("\n", 0, start) + 1 : start]
            if lead and not lead.strip(" \t"):
                indent = lead
        return cls(ending="\r\n" if "\r\n" in text else "\n", indent=indent)

    def line(self, depth: int) -> str:
        return self.ending + self.indent * depth

    def like(self, text: str, member: Member) -> str:
        """A new line indented like that of `member`."""
        lead = text[text.rfind("\n", 0, member.start) + 1 : member.start]
        return self.ending + (lead if not lead.strip(" \t") else self.indent)

    def written(self, value: Any, depth: int) -> str:
        return dumped(value, indent=self.indent).replace("\n", self.line(depth))


class _Reader:
    """Reads one document as VS Code and OpenCode do: JSON, comments, trailing commas."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._place = 0

    def document(self) -> Node:
        node = self._value(0)
        self._skip()
        if self._place != len(self._text):
            raise self._wrong("there is something behind the end")
        return node

    def _value(self, depth: int) -> Node:
        self._skip()
        if depth > DEEPEST:
            raise self._wrong(f"it is nested more than {DEEPEST} deep")
        opened = self._text[self._place : self._place + 1]
        if opened in {"{", "["}:
            return self._group(opened, depth)
        found = _STRING.match(self._text, self._place) or _WORD.match(self._text, self._place)
        if found is None:
            raise self._wrong("a value was expected")
        start, self._place = self._place, found.end()
        return Node(start=start, end=found.end(), data=self._parsed(found.group(), start))

    def _group(self, opened: str, depth: int) -> Node:
        start, closing = self._place, "}" if opened == "{" else "]"
        self._place += 1
        members: list[Member] = []
        while not self._ends(closing):
            if members and members[-1].comma is None:
                raise self._wrong(f"a comma or {closing} was expected")
            members.append(self._member(opened, depth))
        keyed: Mapping[str | None, Any] = {member.key: member.value.data for member in members}
        data: Any = dict(keyed) if opened == "{" else [member.value.data for member in members]
        return Node(start=start, end=self._place, data=data, members=tuple(members))

    def _ends(self, closing: str) -> bool:
        self._skip()
        if not self._text.startswith(closing, self._place):
            return False
        self._place += 1
        return True

    def _member(self, opened: str, depth: int) -> Member:
        start, key = self._place, None
        if opened == "{":
            found = _STRING.match(self._text, start)
            if found is None:
                raise self._wrong("a key in double quotes was expected")
            key = str(self._parsed(found.group(), start))
            self._place = found.end()
            self._skip()
            if not self._text.startswith(":", self._place):
                raise self._wrong(f"a colon was expected after the key {key!r}")
            self._place += 1
        value = self._value(depth + 1)
        self._skip()
        comma = self._place if self._text.startswith(",", self._place) else None
        if comma is not None:
            self._place += 1
        return Member(key=key, start=start, value=value, comma=comma)

    def _skip(self) -> None:
        while found := _SPACE.match(self._text, self._place) or _COMMENT.match(self._text, self._place):
            self._place = found.end()

    def _parsed(self, token: str, start: int) -> Any:
        try:
            return json.loads(token)
        except ValueError:
            self._place = start
            raise self._wrong(f"{token[:40]!r} is no JSON value") from None

    def _wrong(self, what: str) -> BadInput:
        line = _line(self._text, self._place)
        return BadInput(f"this is no JSON with comments: {what}", file=self._file or "the text", line=line)


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1
