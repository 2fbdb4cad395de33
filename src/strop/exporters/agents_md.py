"""AGENTS.md and CLAUDE.md: our part of a file that belongs to its user, between two marks."""

from __future__ import annotations

import re

from strop.exporters.prompt import AgentPrompt
from strop.exporters.text import body

_NAME = re.compile(r"[a-z0-9._-]{1,100}")


def section(prompt: AgentPrompt) -> str:
    """The addition between its marks; ends with one line feed."""
    return marked(prompt.name, body(prompt, "append"))


def marked(name: str, text: str) -> str:
    """`text` between the marks of `name` (a slug). A mark of ours inside the text is made harmless first."""
    assert _NAME.fullmatch(name), name
    return f"{_begin(name)}\n{text.replace('<!-- strop:', '<!-- strop :').strip()}\n{_end(name)}\n"


def put(text: str, name: str, block: str) -> str:
    """`text` with `block` in the place of an earlier block of that name, else at its end after an empty line.

    Every other byte stays, and the file's line endings are kept in the block.
    """
    ending = "\r\n" if "\r\n" in text else "\n"
    wanted = block.replace("\n", ending)
    found = _find(text, name)
    if found is not None:
        return text[: found[0]] + wanted + text[found[1] :]
    if not text.removeprefix("\ufeff"):
        return text + wanted
    gap = ending if text.endswith("\n") else ending * 2
    return text + gap + wanted


def take_out(text: str, name: str) -> str:
    """`text` without the block of that name and the empty line that was put before it; unchanged without one."""
    found = _find(text, name)
    if found is None:
        return text
    before, after = text[: found[0]], text[found[1] :]
    for gap in ("\r\n\r\n", "\n\n"):
        if before.endswith(gap):
            before = before[: len(before) - len(gap) // 2]
            break
    return before + after


def _begin(name: str) -> str:
    return f"<!-- strop:begin {name} -->"


def _end(name: str) -> str:
    return f"<!-- strop:end {name} -->"


def _find(text: str, name: str) -> tuple[int, int] | None:
    """From the begin mark to the end of the end mark's line."""
    pattern = rf"^{re.escape(_begin(name))}\r?\n.*?^{re.escape(_end(name))}(?:\r?\n|\Z)"
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    return None if found is None else found.span()
