"""Finds examples that ask the same thing twice, in time that grows with the number of rows, not of pairs.

Two rows are near duplicates when every input field says the same: after case, spacing and punctuation are levelled,
their sets of 5-character pieces overlap (Jaccard) by 0.7 or more, once with and once without the pieces that so many
rows share that they are a template and not content. Numbers and operators must be the same and in the same order: rows
that differ in a number are different questions. The search is exact for rows of up to 256 pieces (prefix filtering:
Bayardo, Ma and Srikant, "Scaling up all pairs similarity search", WWW 2007); longer rows are compared by their 256
pieces of smallest hash (Broder, "On the resemblance and containment of documents", 1997).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from strop.datasets.example import Example, canonical

SIMILAR = 0.7
PIECE = 5
SKETCH = 256

_TOKEN = re.compile(r"""\d+(?:[.,]\d+)*|[^\W\d]+|[^\w\s.,;:!?'"()…‘’“”]""")
_EXACT = re.compile(r"\d+(?:[.,]\d+)*|[+*/=<>^%]|-(?= \d)")
_HYPHEN = re.compile(r"(?<=[^\W\d])-(?=[^\W\d])")

Pieces = frozenset[int]
Clusters = tuple[tuple[int, ...], ...]


class Partition:
    """Union-find over 0..n-1."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, item: int) -> int:
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.find(one), self.find(other)))
        self._parent[second] = first

    def clusters(self) -> Clusters:
        """Every cluster, also those of one, by first member."""
        members: dict[int, list[int]] = defaultdict(list)
        for item in range(len(self._parent)):
            members[self.find(item)].append(item)
        return tuple(tuple(cluster) for cluster in members.values())


def exact_clusters(examples: Sequence[Example]) -> Clusters:
    """Indexes of examples whose inputs are equal, clusters of two and more."""
    by_inputs: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        by_inputs[canonical(example.inputs)].append(index)
    return tuple(tuple(cluster) for cluster in by_inputs.values() if len(cluster) > 1)


def similar(examples: Sequence[Example]) -> Partition:
    """Exact and near duplicates joined; what is similar to a third through a second is joined with it."""
    partition = Partition(len(examples))
    first_with: dict[tuple[str, ...], int] = {}
    for index, example in enumerate(examples):
        fields = tuple(levelled(example.inputs[name]) for name in sorted(example.inputs))
        partition.join(first_with.setdefault(fields, index), index)
    texts = list(first_with)
    indexes = list(first_with.values())
    for one, other in _near(texts):
        partition.join(indexes[one], indexes[other])
    return partition


def levelled(value: Any) -> str:
    """Text without case, spacing and sentence punctuation; operators, signs and emoji stay."""
    text = value if isinstance(value, str) else canonical(value)
    text = _HYPHEN.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(_TOKEN.findall(text)) or text.strip()


def _near(texts: Sequence[tuple[str, ...]]) -> Iterator[tuple[int, int]]:
    """Pairs of rows that are near duplicates; a row is the tuple of its levelled fields."""
    whole = [_sketch(frozenset().union(*map(_pieces, fields, range(len(fields))))) for fields in texts]
    spread = Counter(piece for pieces in whole for piece in pieces)
    limit = max(10, min(100, len(texts) // 20))
    template = frozenset(piece for piece, rows in spread.items() if rows > limit)
    told = [pieces - template for pieces in whole]
    numbers = [tuple(_EXACT.findall("\n".join(fields))) for fields in texts]
    for one, other in _candidates(told, spread):
        if (
            numbers[one] == numbers[other]
            and _jaccard(told[one], told[other]) >= SIMILAR
            and _jaccard(whole[one], whole[other]) >= SIMILAR
            and _fields_agree(texts[one], texts[other], template)
        ):
            yield one, other


def _candidates(rows: Sequence[Pieces], spread: Counter[int]) -> Iterator[tuple[int, int]]:
    """Pairs that share one of their rarest pieces: no pair above the threshold can do without."""
    postings: dict[int, list[int]] = defaultdict(list)
    for index in sorted((each for each in range(len(rows)) if rows[each]), key=lambda each: len(rows[each])):
        pieces = sorted(rows[index], key=lambda piece: (spread[piece], piece))
        prefix = pieces[: len(pieces) - math.ceil(SIMILAR * len(pieces)) + 1]
        shortest = SIMILAR * len(pieces)
        met = {other for piece in prefix for other in postings[piece]}
        yield from ((other, index) for other in sorted(met) if len(rows[other]) >= shortest)
        for piece in prefix:
            postings[piece].append(index)


def _fields_agree(one: tuple[str, ...], other: tuple[str, ...], template: Pieces) -> bool:
    """True when each field on its own is similar: the same passage with another question is another example."""
    if len(one) != len(other):
        return False
    for number, (left, right) in enumerate(zip(one, other, strict=True)):
        pieces = _pieces(left, number), _pieces(right, number)
        if left != right and (
            _jaccard(*pieces) < SIMILAR or _jaccard(pieces[0] - template, pieces[1] - template) < SIMILAR
        ):
            return False
    return True


def _pieces(text: str, field: int) -> Pieces:
    """Hashes of the 5-character pieces of a field, the 256 smallest of a long one; the same in every process."""
    import numpy as np

    # UTF-16 makes a piece five characters in every script; the products are meant to wrap around.
    letters = np.frombuffer(text.ljust(PIECE, "\0").encode("utf-16-le", "surrogatepass"), dtype="<u2").astype(np.uint64)
    count = len(letters) - PIECE + 1
    hashes = np.full(count, field + 1, dtype=np.uint64)
    for offset in range(PIECE):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + letters[offset : offset + count]
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(0xD6E8FEB86659FD93)
    hashes ^= hashes >> np.uint64(32)
    return frozenset((np.unique(hashes)[:SKETCH] if count > SKETCH else hashes).tolist())


def _sketch(pieces: Pieces) -> Pieces:
    return pieces if len(pieces) <= SKETCH else frozenset(sorted(pieces)[:SKETCH])


def _jaccard(one: Pieces, other: Pieces) -> float:
    both = len(one & other)
    either = len(one) + len(other) - both
    return both / either if either else 0.0
