"""The whole of `strop agents import`: finds histories, reads, redacts and archives them, and reports.

What is unchanged since it was read last is not opened again. What was archived stays when the import is interrupted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from strop.agents.archive import Added, AgentArchive
from strop.agents.injection import flags_of
from strop.agents.listed import list_file, remembered
from strop.agents.redaction import Redaction, RedactionKind, Sample
from strop.agents.rows import SessionRows
from strop.agents.sources import Source, below, found_stores, named_sources
from strop.agents.transcript import Refusal, Transcript
from strop.errors import BadInput, DataError

FORMAT = 2
"""Raised when the same file would be archived differently, so that unchanged files are read again."""
BATCH_SESSIONS = 100
BATCH_CHARACTERS = 8_000_000
REPORTED_REFUSALS = 1000
STORELESS = {"log": "session logs", "otel": "traces"}
"""Forms that no client keeps in a place of its own."""

_AGO = re.compile(r"(\d{1,6})\s*(m|h|d|w)", re.IGNORECASE)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import did. `refused` counts all refusals, `refusals` are the first thousand of them.

    `refused_before` counts what could not be read in the files that were skipped, when they were read.
    """

    files: int = 0
    """Files (and stores) that were read."""
    skipped: int = 0
    """Files that were not opened: unchanged since they were read last, or older than what is wanted."""
    older: int = 0
    """Those of them that were written last before `since`."""
    sessions: int = 0
    turns: int = 0
    added: Added = field(default_factory=Added)
    refused: int = 0
    refusals: tuple[Refusal, ...] = ()
    refused_before: int = 0
    redactions: Mapping[RedactionKind, int] = field(default_factory=dict[RedactionKind, int])
    samples: tuple[Sample, ...] = ()
    interrupted: bool = False


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to import. Without paths the clients' own stores are found; `project` keeps sessions below a directory."""

    paths: Sequence[Path] = ()
    client: str | None = None
    since: datetime | None = None
    project: Path | None = None
    listed: Sequence[str] = ()
    """The user's own words and regular expressions to redact."""
    environment: Mapping[str, str] | None = None
    home: Path | None = None


Progress = Callable[[Path, ImportReport], None]
"""Hears the file that is read, and the report so far: before each file, and whenever sessions were archived."""


def import_history(archive: AgentArchive, wanted: Wanted, progress: Progress | None = None) -> ImportReport:
    """Import what is wanted. Ctrl-C ends it with what was read so far archived and reported.

    Raises:
        DataError: no history was found at all.
        NotFound, BadInput, SettingsError: a path, a client's name or a redaction cannot be used.
    """
    return _Import(archive, wanted, progress or (lambda _path, _report: None)).run()


