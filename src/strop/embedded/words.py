"""Text as the embedded models see it: tokens, stems, weighted features. Cached, because texts come again."""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

_STOP_WORDS = """
    a about above after again all also am an and any are as at be because been before being below between both but by
    can cannot could did do does doing don done down during each etc few for from further get given got had has have
    having he her here hers him his how i if in into is it its itself just like may me might mine more most must my no
    nor not now of off on once one only or other our ours out over own per please s same shall she should so some such
    t than that the their theirs them then there these they thing things this those through to too under until up upon
    us use used uses using very via was we were what when where which while who whom why will with within without would
    you your yours yes"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

TOKEN = re.compile(r"\w{1,4}|[^\w\s]")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:['’][a-z]+)?|\d+[A-Za-z][A-Za-z0-9]*")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})+(?:\.\d+)?|(?<![\w.])[-+]?\d+(?:\.\d+)?(?![\w])")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")
_VOWELS = "aeiouy"


def count_tokens(text: str) -> int:
    """Tokens by the one rule of all embedded models: up to four word characters, or one sign."""
    return len(TOKEN.findall(text))


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A word without its commonest English endings, lower case; crude on purpose, the same for everybody."""
    word = word.lower()
    if word.endswith(("'s", "’s")):
        word = word[:-2]
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-2] if word.endswith(("ches", "shes", "xes", "sses", "zes")) else word[:-1]
    for ending in ("ing", "ed", "ly"):
        base = word[: -len(ending)]
        if word.endswith(ending) and len(base) >= 3 and any(letter in _VOWELS for letter in base):
            word = base[:-1] if base[-1] == base[-2] and base[-1] not in "lsz" else base
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


@lru_cache(maxsize=4_096)
def words(text: str) -> tuple[str, ...]:
    """The words of a text as written, numbers left out."""
    return tuple(_WORD.findall(text))


@lru_cache(maxsize=4_096)
def stems(text: str) -> tuple[str, ...]:
    """Stems of the words that carry meaning, in order."""
    return tuple(stem(word) for word in words(text) if word.lower() not in STOP_WORDS)


@lru_cache(maxsize=4_096)
def features(text: str, bigrams: bool, char_grams: bool) -> tuple[tuple[str, float], ...]:
    """Each feature once with its weight: stems 1.0, `a_b` neighbours 0.7, `#piece` of long words 0.15."""
    plain = stems(text)
    found: dict[str, float] = dict.fromkeys(plain, 1.0)
    if bigrams:
        found.update((f"{left}_{right}", 0.7) for left, right in pairwise(plain))
    if char_grams:
        for word in plain:
            if len(word) >= 5:
                found.update((f"#{word[start : start + 4]}", 0.15) for start in range(len(word) - 3))
    return tuple(found.items())


@lru_cache(maxsize=4_096)
def numbers(text: str) -> tuple[float, ...]:
    """The numbers of a text in order; thousands separators are understood."""
    return tuple(float(found.replace(",", "")) for found in _NUMBER.findall(text))


@lru_cache(maxsize=4_096)
def sentences(text: str) -> tuple[str, ...]:
    """The sentences and lines of a text, stripped, none empty."""
    return tuple(piece.strip() for piece in _SENTENCE_END.split(text) if piece.strip())


def shorten(text: str, limit: int) -> str:
    """The first `limit` characters on one line, cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[:limit].rsplit(" ", 1)[0] + " ..."


def join_words(items: Iterable[str]) -> str:
    """`a, b and c`."""
    listed = list(items)
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}" if listed else ""
