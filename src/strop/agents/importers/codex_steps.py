"""Codex's tool calls, their outputs and the events about them, as steps."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from strop.agents.importers.codex_words import words_of
from strop.agents.importers.fields import NOTHING, bounded, flag, mapping, maybe_whole, number, seconds_between, when
from strop.agents.importers.lines import parsed
from strop.agents.transcript import Json, Step, StepStatus, clipped

_TOOLS = {
    "apply_patch": "patch", "container.exec": "bash", "exec_command": "bash", "grep_files": "grep", "list_dir": "list",
    "local_shell": "bash", "read_file": "read", "shell": "bash", "shell_command": "bash", "spawn_agent": "task",
    "unified_exec": "bash", "update_plan": "todo", "web_search": "search",
}  # fmt: skip
_HEADER = re.compile(
    r"(?:Chunk ID: [^\n]*\n)?(?:Wall time: (?P<wall>[\d.]+)[^\n]*\n)?"
    r"(?:Process exited with code (?P<exit>-?\d{1,10})\n)?"
    r"(?:Process running with session ID (?P<session>\d{1,12})\n)?(?:Original token count: \d+\n)?Output:\n?"
)
_FREEFORM = re.compile(
    r"Exit code: (?P<exit>-?\d{1,10})\nWall time: (?P<wall>[\d.]+)[^\n]*\n(?:Total output lines: \d+\n)?Output:\n?"
)
_REFUSED = re.compile(r"[^\n]{0,80}rejected by (?:the )?user|This action was rejected|[^\n]{0,80}approval policy", re.I)
_FAILED = re.compile(
    r"\s*(?:apply_patch verification failed|(?:\w+_\w+ )?failed\b|error\b|execution error|unsupported"
    r"|unable to locate image)",
    re.I,
)
_NO_TOOL = re.compile(r"unsupported (?:custom tool )?call: |failed to parse function arguments", re.I)
_ABORTED = re.compile(r"(?:Wall time: [^\n]{1,40}\n)?aborted(?: by user| *$)", re.I)
_PATCH = re.compile(r"\s*(?:apply_patch|applypatch)\s*<<\s*['\"]?(\w+)['\"]?[^\n]*\n(.*?)\n?\1\s*$", re.DOTALL)
_DEEP = 12


@dataclass(slots=True)
class Call:
    """One tool call while its session is being read; times are still texts."""

    id: str
    tool: str
    arguments: Mapping[str, Json]
    started: Json
    ended: Json = None
    result: str = ""
    status: StepStatus = "unfinished"
    exit_code: int | None = None
    seconds: float | None = None
    told: bool = False
    """An event of the client said how it ended, which outweighs what the output says."""
    known: bool = True
    """The client has such a tool."""
    extra: dict[str, Json] = field(default_factory=dict)

    def step(self) -> Step:
        """The call as it stands now."""
        started = when(self.started)
        seconds = self.seconds
        if seconds is None and self.ended is not None:
            seconds = seconds_between(started, when(self.ended))
        return Step(
            tool=self.tool,
            arguments=self.arguments,
            result=self.result,
            status=self.status,
            exit_code=self.exit_code,
            call=self.id,
            started=started,
            seconds=seconds,
            extra=self.extra or NOTHING,
        )

    def abort(self) -> None:
        """Write down that it was stopped; the code that the client makes up for it is none of the command's."""
        self.status, self.exit_code = "aborted", None

    def exited(self, code: int) -> None:
        """Write down an exit code and what it means."""
        if self.status == "aborted" and code < 0:
            return
        self.exit_code = code
        if self.status not in ("denied", "aborted"):
            self.status = "ok" if code == 0 else "failed"


def call_of(identity: str, name: Json, given: Json, at: Json) -> Call:
    """A call from the model's own item: `given` is an object, or the text of one, or free text."""
    name = name if isinstance(name, str) else ""
    if isinstance(given, str) and given[:1] == "{":
        try:
            given = parsed(given)
        except ValueError:
            given = {"input": given}
    elif isinstance(given, str):
        given = {"input": given} if given else {}
    arguments = mapping(bounded(given, _DEEP))
    tool = _TOOLS.get(name, clipped(name, 200))
    if tool == "bash":
        if isinstance(words := arguments.get("command"), list) and words[:1] in (["apply_patch"], ["applypatch"]):
            patch = words[1] if len(words) == 2 else None
            return Call(id=identity, tool="patch", arguments={"patch": patch}, started=at)
        arguments = _command(arguments)
        if patch := _PATCH.match(str(arguments.get("command", ""))):
            tool, arguments = "patch", {"patch": patch[2] + "\n"}
    elif tool == "patch" and "input" in arguments:
        arguments = {"patch": arguments["input"], **{key: arguments[key] for key in arguments if key != "input"}}
    return Call(id=identity, tool=tool, arguments=arguments, started=at, known=name in _TOOLS)


