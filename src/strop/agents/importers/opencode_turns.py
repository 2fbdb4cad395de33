"""The messages of an OpenCode session between one request of the person and the next, as a turn."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from strop.agents.importers.fields import NOTHING, bounded, mapping, mappings, number, rest, text, when, whole
from strop.agents.importers.opencode_message import Message
from strop.agents.importers.opencode_steps import steps_of
from strop.agents.transcript import Finish, Json, Turn, Usage

_FINISH: dict[str, Finish] = {
    "stop": "stop",
    "end_turn": "stop",
    "tool-calls": "tools",
    "length": "length",
    "error": "error",
    "content-filter": "error",
}
_ERROR_FINISH: dict[str, Finish] = {
    "MessageAbortedError": "interrupted",
    "AbortError": "interrupted",
    "MessageOutputLengthError": "length",
}

_USER = frozenset({"id", "sessionID", "role", "time", "agent", "model", "summary"})
_ASSISTANT = frozenset(
    {
        *("id", "sessionID", "role", "parentID", "time", "modelID", "providerID", "mode", "agent", "path", "cost"),
        *("tokens", "finish", "summary", "error", "variant", "system"),
    }
)
_BARE_QUOTE = re.compile(r'(?<!\\)"')
_MAX_FILES = 1_000


@dataclass(kw_only=True, slots=True)
class Draft:
    """A turn while its messages are collected; `user` is None where the log has no request."""

    key: str
    user: Message | None = None
    replies: list[Message] = field(default_factory=list)
    reverted: bool = False


def turn(draft: Draft, directory: str) -> Turn:
    """The finished turn; `directory` is the session's."""
    user = draft.user.info if draft.user else {}
    main = next((reply for reply in reversed(draft.replies) if not reply.of_compaction), None)
    asked = mapping(user.get("model"))
    answered = main.info if main else {}
    first = user or (draft.replies[0].info if draft.replies else {})
    last = draft.replies[-1].info if draft.replies else {}
    finish, error = _ending(draft.replies, main)
    return Turn(
        key=draft.key,
        task=task_of(draft.user) if draft.user else "",
        context=_context(draft, answered, directory) or NOTHING,
        steps=tuple([step for reply in draft.replies if reply.tools for step in steps_of(reply.tools)]),
        answer="\n\n".join(main.said).strip() if main else "",
        finish=finish,
        usage=_usage(draft.replies),
        error=error,
        started=when(mapping(first.get("time")).get("created")),
        ended=when(mapping(last.get("time")).get("completed")),
        model=model_name(answered.get("providerID"), answered.get("modelID"))
        or model_name(asked.get("providerID"), asked.get("modelID")),
        agent=text(answered.get("agent")) or text(answered.get("mode")) or text(user.get("agent")),
        reverted=draft.reverted,
        extra=_extra(draft, main) or NOTHING,
    )


def model_name(provider: Json, model: Json) -> str:
    """provider/model, or what is known of it."""
    if isinstance(provider, str) and isinstance(model, str) and provider and model:
        return f"{text(provider)}/{text(model)}"
    return text(provider) or text(model)


def task_of(user: Message) -> str:
    """What the person asked for, in the person's words."""
    spoken = user.said or [text(part.get("prompt")) for part in user.subtasks]
    return _unquoted("\n\n".join(spoken).strip())


def _unquoted(task: str) -> str:
    """The task without the one pair of quotes that `opencode run "a b"` records around it, escaping those inside."""
    if len(task) < 3 or not (task[0] == task[-1] == '"'):
        return task
    inner = task[1:-1]
    if not inner.strip() or _BARE_QUOTE.search(inner):
        return task
    return inner.replace('\\"', '"').strip()


def _context(draft: Draft, answered: dict[str, Json], directory: str) -> dict[str, Json]:
    context: dict[str, Json] = {}
    if where := text(mapping(answered.get("path")).get("cwd")) or directory:
        context["directory"] = where
    if draft.user is None:
        return context
    diffs = mappings(mapping(draft.user.info.get("summary")).get("diffs"))
    changed: list[Json] = [
        {
            "file": text(diff.get("file")),
            "additions": whole(diff.get("additions")),
            "deletions": whole(diff.get("deletions")),
            **({"status": text(diff.get("status"))} if diff.get("status") else {}),
        }
        for diff in diffs[:_MAX_FILES]
        if diff.get("file")
    ]
    if changed:
        context["changed_files"] = changed
    names: list[Json] = [text(part.get("filename")) or _address(part) for part in draft.user.files[:_MAX_FILES]]
    if names:
        context["files"] = names
    return context


