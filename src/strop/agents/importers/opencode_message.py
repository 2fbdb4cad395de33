"""One message of an OpenCode session, its parts by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from strop.agents.importers.fields import text
from strop.agents.transcript import Json

_Part: TypeAlias = "dict[str, Json]"

_PASSED_OVER = frozenset({"step-start", "reasoning", "patch", "snapshot"})
_BY_THE_PERSON = "The following tool was executed by the user"
_READ = frozenset({"text", "tool", "step-finish", "file", "subtask", "compaction"})


@dataclass(slots=True)
class Message:
    """One row of the client's `message` with the rows of `part` that belong to it."""

    id: str
    info: dict[str, Json]
    of_user: bool
    kinds: dict[str, list[_Part]] = field(default_factory=dict)
    broken: int = 0
    """Parts that are no objects."""

    @property
    def tools(self) -> Sequence[_Part]:
        return self.kinds.get("tool", ())

    @property
    def ends(self) -> Sequence[_Part]:
        """The step-finish parts."""
        return self.kinds.get("step-finish", ())

    @property
    def files(self) -> Sequence[_Part]:
        return self.kinds.get("file", ())

    @property
    def subtasks(self) -> Sequence[_Part]:
        return self.kinds.get("subtask", ())

    @property
    def compacts(self) -> bool:
        """Whether it orders the client to summarise the conversation."""
        return "compaction" in self.kinds

    @property
    def of_shell(self) -> bool:
        """Whether the client notes with it that the person ran a command by hand; the reply holds that command."""
        parts = self.kinds.get("text", ())
        return self.of_user and len(parts) == 1 and bool(parts[0].get("synthetic")) and self.texts == [_BY_THE_PERSON]

    @property
    def odd(self) -> list[_Part]:
        """Parts of a kind that this version does not read."""
        if self.kinds.keys() <= _READ:
            return []
        return [part for kind, parts in self.kinds.items() if kind not in _READ for part in parts]

    @property
    def of_compaction(self) -> bool:
        """The client's own summary of the conversation: no answer to anybody."""
        return self.info.get("summary") is True or self.info.get("mode") == "compaction"

    @property
    def said(self) -> list[str]:
        """The texts that are the speaker's own: neither synthetic nor for display only."""
        if "text" not in self.kinds:
            return []
        own = [part for part in self.kinds["text"] if not part.get("synthetic") and not part.get("ignored")]
        return [words for part in own if (words := text(part.get("text"))) and not words.isspace()]

    @property
    def texts(self) -> list[str]:
        """Every text, the client's own among them."""
        return [text(part.get("text")) for part in self.kinds.get("text", ())]

    @property
    def is_request(self) -> bool:
        """Whether a user message is the person's: the client writes others (compaction, attachments) as well."""
        return bool(self.subtasks or self.files or self.said)


def sorted_message(name: str, info: dict[str, Json], parts: list[Json]) -> Message:
    message = Message(name, info, info.get("role") == "user")
    kinds = message.kinds
    for part in parts:
        if type(part) is not dict:
            message.broken += 1
            continue
        kind = part.get("type")
        if type(kind) is not str:
            kind = ""
        if kind in kinds:
            kinds[kind].append(part)
        elif kind not in _PASSED_OVER:
            kinds[kind] = [part]
    return message
