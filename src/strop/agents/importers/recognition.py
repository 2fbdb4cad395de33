"""Which importer reads what: by the client's name, or by what lies at a path."""

from __future__ import annotations

from pathlib import Path

from strop.agents.importers.claude_code import ClaudeCodeImporter
from strop.agents.importers.codex import CodexImporter
from strop.agents.importers.files import head
from strop.agents.importers.opencode import OpenCodeImporter
from strop.agents.importers.otel import OtelImporter
from strop.agents.importers.session_log import SessionLogImporter
from strop.agents.transcript import Importer
from strop.errors import BadInput

IMPORTERS: tuple[Importer, ...] = (
    OpenCodeImporter(),
    ClaudeCodeImporter(),
    CodexImporter(),
    SessionLogImporter(),
    OtelImporter(),
)
"""Every importer, the clients' own formats before the neutral ones."""


def importer_for(client: str) -> Importer:
    """The importer of a client.

    Raises:
        BadInput: no client of that name; the message lists those there are.
    """
    for importer in IMPORTERS:
        if importer.client == client:
            return importer
    known = ", ".join(importer.client for importer in IMPORTERS)
    raise BadInput(f"there is no client {client!r}; known are {known}")


def recognise(path: Path) -> Importer | None:
    """The importer whose history lies at `path`, a file or a directory; None where it is nobody's."""
    try:
        start = b"" if path.is_dir() else head(path)
        return next((importer for importer in IMPORTERS if importer.accepts(path, start)), None)
    except OSError:
        return None
