"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else there.")]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="Database path or URL. Default: the task file's, STROP_DATABASE_URL, or DIR/.strop/strop.db.",
    ),
]
Directory = Annotated[
    Path, typer.Option("--directory", "-C", metavar="DIR", help="Directory of the task file and its database.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, its beginning, or `last`.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the task that the versions belong to.")]


def noun(help: str, **settings: Any) -> typer.Typer:
    """The commands of one noun. Help stays plain text: rich help costs half a second."""
    return typer.Typer(
        help=help,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 110},
        **settings,
    )
