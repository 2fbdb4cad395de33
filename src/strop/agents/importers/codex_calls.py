"""The tool calls of a thread, joined by id with their outputs and with what the client says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from strop.agents.importers.codex_steps import Call, answer, call_of, shell_line, tell
from strop.agents.importers.codex_turn import Draft
from strop.agents.importers.fields import mapping, text
from strop.agents.transcript import Json


class Calls:
    """`turn` gives the turn that work belongs to which comes in at a time."""

    def __init__(self, turn: Callable[[Json], Draft]) -> None:
        self._turn = turn
        self._calls: dict[str, Call] = {}
        self._early: dict[str, tuple[Json, Json]] = {}
        self._sessions: dict[str, Call] = {}

    def started(self, identity: Json, name: Json, given: Json, at: Json) -> Call:
        """A call, new or seen before."""
        draft = self._turn(at)
        draft.last = "tool"
        known = identity if type(identity) is str else ""
        call = self._calls.get(known)
        if call is None:
            call = call_of(known[:200], name, given, at)
            draft.calls.append(call)
            if known:
                self._calls[known] = call
                if known in self._early:
                    self._answered(call, *self._early.pop(known))
        return call

    def output(self, identity: Json, output: Json, at: Json) -> None:
        """What the model was shown of a call."""
        if type(identity) is not str:
            return
        call = self._calls.get(identity)
        if call is None:
            # Damaged or reordered logs: the call may still come.
            self._early[identity] = (output, at)
        else:
            self._answered(call, output, at)

    def told(self, payload: Mapping[str, Json], at: Json) -> None:
        """The client's account of a command, a patch or a tool of a server, which may be all there is of the call."""
        identity = payload.get("call_id", payload.get("id"))
        source = payload.get("source")
        if type(identity) is not str or (isinstance(source, str) and source.startswith("user")):
            return
        call = self._calls.get(identity) or self._only_told(identity, payload, at)
        if payload.get("type") != "exec_command_begin":
            tell(call, payload)
            call.ended = call.ended or at

    def _only_told(self, identity: str, payload: Mapping[str, Json], at: Json) -> Call:
        if "command" in payload:
            return self.started(identity, "shell", {"command": shell_line(payload.get("command"))}, at)
        tool = mapping(payload.get("invocation")) or payload
        if "tool" in tool:
            name = f"{text(tool.get('server'))}__{text(tool.get('tool'))}"
            return self.started(identity, name, tool.get("arguments"), at)
        return self.started(identity, "apply_patch", {}, at)

    def _answered(self, call: Call, output: Json, at: Json) -> None:
        session = answer(call, output, at)
        if session is not None and call.tool != "write_stdin":
            self._sessions[session] = call
        if call.tool == "write_stdin" and call.exit_code is not None:
            # The command that was left running has ended: the code is its own, not that of looking at it.
            origin = self._sessions.get(str(call.arguments.get("session_id")))
            if origin is not None and not origin.told:
                origin.exited(call.exit_code)
