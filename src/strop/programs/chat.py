"""DSPy's chat format, with what is the same in every call of a program written once. The messages are DSPy's own."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

import dspy

KEPT = 256
"""System messages and sets of examples remembered; a program needs one of each for every predictor."""


class _Memory:
    """The last few things made, by identity of what they were made from and checked against it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: OrderedDict[Any, tuple[Any, Any]] = OrderedDict()

    def find(self, key: Any, source: Any) -> Any:
        """What was made from exactly this source, or None."""
        with self._lock:
            known = self._made.get(key)
        return known[1] if known is not None and known[0] == source else None

    def keep(self, key: Any, source: Any, made: Any) -> None:
        with self._lock:
            self._made[key] = source, made
            if len(self._made) > KEPT:
                self._made.popitem(last=False)


_systems, _examples, _requirements = _Memory(), _Memory(), _Memory()


class ChatAdapter(dspy.ChatAdapter):
    """`dspy.ChatAdapter`. It keeps the name, by which DSPy's stream listeners know what they listen to."""

    def format_system_message(self, signature: type[dspy.Signature]) -> str:
        source = _words(signature)
        text = _systems.find(signature, source)
        if text is None:
            text = super().format_system_message(signature)
            _systems.keep(signature, source, text)
        return text

    def user_message_output_requirements(self, signature: type[dspy.Signature]) -> str:
        text = _requirements.find(signature, None)
        if text is None:
            text = super().user_message_output_requirements(signature)
            _requirements.keep(signature, None, text)
        return text

    def format_demos(self, signature: type[dspy.Signature], demos: list[Any]) -> list[dict[str, Any]]:
        if not demos:
            return []
        key, source = (signature, *map(id, demos)), [dict(demo) for demo in demos]
        messages = _examples.find(key, source)
        if messages is None:
            messages = super().format_demos(signature, demos)
            if not all(_plain(value) for demo in source for value in demo.values()):
                return messages
            _examples.keep(key, source, messages)
        return [dict(message) for message in messages]


def _words(signature: type[dspy.Signature]) -> list[Any]:
    """All that a system message is made of, apart from the fields' types, which never change."""
    extras: list[Any] = [field.json_schema_extra for field in signature.fields.values()]
    return [signature.__doc__, [dict(extra) for extra in extras]]


def _plain(value: Any) -> bool:
    """Whether equal values are sure to be written alike and cannot change under us."""
    return isinstance(value, str | int | float | bool | None)
