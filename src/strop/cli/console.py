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
_WORD = 16
"""Columns that a word keeps, if it is that long; names in the first column and numbers are never broken."""
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

    cells = [[printable("" if cell is None else str(cell)) for cell in row] for row in rows]
    console, gaps = rich_console(), 2 * (len(columns) - 1)
    texts = [[row[index] for row in [columns, *cells]] for index in range(len(columns))]
    words = [
        each if index == 0 or column in right else [word[:_WORD] for text in each for word in text.split()]
        for index, (column, each) in enumerate(zip(columns, texts, strict=True))
    ]
    widths = _fitting(_widest(texts), _widest(words), console.width - gaps)
    console.width = max(console.width, sum(widths) + gaps)
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for column, columns_wide in zip(columns, widths, strict=True):
        side = "right" if column in right else "left"
        grid.add_column(Text(column), justify=side, overflow="fold", width=columns_wide)
    for row in cells:
        grid.add_row(*(Text(cell) for cell in row))
    console.print(grid)


def _widest(texts: Iterable[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len

    return [max(map(cell_len, each), default=1) for each in texts]


def _fitting(wanted: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths that fill at most `room`, unless the least do not fit; who can give most gives first."""
    widths = list(wanted)
    while sum(widths) > room:
        most = max(range(len(widths)), key=lambda index: widths[index] - least[index])
        if widths[most] <= least[most]:
            break
        widths[most] -= 1
    return widths


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
