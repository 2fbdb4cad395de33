"""What English words mean, as far as 48 numbers a word can say: the embedded models' only outside knowledge.

The table beside this file is made by `scripts/make_vectors.py`. Everything works without it, only less well: when the
file is missing, or `STROP_EMBEDDED_VECTORS=off` is set, every word is unknown.
"""

import logging
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)

DIMENSIONS = 48
TABLE_FILE = Path(__file__).with_name("vectors.npz")
SWITCH = "STROP_EMBEDDED_VECTORS"

_SHORTEST_STEM = 3
_VOWELS = "aeiou"


@dataclass(frozen=True, kw_only=True)
class WordTable:
    """Lower-case words and their unit vectors; `rows[index[word]]` belongs to `word`."""

    index: dict[str, int]
    rows: NDArray[np.float32]

    def row(self, word: str) -> int | None:
        """The row of a word, or of the first of its base forms that the table knows."""
        lowered = word.lower()
        found = self.index.get(lowered)
        if found is not None:
            return found
        return next((self.index[base] for base in base_forms(lowered) if base in self.index), None)


def base_forms(word: str) -> Iterator[str]:
    """The words that a lower-case word may be an inflection of, likeliest first; no dictionary is asked.

    >>> list(base_forms("shipping"))
    ['ship', 'shipp', 'shippe']
    """
    for ending in ("'s", "’s", "s'", "'"):
        if word.endswith(ending) and len(word) > len(ending):
            word = word[: -len(ending)]
            yield word
            break
    for ending, replacement in (("ies", "y"), ("ied", "y"), ("s", ""), ("es", "")):
        if word.endswith(ending) and not word.endswith("ss"):
            yield from _long_enough(word[: -len(ending)], replacement)
    for ending in ("ing", "ed"):
        if word.endswith(ending):
            stem = word[: -len(ending)]
            if stem[-1:] == stem[-2:-1] and stem[-1:] not in _VOWELS:
                yield from _long_enough(stem[:-1], "")
            yield from _long_enough(stem, "")
            yield from _long_enough(stem, "e")


def _long_enough(stem: str, ending: str) -> Iterator[str]:
    if len(stem + ending) >= _SHORTEST_STEM and len(stem) >= _SHORTEST_STEM - 1:
        yield stem + ending


def read_table(path: Path) -> WordTable | None:
    """The table in a file, or None when there is no such file; a damaged file is logged and counts as missing."""
    try:
        # numpy leaves a file open that it opened itself and could not read
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            words = archive["words"].tobytes().decode("utf-8").split("\n")
            rows = archive["rows"].astype(np.float32)
        if rows.shape != (len(words), DIMENSIONS):
            raise ValueError(f"{len(words)} words, but rows of shape {rows.shape}")
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        _log.warning("the word-vector table %s cannot be read (%s); going on without it", path, error)
        return None
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows.flags.writeable = False
    return WordTable(index={word: row for row, word in enumerate(words)}, rows=rows)


class LazyTable:
    """Reads the table once, at the first question, whichever thread asks it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._asked = False
        self._table: WordTable | None = None

    def get(self) -> WordTable | None:
        if os.environ.get(SWITCH, "").lower() == "off":
            return None
        if not self._asked:
            with self._lock:
                if not self._asked:
                    self._table = read_table(self._path)
                    self._asked = True
        return self._table


_shipped = LazyTable(TABLE_FILE)


def available() -> bool:
    """True when the table can be read and is not switched off; the switch is looked at in every call."""
    return _shipped.get() is not None


def vector(word: str) -> NDArray[np.float32] | None:
    """The word's unit vector, shape (48,), read-only; None when neither it nor a base form is known."""
    table = _shipped.get()
    row = None if table is None else table.row(word)
    return None if table is None or row is None else table.rows[row]


def similarity(a: str, b: str) -> float:
    """Cosine in -1..1 of two words, near 0 for unrelated ones; 0.0 when one of them is unknown."""
    left, right = vector(a), vector(b)
    return 0.0 if left is None or right is None else float(left @ right)


def matrix(words: Sequence[str]) -> NDArray[np.float32]:
    """One row per word, shape (len(words), 48): unit vectors, and zeros for unknown words."""
    table = _shipped.get()
    result = np.zeros((len(words), DIMENSIONS), dtype=np.float32)
    if table is None:
        return result
    rows = [table.row(word) for word in words]
    known = [place for place, row in enumerate(rows) if row is not None]
    result[known] = table.rows[[row for row in rows if row is not None]]
    return result
