"""How close texts are by their words' static vectors; everything is zero where the table is missing."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from strop.embedded import vectors
from strop.embedded.words import STOP_WORDS, words

Floats = NDArray[np.float32]
_NOTHING: Floats = np.zeros(vectors.DIMENSIONS, dtype=np.float32)


@lru_cache(maxsize=32_768)
def _known(word: str) -> Floats | None:
    return vectors.vector(word)


@lru_cache(maxsize=4_096)
def word_rows(text: str) -> Floats:
    """One unit row per known word of the text, shape (known words, 48)."""
    rows = [row for word in words(text) if word.lower() not in STOP_WORDS and (row := _known(word)) is not None]
    return np.stack(rows) if rows else np.zeros((0, vectors.DIMENSIONS), dtype=np.float32)


@lru_cache(maxsize=4_096)
def text_vector(text: str) -> Floats:
    """The unit mean of a text's words; zeros when none is known."""
    rows = word_rows(text)
    return unit(rows.mean(axis=0)) if len(rows) else _NOTHING


def unit(row: Floats) -> Floats:
    """The row scaled to length 1; zeros stay zeros."""
    norm = float(np.linalg.norm(row))
    return row / np.float32(norm) if norm else row


def closeness(left: str, right: str) -> float:
    """Cosine of two texts' mean vectors, 0.0 when one is unknown."""
    return float(text_vector(left) @ text_vector(right))


def coverage(wanted: str, text: str) -> float:
    """How well the text covers the wanted words: the mean over them of the closest word's cosine, 0..1."""
    rows, others = word_rows(wanted), word_rows(text)
    if not len(rows) or not len(others):
        return 0.0
    return float(np.maximum((rows @ others.T).max(axis=1), 0).mean())