def parse_since(text: str, now: datetime | None = None) -> datetime:
    """A moment from `2025-01-31`, an ISO time, or an age (`90m`, `24h`, `7d`, `2w`); without a zone it is UTC.

    Raises:
        BadInput: it is neither.
    """
    match = _AGO.fullmatch(text.strip())
    try:
        if match is not None:
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[match[2].lower()]: int(match[1])})
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise BadInput(f"{text!r} is no date and no age", hint="for example 2025-01-31, 24h, 7d or 2w") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class _Import:
    def __init__(self, archive: AgentArchive, wanted: Wanted, progress: Progress) -> None:
        self._archive = archive
        self._progress = progress
        self._wanted = wanted
        listed = {*wanted.listed, *remembered(list_file(wanted.environment, wanted.home))}
        self._redaction = Redaction(listed)
        self._settings = hashlib.sha256(repr((FORMAT, sorted(listed))).encode()).hexdigest()
        self._report = ImportReport()
        self._refusals: list[Refusal] = []
        self._pending: dict[str, SessionRows] = {}
        self._notes: dict[str, Callable[[Connection], None]] = {}
        """By the file that was read to its end, what is written with its last sessions."""
        self._weight = 0
        self._skipped: set[str] = set()
        self._broken: set[str] = set()
        """Files of which this import itself has something to say."""
        self._project = None if wanted.project is None else wanted.project.expanduser().resolve()

    def run(self) -> ImportReport:
        found = False
        try:
            for source in self._sources():
                if isinstance(source, Refusal):
                    self._refuse_file(source)
                    continue
                found = True
                self._progress(source.path, self.report())
                self._one(source)
            self._flush()
        except KeyboardInterrupt:
            self._flush()
            self._report = replace(self._report, interrupted=True)
        if not found and not self._report.interrupted:
            raise self._nothing()
        if self._skipped:
            known = self._archive.refused_in(self._skipped - self._broken)
            self._report = replace(self._report, refused_before=known)
        return self.report()

    def report(self) -> ImportReport:
        """The report so far."""
        return replace(
            self._report, refusals=tuple(self._refusals[:REPORTED_REFUSALS]),
            redactions=dict(self._redaction.counts), samples=tuple(self._redaction.samples),
        )  # fmt: skip

    def _sources(self) -> Iterator[Source | Refusal]:
        wanted = self._wanted
        if wanted.paths:
            yield from named_sources(wanted.paths, wanted.client)
            return
        for importer, path in found_stores(wanted.client, wanted.environment, wanted.home):
            if path.is_dir():
                yield from below(path, importer)
            else:
                yield Source(path=path, importer=importer)

    def _one(self, source: Source) -> None:
        path, since = str(source.path.absolute()), self._wanted.since
        written = source.changed_at()
        fingerprint = source.fingerprint()
        if path in self._notes:
            self._flush()
        old = since is not None and written is not None and written < since.timestamp()
        if old or self._archive.was_read(path, fingerprint, self._settings, since):
            if not old:
                self._skipped.add(path)
            older = self._report.older + int(old)
            self._report = replace(self._report, skipped=self._report.skipped + 1, older=older)
            return
        refusals: list[Refusal] = []
        written_refusals = 0
        for found in source.importer.read(source.path, since):
            if isinstance(found, Refusal):
                refusals.append(self._refuse(found))
                self._broken.add(path)
            elif self._wants(found) and self._take(found):
                self._progress(source.path, self.report())
            if len(refusals) - written_refusals >= REPORTED_REFUSALS:
                self._flush(self._refusal_writer(path, refusals[written_refusals:], first=written_refusals == 0))
                written_refusals = len(refusals)
        note = self._project is None

        def finish(connection: Connection) -> None:
            writer = self._refusal_writer(path, refusals[written_refusals:], first=written_refusals == 0)
            writer(connection)
            if note:
                self._archive.note_file(connection, path, fingerprint, self._settings, since)

        self._notes[path] = finish
        self._report = replace(self._report, files=self._report.files + 1)
        if len(self._notes) >= BATCH_SESSIONS:
            self._flush()

    def _refusal_writer(self, path: str, refusals: Sequence[Refusal], *, first: bool) -> Callable[[Connection], None]:
        return lambda connection: self._archive.note_refusals(connection, path, refusals, first=first)

    def _refuse(self, refusal: Refusal) -> Refusal:
        """The refusal as it may be kept: what it quotes is redacted like everything else."""
        clean = self._redaction.text
        safe = replace(
            refusal, source=clean(refusal.source), reason=clean(refusal.reason),
            row=None if refusal.row is None else clean(refusal.row),
        )  # fmt: skip
        if len(self._refusals) < REPORTED_REFUSALS:
            self._refusals.append(safe)
        self._report = replace(self._report, refused=self._report.refused + 1)
        return safe

    def _refuse_file(self, refusal: Refusal) -> None:
        safe = self._refuse(refusal)
        path = str(Path(refusal.source).absolute())
        self._archive.add_all([], also=self._refusal_writer(path, [safe], first=True))

    def _wants(self, transcript: Transcript) -> bool:
        if self._project is None:
            return True
        directory = Path(transcript.directory) if transcript.directory else None
        return directory is not None and (directory == self._project or self._project in directory.parents)

    def _take(self, transcript: Transcript) -> bool:
        """Keep it for the next batch; whether that was full and is archived."""
        clean = self._redaction.cleaned(transcript)
        turns = clean.transcript.turns
        rows = self._archive.rows(clean.transcript, flags_of(turns, clean.suspects))
        if rows.key in self._pending:
            self._flush()
        self._pending[rows.key] = rows
        self._weight += sum(len(row["example"]) for row in rows.turns)
        self._report = replace(self._report, sessions=self._report.sessions + 1, turns=self._report.turns + len(turns))
        is_full = len(self._pending) >= BATCH_SESSIONS or self._weight >= BATCH_CHARACTERS
        if is_full:
            self._flush()
        return is_full

    def _flush(self, also: Callable[[Connection], None] | None = None) -> None:
        """Archive what was read since the last time, in one transaction: each costs a wait for the disk."""
        pending, notes = list(self._pending.values()), list(self._notes.values())
        self._pending, self._notes, self._weight = {}, {}, 0
        if also is not None:
            notes.append(also)
        if pending or notes:

            def write(connection: Connection) -> None:
                for note in notes:
                    note(connection)

            added = self._archive.add_rows(pending, also=write)
            self._report = replace(self._report, added=self._report.added + added)

    def _nothing(self) -> DataError:
        paths = self._wanted.paths
        if paths:
            where = " in " + ", ".join(map(str, paths))
            why = f"; {self._refusals[0].where}: {self._refusals[0].reason}" if self._refusals else ""
            hint = "put JSON session logs there, check that they can be read and are valid JSON, or name another place"
            return DataError(f"No session logs found{where}{why}", hint=hint)
        client = self._wanted.client
        if client in STORELESS:
            why = f"{STORELESS[client]} lie nowhere in particular, so their place must be named"
        elif client is None:
            why = "neither OpenCode nor Claude Code nor Codex has a history on this machine"
        else:
            why = f"{client} has no history on this machine"
        return DataError(f"No session logs found: {why}", hint="name the file or directory: strop agents import PATH")
