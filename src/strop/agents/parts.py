"""What we put into a file, each thing with its way back: a whole file, a marked section, a key, an item of a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from strop.errors import BadInput
from strop.exporters import add_item, edit, get, load, put, remove, take_out

_LOSSLESS = "surrogateescape"
"""Other people's files are not always UTF-8; every byte of theirs must come through."""

SCHEMA = "https://opencode.ai/config.json"


class Part(BaseModel):
    """One thing of ours in one file, for one agent of one client."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client: str
    agent: str
    kind: Literal["file", "section", "key", "item"]
    text: str = ""
    """Content of a whole file, or a section with its marks."""
    keys: tuple[str, ...] = ()
    """The way to a key or a list in JSON with comments."""
    value: Any = None

    @property
    def owner(self) -> tuple[str, str]:
        return self.client, self.agent

    @property
    def mark(self) -> str:
        """The name in a section's marks: two clients may share one AGENTS.md."""
        return self.text.partition("\n")[0].split()[2] if self.kind == "section" else ""


def applied(base: bytes | None, parts: Sequence[Part], *, file: str) -> bytes | None:
    """`base` (None: no such file) with `parts` in it, in their order.

    Raises:
        BadInput: the file is no JSON with comments, but has to be.
    """
    content = base
    for part in parts:
        text = (content or b"").decode("utf-8", _LOSSLESS)
        if part.kind in {"key", "item"} and not text.strip():
            # OpenCode writes this key into settings that lack it, which would look like somebody's change.
            text = edit("", ("$schema",), SCHEMA)
        if part.kind == "file":
            text = part.text
        elif part.kind == "section":
            text = put(text, part.mark, part.text)
        elif part.kind == "key":
            text = edit(text, part.keys, part.value, file=file)
        else:
            text = add_item(text, part.keys, part.value, file=file)
        content = text.encode("utf-8", _LOSSLESS)
    return content


def without(current: bytes | None, parts: Sequence[Part], base: bytes | None, *, file: str) -> bytes | None:
    """`current`, which somebody has changed since, without our parts; what they replaced in `base` comes back.

    A key that no longer holds our value is theirs and stays. A file that was not there before and has nothing left but
    what we made goes.
    """
    if current is None or any(part.kind == "file" for part in parts):
        return base
    text, before = current.decode("utf-8", _LOSSLESS), (base or b"").decode("utf-8", _LOSSLESS)
    for part in reversed(parts):
        if part.kind == "section":
            text = take_out(text, part.mark)
        elif part.kind == "item":
            text = remove(text, part.keys, item=part.value, file=file)
        elif get(text, part.keys, file=file) == part.value:
            earlier = get(before, part.keys, file=file)
            text = remove(text, part.keys, file=file) if earlier is None else edit(text, part.keys, earlier, file=file)
    if base is None and (not text.strip() or (parts[0].keys and load(text, file=file) in ({}, {"$schema": SCHEMA}))):
        return None
    return text.encode("utf-8", _LOSSLESS)


def defined(part: Part, base: bytes | None, *, file: str) -> bool:
    """Whether `base` has an agent of its own under the name of ours. Another default agent is no such thing."""
    if part.kind != "key" or len(part.keys) < 2:
        return False
    return get((base or b"").decode("utf-8", _LOSSLESS), part.keys, file=file) not in (None, part.value)


def check_readable(parts: Sequence[Part], base: bytes | None, *, file: str) -> None:
    """
    Raises:
        BadInput: our parts in `base` do not say what they were meant to say.
    """
    made = (applied(base, parts, file=file) or b"").decode("utf-8", _LOSSLESS)
    for keys, value in {part.keys: part.value for part in parts if part.kind == "key"}.items():
        if get(made, keys, file=file) != value:
            raise BadInput(f"{'.'.join(keys)} could not be set", file=file)
