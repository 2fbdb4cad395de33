"""A plain log file of one training run: one line an event, secrets taken out, so that it can be sent around."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TextIO

from strop.errors import StoreUnwritable
from strop.events import Event
from strop.gateway import Redactor

MAX_LINE = 4_000


class RunLog:
    """Hears a run's events inside a `with` block; `say` adds a line of one's own."""

    def __init__(self, directory: Path, name: str, redact: Redactor) -> None:
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        self.path = directory / f"{name}-{started}.log"
        self._redact = redact
        self._file: TextIO | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("x", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise StoreUnwritable(f"the log {str(self.path)!r} cannot be written: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def hear(self, event: Event) -> None:
        """One line for an event; of progress only the end of each evaluation."""
        if event.name == "evaluation.progress" and event.data.get("done") != event.data.get("wanted"):
            return
        told = " ".join(
            f"{key}={json.dumps(value, ensure_ascii=False, default=str)}" for key, value in event.data.items()
        )
        self._write(event.at, f"{event.scope} {event.name} {told}".strip())

    def say(self, text: str) -> None:
        """A line in words."""
        self._write(datetime.now(UTC), " ".join(text.split()))

    def _write(self, at: datetime, text: str) -> None:
        line = self._redact(text)
        line = line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}..."
        with self._lock:
            if self._file is not None:
                self._file.write(f"{at.strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z {line}\n")
                self._file.flush()
