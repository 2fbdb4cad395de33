"""Whose words they are: a person's request, told from what Codex says in the person's name."""

from __future__ import annotations

from strop.agents.importers.fields import items, mapping
from strop.agents.transcript import Json, clipped

_NO_TASK = (
    "<environment_context>", "<user_instructions>", "<turn_aborted>", "<subagent_notification>", "<skill>",
    "<permissions", "<user_shell_command>", "<INSTRUCTIONS>", "<collaboration_mode>", "<model_switch>",
    "# AGENTS.md instructions", "Another language model started to solve this problem",
)  # fmt: skip
_IDE = "## My request for Codex:"


def words_of(content: Json) -> str:
    """The texts of a message's parts; a picture is named in brackets."""
    if isinstance(content, str):
        return content
    parts: list[str] = []
    for part in items(content):
        found = mapping(part)
        words, kind = found.get("text"), found.get("type")
        if isinstance(words, str):
            parts.append(words)
        elif isinstance(kind, str) and "image" in kind.lower():
            parts.append("[image]")
    return "\n".join(parts)


def request_of(words: str) -> str:
    """A person's own words; nothing where the client speaks in their name."""
    if words.startswith("# Context from my IDE setup") and _IDE in words:
        words = words.split(_IDE, 1)[1].strip()
    return "" if words.lstrip().startswith(_NO_TASK) or not words.strip() else clipped(words)
