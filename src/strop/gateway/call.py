"""One model call as the ledger knows it, and the identity under which it is recorded and found again."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson

from strop.errors import FailureKind
from strop.gateway.prices import TokenUse

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response

Source = Literal["paid", "embedded", "replayed", "shared"]
Status = Literal["open", "ok", "failed", "lost"]
Role = Literal["task", "prompt", "teacher", "judge"]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a call has no answer."""

    kind: FailureKind
    detail: str


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What the ledger says about a finished call: an answer or a final failure, with what it cost and took."""

    id: str
    response: str | None
    failure: Failure | None
    use: TokenUse | None
    cost_pico: int | None
    latency_us: int


def canonical(request: Request) -> bytes:
    """The request as stable bytes: the text that is sent, the tools and the sampling settings, nothing else."""
    from dspy._vendor.lm15.serde import request_to_dict

    return orjson.dumps(request_to_dict(request), option=orjson.OPT_SORT_KEYS)


_PLAIN = {"id", "model", "message", "finish_reason", "usage"}


class Reply:
    """A model's answer: fresh, or as it was stored; either is made into the other only when asked for."""

    __slots__ = ("_response", "_stored")

    def __init__(self, *, response: Response | None = None, stored: str | None = None) -> None:
        self._response = response
        self._stored = stored

    @property
    def response(self) -> Response:
        if self._response is None:
            assert self._stored is not None
            self._response = revived(self._stored)
        return self._response

    @property
    def text(self) -> str | None:
        """The answer when it is text and nothing else, else None."""
        from dspy import lm15

        if self._response is None:
            assert self._stored is not None
            stored = orjson.loads(self._stored)
            if _is_plain(stored):
                return stored["message"]["parts"][0]["text"]
        parts = self.response.message.parts
        only = parts[0] if len(parts) == 1 else None
        return only.text if isinstance(only, lm15.TextPart) else None


def _is_plain(stored: dict[str, Any]) -> bool:
    parts = stored["message"]["parts"]
    return (
        stored.keys() <= _PLAIN
        and len(parts) == 1
        and parts[0].keys() == {"type", "text"}
        and parts[0]["type"] == "text"
    )


def revived(text: str) -> Response:
    """The response that was stored as `text`."""
    from dspy import lm15
    from dspy._vendor.lm15.serde import response_from_dict

    stored = orjson.loads(text)
    if _is_plain(stored):
        # Nearly every answer: the general way checks what was checked when it was stored, at three times the cost.
        return lm15.Response(
            id=stored.get("id"),
            model=stored["model"],
            message=lm15.Message(role="assistant", parts=(lm15.TextPart(stored["message"]["parts"][0]["text"]),)),
            finish_reason=stored["finish_reason"],
            usage=lm15.Usage(**stored["usage"]),
        )
    return response_from_dict(stored)


def call_key(request: bytes, endpoint: str, rollout: int | None, index: int) -> str:
    """Identity of a call: equal keys are one sample, recorded once. A new sample asks for a new rollout or index."""
    digest = hashlib.sha256(request)
    digest.update(f"\0{endpoint}\0{rollout}\0{index}".encode())
    return digest.hexdigest()[:40]


_ids = random.SystemRandom()
_life = f"{_ids.getrandbits(24):06x}"
_count_lock = threading.Lock()
_count = 0


def new_id() -> str:
    """32 hex digits that sort by time: milliseconds, a counter of this process, chance."""
    global _count  # noqa: PLW0603 - one counter a process keeps ids of one millisecond in order
    with _count_lock:
        _count = (_count + 1) & 0xFFFF
        count = _count
    return f"{time.time_ns() // 1_000_000:012x}{count:04x}{_ids.getrandbits(64):016x}"


def process_name() -> str:
    """This process, as written on the rows that it owns.

    A container started again often has the host name and the process id of its last life: chance tells them apart.
    """
    return f"{os.uname().nodename[:48]}:{os.getpid()}:{_life}"


def now_us() -> int:
    """Wall clock in microseconds since 1970 UTC."""
    return time.time_ns() // 1000
