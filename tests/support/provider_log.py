"""What the provider server received: the log that tests read, and the search for leaked keys in it."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AUTH_HEADERS = frozenset({"authorization", "x-api-key", "x-goog-api-key"})


@dataclass
class ReceivedRequest:
    """One HTTP request as it came over the wire. Times are `time.monotonic()`; `finished` is None while it is open."""

    number: int
    """Position among the model calls, from 1; 0 for a stray (a request to a path that no dialect serves)."""
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    raw: bytes
    body: Any
    """The parsed JSON, None when there was none."""
    dialect: str | None
    model: str = ""
    messages: tuple[tuple[str, str], ...] = ()
    stream: bool = False
    in_flight: int = 0
    """Model calls open at its arrival, itself included."""
    started: float = field(default_factory=time.monotonic)
    finished: float | None = None
    status: int | None = None
    """What was answered; None when no response was sent (hang, reset) or none yet."""
    fault: str | None = None

    @property
    def client(self) -> str:
        """ "native" for DSPy's own client, "litellm" for anything else."""
        return "native" if self.headers.get("user-agent", "").startswith("lm15") else "litellm"

    @property
    def system(self) -> str:
        """The system prompt: all system messages, wherever the dialect puts them."""
        return "\n\n".join(text for role, text in self.messages if role == "system")


class RequestLog:
    """Counts and keeps requests; safe to read from the test while the server writes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[ReceivedRequest] = []
        self._strays: list[ReceivedRequest] = []
        self._open = 0
        self._peak = 0

    def arrived(self, request: ReceivedRequest) -> None:
        with self._lock:
            if request.dialect is None:
                self._strays.append(request)
                return
            self._calls.append(request)
            request.number = len(self._calls)
            self._open += 1
            self._peak = max(self._peak, self._open)
            request.in_flight = self._open

    def left(self, request: ReceivedRequest) -> None:
        with self._lock:
            request.finished = time.monotonic()
            if request.dialect is not None:
                self._open -= 1

    @property
    def calls(self) -> list[ReceivedRequest]:
        with self._lock:
            return list(self._calls)

    @property
    def strays(self) -> list[ReceivedRequest]:
        with self._lock:
            return list(self._strays)

    @property
    def in_flight(self) -> int:
        with self._lock:
            return self._open

    @property
    def peak_in_flight(self) -> int:
        with self._lock:
            return self._peak

    def places_of(self, secret: str) -> list[str]:
        """Every place outside the authentication headers where the secret was sent, as `#3 header x-foo`."""
        places: list[str] = []
        for request in [*self.calls, *self.strays]:
            parts = {"path": request.path, "query": request.query, "body": request.raw.decode(errors="replace")}
            parts |= {f"header {name}": value for name, value in request.headers.items() if name not in AUTH_HEADERS}
            places += [f"#{request.number} {part}" for part, value in parts.items() if secret in value]
        return places
