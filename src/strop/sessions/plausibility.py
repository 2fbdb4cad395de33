"""Whether a text can be an answer at all: language or well-formed data, or words thrown together.

No dictionary and no model: sentences need small words in the right places, texts do not repeat themselves, data parse.
It is a floor under the quality score, not a judge of content: only a task metric knows what is right.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
SENTENCE = re.compile(r"[.!?]+(?=\s|$)|\n+|[。！？]")
TERSE = 8
"""The fewer of so many words a text has, the more it can be a label, a name or a title, which need no small words."""
SMALL_WORDS_WANTED = 0.18
"""Share of small words from which a text passes; prose has .35 to .55, lists of points .2, lists of keywords none."""
_CODE = re.compile(r"```.*?(?:```|$)", re.DOTALL)
_DETERMINERS = frozenset(["the", "a", "an", "my", "your", "their", "our", "its", "his", "every"])
_NEVER_AFTER_DETERMINER = _DETERMINERS | frozenset(
    [
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "with",
        "into",
        "and",
        "or",
        "but",
        "nor",
        "is",
        "are",
        "was",
        "were",
        "be",
        "am",
        "been",
        "has",
        "have",
        "had",
        "do",
        "does",
        "did",
        "will",
        "would",
        "can",
        "could",
        "shall",
        "should",
        "may",
        "might",
        "must",
        "that",
        "which",
        "who",
        "if",
        "because",
        "than",
        "as",
        "it",
        "they",
        "we",
        "you",
        "he",
        "she",
        "i",
    ]
)
_NEVER_LAST = _DETERMINERS | frozenset(
    ["of", "and", "or", "but", "nor", "from", "into", "than", "if", "because", "is", "are", "was", "were"]
) - {"his"}
_DOUBLED = frozenset(
    [
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "with",
        "into",
        "and",
        "or",
        "but",
        "is",
        "are",
        "was",
        "were",
        "be",
        "it",
        "they",
        "we",
        "you",
    ]
)
_SMALL = tuple(
    frozenset(words.split())
    for words in (
        # The most frequent small words of a language; the language with most hits counts.
        "the a an of to in on at by for from with into over under about and or but nor not no is are was were be been "
        "am has have had do does did will would can could should may might must that which who this these those it its "
        "they them their we our you your he she his her i my me if as than then so when while where how what all any "
        "each more most very up out there here only also just",
        "der die das den dem des ein eine einen einem einer und oder aber nicht ist sind war waren hat haben mit von "
        "zu im in am an auf für bei aus nach über unter als wie dass sie er es wir ihr ich man auch nur so sich wird "
        "werden kann zum zur durch um noch schon",
        "le la les l un une des du de d et ou mais ne pas est sont était a ont avec pour dans sur sous par en au aux "
        "ce cette ces qui que qu il elle ils elles nous vous je se sa son ses leur plus très comme si y",
        "el la los las un una unos unas de del y o pero no es son era fue ha han con para por en sobre entre al lo le "
        "les que quien se su sus este esta estos ella ellos nosotros yo más muy como si también cuando ya",
        "il lo la i gli le un uno una di del della dei e o ma non è sono era ha hanno con per in su da dal al alla che "
        "chi si suo sua questo questa più molto come se anche quando",
        "o a os as um uma de do da dos das e ou mas não é são era foi tem com para por em no na nos nas que quem se "
        "seu sua este esta mais muito como também quando já",
        "de het een en of maar niet is zijn was waren heeft hebben met van voor in op aan bij uit naar over onder als "
        "dan dat die dit deze ze hij wij je ik er ook nog zo te om wordt worden kan",
    )
)  # fmt: skip


def plausibility(output: str) -> float:
    """From 0 (words thrown together, noise) to 1 (nothing speaks against it).

    The product of three shares: small words in prose, places where grammar holds, and text that is not repeated.
    Scripts without spaces, and languages whose small words are not known here, are only held to the third.
    """
    text = output.strip()
    if not text:
        return 0.0
    if (document := _parsed(text)) is not None:
        return _lowest(document)
    prose = _CODE.sub(" ", text)
    if not prose.strip():
        return 1.0 if _balanced(text) else 0.5
    return _prose(prose)


def coherence(output: str) -> float:
    """Logical flow as far as it shows: plausible text, in sentences that are not wildly unequal in length.

    The unevenness of the guide (variance of sentence lengths in characters over 10,000) takes at most half.
    """
    lengths = [len(part.strip()) for part in SENTENCE.split(output) if part.strip()]
    if not lengths:
        return 0.0
    mean = sum(lengths) / len(lengths)
    variance = sum((length - mean) ** 2 for length in lengths) / len(lengths)
    return plausibility(output) * (1 - min(0.5, variance / 10_000))


def words_of(text: str) -> list[str]:
    """The words of a text in lower case."""
    return [word.lower().replace("’", "'") for word in WORD.findall(text)]


def _prose(text: str) -> float:
    words = words_of(text)
    if not words:
        return 1.0 if any(sign.isalnum() for sign in text) else 0.0
    if not _spaced(text, words):
        return _unrepeated(words if len(text) / len(words) < 25 else list(text))
    english, *others = (sum(word in language for word in words) for language in _SMALL)
    small = max(english, *others) + SMALL_WORDS_WANTED * max(0, TERSE + 1 - len(words))
    grammar = _grammatical(text) if english >= max(others) else 1.0
    return min(1.0, small / (SMALL_WORDS_WANTED * len(words))) * grammar * _unrepeated(words)


def _spaced(text: str, words: Sequence[str]) -> bool:
    """Latin letters in words of a usual length: the only texts whose grammar is looked at."""
    letters = sum(map(len, words))
    latin = sum(letter < "ɐ" for word in words for letter in word)
    return latin > 0.8 * letters and len(text) / len(words) < 25


def _grammatical(text: str) -> float:
    """1 without slips in the places that English grammar decides, 0 when a third of them or more are slips."""
    slips = places = 0
    for sentence in SENTENCE.split(text):
        words = words_of(sentence)
        if len(words) < 4:
            continue
        for first, second in pairwise(words):
            if first in _DETERMINERS:
                places += 1
                slips += second in _NEVER_AFTER_DETERMINER
            elif first in _DOUBLED:
                places += 1
                slips += first == second
        places += 1
        slips += words[-1] in _NEVER_LAST
    return max(0.0, 1 - 3 * slips / places) if places > 2 else 1.0


def _unrepeated(words: Sequence[str]) -> float:
    """1 unless the same runs of words come again and again, or one word fills the text."""
    if len(words) < 4:
        return 1.0
    size = 3 if len(words) >= 12 else 1
    runs = Counter(tuple(words[at : at + size]) for at in range(len(words) - size + 1))
    distinct = len(runs) / runs.total()
    return min(1.0, distinct / 0.5)


def _parsed(text: str) -> object | None:
    """A JSON object or array; None for anything else."""
    if text[0] not in "{[" or len(text) > 100_000:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _lowest(document: object) -> float:
    """Of all texts in a document the least plausible one."""
    lowest, rest = 1.0, [document]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            rest.extend(_values(one.values()))
        elif isinstance(one, list):
            rest.extend(_values(one))
        elif isinstance(one, str) and one.strip():
            lowest = min(lowest, _prose(one))
    return lowest


def _values(found: Iterable[object]) -> list[object]:
    return list(found)


def _balanced(code: str) -> bool:
    """Every kind of bracket is closed as often as it is opened."""
    return all(code.count(a) == code.count(b) for a, b in ("()", "[]", "{}"))
