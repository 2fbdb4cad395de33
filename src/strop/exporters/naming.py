"""Names that are harmless as a file's name everywhere, and that each client takes for an agent."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST = 64
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)", re.IGNORECASE)
"""Device names of Windows; a file cannot have them, whatever its extension."""


def slug(name: str) -> str:
    """`name` in lower-case letters, digits, dots, dashes and underscores, 1 to 64 of them.

    `qwen2.5-coder:7b-optimized` becomes `qwen2.5-coder-7b-optimized`. A name of which nothing would be left, or that
    is too long, gets a hash of the whole, so that two of them stay two.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"\.{2,}", ".", re.sub(r"[^a-z0-9._]+", "-", plain))
    words = re.sub(r"-{2,}", "-", words).strip("-._")
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    letters = sum(unicodedata.category(one)[0] == "L" for one in unicodedata.normalize("NFKC", name))
    kept = sum(one.isalpha() for one in words)
    if not words or letters > 2 * kept + 2:
        words = f"{words}-{mark}".strip("-") if words else f"agent-{mark}"
    if _RESERVED.fullmatch(words.split(".")[0]):
        words = f"agent-{words}"
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 9].rstrip('-._')}-{mark}"


def plain_slug(name: str) -> str:
    """A slug without dots and underscores: Claude Code's agents are named in letters, digits and dashes."""
    return re.sub(r"[._]+", "-", slug(name))
