"""What `opencode run --format json` prints: parts as they end, without the request that caused them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from strop.agents.importers.fields import mapping, number, text
from strop.agents.importers.lines import MAX_REFUSED, json_lines, parsed
from strop.agents.importers.opencode_messages import Session, outcome
from strop.agents.transcript import Json, Refusal, Transcript

_KINDS = frozenset({"step_start", "step_finish", "text", "tool_use", "reasoning", "error"})


def is_stream(head: bytes) -> bool:
    """Whether one of the first lines is an event of the stream."""
    for line in head.split(b"\n")[:8]:
        if b'"sessionID"' in line and b'"timestamp"' in line:
            try:
                event = parsed(line)
            except ValueError:
                # The head may end within its first line.
                if any(b'"%s"' % kind.encode() in line[:200] for kind in _KINDS):
                    return True
                continue
            if isinstance(event, dict) and text(event.get("type")) in _KINDS:
                return True
    return False


@dataclass(kw_only=True, slots=True)
class _Stream:
    """One session's run while its events are read; messages and parts by id, in the order of coming."""

    session: Session
    name: str
    infos: dict[str, dict[str, Json]] = field(default_factory=dict[str, dict[str, Json]])
    parts: dict[str, dict[str, dict[str, Json]]] = field(default_factory=dict[str, dict[str, dict[str, Json]]])
    first: float | None = None
    last: float | None = None

    def take(self, event: dict[str, Json], line: int) -> None:
        moment = number(event.get("timestamp"))
        if moment is not None:
            self.first, self.last = moment if self.first is None else self.first, moment
        part = mapping(event.get("part"))
        message = text(part.get("messageID"))
        if event.get("type") == "error":
            message = message or self._failed_message(line)
            self._info(message)["error"] = event.get("error") or "the client reported an error"
        elif not message:
            self.session.refuse("the event names no message ('part.messageID')", line=line)
            return
        time = mapping(self._info(message).setdefault("time", {"created": event.get("timestamp")}))
        if event.get("type") in ("step_finish", "error"):
            time["completed"] = event.get("timestamp")
        if part:
            self.parts.setdefault(message, {})[text(part.get("id")) or f"line {line}"] = part

    def _info(self, message: str) -> dict[str, Json]:
        return self.infos.setdefault(message, {"id": message, "role": "assistant", "sessionID": self.name})

    def _failed_message(self, line: int) -> str:
        """The message that was being written when the error came, else one of its own."""
        latest = next(reversed(self.infos), "")
        ended = any(part.get("type") == "step-finish" for part in self.parts.get(latest, {}).values())
        return latest if latest and not ended else f"error at line {line}"

    def closed(self) -> Session:
        self.session.info["time"] = {"created": self.first, "updated": self.last}
        for name, info in self.infos.items():
            self.session.add(info, list[Json](self.parts.get(name, {}).values()), name)
        return self.session


def read_stream(path: Path, since: datetime | None = None) -> Iterator[Transcript | Refusal]:
    """A transcript per run in the stream, its one turn without a task: the stream does not hold it."""
    stream: _Stream | None = None
    foreign = 0
    for found in json_lines(path):
        if isinstance(found, Refusal):
            yield found
            continue
        line, value = found
        event = mapping(value)
        name = text(event.get("sessionID"))
        if not name:
            foreign += 1
            if foreign <= MAX_REFUSED:
                yield Refusal(source=str(path), line=line, reason="it is no event of `opencode run --format json`")
            continue
        if stream is None or stream.name != name:
            if stream is not None:
                yield from outcome(stream.closed(), since)
            stream = _Stream(session=Session(source=str(path), info={"id": name}), name=name)
        stream.take(event, line)
    if stream is not None:
        yield from outcome(stream.closed(), since)
