"""The command `strop`: finds the noun, runs it, tells what went wrong, and ends the process promptly."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from strop.cli.help import LISTS, NOUNS, help_text

INTERRUPTED = 130
PIPE_CLOSED = 141


def main() -> NoReturn:
    """Run the command of this process. Model calls that hang in other threads do not keep it alive."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        # What a model answered may hold characters that this terminal's encoding lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = PIPE_CLOSED
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns its exit code."""
    try:
        return _dispatch(list(argv))
    except BrokenPipeError:
        return PIPE_CLOSED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1
    except Exception as error:  # noqa: BLE001 - the last place where an error can be told
        from strop.cli.failure import fail

        return fail(error, as_json="--json" in argv)


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in {"--help", "-h", "help"}:
        sys.stdout.write(help_text())
        return 0
    if argv[0] == "--version":
        from strop import __version__

        sys.stdout.write(f"strop {__version__}\n")
        return 0
    name, *rest = argv
    if name not in NOUNS:
        _unknown(name)
    if name in LISTS and (not rest or (rest[0].startswith("-") and rest[0] not in {"--help", "-h"})):
        rest = ["list", *rest]
    from importlib import import_module

    done = import_module(f"strop.cli.{name}").app(args=rest, prog_name=f"strop {name}", standalone_mode=False)
    return done if isinstance(done, int) else 0


def _unknown(name: str) -> NoReturn:
    from difflib import get_close_matches

    from strop.errors import NotFound

    close = get_close_matches(name, NOUNS, n=1, cutoff=0.5)
    raise NotFound(
        f"there is no command {name!r}",
        hint=(f"did you mean `strop {close[0]}`? " if close else "") + "`strop --help` lists them",
    )
