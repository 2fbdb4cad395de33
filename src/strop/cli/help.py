"""The first page of help, from one table, without importing anything: it must cost nothing."""

from __future__ import annotations

NOUNS: dict[str, str] = {
    "init": "Write a commented strop.yaml and data that run as they are.",
    "optimize": "Optimise a task within a budget and prove the gain on sealed examples.",
    "demo": "Watch a real optimisation with small offline models: no key, no network.",
    "runs": "List, show, report, resume or cancel runs.",
    "versions": "List, show, compare, activate, roll back, export, import or delete versions.",
    "agents": "Sharpen a coding agent's prompt with its own history, and install it.",
    "sessions": "Train several models on one task under one budget, and decide between them.",
    "predict": "Answer one input, or a JSONL file, with the active version.",
    "ledger": "What every call cost, by model, role and phase.",
    "models": "Models with a known price, in USD per million tokens.",
    "doctor": "Check keys, prices, database, versions; each finding with its remedy.",
    "schema": "Print the JSON Schema of strop.yaml for editors.",
}
"""What can be asked for; the file of the same name has the command."""

LISTS = ("runs", "versions", "agents", "sessions")
"""Nouns with verbs; the bare noun lists."""

EXIT_CODES: dict[int, str] = {
    0: "done; a completed run counts as done whatever its verdict",
    1: "unexpected error, a fault of Strop",
    2: "the input cannot be used, something named does not exist, a price or a package is missing",
    3: "a run failed, or some lines of `predict` got no answer",
    4: "the budget, the time or the constraints left nothing verified",
    5: "the database or the disk",
    6: "another process owns this run",
    7: "a saved program was refused",
    8: "replay asked for a call that was never recorded",
    130: "interrupted; what was paid for is kept, and --resume goes on",
}

_TOP = """\
Usage: strop COMMAND [OPTIONS]

Strop keeps language-model programs sharp: it optimises them on your own examples
within a hard budget, and proves the gain on examples that the search never saw.
"""
_START = """\
Start with `strop demo`, or `strop init` and `strop optimize`. `strop COMMAND --help`
tells more. With --json, stdout has JSON and nothing else.
"""


def help_text() -> str:
    """What `strop --help` prints."""
    commands = "\n".join(f"  {name:<10}{text}" for name, text in NOUNS.items())
    codes = "\n".join(f"  {code:>3}  {text}" for code, text in EXIT_CODES.items())
    options = "  --help     Show this page.\n  --version  Show the version."
    return f"{_TOP}\nCommands:\n{commands}\n\nOptions:\n{options}\n\nExit codes:\n{codes}\n\n{_START}"
