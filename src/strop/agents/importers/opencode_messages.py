"""An OpenCode session, however it was stored, as a transcript: which messages make which turn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from strop.agents.importers.fields import NOTHING, mapping, number, rest, text, when
from strop.agents.importers.opencode_message import Message, sorted_message
from strop.agents.importers.opencode_turns import Draft, model_name, task_of, turn
from strop.agents.transcript import Json, Refusal, Transcript, Turn

_SESSION = frozenset(
    {
        *("id", "slug", "projectID", "workspaceID", "directory", "path", "parentID", "title", "agent", "model"),
        *("version", "cost", "tokens", "summary", "permission", "revert", "time", "share"),
    }
)
_SANITIZED = re.compile(r"\[redacted:[^\]]{0,200}\]")
_UNTITLED = re.compile(r"(New|Child) session - \d{4}-\d\d-\d\dT.*", re.DOTALL)


@dataclass(kw_only=True, slots=True)
class Session:
    """What a store holds of one session; `refusals` are the rows that could not be read."""

    source: str
    info: dict[str, Json]
    messages: list[Message] = field(default_factory=list[Message])
    refusals: list[Refusal] = field(default_factory=list[Refusal])

    def refuse(self, reason: str, row: str | None = None, line: int | None = None) -> None:
        self.refusals.append(Refusal(source=self.source, reason=reason, row=row, line=line))

    def add(self, info: Json, parts: Json, place: str) -> None:
        """One message as the export has it, or a refusal that names it; `place` is its path in the source."""
        if not isinstance(info, dict):
            self.refuse("the message has no 'info' object", place)
            return
        name = text(info.get("id")) or place
        if info.get("role") not in ("user", "assistant"):
            self.refuse(f"the message's role is {text(info.get('role'))[:40]!r}, not 'user' or 'assistant'", name)
            return
        if not isinstance(parts, list):
            self.refuse("the message's parts are no list", name)
            return
        message = sorted_message(name, info, parts)
        if message.broken:
            self.refuse(f"{message.broken} parts of the message are no objects", name)
        self.messages.append(message)


def outcome(session: Session, since: datetime | None = None) -> Iterator[Transcript | Refusal]:
    """The session's refusals, then its transcript; nothing where it was last updated before `since`."""
    updated = when(mapping(session.info.get("time")).get("updated"))
    if since is not None and updated is not None and updated < since:
        return
    name = text(session.info.get("id")) or next(
        (found for message in session.messages if (found := text(message.info.get("sessionID")))), ""
    )
    if not name:
        session.refuse("it names no session: neither 'info.id' nor a message's 'sessionID'")
    elif _sanitized(session):
        session.refuse(
            "it was exported with --sanitize: the texts are blanked out, so there is nothing to learn from; "
            "export it again without that flag (Strop redacts secrets itself)",
            name,
        )
        name = ""
    turns = _turns(session) if name else ()
    yield from session.refusals
    if name:
        yield _transcript(session, name, turns, updated)


def _transcript(session: Session, name: str, turns: tuple[Turn, ...], updated: datetime | None) -> Transcript:
    info = session.info
    title, used = text(info.get("title")), mapping(info.get("model"))
    model = model_name(used.get("providerID"), used.get("id"))
    times = [moment for one in turns for moment in (one.started, one.ended) if moment]
    return Transcript(
        client="opencode",
        id=name,
        source=session.source,
        turns=turns,
        parent=text(info.get("parentID")) or None,
        title="" if _UNTITLED.fullmatch(title) else title,
        directory=text(info.get("directory")),
        version=text(info.get("version")),
        agent=text(info.get("agent")) or next((one.agent for one in turns if one.agent), ""),
        model=model or next((one.model for one in turns if one.model), ""),
        started=when(mapping(info.get("time")).get("created")) or min(times, default=None),
        updated=updated or max(times, default=None),
        extra=rest(info, _SESSION) or NOTHING,
    )


def _turns(session: Session) -> tuple[Turn, ...]:
    """A turn per real request; what the client wrote in between (compaction, "continue") belongs to the one before.

    Replies name the message that they answer; one that names none follows the request before it.
    """
    ordered = _in_order(session)
    messages = _without_shell(ordered)
    drafts, home = _requests(messages)
    latest: Draft | None = None
    for message in messages:
        if message.of_user:
            latest = home[message.id]
            continue
        draft = home.get(text(message.info.get("parentID"))) or latest
        if draft is None:
            latest = draft = Draft(key=message.id)
            drafts.insert(0, draft)
        draft.replies.append(message)
        home[message.id] = draft
    reverted = text(mapping(session.info.get("revert")).get("messageID"))
    if reverted not in home and reverted in (names := [message.id for message in ordered]):
        # What the person ran by hand was taken back, and so was all that came after it.
        reverted = next((name for name in names[names.index(reverted) :] if name in home), "")
    if reverted in home:
        for draft in drafts[drafts.index(home[reverted]) :]:
            draft.reverted = True
    directory = text(session.info.get("directory"))
    return tuple(turn(draft, directory) for draft in drafts)


def _without_shell(messages: list[Message]) -> list[Message]:
    """The messages without the commands that the person ran by hand: they are no work of the agent's."""
    by_hand = {message.id for message in messages if message.of_shell}
    if not by_hand:
        return messages
    return [each for each in messages if each.id not in by_hand and text(each.info.get("parentID")) not in by_hand]


def _requests(messages: list[Message]) -> tuple[list[Draft], dict[str, Draft]]:
    """The turns, still without replies, and the one that each user message belongs to."""
    drafts: list[Draft] = []
    home: dict[str, Draft] = {}
    compacted = False
    for message in messages:
        if not message.of_user:
            continue
        asked = message.is_request
        if not drafts or (asked and not (compacted and _repeats(message, drafts[-1]))):
            drafts.append(Draft(key=message.id, user=message if asked else None))
        home[message.id] = drafts[-1]
        compacted = message.compacts
    return drafts, home


def _repeats(message: Message, draft: Draft) -> bool:
    """After a compaction forced by an overflow the client sends the person's request once more, as a new message."""
    return draft.user is not None and task_of(message) == task_of(draft.user)


def _in_order(session: Session) -> list[Message]:
    """By time of creation where every message has one, else as they came; a repeated id is refused."""
    kept: dict[str, Message] = {}
    times: list[float] = []
    for message in session.messages:
        if message.id in kept:
            session.refuse("the session has two messages of this id; the first one is read", message.id)
            continue
        kept[message.id] = message
        created = number(mapping(message.info.get("time")).get("created"))
        if created is not None:
            times.append(created)
    messages = list(kept.values())
    if len(times) < len(messages):
        return messages
    return [messages[place] for place in sorted(range(len(messages)), key=times.__getitem__)]


def _sanitized(session: Session) -> bool:
    if _SANITIZED.fullmatch(text(session.info.get("title"))):
        return True
    for message in session.messages:
        for part in message.kinds.get("text", ()):
            words = part.get("text")
            if type(words) is str and "[redacted:" in words[:40] and _SANITIZED.fullmatch(text(words).strip()):
                return True
    return False
