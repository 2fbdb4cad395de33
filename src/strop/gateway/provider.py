"""A provider answers one request, or says in one word why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response


class Provider(Protocol):
    """One model behind one endpoint. Thread-safe; makes exactly one attempt."""

    @property
    def endpoint(self) -> str:
        """Where it answers, without credentials; part of a call's identity."""
        ...

    @property
    def features(self) -> frozenset[str]:
        """What the endpoint can do: `function_calling`, `reasoning`, `response_schema`, and its parameter names."""
        ...

    def complete(self, request: Request, *, rollout: int | None, index: int) -> Response:
        """Answer. `rollout` and `index` tell apart independent samples of one request. The usage counts cached tokens
        within the input and reasoning within the output.

        Raises:
            CallFailed: no answer, and why.
        """
        ...