def _command(arguments: Mapping[str, Json]) -> dict[str, Json]:
    """The shell line under the one name `command`, whichever way this version spells it."""
    others = {key: arguments[key] for key in arguments if key not in ("cmd", "command")}
    given = arguments.get("cmd", arguments.get("command"))
    return {"command": shell_line(given), **others} if given is not None else others


def shell_line(given: Json) -> str:
    """The line that a shell was given, out of its argument list."""
    if isinstance(given, list):
        words = [word for word in given if isinstance(word, str)]
        if len(words) == 3 and words[1] in ("-lc", "-c"):
            return words[2]
        return shlex.join(words)
    return given if isinstance(given, str) else ""


def answer(call: Call, output: Json, at: Json) -> str | None:
    """Write what the model was shown into its call; the id of the shell session where the command still runs."""
    call.ended = at
    text, code, success, session = _read(call, output)
    call.result = clipped(text)
    if call.told:
        call.exit_code = code if call.exit_code is None else call.exit_code
        if _ABORTED.match(text[:300]):
            call.abort()
        return session
    start = text[:300]
    if _ABORTED.match(start):
        call.abort()
    elif code is not None:
        call.exited(code)
    elif _NO_TOOL.match(start):
        # A tool of the client's own that this model was not given has failed; any other does not exist.
        call.status = "failed" if call.known and not start.startswith("failed to parse") else "invalid"
    elif _REFUSED.match(start):
        call.status = "denied"
    elif success is not None:
        call.status = "ok" if success else "failed"
    elif _FAILED.match(start):
        call.status = "failed"
    elif call.tool == "patch":
        call.status = "ok" if start.startswith(("Success", "Done")) else "unknown"
    else:
        call.status = "unknown" if call.tool == "bash" else "ok"
    return session


def _read(call: Call, output: Json) -> tuple[str, int | None, bool | None, str | None]:
    """The tool's words, exit code, success and shell session in one of the five shapes that versions have used."""
    success: bool | None = None
    if isinstance(output, dict):
        success = flag(output.get("success"))
        output = output.get("content", output.get("output"))
    if isinstance(output, list):
        output = words_of(output)
    text = output if isinstance(output, str) else ""
    if text.startswith(('{"output":', '{"metadata":')):
        try:
            found = mapping(parsed(text))
        except ValueError:
            found = mapping(None)
        details = mapping(found.get("metadata"))
        if isinstance(inner := found.get("output"), str):
            _lasted(call, details.get("duration_seconds"))
            return inner, maybe_whole(details.get("exit_code")), success, None
    code, session = None, None
    if header := _HEADER.match(text):
        text = text[header.end() :]
        code, session = maybe_whole(header["exit"]), header["session"]
        _lasted(call, header["wall"] if code is not None else None)
    if code is None and session is None and (header := _FREEFORM.match(text)):
        text = text[header.end() :]
        code = maybe_whole(header["exit"])
        _lasted(call, header["wall"])
    return text, code, success, session


def _lasted(call: Call, seconds: Json) -> None:
    if call.seconds is None:
        call.seconds = number(seconds)


def tell(call: Call, event: Mapping[str, Json]) -> None:
    """Write the client's own account of how a command, a patch or a tool of a server ended into its call."""
    status = event.get("status")
    duration = event.get("duration")
    seconds = number(mapping(duration).get("secs"))
    if seconds is not None:
        call.seconds = round(seconds + (number(mapping(duration).get("nanos")) or 0) / 1e9, 6)
    code = maybe_whole(event.get("exit_code"))
    if status in ("declined", "Declined"):
        call.status, call.told = "denied", True
    elif code is not None:
        call.told = True
        call.exited(code)
    elif (success := flag(event.get("success"))) is not None:
        call.status, call.told = "ok" if success else "failed", True
    elif status in ("failed", "completed"):
        call.status, call.told = "ok" if status == "completed" else "failed", True
    if not call.result:
        for key in ("aggregated_output", "formatted_output", "stdout", "stderr"):
            if isinstance(words := event.get(key), str) and words:
                call.result = clipped(words)
                break
    result = mapping(event.get("result"))
    if "Err" in result or mapping(result.get("Ok")).get("isError") is True or mapping(event.get("error")):
        call.status, call.told = "failed", True
    elif "Ok" in result:
        call.status, call.told = "ok", True
    changes = event.get("changes")
    if isinstance(changes, dict):
        call.extra["files"] = [clipped(path, 1_000) for path in list(changes)[:100]]
    elif isinstance(changes, list):
        paths = [mapping(change).get("path") for change in changes[:100]]
        call.extra["files"] = [clipped(path, 1_000) for path in paths if isinstance(path, str)]
