"""OpenCode's agent file: front matter that cannot break the client, then the system prompt."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any, Literal, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from strop.errors import BadInput
from strop.exporters.prompt import AgentPrompt
from strop.exporters.text import body

AgentMode = Literal["primary", "subagent", "all"]

OWN_AGENTS = frozenset({"build", "plan", "general", "explore", "title", "summary", "compaction"})
"""Agents that OpenCode brings itself; a file of that name would change them."""

_KEYS = frozenset(
    {
        "name", "model", "variant", "description", "mode", "hidden", "color", "steps", "maxSteps", "options",
        "permission", "disable", "temperature", "top_p", "tools", "prompt",
    }
)  # fmt: skip
_MODEL = re.compile(r"[A-Za-z0-9_.-]+/\S+")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}|primary|secondary|accent|success|warning|error|info")
_ACTIONS = ("allow", "ask", "deny")


def render(prompt: AgentPrompt, *, mode: AgentMode = "primary") -> str:
    """The whole file. A non-empty body replaces OpenCode's default prompt.

    Raises:
        BadInput: the model is not written `provider/model`.
    """
    front: dict[str, Any] = {"description": prompt.description, "mode": mode}
    if prompt.model is not None:
        if not _MODEL.fullmatch(prompt.model):
            raise BadInput(
                f"model {prompt.model!r} is not one that OpenCode finds",
                hint="write it like provider/model, or leave it out: the user's own choice then stays",
            )
        front["model"] = prompt.model
    return front_matter(front) + body(prompt)


def front_matter(values: Mapping[str, Any]) -> str:
    """`values` as YAML between two `---` lines. Every text is quoted but `mode`: readers differ in what else is one."""
    quoted = {
        key: DoubleQuotedScalarString(value) if isinstance(value, str) and key not in {"mode", "name"} else value
        for key, value in values.items()
    }
    emitter = YAML()
    emitter.width = 1_000_000
    emitter.allow_unicode = True
    out = io.StringIO()
    emitter.dump(quoted, out)
    return f"---\n{out.getvalue()}---\n\n"


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Front matter and body (trimmed, as the clients do).

    Raises:
        BadInput: there is none, it does not end, or it is no YAML mapping.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if lines[0] != "---" or "---" not in lines[1:]:
        raise BadInput("the file has no front matter between two lines of ---, so it would become part of the prompt")
    end = lines.index("---", 1)
    try:
        found: object = YAML(typ="safe", pure=True).load("\n".join(lines[1:end]))
    except YAMLError as error:
        raise BadInput(f"the front matter is no YAML and would become part of the prompt: {error}") from error
    if not isinstance(found, dict):
        raise BadInput("the front matter is not a list of keys with values")
    return cast("dict[str, Any]", found), "\n".join(lines[end + 1 :]).strip()


def problems(text: str) -> tuple[str, ...]:
    """What OpenCode would trip over in this agent file, each as a sentence; empty when it is fine.

    A wrong value here does not only disable the agent: every command of the client dies on it.
    """
    try:
        front, prompt = split_front_matter(text)
    except BadInput as error:
        return (error.message,)
    found = [
        f"key {key!r} is unknown and would be sent to the model's provider as a parameter"
        for key in front
        if key not in _KEYS
    ]
    checks = (_texts, _numbers, _words, _permissions)
    found += [problem for check in checks for problem in check(front)]
    if not prompt and not front.get("prompt"):
        found.append("the prompt is empty, so the client's default prompt would be used")
    return tuple(found)


def _texts(front: Mapping[str, Any]) -> list[str]:
    keys = ("name", "description", "model", "variant", "prompt", "color")
    found = [
        f"{key} must be text, not {front[key]!r}" for key in keys if key in front and not isinstance(front[key], str)
    ]
    model = front.get("model")
    if isinstance(model, str) and not _MODEL.fullmatch(model):
        found.append(f"model {model!r} must be written provider/model")
    return found


def _numbers(front: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for key, most in (("temperature", 2.0), ("top_p", 1.0)):
        value = front.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            found.append(f"{key} must be a number, not {value!r}")
        elif not 0 <= value <= most:
            found.append(f"{key} must lie in 0..{most:g}, not {value!r}")
    for key in ("steps", "maxSteps"):
        value = front.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            found.append(f"{key} must be a whole number above 0, not {value!r}")
    return found + [
        f"{key} must be true or false, not {front[key]!r}"
        for key in ("hidden", "disable")
        if not isinstance(front.get(key, False), bool)
    ]


def _words(front: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    if front.get("mode", "all") not in {"primary", "subagent", "all"}:
        found.append(f"mode must be primary, subagent or all, not {front['mode']!r}")
    colour = front.get("color")
    if isinstance(colour, str) and not _COLOUR.fullmatch(colour):
        found.append(f"color must be a quoted #rrggbb or one of the theme's words, not {colour!r}")
    tools = front.get("tools")
    if tools is not None and not (
        isinstance(tools, dict) and all(isinstance(one, bool) for one in cast("dict[str, Any]", tools).values())
    ):
        found.append("tools must be a mapping of names to true or false")
    if not isinstance(front.get("options", {}), dict):
        found.append("options must be a mapping")
    return found


def _permissions(front: Mapping[str, Any]) -> list[str]:
    given: object = front.get("permission", "ask")
    rules: list[tuple[str, object]] = []
    if isinstance(given, dict):
        for name, rule in cast("dict[str, object]", given).items():
            inner = cast("dict[str, object]", rule) if isinstance(rule, dict) else {"": rule}
            rules += [(f"permission.{name}.{pattern}".rstrip("."), action) for pattern, action in inner.items()]
    else:
        rules.append(("permission", given))
    return [f"{where} must be allow, ask or deny, not {action!r}" for where, action in rules if action not in _ACTIONS]
