"""Finds fixed strings in texts, whatever their case, in few fast passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def folded(text: str) -> bytes:
    """The text as UTF-8, its ASCII letters in lower case; far faster than `str.lower` where not all is ASCII."""
    return text.encode("utf-8", "surrogatepass").lower()


def places(text: str, marks: Iterable[str]) -> Iterator[int]:
    """Where in `text` each mark (in lower case) begins, whatever its case there, in order."""
    data = folded(text)
    found: list[int] = []
    for mark in marks:
        wanted = mark.encode()
        at = data.find(wanted)
        while at >= 0:
            found.append(at)
            at = data.find(wanted, at + len(wanted))
    found.sort()
    if len(data) == len(text):
        yield from found
        return
    done, characters = 0, 0
    for at in found:
        characters += len(data[done:at].decode("utf-8", "surrogatepass"))
        done = at
        yield characters
