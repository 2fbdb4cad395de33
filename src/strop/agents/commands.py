"""Slash commands: a client sends the command's own text as if the person had typed it. Nobody asked for that task.

Claude Code marks such messages, and its reader leaves them out. OpenCode marks those that a sub-agent carries out; of
the others of OpenCode, and of all of Codex, only the commands that the client brings are known, by how their texts
begin. A command of the person's own is in their own words and looks like any other request.
"""

from __future__ import annotations

from collections.abc import Mapping

from strop.agents.transcript import ClientName, Json

MARK = "command"
"""The key of an OpenCode turn's `extra` that holds the command's name where the client recorded it."""

AFTER = "after_command"
"""The key of a turn's `extra` that says: between it and the turn before a command worked, whose turn was left out."""

_OPENINGS: Mapping[ClientName, tuple[tuple[str, str], ...]] = {
    "opencode": (
        ("init", "Please analyze this codebase and create an AGENTS.md file containing:"),
        ("init", "Create or update `AGENTS.md` for this repository. The goal is a compact instruction file"),
        (
            "review",
            "You are a code reviewer. Your job is to review code changes and provide actionable feedback. --- Input:",
        ),
    ),
    "claude-code": (("init", "Please analyze this codebase and create a CLAUDE.md file, which will be given to"),),
    "codex": (
        ("init", "Generate a file named AGENTS.md that serves as a contributor guide for this repository. Your goal"),
    ),
}
_LONGEST = 2 * max(len(opening) for known in _OPENINGS.values() for _, opening in known)


def command_of(client: ClientName, task: str, extra: Mapping[str, Json]) -> str:
    """The slash command, without its slash, that wrote a turn's task; empty where a person (or an agent) did."""
    marked = extra.get(MARK) if client == "opencode" else None
    if isinstance(marked, str) and marked:
        return marked
    beginning = " ".join(task[:_LONGEST].split())
    return next((name for name, opening in _OPENINGS.get(client, ()) if beginning.startswith(opening)), "")
