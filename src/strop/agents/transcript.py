"""What every client's history becomes: sessions of turns of steps, before anything is judged, redacted or stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

ClientName = Literal["opencode", "claude-code", "codex", "log", "otel"]

StepStatus = Literal["ok", "failed", "denied", "invalid", "aborted", "unfinished", "unknown"]
"""`invalid`: no such tool or wrong arguments; `unfinished`: the client died while the tool ran."""

Finish = Literal["stop", "tools", "length", "error", "interrupted", "unknown"]
"""How a turn ended. `tools`: the client stopped after a tool call without an answer (a refused permission, say)."""

MAX_TEXT = 100_000
"""Characters kept of one text; a longer one keeps its two ends (see `clipped`)."""

_NOTHING: Mapping[str, Json] = MappingProxyType({})


def _nothing() -> Mapping[str, Json]:
    return _NOTHING


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens and money as the client recorded them; nothing is estimated. `cost_usd` is None where none was recorded.

    `input_tokens` includes what was read from the cache; `output_tokens` includes reasoning.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One tool call, in the order of starting."""

    tool: str
    """Neutral name where there is one (read, edit, write, patch, bash, glob, grep, list, fetch, search, todo, task),
    else the client's own."""
    arguments: Mapping[str, Json]
    result: str = ""
    """Output or error text."""
    status: StepStatus = "unknown"
    exit_code: int | None = None
    """Of a command; None where there is none or the client did not say."""
    call: str = ""
    """The client's id of the call."""
    started: datetime | None = None
    seconds: float | None = None
    extra: Mapping[str, Json] = field(default_factory=_nothing)


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One real request of a person (or of a parent agent) and everything up to the next one."""

    key: str
    """Stable within the session: the client's id of the user message, or its ordinal."""
    task: str
    context: Mapping[str, Json] = field(default_factory=_nothing)
    """directory, branch, changed_files, history ... whatever the client knew when the task was given."""
    steps: tuple[Step, ...] = ()
    answer: str = ""
    """The last message of the assistant in the turn."""
    finish: Finish = "unknown"
    usage: Usage = Usage()
    error: str | None = None
    """What the provider or the client said when the turn broke."""
    started: datetime | None = None
    ended: datetime | None = None
    model: str = ""
    agent: str = ""
    reverted: bool = False
    """The person took the turn's changes back."""
    label: bool | None = None
    """A success label that the log itself carries (the session-log format); None where there is none."""
    label_complete: bool | None = None
    """The session-log format's taskCompleted."""
    extra: Mapping[str, Json] = field(default_factory=_nothing)
    """Fields that this version does not know, kept as they came."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """One session of a client."""

    client: ClientName
    id: str
    source: str
    """The file, or the database and row, that it was read from."""
    turns: tuple[Turn, ...]
    parent: str | None = None
    """The session whose agent started this one as a sub-agent."""
    title: str = ""
    directory: str = ""
    version: str = ""
    """Of the client."""
    agent: str = ""
    model: str = ""
    """provider/model where both are known."""
    system_prompt: str | None = None
    started: datetime | None = None
    updated: datetime | None = None
    label: bool | None = None
    """The session-log format's overallSuccess, or its session outcome."""
    extra: Mapping[str, Json] = field(default_factory=_nothing)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A file or a row that could not be read; the rest goes on."""

    source: str
    reason: str
    """What is wrong and, where it helps, what to do."""
    line: int | None = None
    """1-based line of a file; None where there is none."""
    row: str | None = None
    """Row or path inside the source (a message id, `examples[3].actions`)."""

    @property
    def where(self) -> str:
        """`source:line:row`, as far as they are known."""
        return ":".join(str(part) for part in (self.source, self.line, self.row) if part is not None)


class Importer(Protocol):
    """Reads one client's history, read-only, one session in memory at a time."""

    client: ClientName

    def stores(self, environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
        """Where this client keeps its history on this machine; existing paths only."""
        ...

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether a file (its first 4,096 bytes are `head`) or directory (`head` is empty) looks like this client's."""
        ...

    def read(self, path: Path, since: datetime | None = None) -> Iterator[Transcript | Refusal]:
        """Every session under `path` (a file or a directory), those last updated before `since` left out.

        Never raises for what a file contains. A session that is broken in one row is yielded without that row, after a
        `Refusal` that names it.
        """
        ...


def clipped(text: str, limit: int = MAX_TEXT) -> str:
    """`text`, or its two ends with a note of how much is missing between them."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
