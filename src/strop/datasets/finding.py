"""What looking at data brings to light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing about the data that its owner should know.

    `error` means that the data must not be used as it is, `warning` that results will suffer, `note` that a promise is
    limited. `code` is stable, `examples` holds a few ids.
    """

    level: Level
    code: str
    message: str
    remedy: str
    examples: tuple[str, ...] = ()
