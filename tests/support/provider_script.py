"""A model that follows a script: the answers of an agent's session in order, tool calls among them."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.faults import Fault
from tests.support.provider_wire import Answer, Messages, ToolCall, count_tokens


@dataclass(frozen=True)
class Use:
    """A tool call of the script: arguments as an object, or as text for a free-form tool."""

    tool: str
    arguments: dict[str, Any] | str


Step = str | Use | Sequence[str | Use]
"""One answer: text, a tool call, or text with several calls."""


class Script:
    """Answers requests that offer tools with the steps in order.

    Requests without tools (a title for the session, a check of the key) get `aside` and take no step. A request beyond
    the last step is refused in a way that no client repeats, and `assert_played` tells of it.
    """

    def __init__(self, *steps: Step, aside: str = "Fix the sum") -> None:
        self._steps = [(step,) if isinstance(step, str | Use) else tuple(step) for step in steps]
        self._aside = aside
        self._asked = 0
        self._lock = threading.Lock()

    def __call__(self, messages: Messages, model: str, params: dict[str, Any]) -> Answer | Fault:
        sent = sum(count_tokens(text) for _, text in messages)
        if not params.get("tools"):
            return Answer(text=self._aside, input_tokens=sent, output_tokens=count_tokens(self._aside))
        with self._lock:
            number, self._asked = self._asked, self._asked + 1
        if number >= len(self._steps):
            return Fault("404")
        parts = self._steps[number]
        text = "\n".join(part for part in parts if isinstance(part, str))
        calls = tuple(
            ToolCall(name=part.tool, arguments=part.arguments, id=f"call_{number}_{place}")
            for place, part in enumerate(parts)
            if isinstance(part, Use)
        )
        said = text + "".join(call.name + json.dumps(call.arguments) for call in calls)
        return Answer(text=text, input_tokens=sent, output_tokens=count_tokens(said), tools=calls)

    def assert_played(self) -> None:
        """Every step was asked for, and nothing more."""
        assert self._asked == len(self._steps), f"the client asked {self._asked} times for {len(self._steps)} steps"
