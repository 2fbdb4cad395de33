"""Takes what is private out of histories before anything is stored or shown to a model.

Taken out: keys and tokens of known kinds, values that their names call secret, Authorization and cookie headers,
passwords in addresses, private keys, e-mail addresses, the secret values of this process's environment, and what the
user lists. Home directories of any user become `~`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from strop.agents.injection import SIFTED
from strop.agents.marks import folded, places
from strop.agents.secret_shapes import (
    HEADER_MARKS,
    HOME,
    HOME_MARKS,
    JWT,
    KEYS,
    NAME_MARKS,
    PRIVATE_KEY,
    PROJECT_HOME_MARKS,
    SIFTED_NAMES,
    URL_PASSWORD,
    WINDOWS_HOME_MARKS,
    Span,
    addresses,
    assignments,
    headers,
    key_tails,
    project_homes,
    windows_homes,
)  # fmt: skip
from strop.agents.sieve import SHORTEST, Sieve
from strop.agents.texts import TranscriptTexts, collect, rebuilt
from strop.agents.transcript import Json, Transcript
from strop.errors import SettingsError

RedactionKind = Literal[
    "listed", "environment", "private key", "key", "jwt", "url password", "header", "assigned value", "e-mail",
    "home path",
]  # fmt: skip
SAMPLES = 5
"""Kept of each kind, masked."""

_SECRET_NAME = re.compile(r"API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_ORDINARY = re.compile(r"[A-Za-z]{1,15}|[\d.,_]{1,11}|[./~][\w./~-]*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One thing that was taken out, masked: its beginning and its length."""

    kind: RedactionKind
    masked: str


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A redacted transcript, and which of its texts may deserve flags (see `injection.flags_of`)."""

    transcript: Transcript
    suspects: Mapping[int, int]


class Redaction:
    """Redacts texts, JSON values and whole transcripts, and counts what it took out.

    `listed` are the user's own words; one between slashes (`/cust-\\d+/`) is a regular expression.

    Raises:
        SettingsError: a regular expression cannot be used.
    """

    def __init__(self, listed: Iterable[str] = (), *, environment: Mapping[str, str] | None = None) -> None:
        self.counts: Counter[RedactionKind] = Counter()
        self.samples: list[Sample] = []
        self._shown: Counter[RedactionKind] = Counter()
        words = [word.strip() for word in listed if word.strip()]
        plain = sorted((word for word in words if not _is_pattern(word)), key=len, reverse=True)
        self._words = tuple(word.lower() for word in plain if word.isascii() and len(word) >= SHORTEST)
        others = (re.compile(re.escape(word), re.IGNORECASE) for word in plain if word.lower() not in self._words)
        self._patterns = (*(_pattern(word) for word in words if _is_pattern(word)), *others)
        values = (os.environ if environment is None else environment).items()
        secrets = {value for name, value in values if len(value) >= 8 and _SECRET_NAME.search(name)}
        self._environment = tuple(sorted((each for each in secrets if not _ORDINARY.fullmatch(each)), key=len)[::-1])
        self._foreign = tuple(secret for secret in self._environment if not secret.isascii())
        own = {_LISTED: self._words, _ENVIRONMENT: tuple(filter(str.isascii, self._environment))}
        # What deserves a flag is looked for in the same pass.
        suspicious = {bit << _FLAGS: hints for bit, hints in SIFTED.items()}
        self._sieve = Sieve({**own, **{group.bit: group.sifted for group in _GROUPS}, **suspicious})

    def text(self, text: str) -> str:
        """The text without what is private. Doing it twice changes nothing more."""
        return self._clean(text, ~0)

    def json(self, value: Json) -> Json:
        """The value with every string and key redacted."""
        texts: list[str] = []
        collect(value, texts)
        return rebuilt(value, self._changed(texts, {}))

    def transcript(self, transcript: Transcript) -> Transcript:
        """The transcript with every text redacted, ids too; two ids that differ still do."""
        return self.cleaned(transcript).transcript

    def cleaned(self, transcript: Transcript) -> Cleaned:
        """`transcript`, with what was seen on the way."""
        texts, suspects = TranscriptTexts(transcript), dict[int, int]()
        changed = self._changed(texts.all, suspects)
        if changed or texts.too_deep:
            transcript = texts.rebuilt(changed)
        return Cleaned(transcript=transcript, suspects=suspects)

    def _changed(self, texts: Sequence[str], suspects: dict[int, int]) -> dict[int, str]:
        """The redacted form of each text that holds something private, by the identity of the text."""
        found = self._sieve.sift(texts)
        for index in self._unsifted(texts):
            found[index] = found.get(index, 0) | _LISTED | _ENVIRONMENT
        changed: dict[int, str] = {}
        for index in sorted(found):
            text = texts[index]
            kinds = found[index] >> _FLAGS
            clean = self._clean(text, found[index]) if found[index] & _PRIVATE else text
            if clean is not text:
                changed[id(text)] = clean
            # What is put in place of secrets is no part of any hint, so none can have come into the text.
            if kinds:
                suspects[id(clean)] = kinds
        return changed

    def _unsifted(self, texts: Sequence[str]) -> Iterator[int]:
        """Texts that hold what a sieve cannot look for."""
        if self._patterns or self._foreign:
            for index, text in enumerate(texts):
                if any(pattern.search(text) for pattern in self._patterns) or any(
                    map(text.__contains__, self._foreign)
                ):
                    yield index

    def _clean(self, text: str, groups: int) -> str:
        """The text without what those detectors find whose bits are in `groups`."""
        for kind, find in self._detectors(text, groups):
            spans = list(find(text))
            if spans:
                text = self._replaced(text, spans, kind)
        return text

    def _detectors(self, text: str, groups: int) -> list[tuple[RedactionKind, Finder]]:
        """Those that could find something in `text`, in the order in which they must look."""
        found: list[tuple[RedactionKind, Finder]] = []
        data = folded(text)
        if groups & _LISTED:
            found.extend(("listed", _word(word)) for word in self._words if word.encode() in data)
            found.extend(("listed", _finder(pattern)) for pattern in self._patterns)
        if groups & _ENVIRONMENT:
            found.extend(("environment", _literal(secret)) for secret in self._environment if secret in text)
        if groups & _KEYS:
            found.extend(("key", _key_finder(pattern)) for prefix, pattern in KEYS if prefix in text)
        for group in _GROUPS:
            if groups & group.bit and any(mark in data for mark in group.marks):
                found.extend((group.kind, find) for find in group.finders)
        return found

    def _replaced(self, text: str, spans: Iterable[Span], kind: RedactionKind) -> str:
        parts: list[str] = []
        done = 0
        for start, end in spans:
            if start < done or "[redacted" in text[start:end]:
                continue
            taken = text[start:end]
            home = kind == "home path"
            parts += [text[done:start], _home(taken) if home else f"[redacted {kind}]"]
            done = end
            self._count(kind, taken)
        return "".join([*parts, text[done:]]) if parts else text

    def _count(self, kind: RedactionKind, taken: str) -> None:
        self.counts[kind] += 1
        if self._shown[kind] < SAMPLES:
            self._shown[kind] += 1
            shown = taken[: min(4, len(taken) // 8)]
            self.samples.append(Sample(kind=kind, masked=f"{shown}… ({len(taken)} characters)"))


Finder = Callable[[str], Iterator[Span]]


def _is_pattern(word: str) -> bool:
    return len(word) > 2 and word[0] == word[-1] == "/"


def _pattern(word: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(word[1:-1])
    except re.error as error:
        raise SettingsError(f"the redaction {word!r} is no regular expression: {error}") from error
    if pattern.match(""):
        raise SettingsError(f"the redaction {word!r} matches the empty text", hint="it would match everywhere")
    return pattern


def _word(word: str) -> Finder:
    """Finds a word that the user listed, whatever its case."""
    return lambda text: (Span(at, at + len(word)) for at in places(text, (word,)))


def _finder(pattern: re.Pattern[str], group: int = 0) -> Finder:
    return lambda text: (Span(*match.span(group)) for match in pattern.finditer(text))


def _key_finder(pattern: re.Pattern[str]) -> Finder:
    def find(text: str) -> Iterator[Span]:
        for match in pattern.finditer(text):
            start = match.start()
            if start == 0 or not (text[start - 1].isalnum() or text[start - 1] == "_"):
                yield Span(start, match.end())

    return find


def _home_finder(text: str) -> Iterator[Span]:
    for match in HOME.finditer(text):
        start = match.start()
        if start == 0 or not (text[start - 1].isalnum() or text[start - 1] in "_.~-"):
            yield Span(start, match.end())


def _home(taken: str) -> str:
    return "-~" if taken.startswith("-") else "~"


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Detectors of one kind that look at a text only if one of `marks`, in lower case, is in it."""

    bit: int
    kind: RedactionKind
    marks: tuple[bytes, ...]
    finders: tuple[Finder, ...]
    sifted: tuple[str, ...]
    """What the sieve looks for: the marks, or something rarer without which there is no match."""


