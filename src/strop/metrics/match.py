"""Right or wrong: accuracy for classes and values, exact match for short answers."""

from __future__ import annotations

import re
import string
import unicodedata
from typing import Any

from strop.metrics.labels import LabelMetric, LabelSettings
from strop.metrics.metric import clipped
from strop.metrics.values import as_text, same

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad(text: str) -> str:
    """The normalisation of the SQuAD evaluation script (Rajpurkar et al. 2016).

    Lower case, ASCII punctuation removed, English articles removed, white space collapsed; decomposed Unicode first,
    as DSPy does, so that both ways to write an accent agree.
    """
    text = unicodedata.normalize("NFD", text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def _verdict(right: bool, expected: Any, got: Any) -> tuple[float, str]:
    if right:
        return 1.0, f"{clipped(got)} is right"
    return 0.0, f"expected {clipped(expected)}, got {clipped(got)}"


class AccuracySettings(LabelSettings):
    """Settings of `accuracy`."""


class Accuracy(LabelMetric[AccuracySettings]):
    """1 when every compared field means what its label says, ignoring case and surrounding white space."""

    name = "accuracy"
    binary = True

    def compare(self, expected: Any, got: Any) -> tuple[float, str]:
        """See `values.same` for booleans, numbers, lists and alternatives."""
        return _verdict(same(expected, got), expected, got)


class ExactMatchSettings(LabelSettings):
    """Settings of `exact_match`."""

    empty_match: bool = True
    """Whether two texts of which nothing is left after normalisation ("the" and "a") match, as in SQuAD 2.0."""


class ExactMatch(LabelMetric[ExactMatchSettings]):
    """1 when the texts are equal after SQuAD's normalisation; punctuation goes, so `C` matches `C++`."""

    name = "exact_match"
    binary = True

    def compare(self, expected: Any, got: Any) -> tuple[float, str]:
        """A list of labels offers alternatives."""
        right = same(expected, got, squad) and (self.settings.empty_match or squad(as_text(got)) != "")
        return _verdict(right, expected, got)
