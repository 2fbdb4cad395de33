"""Claude Code's two places: an agent file of its own, and a section of CLAUDE.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from strop.errors import BadInput
from strop.exporters.agents_md import section
from strop.exporters.naming import plain_slug
from strop.exporters.opencode_agent import front_matter, split_front_matter
from strop.exporters.prompt import AgentPrompt
from strop.exporters.text import body

_TOOL = re.compile(r"[A-Za-z][\w:*.-]*(\([^(),\n]*\))?")
_IMPORT = re.compile(r"(`[^`\n]*`)|(?<![\w`])(@[^\s`]+)")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def agent_file(prompt: AgentPrompt, *, tools: Sequence[str] = ()) -> str:
    """`.claude/agents/NAME.md`. Without `tools` (Claude Code's own names) the agent may use all of them.

    Raises:
        BadInput: that is no tool's name.
    """
    for tool in tools:
        if not _TOOL.fullmatch(tool):
            raise BadInput(f"{tool!r} is no name of a tool", hint="write it like Read, Edit or Bash")
    front = {"name": plain_slug(prompt.name), "description": prompt.description}
    if tools:
        front["tools"] = ", ".join(tools)
    return front_matter(front) + body(prompt)


def memory_section(prompt: AgentPrompt) -> str:
    """The section for CLAUDE.md, between its marks."""
    return without_imports(section(replace(prompt, name=plain_slug(prompt.name))))


def without_imports(text: str) -> str:
    """`@path` in CLAUDE.md makes Claude Code read that file, except in code: such words become code."""
    lines, fence = text.split("\n"), ""
    for place, line in enumerate(lines):
        mark = re.match(r"`{3,}|~{3,}", line)
        if mark is not None and (not fence or line.startswith(fence)):
            fence = "" if fence else mark[0]
        elif not fence:
            lines[place] = _IMPORT.sub(lambda found: found[0] if found[1] else f"`{found[2]}`", line)
    return "\n".join(lines)


def problems(text: str) -> tuple[str, ...]:
    """What Claude Code would not take in an agent file; empty when it is fine."""
    try:
        front, prompt = split_front_matter(text)
    except BadInput as error:
        return (error.message,)
    found = [f"key {key!r} is unknown" for key in front if key not in {"name", "description", "tools", "model"}]
    if not (isinstance(front.get("name"), str) and _NAME.fullmatch(front["name"])):
        found.append(f"name must be lower-case words joined by dashes, not {front.get('name')!r}")
    if not (isinstance(front.get("description"), str) and front["description"].strip()):
        found.append("description must be a sentence: Claude Code chooses the agent by it")
    if not isinstance(front.get("tools", ""), str):
        found.append("tools must be one text, names separated by commas")
    if not prompt:
        found.append("the prompt is empty")
    return tuple(found)
