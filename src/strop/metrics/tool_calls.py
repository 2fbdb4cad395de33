"""What a plan of tool calls says, however a model wrote it: JSON, `tool(argument); tool(argument)`, or lines."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

MAX_TEXT = 50_000
"""Characters of a plan that are read; what a model writes beyond them is no plan."""
MAX_CALLS = 200

_KEYS = (
    "filePath", "file_path", "notebook_path", "command", "cmd", "pattern", "query", "path", "url", "prompt", "todos",
    "description",
)  # fmt: skip
_SAME = {
    "shell": "bash", "exec": "bash", "execute": "bash", "run": "bash", "local_shell": "bash", "exec_command": "bash",
    "terminal": "bash", "multiedit": "edit", "patch": "edit", "apply_patch": "edit", "str_replace": "edit",
    "create": "write", "cat": "read", "view": "read", "open": "read", "ls": "list", "webfetch": "fetch",
    "websearch": "search", "todowrite": "todo",
}  # fmt: skip
_ON_A_LINE = {"read", "edit", "write", "bash", "glob", "grep", "list", "fetch"}
_LOOKS = frozenset({"read", "grep", "glob", "list", "search", "fetch"})
_NAME = re.compile(r"(?<![\w./-])([A-Za-z_][\w-]{0,40})\(")
_LINE = re.compile(
    r"^\s*(?:\d{1,3}[.)]|[-*])?\s*`?([A-Za-z_]\w{0,40})`?\s*(?::\s*|\s)`?([^`\n]+?)`?\s*[.;,]?\s*$", re.M
)
_NAMED = re.compile(r"""(\w{1,40})\s{0,9}[=:]\s{0,9}("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^,\s][^,]*)""")
_PATCHED = re.compile(r"^\*\*\* (?:Add|Update|Delete) File: (.+?)[ \t]*$", re.M)
_FENCE = re.compile(r"^\s*```\w*\n(.*?)\n?```\s*$", re.S)


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One step: a tool by its neutral name and the argument that says on what (a path, a command, a pattern)."""

    tool: str
    argument: str

    @property
    def looks(self) -> bool:
        """True for a step that only looks, so that its place among other looks does not matter."""
        return self.tool in _LOOKS


def plan_text(actions: Sequence[Mapping[str, Any]]) -> str:
    """Actions `{tool, args}` as one line, `read(src/cart.py); bash(pytest -q)`; `tool_calls` reads it back."""
    calls = [_call(action) for action in actions]
    return "; ".join(f"{call.tool}({_written(call.argument)})" for call in calls if call is not None)


def tool_calls(plan: Any) -> tuple[ToolCall, ...]:
    """The calls of a plan, in order; none for what holds no plan. Never raises for what a model wrote."""
    if isinstance(plan, Mapping):
        inner = cast("Mapping[str, Any]", plan)
        listed = next((inner[key] for key in ("actions", "steps", "plan", "tool_calls") if key in inner), None)
        return tool_calls(listed) if listed is not None else tuple(filter(None, [_call(inner)]))
    if isinstance(plan, list | tuple):
        items = cast("Sequence[Any]", plan)[:MAX_CALLS]
        return tuple(call for item in items for call in _of_item(item))[:MAX_CALLS]
    return _of_text(plan) if isinstance(plan, str) else ()


def _of_item(item: Any) -> tuple[ToolCall, ...]:
    if isinstance(item, Mapping):
        call = _call(cast("Mapping[str, Any]", item))
        return () if call is None else (call,)
    return _of_text(item) if isinstance(item, str) else ()


def _call(action: Mapping[str, Any]) -> ToolCall | None:
    function = action.get("function")
    if isinstance(function, Mapping):
        return _call(cast("Mapping[str, Any]", function))
    name = action.get("tool") or action.get("name") or function
    if not isinstance(name, str) or not name.strip():
        return None
    args = next((action[key] for key in ("args", "arguments", "input", "parameters") if key in action), {})
    if isinstance(args, str) and args.lstrip().startswith("{"):
        args = _literal(args) or args
    return ToolCall(tool=_tool(name), argument=_key_argument(args))


def _tool(name: str) -> str:
    plain = name.strip().lower().rsplit(".", 1)[-1]
    return _SAME.get(plain, plain)


def _key_argument(args: Any) -> str:
    """The argument that says on what: of several the best known, else the first; of a patch the files that it names."""
    if isinstance(args, Mapping):
        given = cast("Mapping[str, Any]", args)
        args = next((given[key] for key in _KEYS if key in given), next(iter(given.values()), ""))
    text = _as_text(args)
    patched = _PATCHED.findall(text) if text.startswith("*** Begin Patch") else []
    return " ".join(dict.fromkeys(patched)) or text


def _as_text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in cast("list[Any]", value)):
        return " ".join(cast("list[str]", value))  # an argument vector
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, default=str)
    return text.strip()


def _written(argument: str) -> str:
    """The argument as it stands between the parentheses; quoted as JSON when it could not be read back bare."""
    bare = argument and not argument.startswith(("{", "[")) and ";" not in argument and argument.isprintable()
    bare = bare and argument.count("(") == argument.count(")")
    if bare and _bracketed(f"{argument})", 0) == (argument, len(argument) + 1) and _arguments(argument) == argument:
        return argument
    return json.dumps(argument, ensure_ascii=False) if argument else ""


def _of_text(text: str) -> tuple[ToolCall, ...]:
    body = text[:MAX_TEXT]
    fenced = _FENCE.match(body)
    body = (fenced[1] if fenced else body).strip()
    if body.startswith(("[", "{")):
        loaded = _literal(body)
        if loaded is not None:
            return tool_calls(loaded)
    return tuple(_written_calls(body))[:MAX_CALLS] or tuple(_lines(body))[:MAX_CALLS]


def _literal(text: str) -> Any:
    """A JSON or Python list or object; None when it is neither."""
    try:
        loaded: Any = json.loads(text)
    except (ValueError, RecursionError):
        try:
            loaded = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            return None
    return loaded if isinstance(loaded, list | dict | tuple) else None


def _written_calls(text: str) -> Iterator[ToolCall]:
    """Calls in the form `tool(argument)`, wherever they stand in the text."""
    at = 0
    while (found := _NAME.search(text, at)) is not None:
        inside, at = _bracketed(text, found.end())
        yield ToolCall(tool=_tool(found[1]), argument=_arguments(inside))


def _bracketed(text: str, start: int) -> tuple[str, int]:
    """What stands up to the closing parenthesis, and the place after it; up to the line's end when none closes it."""
    depth, quote, at = 1, "", start
    while at < len(text):
        letter = text[at]
        if quote:
            if letter == "\\":
                at += 1
            elif letter == quote:
                quote = ""
        elif letter in "\"'`" and not text[at - 1].isalnum():
            quote = letter
        elif letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
            if not depth:
                return text[start:at], at + 1
        at += 1
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    return text[start:end].rstrip(" );,"), end


def _arguments(inside: str) -> str:
    text = inside.strip()
    if text.startswith(("{", "[")):
        loaded = _literal(text)
        return text if loaded is None else _key_argument(loaded)
    if text[:1] in {'"', "'"} and text[-1:] == text[:1] and len(text) > 1:
        try:
            return str(ast.literal_eval(text)).strip()
        except (ValueError, SyntaxError):
            return text[1:-1].strip()
    named = _NAMED.match(text)
    if named is not None and named[1] in _KEYS:
        pairs = {name: value.strip().strip("\"'") for name, value in _NAMED.findall(text)}
        return _key_argument(pairs)
    return text


def _lines(text: str) -> Iterator[ToolCall]:
    """Lines such as `1. read src/cart.py`. Prose that begins with such a word names no file and is no step."""
    for name, rest in _LINE.findall(text):
        tool = name.lower()
        if tool in _ON_A_LINE and (tool == "bash" or not re.search(r"\s", rest)):
            yield ToolCall(tool=tool, argument=rest)
