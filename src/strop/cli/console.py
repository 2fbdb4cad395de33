"""Where words go: results to stdout, everything else to stderr; JSON, tables and money in one form."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 120
_NARROWEST = 10
"""Columns that a cell of words keeps; names in the first column and numbers are never broken."""
PREPARING = "Loading and checking the data ..."


def emit(value: Any) -> None:
    """One JSON value on stdout. JSON knows no infinity and no NaN: they become null."""
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False, default=str)
    sys.stdout.write(text + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in cast("Sequence[Any]", value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def typed(words: str) -> str:
    """A command as it has to be typed here: STROP_COMMAND names the program where it is not on the path."""
    return f"{os.environ.get('STROP_COMMAND', 'strop')} {words}"


def show(text: str = "") -> None:
    """A line of the result on stdout."""
    sys.stdout.write(printable(text) + "\n")


def tell(text: str) -> None:
    """A line for a person on stderr."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def printable(text: str) -> str:
    """The text without what a terminal would obey; it may come from a model or a file."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


def width(stream: TextIO | None = None) -> int:
    """Columns of the terminal behind `stream` (stdout), or a fixed number for a pipe."""
    target: TextIO = sys.stdout if stream is None else stream
    if not target.isatty():
        return PIPE_WIDTH
    try:
        return os.get_terminal_size(target.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def rich_console(stream: TextIO | None = None) -> Console:
    """A console that takes texts as they are: no markup, no guessing of colours."""
    from rich.console import Console

    target: TextIO = sys.stdout if stream is None else stream
    return Console(file=target, markup=False, highlight=False, emoji=False, width=width(target))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """A table on stdout; the columns named in `right` hold numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    cells = [[printable("" if cell is None else str(cell)) for cell in row] for row in rows]
    console, least = rich_console(), 2 * len(columns)
    for index, column in enumerate(columns):
        whole = index == 0 or column in right
        longest = max((len(row[index]) for row in [columns, *cells]), default=0)
        narrowest = longest if whole else min(longest, _NARROWEST)
        least += narrowest
        side = "right" if column in right else "left"
        grid.add_column(Text(column), justify=side, overflow="fold", no_wrap=whole, min_width=narrowest)
    for row in cells:
        grid.add_row(*(Text(cell) for cell in row))
    console.width = max(console.width, least)
    console.print(grid)


def flowing(items: Iterable[str], columns: int, *, indent: str = "  ", gap: str = "   ") -> str:
    """Items side by side, broken between items (and inside only where one is longer than a line)."""
    import textwrap

    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(gap) + len(item) <= columns:
            lines[-1] += gap + item
        else:
            wrapped = textwrap.wrap(
                item, columns, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
            )
            lines.extend(wrapped or [indent])
    return "\n".join(lines)
