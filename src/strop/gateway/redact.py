"""Secrets are taken out of every text before it is stored, logged or shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

REDACTED = "[redacted]"
_NAME = re.compile(r"(API_?KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL)", re.IGNORECASE)
_SHAPES = re.compile(
    r"\b(?:sk-(?:ant-|proj-)?[A-Za-z0-9_\-]{16,}|AIza[0-9A-Za-z_\-]{30,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|xox[abprs]-[A-Za-z0-9\-]{10,}|gsk_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,})"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?i:(?<=bearer )[A-Za-z0-9._\-]{12,})"
)
_HINTS = ("sk-", "AIza", "AKIA", "gh", "xox", "gsk_", "xai-", "hf_", "://", "earer ")


class Redactor:
    """Knows the secret values of this process and the shapes that keys have."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        environment = (value for name, value in os.environ.items() if _NAME.search(name))
        self._secrets = tuple(
            sorted({value for value in (*secrets, *environment) if len(value) >= 8}, key=len, reverse=True)
        )

    def __call__(self, text: str) -> str:
        """The text without known secrets and without anything shaped like one."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        if any(hint in text for hint in _HINTS):
            text = _SHAPES.sub(REDACTED, text)
        return text
