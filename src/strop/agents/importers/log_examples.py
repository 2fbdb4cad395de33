"""The session-log format's examples, as documented and as its recorder really writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import orjson

from strop.agents.importers.fields import (
    bounded,
    bounded_mapping,
    flag,
    mapping,
    mappings,
    maybe_whole,
    number,
    rest,
    text,
    when,
    whole,
)
from strop.agents.importers.lines import MAX_REFUSED, parsed
from strop.agents.importers.tool_names import neutral
from strop.agents.transcript import Json, Refusal, Step, StepStatus, Transcript, Turn, Usage, clipped

_LOOKS = frozenset({"read", "glob", "grep", "list", "fetch", "search"})
_SAID_ERROR = re.compile(
    r"\s*(?:error|failed|enoent|file not found|no such file|\w*(?:error|exception):)", re.IGNORECASE
)

_HEADER = frozenset({"session", "examples"})
_EXAMPLE = frozenset({"input", "actions", "output", "outcome", "agent", "metadata"})
_INPUT = frozenset({"task", "context", "conversationHistory"})
_OUTPUT = frozenset({"response", "finalMessage"})
_OUTCOME = frozenset({"success", "taskCompleted", "metrics", "evaluation"})
_AGENT = frozenset({"name", "model", "promptTokens", "completionTokens"})
_ACTION = frozenset({"step", "tool", "callID", "args", "timestamp", "result", "success"})


class Complaints:
    """What is wrong in one document, each named by its path; beyond the first few they are only counted."""

    def __init__(self, source: str, line: int | None = None, prefix: str = "") -> None:
        self.source = source
        self.line = line
        self._prefix = prefix
        self._found: list[Refusal] = []
        self._more = 0

    def inside(self, prefix: str) -> Complaints:
        """A page of its own for one entry of a list."""
        return Complaints(self.source, self.line, self._prefix + prefix)

    def add(self, row: str, reason: str) -> None:
        """Refuse what is at `row`, `examples[3].actions[0].tool` say."""
        if len(self._found) == MAX_REFUSED:
            self._more += 1
            return
        where = f"{self._prefix}{row}".rstrip(".")
        self._found.append(Refusal(source=self.source, reason=reason, line=self.line, row=where or None))

    def refusals(self) -> Iterator[Refusal]:
        yield from self._found
        if self._more:
            yield Refusal(source=self.source, line=self.line, reason=f"{self._more} further places are wrong likewise")

    @property
    def place(self) -> str:
        """The file, and the line in it where it holds a session a line."""
        return self.source if self.line is None else f"{self.source}:{self.line}"


def session_of_examples(log: Mapping[str, Json], complaints: Complaints) -> Transcript | None:
    """The session of a document with `examples`; None, and a complaint, where they cannot be read at all."""
    examples = log.get("examples")
    if not isinstance(examples, list):
        complaints.add("examples", f"a list is expected, not {kind(examples)}")
        return None
    turns: list[Turn] = []
    for index, example in enumerate(examples):
        turn = _turn(example, index, complaints)
        if turn is not None:
            turns.append(turn)
    first = mapping(examples[0]) if examples else {}
    session = text(log.get("session")) or text(mapping(first.get("metadata")).get("sessionId"))
    if not session:
        complaints.add("session", "the session's name is missing")
        return None
    if not turns and examples:
        return None
    started = min((turn.started for turn in turns if turn.started), default=None)
    ended = max((turn.ended for turn in turns if turn.ended), default=None)
    return Transcript(
        client="log",
        id=session,
        source=complaints.place,
        turns=tuple(turns),
        directory=next((text(turn.context.get("directory")) for turn in turns if turn.context.get("directory")), ""),
        agent=next((turn.agent for turn in turns if turn.agent), ""),
        model=next((turn.model for turn in turns if turn.model), ""),
        started=started,
        updated=when(log.get("generated")) or ended,
        label=_session_label(log),
        extra=rest(log, _HEADER),
    )


def _session_label(log: Mapping[str, Json]) -> bool | None:
    """The newer header's overallSuccess; the older one's outcome, which is a success only when the task was done."""
    if "overallSuccess" in log:
        return flag(log["overallSuccess"])
    outcome = mapping(log.get("outcome"))
    success = flag(outcome.get("success"))
    return False if success and flag(outcome.get("taskCompleted")) is False else success


def _turn(example: Json, index: int, complaints: Complaints) -> Turn | None:
    row = f"examples[{index}]"
    if not isinstance(example, dict):
        complaints.add(row, f"an object is expected, not {kind(example)}")
        return None
    given = example.get("input")
    if not isinstance(given, dict):
        complaints.add(f"{row}.input", f"an object is expected, not {kind(given)}")
        return None
    task = given.get("task")
    if not isinstance(task, str) or not task.strip():
        complaints.add(f"{row}.input.task", "it is empty" if task == "" else f"a text is expected, not {kind(task)}")
        return None
    steps = _steps(example.get("actions"), row, complaints)
    output, outcome = mapping(example.get("output")), mapping(example.get("outcome"))
    agent, metadata = mapping(example.get("agent")), mapping(example.get("metadata"))
    metrics = mapping(outcome.get("metrics"))
    times = [step.started for step in steps if step.started]
    noted = when(metadata.get("timestamp"))
    times = [*times, noted] if noted else times
    response = text(output.get("response"))
    return Turn(
        key=str(index + 1),
        task=clipped(task),
        context=_context(given),
        steps=steps,
        answer=response or text(output.get("finalMessage")),
        usage=_usage(agent, mapping(metrics.get("tokenCost"))),
        started=min(times, default=None),
        ended=max(times, default=None),
        model=text(agent.get("model")),
        agent=text(agent.get("name")),
        label=flag(outcome.get("success")),
        label_complete=flag(outcome.get("taskCompleted")),
        extra=_kept(example, output, outcome, agent),
    )


def _context(given: Mapping[str, Json]) -> dict[str, Json]:
    """What the client knew: the recorder's own words, beside our names for what other clients know as well."""
    known = dict(bounded_mapping(given.get("context")))
    directory, git = known.pop("workingDirectory", None), mapping(known.get("gitStatus"))
    if isinstance(directory, str) and directory:
        known["directory"] = directory
    if isinstance(branch := git.get("branch"), str):
        known["branch"] = branch
    if isinstance(changed := git.get("uncommittedChanges"), list):
        known["changed_files"] = changed
    if history := mappings(given.get("conversationHistory")):
        known["history"] = bounded([*history])
    return known | rest(given, _INPUT)