def _address(part: dict[str, Json]) -> str:
    """A file's address; of a `data:` one, which is the content, only its type."""
    address = text(part.get("url"))
    return address[:5] + text(part.get("mime")) if address.startswith("data:") else address[:1000]


def _ending(replies: list[Message], main: Message | None) -> tuple[Finish, str | None]:
    """How the turn ended. No finish recorded means that the client was killed, or nobody answered."""
    last = replies[-1] if replies else None
    # A failed compaction ends its turn, though the error sits on the compaction's own message.
    for reply in (last, main):
        if reply and reply.info.get("error"):
            name, words = _error(reply.info["error"])
            return _ERROR_FINISH.get(name, "error"), words
    if last is None or main is None or any(_running(part) for part in main.tools):
        return "interrupted", None
    if last is not main and not _reason(last) and not _completed(last):
        return "interrupted", None
    if reason := _reason(main):
        return _FINISH.get(reason, "unknown"), None
    return ("unknown" if _completed(main) else "interrupted"), None


def _running(part: dict[str, Json]) -> bool:
    return mapping(part.get("state")).get("status") in ("running", "pending")


def _reason(reply: Message) -> str:
    if reason := text(reply.info.get("finish")):
        return reason
    return text(reply.ends[-1].get("reason")) if reply.ends else ""


def _completed(reply: Message) -> bool:
    return mapping(reply.info.get("time")).get("completed") is not None


def _error(value: Json) -> tuple[str, str]:
    error = mapping(value)
    data = mapping(error.get("data"))
    name = text(error.get("name"))
    words = text(data.get("message")) or text(error.get("message")) or text(value)
    code = whole(data.get("statusCode"))
    told = ": ".join(part for part in (name, words) if part) or "an error without a message"
    return name, f"{told} (status {code})" if code else told


def _usage(replies: list[Message]) -> Usage:
    """Summed over the turn's messages, compaction among them: it was paid for as well."""
    sent = received = cached = reasoned = 0
    costs: list[float] = []
    for reply in replies:
        ends = () if type(reply.info.get("tokens")) is dict else reply.ends
        for source in ends or (reply.info,):
            if (cost := number(source.get("cost"))) is not None and cost >= 0:
                costs.append(cost)
            if type(tokens := source.get("tokens")) is not dict:
                continue
            received += whole(tokens.get("output"))
            sent += whole(tokens.get("input"))
            if thought := whole(tokens.get("reasoning")):
                received += thought
                reasoned += thought
            if type(cache := tokens.get("cache")) is dict:
                read = whole(cache.get("read"))
                sent += read + whole(cache.get("write"))
                cached += read
    return Usage(
        input_tokens=sent,
        output_tokens=received,
        cached_tokens=cached,
        reasoning_tokens=reasoned,
        cost_usd=round(math.fsum(costs), 12) if costs else None,
    )


def _extra(draft: Draft, main: Message | None) -> dict[str, Json]:
    extra: dict[str, Json] = {}
    if draft.user and (unknown := rest(draft.user.info, _USER)):
        extra["user"] = unknown
    if draft.user and draft.user.subtasks and not draft.user.said:
        commands = [name for part in draft.user.subtasks if (name := text(part.get("command"))[:200])]
        if commands:
            extra["command"] = commands[0]
    replies: dict[str, Json] = {}
    earlier: list[Json] = []
    odd: list[Json] = [*draft.user.odd] if draft.user else []
    for reply in draft.replies:
        odd += reply.odd
        if unknown := rest(reply.info, _ASSISTANT):
            replies[reply.id] = unknown
        if reply.info.get("error") and reply is not main and reply is not draft.replies[-1]:
            earlier.append(_error(reply.info["error"])[1])
    if replies:
        extra["replies"] = replies
    if earlier:
        extra["earlier_errors"] = earlier
    if odd:
        extra["parts"] = bounded(odd)
    return extra
