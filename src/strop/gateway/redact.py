"""Secrets are taken out of every text before it is stored, logged or shown."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from urllib.parse import quote

REDACTED = "[redacted]"
SHORTEST = 8
_NAME = re.compile(r"(API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)", re.IGNORECASE)
# What such a variable may hold without being secret: a word, a number, a path. Taking those out would mangle answers.
_ORDINARY = re.compile(r"[a-z]{1,15}|[A-Z]{1,15}|[A-Z]?[a-z]{1,14}|[\d.,_]{1,11}|[./~][\w./~-]*", re.ASCII)
# Keys have digits in them; words that begin like one (`sk-learn-compatible-models`, `bearer certificates`) have none.
_SHAPES = re.compile(
    r"\b(?:sk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{16,}|AIza[0-9A-Za-z_-]{30,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|github_pat_[A-Za-z0-9_]{30,}|xox[abprs]-[A-Za-z0-9-]{10,}|gsk_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}"
    r"|hf_[A-Za-z0-9]{20,}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)"
    r"|(?<=://)[^/\s:@\"'\\]{0,200}:[^/\s@\"'\\]{1,200}(?=@)"
    r"|(?i:(?<=bearer )(?=[A-Za-z._~+/-]*\d)[A-Za-z0-9._~+/-]{12,}=*)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.DOTALL,
)
_HINTS = ("sk-", "AIza", "AKIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "xox", "gsk_", "xai-", "hf_",
          "eyJ", "://", "earer ", "EARER ", "PRIVATE KEY")  # fmt: skip


class Redactor:
    """Knows the secret values of this process and the shapes that keys have."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self.lessons: object = None
        """Another object whenever there is more to take out: what was redacted before must be redacted again."""
        self.learn(*secrets)
        environment = (value for name, value in os.environ.items() if _NAME.search(name))
        self.learn(*(value for value in environment if not _ORDINARY.fullmatch(value)))

    def learn(self, *secrets: str) -> None:
        """Take these values out too, as they are and as JSON and addresses write them; short ones are no secrets."""
        long = [secret for secret in secrets if len(secret) >= SHORTEST]
        written = {form for secret in long for form in _written(secret)}
        self._secrets = tuple(sorted({*self._secrets, *written}, key=len, reverse=True))
        self.lessons = self._secrets

    def __call__(self, text: str) -> str:
        """The text without known secrets and without anything shaped like one."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        for hint in _HINTS:
            if hint in text:
                return _SHAPES.sub(REDACTED, text)
        return text


def storable(text: str) -> str:
    """The text without what a database refuses: NUL, and halves of surrogate pairs (as `?`)."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _written(secret: str) -> set[str]:
    return {secret, json.dumps(secret)[1:-1], _json(secret), quote(secret), quote(secret, safe="")}


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