def _usage(agent: Mapping[str, Json], cost: Mapping[str, Json]) -> Usage:
    """Tokens of the turn: the itemised count, whose input leaves the cache out; else the agent's plain sums."""
    cache = mapping(cost.get("cache"))
    read, written = whole(cache.get("read")), whole(cache.get("write"))
    return Usage(
        input_tokens=whole(cost.get("input")) + read + written or whole(agent.get("promptTokens")),
        output_tokens=whole(cost.get("output")) or whole(agent.get("completionTokens")),
        cached_tokens=read,
        cost_usd=number(agent.get("cost")),
    )


def _kept(
    example: Mapping[str, Json], output: Mapping[str, Json], outcome: Mapping[str, Json], agent: Mapping[str, Json]
) -> dict[str, Json]:
    """Evidence for the outcome (`metrics`, `evaluation`) and every field that has no place of its own."""
    found: dict[str, Json] = {
        "metrics": bounded(outcome.get("metrics")),
        "evaluation": bounded(outcome.get("evaluation")),
        "metadata": bounded(example.get("metadata")),
        "final_message": text(output.get("finalMessage")) if output.get("response") else "",
        "output": rest(output, _OUTPUT),
        "outcome": rest(outcome, _OUTCOME),
        "agent": rest(agent, _AGENT),
    }
    return {name: value for name, value in found.items() if value} | rest(example, _EXAMPLE)


def _steps(actions: Json, row: str, complaints: Complaints) -> tuple[Step, ...]:
    if actions is None:
        return ()
    if not isinstance(actions, list):
        complaints.add(f"{row}.actions", f"a list is expected, not {kind(actions)}")
        return ()
    found = [step_of_action(action, f"{row}.actions[{index}]", complaints) for index, action in enumerate(actions)]
    return tuple([step for step in found if step is not None])


def step_of_action(action: Json, row: str, complaints: Complaints) -> Step | None:
    """One recorded tool call; None, and a complaint, where it does not say which tool or what with."""
    if not isinstance(action, dict):
        complaints.add(row, f"an object is expected, not {kind(action)}")
        return None
    name, given = action.get("tool"), _arguments(action.get("args"))
    if not isinstance(name, str) or not name:
        complaints.add(f"{row}.tool", f"the tool's name is expected, not {kind(name)}")
        return None
    if given is None:
        complaints.add(f"{row}.args", f"an object is expected, not {kind(action.get('args'))}")
        return None
    tool = neutral(name)
    result, success = result_text(action.get("result")), flag(action.get("success"))
    extra = rest(action, _ACTION)
    status = _status(tool, result, success)
    if success is False and status == "unknown":
        extra["success"] = False
    return Step(
        tool=tool,
        arguments=bounded_mapping(given),
        result=result,
        status=status,
        exit_code=maybe_whole(action.get("exitCode")),
        call=text(action.get("callID")),
        started=when(action.get("timestamp")),
        extra=extra,
    )


def _status(tool: str, result: str, success: bool | None) -> StepStatus:
    """The recorder calls a result failed when it contains the word "error" anywhere, the text of a file among it."""
    if tool == "invalid":
        return "invalid"
    if success is None:
        return "unknown"
    if success:
        return "ok"
    misread = tool in _LOOKS and result and not _SAID_ERROR.match(result)
    return "unknown" if misread else "failed"


def _arguments(value: Json) -> dict[str, Json] | None:
    if value is None:
        return {}
    if isinstance(value, str):
        try:
            value = parsed(value)
        except ValueError:
            return None
    return value if isinstance(value, dict) else None


def result_text(value: Json) -> str:
    """A result as text; what is not text is written as JSON."""
    if value is None or isinstance(value, str):
        return text(value)
    return clipped(orjson.dumps(bounded(value)).decode())


def kind(value: Json) -> str:
    """What a JSON value is, in a reader's words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    names = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number"}
    return names[type(value)]
