"""How an error is told: a line and a hint on stderr, one object on stdout with --json, and the exit code."""

from __future__ import annotations

import os
import sys
import traceback

from strop.cli.console import emit, tell
from strop.errors import StropError

DEBUG = "STROP_DEBUG"


def fail(error: BaseException, *, as_json: bool) -> int:
    """Tell `error`; returns the exit code. Everything passes the redactor, a traceback too."""
    if isinstance(error, StropError):
        kind, message, hint, code = type(error).__name__, error.message, error.hint, error.exit_code
    elif hasattr(error, "format_message"):
        # The command line itself was wrong; which class says so depends on typer's version.
        kind, message, hint, code = "UsageError", str(error.format_message()), _usage(error), 2  # type: ignore[attr-defined]
    else:
        kind, message, code = type(error).__name__, f"unexpected {type(error).__name__}: {error}", 1
        hint = None if os.environ.get(DEBUG) else f"this is a fault of Strop itself; {DEBUG}=1 shows where"
    message, hint = redacted(message), redacted(hint) if hint else None
    if as_json:
        emit({"error": {"kind": kind, "message": message, "hint": hint, "exit_code": code}})
    else:
        tell(f"error: {message}")
        if hint:
            tell(f"hint: {hint}")
    if os.environ.get(DEBUG):
        tell(redacted("".join(traceback.format_exception(error))))
    return code


def redacted(text: str) -> str:
    """The text without secrets. A secret can only be in it once the rooms that handle them are loaded."""
    if "strop.gateway" not in sys.modules and not os.environ.get(DEBUG):
        return text
    from strop.gateway import Redactor

    return Redactor()(text)


def _usage(error: BaseException) -> str | None:
    context = getattr(error, "ctx", None)
    return f"`{context.command_path} --help` shows how it is used" if context is not None else None