_LISTED, _ENVIRONMENT, _KEYS = 1, 2, 4
_FLAGS = 16
"""The bits of flags stand this far above those of what is private."""
_PRIVATE = (1 << _FLAGS) - 1


def _group(bit: int, kind: RedactionKind, marks: Sequence[str], *finders: Finder, sifted: Sequence[str] = ()) -> _Group:
    encoded = tuple(mark.encode() for mark in marks)
    return _Group(bit=bit, kind=kind, marks=encoded, finders=finders, sifted=tuple(sifted or marks))


# In this order: what is found first is gone for those after it.
_GROUPS = (
    _group(_KEYS, "key", (), sifted=[prefix for prefix, _ in KEYS]),
    _group(8, "jwt", ("eyj",), _finder(JWT)),
    _group(16, "private key", ("private key",), _finder(PRIVATE_KEY), key_tails),
    _group(32, "url password", ("://",), _finder(URL_PASSWORD, 1), sifted="@"),
    _group(64, "header", HEADER_MARKS, headers),
    _group(128, "assigned value", NAME_MARKS, assignments, sifted=SIFTED_NAMES),
    _group(256, "home path", HOME_MARKS, _home_finder),
    _group(512, "home path", WINDOWS_HOME_MARKS, windows_homes),
    _group(1024, "home path", PROJECT_HOME_MARKS, project_homes),
    _group(2048, "e-mail", ("@",), addresses),
)


def _literal(secret: str) -> Finder:
    return _finder(re.compile(re.escape(secret)))
