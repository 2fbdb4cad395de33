"""The neutral names of tools, for formats that write down other clients' calls."""

from __future__ import annotations

from strop.agents.transcript import clipped

_NEUTRAL = {
    **{name: name for name in ("read", "edit", "write", "patch", "bash", "glob", "grep", "list")},
    **{name: name for name in ("fetch", "search", "todo", "task", "invalid")},
    **dict.fromkeys(("exec_command", "shell", "local_shell", "run_shell_command"), "bash"),
    **dict.fromkeys(("multiedit", "notebookedit"), "edit"),
    **dict.fromkeys(("codesearch", "websearch", "web_search"), "search"),
    **dict.fromkeys(("todoread", "todowrite", "update_plan"), "todo"),
    "agent": "task",
    "apply_patch": "patch",
    "ls": "list",
    "webfetch": "fetch",
    "web_fetch": "fetch",
}


def neutral(name: str) -> str:
    """The neutral name of a tool, however its client spells it; a tool that is known to none keeps its own."""
    return _NEUTRAL.get(name.lower()) or clipped(name, 200)
