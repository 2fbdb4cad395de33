"""Tells in one pass over many texts which of them may hold any of many fixed strings.

Looking for each string by itself is a pass over everything each. Here four characters at a time are looked up in a
table, at every second place, so that a hundred strings cost hardly more than one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORTEST = 3
"""Characters of the shortest string that is looked for, but for single ones."""
_CHUNK = 2**17
_BITS = 17
_FACTOR, _OTHER_FACTOR = 0x9E3779B1, 0x85EBCA6B
_FOLD = 0x20
"""Set in every character, so that case does not count; some others become equal by it as well."""
_ANY = tuple(sorted({code | _FOLD for code in range(256)}))
_BETWEEN = b"\xff"
"""Stands between texts: no part of any string, and no white space."""
_SPACES = tuple(sorted({code | _FOLD for code in b" \n"}))
_COMMON = b" etaoinshrdlucmfwypvbgk"


class Sieve:
    """`groups` are ASCII strings by a group's bit: of one character, or of `SHORTEST` and more.

    A space in one of them stands for a new line as well.
    """

    def __init__(self, groups: Mapping[int, Iterable[str]]) -> None:
        windows: dict[int, int] = {}
        self._singles: dict[int, int] = {}
        for bit, strings in groups.items():
            for string in strings:
                if len(string) == 1:
                    self._singles[ord(string)] = self._singles.get(ord(string), 0) | bit
                else:
                    for window in _windows(string.encode()):
                        windows[window] = windows.get(window, 0) | bit
        self._windows = sorted(windows.items())
        self._tables: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]] | None = None

    def sift(self, texts: Sequence[str]) -> dict[int, int]:
        """Texts that may hold something, by index, with the bits of the groups. No text that holds one is left out."""
        # Whatever is no Latin-1 becomes one question mark, so that places in the bytes are places in the texts.
        data = _BETWEEN.join([text.encode("latin-1", "replace") for text in texts])
        found: dict[int, int] = {}
        if not data:
            return found
        places, bits = self._places(data + 6 * _BETWEEN)
        if places:
            self._assign(places, bits, [len(text) + 1 for text in texts], found)
        return found

    def _places(self, data: bytes) -> tuple[list[Any], list[Any]]:
        import numpy as np

        wanted, groups, table, second = self._tables or self._built()
        places: list[Any] = []
        bits: list[Any] = []
        for start in range(0, len(data), _CHUNK):
            for offset in (0, 2):
                count = (min(_CHUNK + 2, len(data) - start) - offset) // 4
                if count <= 0:
                    continue
                seen = np.frombuffer(data, "<u4", count, start + offset) | np.uint32(_FOLD * 0x01010101)
                at = np.flatnonzero(table.take((seen * np.uint32(_FACTOR)) >> np.uint32(32 - _BITS), mode="clip"))
                if len(at):
                    values = seen[at]
                    # Most have only met in the table; they part in a second one.
                    likely = second.take((values * np.uint32(_OTHER_FACTOR)) >> np.uint32(32 - _BITS), mode="clip")
                    at, values = at[likely], values[likely]
                    rank = np.searchsorted(wanted, values)
                    sure = wanted.take(rank, mode="clip") == values
                    # A window may begin one character before its string; the next one is always inside.
                    places.append(at[sure] * 4 + (start + offset + 1))
                    bits.append(groups[rank[sure]])
        for character, bit in self._singles.items():
            at = np.flatnonzero(np.frombuffer(data, "u1") == character)
            places.append(at)
            bits.append(np.full(len(at), bit))
        return places, bits

    def _assign(self, places: list[Any], bits: list[Any], lengths: Sequence[int], found: dict[int, int]) -> None:
        import numpy as np

        ends = np.fromiter(accumulate(lengths), np.int64, len(lengths))
        where = np.searchsorted(ends, np.concatenate(places), side="right")
        for index, bit in set(zip(where.tolist(), np.concatenate(bits).tolist(), strict=True)):
            if index < len(lengths):
                found[index] = found.get(index, 0) | bit

    def _built(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        import numpy as np

        wanted = np.array([window for window, _ in self._windows], np.uint32)
        groups = np.array([bits for _, bits in self._windows], np.int64)
        table, second = np.zeros(2**_BITS, bool), np.zeros(2**_BITS, bool)
        table[(wanted * np.uint32(_FACTOR)) >> np.uint32(32 - _BITS)] = True
        second[(wanted * np.uint32(_OTHER_FACTOR)) >> np.uint32(32 - _BITS)] = True
        self._tables = wanted, groups, table, second
        return self._tables


def _windows(string: bytes) -> Iterator[int]:
    """Every four characters of which one lies at an even place wherever the string does, folded, as numbers."""
    codes: list[Sequence[int]] = [_SPACES if code == _FOLD else (code | _FOLD,) for code in string]
    if len(codes) == SHORTEST:
        codes = [_ANY, *codes, _ANY]
    elif len(codes) == SHORTEST + 1:
        codes.append(_ANY)
    start = min(range(len(codes) - 4), key=lambda at: _frequency(string[at : at + 5]))
    for first in (start, start + 1):
        for window in product(*codes[first : first + 4]):
            yield int.from_bytes(bytes(window), "little")


def _frequency(part: bytes) -> int:
    """How common the characters are in texts, so that a string is known by its rarest part."""
    return sum(len(_COMMON) - _COMMON.index(code) for code in part.lower() if code in _COMMON)
